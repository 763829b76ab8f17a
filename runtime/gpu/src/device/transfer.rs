//! Data to the device and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::time::Duration;

use kinora_graph::{Error, Result};

use super::{Allocation, Device};

/// Bytes of one staging buffer.
pub(crate) const STAGE: u64 = 16 << 20;

/// Staging buffers: some are filled while others are copied.
const STAGES: usize = 4;

/// Bytes of all of them.
pub(crate) const STAGING: u64 = STAGE * STAGES as u64;

/// How long to wait before looking whether the device has finished something.
const GLANCE: Duration = Duration::from_micros(200);

/// Buffers in host memory through which data passes, used again and again: fresh ones are several times slower.
pub(super) struct Staging {
    // Mapped ones that nobody uses come out here.
    free: Receiver<Stage>,
    freed: Sender<Stage>,
}

type Stage = Arc<Allocation>;

impl Staging {
    fn new(device: &Device) -> Result<Self> {
        let (freed, free) = channel();
        let staging = Self { free, freed };
        for _ in 0..STAGES {
            let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
            let stage = device.buffer("staging memory", STAGE, usage)?;
            recycle(Arc::new(stage), &staging.freed);
        }
        Ok(staging)
    }
}

/// Maps `stage` again once the device has read it; it is free then.
fn recycle(stage: Stage, freed: &Sender<Stage>) {
    let freed = freed.clone();
    let held = stage.clone();
    stage.slice(..).map_async(wgpu::MapMode::Write, move |result| {
        if result.is_ok() {
            // Nobody waits for it where the device is gone.
            let _ = freed.send(held);
        }
    });
}

/// Memory of the host that is copied to the device next. Bytes that are not written hold something else's.
pub(crate) struct Staged {
    view: wgpu::BufferViewMut,
    filled: usize,
}

impl Staged {
    /// Appends `bytes`.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let end = self.filled + bytes.len();
        self.view.slice(self.filled..end).copy_from_slice(bytes);
        self.filled = end;
    }
}

/// What a reader thread has filled, in the order of the pieces that it was given.
pub(crate) struct Feed<'a> {
    device: &'a Device,
    filled: Receiver<Result<(Stage, u64)>>,
    freed: Sender<Stage>,
}

impl Feed<'_> {
    /// Copies the next piece to `offset` of `target`, behind all work submitted so far. `false` where it is not ready
    /// and `wait` is not set.
    pub(crate) fn copy_next(&self, target: &wgpu::Buffer, offset: u64, wait: bool) -> Result<bool> {
        let (stage, size) = loop {
            // Stages become free when the device says so, and it says so when it is asked.
            self.device.poll_once()?;
            match self.filled.recv_timeout(if wait { GLANCE } else { Duration::ZERO }) {
                Ok(filled) => break filled?,
                Err(RecvTimeoutError::Timeout) if wait => {}
                Err(RecvTimeoutError::Timeout) => return Ok(false),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.device.fault("the thread that reads weights has stopped".into()));
                }
            }
        };
        stage.unmap();
        let mut encoder = self.device.raw().create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&stage, 0, target, offset, size);
        self.device.queue().submit([encoder.finish()]);
        recycle(stage, &self.freed);
        self.device.check()?;
        Ok(true)
    }
}

