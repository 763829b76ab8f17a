//! From the name of a device to something that runs graphs.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use kinora_cpu::CpuExecutor;
use kinora_graph::{Executor, Precision, Result};
use kinora_runtime::{Device, DeviceClass, GpuExecutor, Options, Tuner};

use crate::cache;
use crate::cli::{Global, Misuse};
use crate::memory::MemoryArgs;

/// Environment variable that turns measuring of kernels off (`0`), or on for drivers that run on the processor too (`1`).
pub const AUTOTUNE_VARIABLE: &str = "KINORA_AUTOTUNE";

/// Where graphs run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The graphics adapter that this machine has, a discrete one before all others.
    #[default]
    Default,
    /// The processor, without any graphics driver.
    Cpu,
    /// The adapter with this index or with this text in its name.
    Adapter(String),
}

impl FromStr for DeviceChoice {
    type Err = Infallible;

    /// `cpu`, an index or a part of a name; nothing means the default.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.trim() {
            "" => Self::Default,
            cpu if cpu.eq_ignore_ascii_case("cpu") => Self::Cpu,
            other => Self::Adapter(other.to_owned()),
        })
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default adapter",
            Self::Cpu => "cpu",
            Self::Adapter(name) => name,
        })
    }
}

/// Opens the device and makes an executor for it that stays within `memory`. Rules choose its kernels.
///
/// # Errors
/// [`kinora_graph::Error::Device`] where there is no such adapter (it lists what was found and says what to
/// install) or the driver refuses.
pub fn open_executor(device: &DeviceChoice, precision: Precision, memory: &MemoryArgs) -> Result<Box<dyn Executor>> {
    open(device, precision, memory, |_| None)
}

/// The executor that the options of all commands name, its kernels as measured where they are.
pub(crate) fn of(global: &Global) -> anyhow::Result<Box<dyn Executor>> {
    let tuner = tuner(global)?;
    Ok(open(&global.device, global.precision.into(), &global.memory, tuner)?)
}

fn open(
    device: &DeviceChoice,
    precision: Precision,
    memory: &MemoryArgs,
    tuner: impl FnOnce(&Arc<Device>) -> Option<Arc<Tuner>>,
) -> Result<Box<dyn Executor>> {
    let selector = match device {
        DeviceChoice::Cpu => return Ok(Box::new(CpuExecutor::within(precision, memory.ram()))),
        DeviceChoice::Default => None,
        DeviceChoice::Adapter(name) => Some(name.as_str()),
    };
    let device = Device::open(selector)?;
    let (options, tuner) = (options(&device, precision, memory), tuner(&device));
    let capabilities = device.capabilities();
    Ok(Box::new(
        GpuExecutor::with_options(device, capabilities, options).with_tuner(tuner),
    ))
}

/// What measures kernels on a device, where the user and the device let it: rules were made for software drivers by
/// hand.
pub(crate) fn tuner(global: &Global) -> Result<impl FnOnce(&Arc<Device>) -> Option<Arc<Tuner>> + use<>, Misuse> {
    let variable = std::env::var(AUTOTUNE_VARIABLE).unwrap_or_default();
    let (off, always) = match variable.trim() {
        "" => (global.no_autotune, false),
        "0" => (true, false),
        "1" => (global.no_autotune, true),
        other => {
            return Err(Misuse(format!(
                "{AUTOTUNE_VARIABLE} is `{other}`; set it to 0 or 1, or unset it"
            )));
        }
    };
    Ok(move |device: &Arc<Device>| {
        let software = device.description().class == DeviceClass::Software;
        let tunes = !off && (always || !software);
        tunes.then(|| Arc::new(Tuner::open(device.clone(), &cache::folder().join("tuning"))))
    })
}

/// Options of executors on `device` that stay within `memory`.
pub(crate) fn options(device: &Device, precision: Precision, memory: &MemoryArgs) -> Options {
    Options {
        precision,
        memory: memory.vram.map(|size| size.0).or(device.memory().map(|m| m.budget())),
        ..Options::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_no_adapter() {
        let parse = |s: &str| DeviceChoice::from_str(s).unwrap();
        assert_eq!(
            [parse("CPU"), parse(" "), parse("0"), parse("llvmpipe")],
            [
                DeviceChoice::Cpu,
                DeviceChoice::Default,
                DeviceChoice::Adapter("0".into()),
                DeviceChoice::Adapter("llvmpipe".into()),
            ]
        );
        let cpu = open_executor(&DeviceChoice::Cpu, Precision::F16, &MemoryArgs::default()).unwrap();
        assert!(cpu.describe().contains("f16"));
    }
}
