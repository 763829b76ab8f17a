//! A Vulkan device that can compile, and what its driver says of a pipeline.

use std::ffi::CStr;

use anyhow::{Context, Result};
use ash::{ext, khr, vk};
use kinora_shaders::{BindingKind, Shader};
use naga::back::spv::Capability;

use crate::spirv::{MatrixShape, Offers};

/// A device, perhaps one that is not there: it compiles, and runs nothing.
pub(crate) struct Device {
    // Keeps the loader's library in memory.
    _entry: ash::Entry,
    instance: ash::Instance,
    raw: ash::Device,
    executables: khr::pipeline_executable_properties::Device,
    /// The driver's words: device, driver and version.
    pub(crate) name: String,
    pub(crate) offers: Offers,
}

/// A kernel as the driver compiled it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Executable {
    /// Invocations of a subgroup.
    pub(crate) subgroup: u32,
    /// The driver's figures, by its names.
    pub(crate) statistics: Vec<(String, u64)>,
    /// Texts that the driver keeps of its stages, by its names.
    pub(crate) texts: Vec<(String, String)>,
}

impl Executable {
    /// The statistic of that name.
    pub(crate) fn statistic(&self, name: &str) -> Option<u64> {
        self.statistics.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
    }

    /// The text of that name.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.texts
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, text)| text.as_str())
    }

    /// All of it for a person to read, with what the driver wrote to its `log`.
    pub(crate) fn report(&self, log: &str) -> String {
        let statistics = self
            .statistics
            .iter()
            .map(|(name, value)| format!("{name:32} {value}\n"));
        let texts = self.texts.iter().map(|(name, text)| format!("\n==== {name}\n{text}"));
        statistics.chain(texts).chain([format!("\n==== log\n{log}")]).collect()
    }
}

impl Device {
    /// Opens the first device that the loader shows.
    ///
    /// # Errors
    /// If there is none, or it lacks what every driver of Mesa has.
    pub(crate) fn open() -> Result<Self> {
        // SAFETY: the calls follow Vulkan's rules of validity; everything that is made here lives until `drop`.
        unsafe {
            let entry = ash::Entry::load().context("there is no Vulkan loader: install libvulkan1")?;
            let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
            let info = vk::InstanceCreateInfo::default().application_info(&application);
            let instance = entry
                .create_instance(&info, None)
                .context("the Vulkan loader found no driver (VK_DRIVER_FILES names it)")?;
            let devices = instance.enumerate_physical_devices()?;
            let physical = *devices.first().context("the driver shows no device of this name")?;
            let (raw, offers) = open(&entry, &instance, physical)?;
            Ok(Self {
                name: name(&instance, physical),
                executables: khr::pipeline_executable_properties::Device::new(&instance, &raw),
                _entry: entry,
                instance,
                raw,
                offers,
            })
        }
    }

