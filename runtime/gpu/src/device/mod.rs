//! A graphics device: which adapter, its limits, compiled pipelines, transfers.

mod adapters;
mod creations;
mod faults;
mod guards;
mod ledger;
mod memory;
mod pipelines;
mod probe;
mod tier;
mod timing;
mod transfer;

use std::sync::{Arc, Mutex};

use kinora_graph::{Error, Result};
use kinora_shaders::Features;

pub use adapters::{AdapterDescription, DEVICE_VARIABLE, DeviceClass, adapters};
pub use creations::Creations;
pub(crate) use faults::Faults;
pub(crate) use ledger::Allocation;
pub use ledger::Ledger;
pub use memory::DeviceMemory;
pub(crate) use pipelines::Pipeline;
pub use probe::Probe;
pub use tier::{TIER_VARIABLE, Tier};
pub use timing::Timing;

use crate::plan::Capabilities;
use creations::{Counters, count};
use pipelines::Pipelines;
use transfer::Staging;
pub(crate) use transfer::{Feed, STAGE, STAGING, Staged};

/// Elements of an output that fill a GPU with large tiles.
const LARGE: u64 = 1 << 19;

/// See [`Capabilities::large_from`].
fn large_from(class: DeviceClass, subgroup_min_size: u32) -> u64 {
    match class {
        // Few processors are filled by anything, and a large tile loads the least.
        DeviceClass::Software => 0,
        _ if subgroup_min_size >= 32 => LARGE,
        // Hardware with narrow subgroups (Intel's) has half the registers for an invocation, and large tiles spill.
        _ => u64::MAX,
    }
}

/// An open device. Shared by the executors that run on it.
pub struct Device {
    description: AdapterDescription,
    large_from: u64,
    subgroup: u32,
    features: Features,
    raw: wgpu::Device,
    queue: wgpu::Queue,
    checks: wgpu::ShaderRuntimeChecks,
    faults: Arc<Faults>,
    ledger: Arc<Ledger>,
    creations: Counters,
    pipelines: Mutex<Pipelines>,
    staging: Mutex<Option<Staging>>,
}

