//! Plans and runs Kinora graphs on any wgpu adapter.
//!
//! - [`device`]: which adapter, its limits, compiled pipelines, transfers
//! - [`plan`]: a graph becomes a list of dispatches with places in memory, without any device
//! - [`tune`]: which tiles of kernels a plan takes, measured on the device once
//! - [`run`]: the executor, which replays plans

pub mod device;
pub mod plan;
pub mod run;
pub mod tune;

pub use device::{
    AdapterDescription, Creations, DEVICE_VARIABLE, Device, DeviceClass, DeviceMemory, Ledger, Probe, TIER_VARIABLE,
    Tier, Timing, adapters,
};
pub use kinora_shaders::Features;
pub use plan::{Capabilities, Options, Plan, Speed};
pub use run::GpuExecutor;
pub use tune::{Table, Tuner};