impl Device {
    /// Runs `work` while a thread calls `fill` for each piece in turn; the feed hands out what is filled. A piece takes
    /// [`STAGE`] bytes at most, a multiple of four.
    pub(crate) fn feed<P: Sync, T>(
        &self,
        pieces: &[P],
        fill: impl Fn(&P, &mut Staged) -> Result<()> + Sync,
        work: impl FnOnce(&Feed<'_>) -> Result<T>,
    ) -> Result<T> {
        let kept = || self.staging.lock().expect("no panic while it is held");
        let taken = kept().take();
        let staging = match taken {
            Some(staging) => staging,
            None => Staging::new(self)?,
        };
        let (give, filled) = sync_channel(STAGES);
        let feed = Feed {
            device: self,
            filled,
            freed: staging.freed.clone(),
        };
        let stop = AtomicBool::new(false);
        let free = staging.free;
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                for piece in pieces {
                    let stage = loop {
                        match free.recv_timeout(Duration::from_millis(50)) {
                            Ok(stage) => break stage,
                            Err(_) if stop.load(Ordering::Relaxed) => return free,
                            Err(_) => {}
                        }
                    };
                    let result = write(self, &stage, |staged| fill(piece, staged));
                    let failed = result.is_err();
                    if give.send(result.map(|size| (stage, size))).is_err() || failed {
                        break;
                    }
                }
                free
            });
            let result = work(&feed);
            stop.store(true, Ordering::Relaxed);
            let complete = result.is_ok();
            drop(feed);
            match reader.join() {
                // After a failure stages may be lost half-filled: they are made anew.
                Ok(free) if complete => {
                    *kept() = Some(Staging {
                        free,
                        freed: staging.freed,
                    });
                }
                Ok(_) => {}
                Err(panic) => std::panic::resume_unwind(panic),
            }
            result
        })
    }

    /// Copies `bytes` (a multiple of 4) to `offset` of `target`.
    pub(crate) fn upload(&self, target: &wgpu::Buffer, offset: u64, bytes: &[u8]) -> Result<()> {
        // Small writes are gathered by wgpu; its way with large ones allocates each time.
        if bytes.len() <= 256 << 10 {
            self.queue.write_buffer(target, offset, bytes);
            return self.faults.check();
        }
        let pieces: Vec<&[u8]> = bytes.chunks(STAGE as usize).collect();
        let fill = |piece: &&[u8], staged: &mut Staged| {
            staged.write(piece);
            Ok(())
        };
        self.feed(&pieces, fill, |feed| {
            for index in 0..pieces.len() as u64 {
                feed.copy_next(target, offset + index * STAGE, true)?;
            }
            Ok(())
        })
    }

    /// Maps a buffer from [`Self::buffer`] with `MAP_READ` and hands its first `size` bytes to `read`.
    pub(crate) fn read<T>(&self, buffer: &wgpu::Buffer, size: u64, read: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let slice = buffer.slice(..size);
        map(self, &slice)?;
        let view = slice.get_mapped_range().map_err(|e| self.fault(e.to_string()))?;
        let result = read(&view);
        drop(view);
        buffer.unmap();
        Ok(result)
    }
}

/// Lets `fill` write to a mapped stage; the bytes written, padded to a multiple of four.
fn write(device: &Device, stage: &Stage, fill: impl FnOnce(&mut Staged) -> Result<()>) -> Result<u64> {
    let view = stage.slice(..).get_mapped_range_mut();
    let mut staged = Staged {
        view: view.map_err(|e| device.fault(e.to_string()))?,
        filled: 0,
    };
    fill(&mut staged)?;
    let padding = staged.filled.next_multiple_of(4) - staged.filled;
    staged.write(&[0; 3][..padding]);
    Ok(staged.filled as u64)
}

/// Waits until `slice` can be read.
fn map(device: &Device, slice: &wgpu::BufferSlice<'_>) -> Result<()> {
    let (sender, receiver) = channel();
    slice.map_async(wgpu::MapMode::Read, move |result| {
        // The receiver is gone only where waiting has failed.
        let _ = sender.send(result);
    });
    // Mapping needs no work of the device where nothing is pending on the buffer: do not wait for
    // other submissions.
    device.poll_once()?;
    let result = match receiver.try_recv() {
        Ok(result) => result,
        Err(_) => {
            device.wait(None)?;
            receiver
                .recv()
                .map_err(|_| not_mapped(device, "its callback was dropped"))?
        }
    };
    result.map_err(|e| not_mapped(device, &e.to_string()))
}

fn not_mapped(device: &Device, why: &str) -> Error {
    device.fault(format!("a buffer could not be mapped: {why}"))
}