impl Device {
    /// Opens the adapter that `selector` names: an index or a part of the name as [`adapters`] lists
    /// them, or `software` for a driver that runs on the processor. Without a selector the variable
    /// [`DEVICE_VARIABLE`] decides; without either a discrete GPU is preferred to an integrated one,
    /// that to a virtual one, and a software driver comes last.
    ///
    /// # Errors
    /// [`Error::Device`] where there is no such adapter (it lists what was found and says what to
    /// install) or the driver refuses.
    pub fn open(selector: Option<&str>) -> Result<Arc<Self>> {
        let variable = std::env::var(DEVICE_VARIABLE).ok();
        let selector = selector
            .or(variable.as_deref())
            .map(str::trim)
            .filter(|s| !s.is_empty());
        let (adapter, description) = adapters::choose(selector)?;
        let features = Tier::from_environment(description.class)?.limit(tier::offered(&adapter));
        let wanted = wgpu::Features::TIMESTAMP_QUERY | tier::wgpu_features(features);
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("kinora"),
            required_features: adapter.features() & wanted,
            // Anything else means WebGPU's small defaults.
            required_limits: adapter.limits(),
            // SAFETY: of what is experimental only cooperative matrices are asked for. Kernels load and store them
            // within the arrays that they declare, and what drivers make of them is tested before it is used.
            experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
            ..Default::default()
        };
        let (raw, queue) = pollster::block_on(adapter.request_device(&descriptor)).map_err(|e| Error::Device {
            device: description.to_string(),
            why: format!("the driver refused to open it: {e}"),
            remedy: "update the driver, choose another device (`kinora devices`), or use `--device cpu`".into(),
        })?;
        let checks = guards::checks(&adapter);
        let faults = Faults::watch(&raw, &description.name);
        let info = adapter.get_info();
        let mut device = Self {
            large_from: large_from(description.class, info.subgroup_min_size),
            subgroup: info.subgroup_max_size,
            description,
            features,
            raw,
            queue,
            checks,
            faults,
            ledger: Arc::default(),
            creations: Counters::default(),
            pipelines: Mutex::default(),
            staging: Mutex::default(),
        };
        device.features = tier::tested(&device, features);
        Ok(Arc::new(device))
    }

    /// What the device is.
    pub fn description(&self) -> &AdapterDescription {
        &self.description
    }

    /// What plans for this device must respect.
    pub fn capabilities(&self) -> Capabilities {
        let limits = self.raw.limits();
        Capabilities {
            // Bindings are whole vectors of four.
            max_binding: limits.max_storage_buffer_binding_size / 16 * 16,
            max_buffer: limits.max_buffer_size,
            storage_alignment: u64::from(limits.min_storage_buffer_offset_alignment),
            uniform_alignment: u64::from(limits.min_uniform_buffer_offset_alignment),
            speed: self.description.class.speed(),
            software: self.description.class == DeviceClass::Software,
            large_from: self.large_from,
            subgroup: self.subgroup,
            features: self.features,
        }
    }

    /// Its memory when it was opened; `None` where the driver does not tell.
    pub fn memory(&self) -> Option<DeviceMemory> {
        self.description.memory
    }

    /// What is allocated on it.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What has been created on it.
    pub fn creations(&self) -> Creations {
        self.creations.now()
    }

    pub(crate) fn raw(&self) -> &wgpu::Device {
        &self.raw
    }

    pub(crate) fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// Whether a pass can be timed by the device itself.
    pub(crate) fn has_timestamps(&self) -> bool {
        self.raw.features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Whether it can run `shader`.
    pub fn supports(&self, shader: &kinora_shaders::Shader) -> bool {
        self.features.cover(shader.needs)
    }

    /// The compiled pipeline of `shader`, made at its first use.
    pub(crate) fn pipeline(&self, shader: &kinora_shaders::kernel::Shader) -> Result<Arc<Pipeline>> {
        let mut pipelines = self.pipelines.lock().expect("no panic while compiling");
        pipelines.get(self, shader)
    }

    /// A buffer, or a typed error where memory is short. `what` names it in the error.
    pub(crate) fn buffer(&self, what: &str, size: u64, usage: wgpu::BufferUsages) -> Result<Allocation> {
        let max = self.raw.limits().max_buffer_size;
        if size > max {
            return Err(self.out_of_memory(what, size, max));
        }
        count(&self.creations.buffers);
        let oom = self.raw.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = self.raw.push_error_scope(wgpu::ErrorFilter::Internal);
        let buffer = self.raw.create_buffer(&wgpu::BufferDescriptor {
            label: Some(what),
            // An empty buffer cannot be bound.
            size: size.max(16).next_multiple_of(4),
            usage,
            mapped_at_creation: false,
        });
        let internal = pollster::block_on(internal.pop());
        if pollster::block_on(oom.pop()).is_some() {
            return Err(self.out_of_memory(what, size, 0));
        }
        if let Some(error) = internal {
            return Err(self.faults.error(error.to_string()));
        }
        self.faults.check()?;
        Ok(Allocation::new(buffer, &self.ledger))
    }

    /// What a pipeline's bindings are bound to, in their order.
    pub(crate) fn bind_group(&self, pipeline: &Pipeline, bindings: &[wgpu::BufferBinding<'_>]) -> wgpu::BindGroup {
        count(&self.creations.bind_groups);
        let entries = bindings.iter().enumerate();
        let entries = entries.map(|(binding, part)| wgpu::BindGroupEntry {
            binding: binding as u32,
            resource: wgpu::BindingResource::Buffer(part.clone()),
        });
        self.raw.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.layout,
            entries: &entries.collect::<Vec<_>>(),
        })
    }

    fn out_of_memory(&self, what: &str, needed: u64, available: u64) -> Error {
        Error::OutOfMemory {
            what: format!("{what} on {}", self.description.name),
            needed,
            available,
            remedy: "render fewer frames or a smaller picture, close other programs that use the device, or use `--device cpu`"
                .into(),
        }
    }

    /// Waits for a submission (`None`: for all).
    pub(crate) fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        self.poll(wgpu::PollType::Wait {
            submission_index: submission,
            timeout: None,
        })
    }

    /// Lets finished work report, without waiting.
    pub(crate) fn poll_once(&self) -> Result<()> {
        self.poll(wgpu::PollType::Poll)
    }

    fn poll(&self, how: wgpu::PollType) -> Result<()> {
        self.faults.check()?;
        // wgpu 30 panics in `poll` when the device is lost meanwhile.
        let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.raw.poll(how)));
        self.faults.check()?;
        match polled {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.faults.error(error.to_string())),
            Err(_) => Err(self.faults.error("it was lost while it was working".to_owned())),
        }
    }

    /// The first fault since the device was opened, if there was one.
    pub(crate) fn check(&self) -> Result<()> {
        self.faults.check()
    }

    pub(crate) fn fault(&self, why: String) -> Error {
        self.faults.error(why)
    }
}
