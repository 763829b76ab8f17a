//! Counts what is allocated, so that a budget can be kept and shown to be kept.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a device's buffers.
#[derive(Debug, Default)]
pub struct Ledger {
    held: AtomicU64,
    peak: AtomicU64,
}

impl Ledger {
    /// Bytes held now. Staging memory of the host is not among them.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Most bytes that were held at once since the start or the last [`Self::reset_peak`].
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Starts measuring the peak anew.
    pub fn reset_peak(&self) {
        self.peak.store(self.held(), Ordering::Relaxed);
    }

    fn add(&self, bytes: u64) {
        let held = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(held, Ordering::Relaxed);
    }

    fn remove(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A buffer that is counted while it lives. Dropping it frees the memory, even where bind groups still name it.
#[derive(Debug)]
pub(crate) struct Allocation {
    raw: wgpu::Buffer,
    counted: u64,
    ledger: Arc<Ledger>,
}

impl Allocation {
    pub(super) fn new(raw: wgpu::Buffer, ledger: &Arc<Ledger>) -> Self {
        // What the processor maps lies in its own memory.
        let mapped = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::MAP_WRITE;
        let counted = if raw.usage().intersects(mapped) { 0 } else { raw.size() };
        ledger.add(counted);
        Self {
            raw,
            counted,
            ledger: ledger.clone(),
        }
    }
}

impl Deref for Allocation {
    type Target = wgpu::Buffer;

    fn deref(&self) -> &wgpu::Buffer {
        &self.raw
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        self.raw.destroy();
        self.ledger.remove(self.counted);
    }
}
