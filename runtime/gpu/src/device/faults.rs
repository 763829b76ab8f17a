//! Faults that a driver reports outside of any call: a lost device, an error that nobody asked about.

use std::sync::{Arc, Mutex, OnceLock};

use kinora_graph::{Error, Result};

/// Remembers the first fault of a device, so that the next call can return it.
pub(crate) struct Faults {
    device: String,
    lost: OnceLock<String>,
    error: Mutex<Option<(bool, String)>>,
}

impl Faults {
    /// Listens to `device`. wgpu's own handlers would panic.
    pub(crate) fn watch(device: &wgpu::Device, name: &str) -> Arc<Self> {
        let faults = Arc::new(Self {
            device: name.to_owned(),
            lost: OnceLock::new(),
            error: Mutex::default(),
        });
        let weak = Arc::downgrade(&faults);
        device.set_device_lost_callback(move |reason, message| {
            if let (Some(faults), false) = (weak.upgrade(), reason == wgpu::DeviceLostReason::Destroyed) {
                // Only the first reason is of use.
                let _ = faults.lost.set(message);
            }
        });
        let weak = Arc::downgrade(&faults);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            if let Some(faults) = weak.upgrade() {
                let memory = matches!(error, wgpu::Error::OutOfMemory { .. });
                let mut slot = faults.error.lock().expect("no panic while storing");
                slot.get_or_insert_with(|| (memory, error.to_string()));
            }
        }));
        faults
    }

    /// The first fault, if there was one. A lost device stays lost; other errors are reported once.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(message) = self.lost.get() {
            return Err(self.error(format!("the device was lost ({message})")));
        }
        match self.error.lock().expect("no panic while storing").take() {
            None => Ok(()),
            Some((true, _)) => Err(Error::OutOfMemory {
                what: format!("a command on {}", self.device),
                needed: 0,
                available: 0,
                remedy: "render fewer frames or a smaller picture, close other programs that use the device, or use `--device cpu`"
                    .into(),
            }),
            Some((false, message)) => Err(self.error(message)),
        }
    }

    /// An error of this device.
    pub(crate) fn error(&self, why: String) -> Error {
        Error::Device {
            device: self.device.clone(),
            why,
            remedy: "check the system's log for driver messages, try again, update the driver, or use `--device cpu`"
                .into(),
        }
    }
}
