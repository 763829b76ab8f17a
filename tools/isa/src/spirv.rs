//! WGSL to SPIR-V, as wgpu does it for its Vulkan backend.

use anyhow::{Context, Result, anyhow};
use kinora_shaders::Shader;
use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{CooperativeRole, Scalar, TypeInner};

/// What a device offers, as far as a kernel's module depends on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offers {
    pub(crate) capabilities: Vec<spv::Capability>,
    /// Shapes of matrix products.
    pub(crate) matrices: Vec<MatrixShape>,
    /// wgpu leaves bounds of buffers to the device where it can (robustBufferAccess2).
    pub(crate) robust_buffers: bool,
    /// Whether indices, loops and divisions are checked, as wgpu does unless it is told not to.
    pub(crate) checks: bool,
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

/// The words of a kernel's module; `None` where the device lacks what the kernel needs.
///
/// # Errors
/// If the kernel is not valid.
pub(crate) fn words(shader: &Shader, offers: &Offers) -> Result<Option<Vec<u32>>> {
    let module = naga::front::wgsl::parse_str(&shader.source)
        .map_err(|error| anyhow!("{}: {}", shader.name, error.emit_to_string(&shader.source)))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::all())
        .validate(&module)
        .with_context(|| shader.name.clone())?;
    // A driver may take a shape that it does not offer and compute nonsense.
    if matrix_shape(&module).is_some_and(|shape| !offers.matrices.contains(&shape)) {
        return Ok(None);
    }
    let pipeline = spv::PipelineOptions {
        shader_stage: naga::ShaderStage::Compute,
        entry_point: "main".to_owned(),
    };
    match spv::write_vec(&module, &info, &options(offers), Some(&pipeline)) {
        Ok(words) => Ok(Some(words)),
        Err(spv::Error::MissingCapabilities(..)) => Ok(None),
        Err(error) => Err(error).with_context(|| shader.name.clone()),
    }
}

/// wgpu-hal's options for a module with the runtime checks that `create_shader_module` keeps on, and workgroup memory
/// left as it is (`runtime/gpu/src/device/pipelines.rs`).
fn options(offers: &Offers) -> spv::Options<'static> {
    let checked = |check| {
        if check {
            BoundsCheckPolicy::Restrict
        } else {
            BoundsCheckPolicy::Unchecked
        }
    };
    spv::Options {
        lang_version: (1, 6),
        flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
        capabilities: Some(offers.capabilities.iter().copied().collect()),
        bounds_check_policies: BoundsCheckPolicies {
            index: checked(offers.checks),
            buffer: checked(offers.checks && !offers.robust_buffers),
            image_load: BoundsCheckPolicy::Unchecked,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: offers.checks,
        emit_int_div_checks: offers.checks,
        ..spv::Options::default()
    }
}

/// The shape of a module's matrix products; there is one shape in a kernel.
fn matrix_shape(module: &naga::Module) -> Option<MatrixShape> {
    let role = |wanted: CooperativeRole| {
        module.types.iter().find_map(|(_, ty)| match ty.inner {
            TypeInner::CooperativeMatrix {
                columns,
                rows,
                scalar: Scalar { width, .. },
                role,
            } if role == wanted => Some((rows as u32, columns as u32, width)),
            _ => None,
        })
    };
    let (m, k, input_width) = role(CooperativeRole::A)?;
    let (_, n, output_width) = role(CooperativeRole::C)?;
    Some(MatrixShape {
        m,
        n,
        k,
        input_width,
        output_width,
    })
}
