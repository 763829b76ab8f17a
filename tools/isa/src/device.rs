//! A Vulkan device that can compile, and what its driver says of a pipeline.

use anyhow::{Context, Result};
use ash::{khr, vk};
use kinora_shaders::{BindingKind, Shader};

use crate::offers::{self, Offers};

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
            let (raw, offers) = offers::open(&entry, &instance, physical)?;
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
        // SAFETY: naga validated the module, the layout has the kernel's bindings, and nothing is destroyed twice.
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
            let result = match made {
                Ok(pipelines) => {
                    let executable = self.executable(pipelines[0]);
                    self.raw.destroy_pipeline(pipelines[0], None);
                    executable
                }
                Err((_, error)) => Err(error.into()),
            };
            self.raw.destroy_shader_module(module, None);
            self.raw.destroy_pipeline_layout(layout, None);
            self.raw.destroy_descriptor_set_layout(set, None);
            result.with_context(|| format!("{}: the driver does not compile it", shader.name))
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
