//! Who keeps a kernel inside its buffers.

/// The checks that wgpu adds to kernels.
///
/// A kernel that is fed by a hostile file must not read elsewhere. Where the driver itself guards every access to a
/// buffer, checks of wgpu's would only repeat that for indices into workgroup memory, which our kernels make of constants
/// and the numbers of invocations alone, and for the ends of loops, which come whatever a buffer holds: they cost
/// 15 to 30 % of a matrix product (measured on llvmpipe; estimates of AMD's and Intel's compilers). Everywhere else they
/// stay.
pub(super) fn checks(adapter: &wgpu::Adapter) -> wgpu::ShaderRuntimeChecks {
    match driver_guards_buffers(adapter) {
        true => wgpu::ShaderRuntimeChecks {
            bounds_checks: false,
            force_loop_bounding: false,
            ..wgpu::ShaderRuntimeChecks::checked()
        },
        false => wgpu::ShaderRuntimeChecks::checked(),
    }
}

/// Whether reads past a binding give zeros or its own bytes, and writes there are dropped, as Vulkan's
/// `robustBufferAccess2` has it; wgpu turns it on where it is there.
#[cfg(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn driver_guards_buffers(adapter: &wgpu::Adapter) -> bool {
    use ash::{ext, vk};

    // SAFETY: the handles are used while `vulkan` is alive, and nothing is destroyed through them.
    let Some(vulkan) = (unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }) else {
        return false;
    };
    let capabilities = vulkan.physical_device_capabilities();
    if !capabilities.supports_extension(ext::robustness2::NAME) {
        return false;
    }
    let mut robustness = vk::PhysicalDeviceRobustness2FeaturesEXT::default();
    let mut features = vk::PhysicalDeviceFeatures2::default().push_next(&mut robustness);
    let instance = vulkan.shared_instance().raw_instance();
    // SAFETY: the device belongs to the instance; the chain holds one structure that the driver knows, both live on
    // this stack. wgpu asks for Vulkan 1.1 or the extension with this function, or has no adapter.
    unsafe { instance.get_physical_device_features2(vulkan.raw_physical_device(), &mut features) };
    robustness.robust_buffer_access2 == vk::TRUE
}

#[cfg(not(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn driver_guards_buffers(_adapter: &wgpu::Adapter) -> bool {
    false
}
