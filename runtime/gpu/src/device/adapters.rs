//! Which adapters there are, and which one is meant.

use std::fmt;

use kinora_graph::{Error, Result};

use super::DeviceMemory;
use crate::plan::Speed;

/// Environment variable that chooses a device where the command line does not.
pub const DEVICE_VARIABLE: &str = "KINORA_DEVICE";

/// What kind of device an adapter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeviceClass {
    /// A card with memory of its own.
    Discrete,
    /// Shares memory with the processor.
    Integrated,
    /// Lent by a hypervisor, or unknown.
    Virtual,
    /// A driver that runs on the processor.
    Software,
}

impl DeviceClass {
    fn of(device_type: wgpu::DeviceType) -> Self {
        match device_type {
            wgpu::DeviceType::DiscreteGpu => Self::Discrete,
            wgpu::DeviceType::IntegratedGpu => Self::Integrated,
            wgpu::DeviceType::VirtualGpu | wgpu::DeviceType::Other => Self::Virtual,
            wgpu::DeviceType::Cpu => Self::Software,
        }
    }

    /// A careful first guess, so that time slices are rather too short than too long.
    pub(crate) fn speed(self) -> Speed {
        let (flops, bytes) = match self {
            Self::Discrete => (3e12, 200e9),
            Self::Integrated => (4e11, 20e9),
            Self::Virtual => (4e11, 20e9),
            Self::Software => (2e9, 1e9),
        };
        Speed { flops, bytes }
    }
}

impl fmt::Display for DeviceClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Software => "software",
        })
    }
}

/// An adapter, as `kinora devices` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterDescription {
    /// Position in the list of [`adapters`]; selects the adapter.
    pub index: usize,
    /// Name that the driver gives.
    pub name: String,
    /// Vulkan, Metal or DX12.
    pub backend: String,
    /// Kind of device.
    pub class: DeviceClass,
    /// Driver and its version.
    pub driver: String,
    /// Largest buffer in bytes.
    pub max_buffer: u64,
    /// Largest part of a buffer that a kernel can see, in bytes.
    pub max_binding: u64,
    /// Whether single operations can be timed by the device.
    pub timestamps: bool,
    /// Its memory; `None` where the driver does not tell.
    pub memory: Option<DeviceMemory>,
}

impl AdapterDescription {
    fn of(index: usize, adapter: &wgpu::Adapter) -> Self {
        let (info, limits) = (adapter.get_info(), adapter.limits());
        let driver = [info.driver, info.driver_info];
        Self {
            index,
            name: info.name,
            backend: match info.backend {
                wgpu::Backend::Vulkan => "Vulkan".to_owned(),
                wgpu::Backend::Metal => "Metal".to_owned(),
                wgpu::Backend::Dx12 => "DX12".to_owned(),
                other => other.to_string(),
            },
            class: DeviceClass::of(info.device_type),
            driver: driver.join(" ").trim().to_owned(),
            max_buffer: limits.max_buffer_size,
            max_binding: limits.max_storage_buffer_binding_size,
            timestamps: adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY),
            memory: DeviceMemory::of(adapter),
        }
    }
}

impl fmt::Display for AdapterDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.name, self.backend, self.class)
    }
}

/// All adapters that can run kernels, in the driver's order.
pub fn adapters() -> Vec<AdapterDescription> {
    enumerate().into_iter().map(|(_, d)| d).collect()
}

fn enumerate() -> Vec<(wgpu::Adapter, AdapterDescription)> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    // The validation layers of debug builds are slow, and absent on most machines.
    descriptor.flags = wgpu::InstanceFlags::empty();
    let instance = wgpu::Instance::new(descriptor);
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    pollster::block_on(instance.enumerate_adapters(backends))
        .into_iter()
        .enumerate()
        .map(|(index, adapter)| {
            let description = AdapterDescription::of(index, &adapter);
            (adapter, description)
        })
        .collect()
}

pub(super) fn choose(selector: Option<&str>) -> Result<(wgpu::Adapter, AdapterDescription)> {
    let mut found = enumerate();
    let descriptions: Vec<_> = found.iter().map(|(_, d)| d.clone()).collect();
    let index = pick(&descriptions, selector)?;
    Ok(found.swap_remove(index))
}

/// Which of `found` is meant.
fn pick(found: &[AdapterDescription], selector: Option<&str>) -> Result<usize> {
    let matches = |d: &&AdapterDescription| match selector {
        None => true,
        Some("software") => d.class == DeviceClass::Software,
        Some(text) => match text.parse::<usize>() {
            Ok(index) => d.index == index,
            Err(_) => d.name.to_lowercase().contains(&text.to_lowercase()),
        },
    };
    if let Some(best) = found.iter().filter(matches).min_by_key(|d| (d.class, d.index)) {
        return Ok(best.index);
    }
    let install = match cfg!(target_os = "linux") {
        true => "install a Vulkan driver (Debian, Ubuntu: `apt install mesa-vulkan-drivers libvulkan1`)",
        false => "install the graphics card maker's current driver",
    };
    let (why, remedy) = if found.is_empty() {
        (
            "no Vulkan, Metal or DX12 device was found".to_owned(),
            format!("{install}, or use `--device cpu`"),
        )
    } else {
        let list: Vec<_> = found.iter().map(|d| format!("{}: {d}", d.index)).collect();
        (
            format!("there is no such device; found: {}", list.join("; ")),
            format!("choose one of these by number or name, {install}, or use `--device cpu`"),
        )
    };
    Err(Error::Device {
        device: selector.map_or("any device".into(), |s| format!("device `{s}`")),
        why,
        remedy,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(index: usize, name: &str, class: DeviceClass) -> AdapterDescription {
        AdapterDescription {
            index,
            name: name.into(),
            backend: "Vulkan".into(),
            class,
            driver: String::new(),
            max_buffer: 1 << 30,
            max_binding: 1 << 27,
            timestamps: true,
            memory: None,
        }
    }

    #[test]
    fn a_selector_is_an_index_a_name_or_software() {
        let found = [
            adapter(0, "llvmpipe (LLVM 15)", DeviceClass::Software),
            adapter(1, "Intel Graphics", DeviceClass::Integrated),
            adapter(2, "AMD Radeon RX 7800", DeviceClass::Discrete),
            adapter(3, "AMD Radeon 780M", DeviceClass::Integrated),
        ];
        let pick = |s| pick(&found, s).unwrap();
        assert_eq!(
            [
                pick(None),
                pick(Some("1")),
                pick(Some("radeon")),
                pick(Some("780m")),
                pick(Some("software"))
            ],
            [2, 1, 2, 3, 0]
        );
        let error = super::pick(&found, Some("geforce")).unwrap_err().to_string();
        assert!(
            error.contains("geforce") && error.contains("2: AMD Radeon RX 7800"),
            "{error}"
        );
        let error = super::pick(&[], None).unwrap_err().to_string();
        assert!(error.contains("--device cpu"), "{error}");
    }
}