    /// Compiles a kernel whose module is `words`.
    ///
    /// # Errors
    /// If the driver refuses.
    pub(crate) fn compile(&self, shader: &Shader, words: &[u32]) -> Result<Executable> {
        // SAFETY: naga validated the module, the layout has the kernel's bindings, and everything is destroyed once.
        unsafe {
            let bindings: Vec<_> = shader.bindings.iter().zip(0..).map(binding).collect();
            let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            let set = self.raw.create_descriptor_set_layout(&info, None)?;
            let sets = [set];
            let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let layout = self.raw.create_pipeline_layout(&info, None)?;
            let info = vk::ShaderModuleCreateInfo::default().code(words);
            let module = self.raw.create_shader_module(&info, None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main");
            let info = vk::ComputePipelineCreateInfo::default()
                .stage(stage)
                .layout(layout)
                .flags(
                    vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                        | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR,
                );
            let made = self
                .raw
                .create_compute_pipelines(vk::PipelineCache::null(), &[info], None);
            let result = made
                .map_err(|(_, error)| error.into())
                .and_then(|pipelines| self.executable(pipelines[0]).inspect(|_| self.destroy(&pipelines)));
            self.raw.destroy_shader_module(module, None);
            self.raw.destroy_pipeline_layout(layout, None);
            self.raw.destroy_descriptor_set_layout(set, None);
            result.with_context(|| format!("{}: the driver does not compile it", shader.name))
        }
    }

    /// # Safety
    /// The pipelines are this device's and used no more.
    unsafe fn destroy(&self, pipelines: &[vk::Pipeline]) {
        for pipeline in pipelines {
            // SAFETY: the caller's promise.
            unsafe { self.raw.destroy_pipeline(*pipeline, None) };
        }
    }

    /// # Safety
    /// The pipeline is this device's, and was made to capture what is read here.
    unsafe fn executable(&self, pipeline: vk::Pipeline) -> Result<Executable> {
        // SAFETY: the caller's promise; the buffers have the sizes that the driver asked for.
        unsafe {
            let info = vk::PipelineInfoKHR::default().pipeline(pipeline);
            let properties = self.executables.get_pipeline_executable_properties(&info)?;
            let properties = properties.first().context("the pipeline has no executable")?;
            let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
            let statistics = self.executables.get_pipeline_executable_statistics(&info)?;
            let statistics = statistics.iter().map(|s| (text(&s.name), value(s))).collect();

            let mut texts = self
                .executables
                .get_pipeline_executable_internal_representations(&info)?;
            let mut buffers: Vec<Vec<u8>> = texts.iter().map(|text| vec![0; text.data_size]).collect();
            for (text, buffer) in texts.iter_mut().zip(&mut buffers) {
                text.p_data = buffer.as_mut_ptr().cast();
            }
            let mut count = texts.len() as u32;
            let read = self
                .executables
                .fp()
                .get_pipeline_executable_internal_representations_khr;
            read(self.raw.handle(), &info, &mut count, texts.as_mut_ptr()).result()?;
            let texts = texts.iter().zip(&buffers).map(|(t, buffer)| {
                let end = buffer.iter().position(|byte| *byte == 0).unwrap_or(buffer.len());
                (text(&t.name), String::from_utf8_lossy(&buffer[..end]).into_owned())
            });
            Ok(Executable {
                subgroup: properties.subgroup_size,
                statistics,
                texts: texts.collect(),
            })
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: nothing is in flight, and nothing made from them is left.
        unsafe {
            self.raw.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}

/// A binding as wgpu lays it out.
fn binding((binding, number): (&kinora_shaders::Binding, u32)) -> vk::DescriptorSetLayoutBinding<'static> {
    let kind = match binding.kind {
        BindingKind::Uniform => vk::DescriptorType::UNIFORM_BUFFER_DYNAMIC,
        BindingKind::Weights | BindingKind::Arena => vk::DescriptorType::STORAGE_BUFFER,
    };
    vk::DescriptorSetLayoutBinding::default()
        .binding(number)
        .descriptor_type(kind)
        .descriptor_count(1)
        .stage_flags(vk::ShaderStageFlags::COMPUTE)
}

/// Opens a device with all that a kernel may ask for and it has.
///
/// # Safety
/// The handles are valid.
unsafe fn open(
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
            checks: true,
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

/// # Safety
/// The handles are valid.
unsafe fn name(instance: &ash::Instance, physical: vk::PhysicalDevice) -> String {
    let mut driver = vk::PhysicalDeviceDriverProperties::default();
    let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut driver);
    // SAFETY: the caller's promise.
    unsafe { instance.get_physical_device_properties2(physical, &mut properties) };
    let device = text(&properties.properties.device_name);
    format!("{device}; {}", text(&driver.driver_info))
}

fn text(name: &[std::ffi::c_char]) -> String {
    let bytes = name.iter().map(|c| *c as u8).take_while(|c| *c != 0).collect();
    String::from_utf8(bytes).unwrap_or_default()
}

/// A statistic as a whole number.
fn value(statistic: &vk::PipelineExecutableStatisticKHR<'_>) -> u64 {
    // SAFETY: the format says which field was written.
    unsafe {
        match statistic.format {
            vk::PipelineExecutableStatisticFormatKHR::BOOL32 => u64::from(statistic.value.b32),
            vk::PipelineExecutableStatisticFormatKHR::FLOAT64 => statistic.value.f64 as u64,
            _ => statistic.value.u64,
        }
    }
}
