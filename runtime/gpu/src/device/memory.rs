//! How much memory a device has, and how much of it is free.

/// A device's memory as its driver tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Bytes of the largest heap that belongs to the device.
    pub heap: u64,
    /// Bytes of it that this process may still take, where the driver knows.
    pub free: Option<u64>,
}

/// What is left to the driver, the desktop and rounding: never less than this.
const MARGIN: u64 = 256 << 20;

impl DeviceMemory {
    /// Bytes that a program may plan with: what is free less a margin of a sixteenth of the heap, 256 MiB at least;
    /// where the driver does not say what is free, three quarters of the heap.
    pub fn budget(self) -> u64 {
        match self.free {
            Some(free) => free.saturating_sub((self.heap / 16).max(MARGIN)),
            None => self.heap / 4 * 3,
        }
    }

    /// Asks the adapter's driver; `None` where wgpu has no way to it (Metal and DX12).
    #[cfg(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd"))]
    pub(super) fn of(adapter: &wgpu::Adapter) -> Option<Self> {
        use ash::{ext, vk};

        // SAFETY: the handles are used while `vulkan` is alive, and nothing is destroyed through them.
        let vulkan = unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }?;
        let instance = vulkan.shared_instance().raw_instance();
        let device = vulkan.raw_physical_device();
        let knows_budget = vulkan
            .physical_device_capabilities()
            .supports_extension(ext::memory_budget::NAME);
        let mut budget = vk::PhysicalDeviceMemoryBudgetPropertiesEXT::default();
        let mut properties = vk::PhysicalDeviceMemoryProperties2::default();
        if knows_budget {
            properties = properties.push_next(&mut budget);
        }
        // SAFETY: `device` belongs to `instance`; the chain holds one structure that the driver knows, both live on
        // this stack. wgpu asks for Vulkan 1.1 or the extension with this function, or has no adapter.
        unsafe { instance.get_physical_device_memory_properties2(device, &mut properties) };
        let memory = properties.memory_properties;
        let heaps = memory.memory_heaps.iter().take(memory.memory_heap_count as usize);
        let (index, heap) = heaps
            .enumerate()
            .filter(|(_, heap)| heap.flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL))
            .max_by_key(|(_, heap)| heap.size)?;
        let heap = heap.size;
        let free = knows_budget.then(|| budget.heap_budget[index].saturating_sub(budget.heap_usage[index]));
        Some(Self { heap, free })
    }

    #[cfg(not(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")))]
    pub(super) fn of(_adapter: &wgpu::Adapter) -> Option<Self> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_budget_leaves_a_margin() {
        let budget = |heap, free| DeviceMemory { heap, free }.budget();
        assert_eq!(budget(8 * GIB, Some(7 * GIB)), 7 * GIB - GIB / 2);
        assert_eq!(budget(2 * GIB, Some(GIB)), GIB - MARGIN);
        assert_eq!(budget(8 * GIB, Some(GIB / 8)), 0);
        assert_eq!(budget(8 * GIB, None), 6 * GIB);
    }

    #[test]
    fn the_driver_tells_what_there_is() {
        let Ok(device) = crate::Device::open(None) else { return };
        let memory = device.memory().expect("a Vulkan driver");
        assert!(
            memory.heap > MARGIN && memory.free.is_none_or(|free| free <= memory.heap),
            "{memory:?}"
        );
    }
}
