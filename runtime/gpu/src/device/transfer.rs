//! Data to the device and back.

use kinora_graph::Result;

use super::Device;

/// Bytes of one staging buffer.
const STAGE: usize = 32 << 20;

/// Two buffers in host memory, filled in turn: one is written while the device copies the other.
/// Reusing them is several times faster than fresh ones.
pub(super) struct Staging {
    stages: [Stage; 2],
    next: usize,
}

struct Stage {
    buffer: wgpu::Buffer,
    // The copy that must be over before the buffer is written again.
    copy: Option<wgpu::SubmissionIndex>,
}

impl Staging {
    pub(super) fn new(device: &Device) -> Result<Self> {
        let stage = || -> Result<Stage> {
            let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
            Ok(Stage {
                buffer: device.buffer("staging memory", STAGE as u64, usage)?,
                copy: None,
            })
        };
        Ok(Self {
            stages: [stage()?, stage()?],
            next: 0,
        })
    }

    pub(super) fn upload(&mut self, device: &Device, target: &wgpu::Buffer, offset: u64, bytes: &[u8]) -> Result<()> {
        for (index, chunk) in bytes.chunks(STAGE).enumerate() {
            let stage = &mut self.stages[self.next];
            self.next = 1 - self.next;
            if let Some(copy) = stage.copy.take() {
                device.wait(Some(copy))?;
            }
            let size = chunk.len() as u64;
            let slice = stage.buffer.slice(..size);
            map(device, &slice, wgpu::MapMode::Write)?;
            let mut view = slice.get_mapped_range_mut().map_err(|e| device.fault(e.to_string()))?;
            view.copy_from_slice(chunk);
            drop(view);
            stage.buffer.unmap();
            let mut encoder = device.raw().create_command_encoder(&Default::default());
            let at = offset + (index * STAGE) as u64;
            encoder.copy_buffer_to_buffer(&stage.buffer, 0, target, at, size);
            stage.copy = Some(device.queue().submit([encoder.finish()]));
        }
        device.check()
    }
}

impl Device {
    /// Maps a buffer from [`Self::buffer`] with `MAP_READ` and hands its first `size` bytes to `read`.
    pub(crate) fn read<T>(&self, buffer: &wgpu::Buffer, size: u64, read: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let slice = buffer.slice(..size);
        map(self, &slice, wgpu::MapMode::Read)?;
        let view = slice.get_mapped_range().map_err(|e| self.fault(e.to_string()))?;
        let result = read(&view);
        drop(view);
        buffer.unmap();
        Ok(result)
    }
}

/// Waits until `slice` is mapped.
fn map(device: &Device, slice: &wgpu::BufferSlice<'_>, mode: wgpu::MapMode) -> Result<()> {
    let (sender, receiver) = std::sync::mpsc::channel();
    slice.map_async(mode, move |result| {
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
                .map_err(|_| device.fault("a buffer could not be mapped".into()))?
        }
    };
    result.map_err(|e| device.fault(format!("a buffer could not be mapped: {e}")))
}
