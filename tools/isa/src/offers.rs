//! What a device offers to kernels, found out and switched on as wgpu does it.

use std::ffi::CStr;

use anyhow::{Context, Result};
use ash::{ext, khr, vk};
use naga::back::spv::Capability;

/// What a device offers, as far as a kernel's module depends on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offers {
    pub(crate) capabilities: Vec<Capability>,
    /// Shapes of matrix products.
    pub(crate) matrices: Vec<MatrixShape>,
    /// wgpu leaves bounds of buffers to the device where it can (robustBufferAccess2).
    pub(crate) robust_buffers: bool,
}

/// A product of an m x k and a k x n matrix of f16 or f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MatrixShape {
    pub(crate) m: u32,
    pub(crate) n: u32,
    pub(crate) k: u32,
    /// Bytes of an element of A and B.
    pub(crate) input_width: u8,
    /// Bytes of an element of C and the result.
    pub(crate) output_width: u8,
}

/// Opens a device with all that a kernel may ask for and it has.
///
/// # Errors
/// If the driver refuses.
///
/// # Safety
/// The handles are valid.
pub(crate) unsafe fn open(
    entry: &ash::Entry,
    instance: &ash::Instance,
    physical: vk::PhysicalDevice,
) -> Result<(ash::Device, Offers)> {
    // SAFETY: the caller's promise; extensions and features are those that the device says it has.
    unsafe {
        let known = instance.enumerate_device_extension_properties(physical)?;
        let has = |name: &CStr| known.iter().any(|e| e.extension_name_as_c_str() == Ok(name));
        let wanted = [
            khr::pipeline_executable_properties::NAME,
            khr::cooperative_matrix::NAME,
            ext::robustness2::NAME,
        ];
        let extensions: Vec<_> = wanted.into_iter().filter(|name| has(name)).collect();
        let pointers: Vec<_> = extensions.iter().map(|name| name.as_ptr()).collect();

        let mut v11 = vk::PhysicalDeviceVulkan11Features::default();
        let mut v12 = vk::PhysicalDeviceVulkan12Features::default();
        let mut v13 = vk::PhysicalDeviceVulkan13Features::default();
        let mut matrix = vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default();
        let mut robust = vk::PhysicalDeviceRobustness2FeaturesEXT::default();
        let mut statistics = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default();
        let mut features = vk::PhysicalDeviceFeatures2::default()
            .push_next(&mut v11)
            .push_next(&mut v12)
            .push_next(&mut v13)
            .push_next(&mut matrix)
            .push_next(&mut robust)
            .push_next(&mut statistics);
        instance.get_physical_device_features2(physical, &mut features);
        let core = features.features;
        let has_matrix = matrix.cooperative_matrix == vk::TRUE;
        let offers = Offers {
            capabilities: capabilities(&core, &v12, &v13, has_matrix),
            matrices: if has_matrix {
                matrices(entry, instance, physical)?
            } else {
                Vec::new()
            },
            robust_buffers: robust.robust_buffer_access2 == vk::TRUE,
        };

        let priorities = [1.0];
        let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&priorities)];
        let core = vk::PhysicalDeviceFeatures::default()
            .robust_buffer_access(core.robust_buffer_access == vk::TRUE)
            .shader_int16(core.shader_int16 == vk::TRUE)
            .shader_int64(core.shader_int64 == vk::TRUE);
        let mut v11 = vk::PhysicalDeviceVulkan11Features::default()
            .storage_buffer16_bit_access(v11.storage_buffer16_bit_access == vk::TRUE)
            .uniform_and_storage_buffer16_bit_access(v11.uniform_and_storage_buffer16_bit_access == vk::TRUE);
        let mut v12 = vk::PhysicalDeviceVulkan12Features::default()
            .shader_float16(v12.shader_float16 == vk::TRUE)
            .shader_int8(v12.shader_int8 == vk::TRUE)
            .vulkan_memory_model(v12.vulkan_memory_model == vk::TRUE);
        let mut v13 = vk::PhysicalDeviceVulkan13Features::default()
            .shader_integer_dot_product(v13.shader_integer_dot_product == vk::TRUE)
            .subgroup_size_control(v13.subgroup_size_control == vk::TRUE);
        let mut matrix = vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default().cooperative_matrix(has_matrix);
        let mut robust =
            vk::PhysicalDeviceRobustness2FeaturesEXT::default().robust_buffer_access2(offers.robust_buffers);
        let mut statistics =
            vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
        let info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&pointers)
            .enabled_features(&core)
            .push_next(&mut v11)
            .push_next(&mut v12)
            .push_next(&mut v13)
            .push_next(&mut statistics);
        let info = if has_matrix { info.push_next(&mut matrix) } else { info };
        let info = if offers.robust_buffers {
            info.push_next(&mut robust)
        } else {
            info
        };
        let device = instance.create_device(physical, &info, None);
        Ok((device.context("the driver does not open its device")?, offers))
    }
}

/// SPIR-V capabilities as wgpu derives them from features, without those of pictures.
fn capabilities(
    core: &vk::PhysicalDeviceFeatures,
    v12: &vk::PhysicalDeviceVulkan12Features<'_>,
    v13: &vk::PhysicalDeviceVulkan13Features<'_>,
    matrix: bool,
) -> Vec<Capability> {
    use Capability as C;
    let mut all = vec![C::Shader, C::Matrix];
    let mut add = |offered: bool, more: &[Capability]| all.extend(more.iter().filter(|_| offered));
    add(
        true,
        &[
            C::GroupNonUniform,
            C::GroupNonUniformVote,
            C::GroupNonUniformArithmetic,
            C::GroupNonUniformBallot,
            C::GroupNonUniformShuffle,
            C::GroupNonUniformShuffleRelative,
            C::GroupNonUniformQuad,
        ],
    );
    add(v12.shader_float16 == vk::TRUE, &[C::Float16]);
    add(v12.shader_int8 == vk::TRUE, &[C::Int8]);
    add(core.shader_int16 == vk::TRUE, &[C::Int16]);
    add(core.shader_int64 == vk::TRUE, &[C::Int64]);
    add(
        v13.shader_integer_dot_product == vk::TRUE,
        &[
            C::DotProductInputAllKHR,
            C::DotProductInput4x8BitKHR,
            C::DotProductInput4x8BitPackedKHR,
            C::DotProductKHR,
        ],
    );
    add(matrix, &[C::CooperativeMatrixKHR, C::VulkanMemoryModel]);
    all
}

/// Shapes of matrix products of floats.
///
/// # Safety
/// The handles are valid, and the device has the extension.
unsafe fn matrices(
    entry: &ash::Entry,
    instance: &ash::Instance,
    physical: vk::PhysicalDevice,
) -> Result<Vec<MatrixShape>> {
    let extension = khr::cooperative_matrix::Instance::new(entry, instance);
    // SAFETY: the caller's promise.
    let shapes = unsafe { extension.get_physical_device_cooperative_matrix_properties(physical)? };
    let width = |ty| match ty {
        vk::ComponentTypeKHR::FLOAT16 => Some(2),
        vk::ComponentTypeKHR::FLOAT32 => Some(4),
        _ => None,
    };
    let shape = |s: &vk::CooperativeMatrixPropertiesKHR<'_>| {
        Some(MatrixShape {
            m: s.m_size,
            n: s.n_size,
            k: s.k_size,
            input_width: width(s.a_type)?,
            output_width: width(s.c_type)?,
        })
    };
    Ok(shapes.iter().filter_map(shape).collect())
}
