//! WGSL to SPIR-V, as wgpu does it for its Vulkan backend.

use anyhow::{Context, Result, anyhow};
use kinora_shaders::Shader;
use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{Expression, Handle, Module, TypeInner};

use crate::offers::{MatrixShape, Offers};

/// The words of a kernel's module; `None` where the device lacks what the kernel needs. `checks`: of indices, loops and
/// divisions, as wgpu has them unless it is told not to.
///
/// # Errors
/// If the kernel is not valid.
pub(crate) fn words(shader: &Shader, offers: &Offers, checks: bool) -> Result<Option<Vec<u32>>> {
    let module = shader.module().map_err(|error| anyhow!(error))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::all())
        .validate(&module)
        .with_context(|| shader.name.clone())?;
    // A driver may take a shape that it does not offer and compute nonsense.
    if matrix_shapes(&module, &info)
        .iter()
        .any(|shape| !offers.matrices.contains(shape))
    {
        return Ok(None);
    }
    let pipeline = spv::PipelineOptions {
        shader_stage: naga::ShaderStage::Compute,
        entry_point: "main".to_owned(),
    };
    match spv::write_vec(&module, &info, &options(offers, checks), Some(&pipeline)) {
        Ok(words) => Ok(Some(words)),
        Err(spv::Error::MissingCapabilities(..)) => Ok(None),
        Err(error) => Err(error).with_context(|| shader.name.clone()),
    }
}

/// wgpu-hal's options for a module, with the checks that `create_shader_module` keeps on where `checks` says so, and
/// workgroup memory left as it is (`runtime/gpu/src/device/pipelines.rs`).
fn options(offers: &Offers, checks: bool) -> spv::Options<'static> {
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
            index: checked(checks),
            buffer: checked(checks && !offers.robust_buffers),
            image_load: BoundsCheckPolicy::Unchecked,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: checks,
        emit_int_div_checks: checks,
        ..spv::Options::default()
    }
}

/// The shapes of a module's matrix products.
fn matrix_shapes(module: &Module, info: &ModuleInfo) -> Vec<MatrixShape> {
    let functions = module
        .functions
        .iter()
        .map(|(handle, function)| (function, &info[handle]));
    let entries = module.entry_points.iter().enumerate();
    let all = functions.chain(entries.map(|(i, entry)| (&entry.function, info.get_entry_point(i))));
    let shapes = all.flat_map(|(function, info)| {
        let matrix = |operand: Handle<Expression>| match *info[operand].ty.inner_with(&module.types) {
            TypeInner::CooperativeMatrix {
                columns, rows, scalar, ..
            } => Some((rows as u32, columns as u32, scalar.width)),
            _ => None,
        };
        function.expressions.iter().filter_map(move |(_, expression)| {
            let Expression::CooperativeMultiplyAdd { a, c, .. } = *expression else {
                return None;
            };
            let ((m, k, input_width), (_, n, output_width)) = (matrix(a)?, matrix(c)?);
            Some(MatrixShape {
                m,
                n,
                k,
                input_width,
                output_width,
            })
        })
    });
    shapes.collect()
}

#[cfg(test)]
mod tests {
    use kinora_shaders::Features;

    use super::*;

    const PRODUCT: &str = "
        enable f16;
        enable wgpu_cooperative_matrix;
        @group(0) @binding(0) var<storage, read_write> a: array<f16>;
        @group(0) @binding(1) var<storage, read_write> c: array<f32>;
        @compute @workgroup_size(32)
        fn main() {
            let x = coopLoadT<coop_mat16x16<f16, A>>(&a[0], 16u);
            let y = coopLoadT<coop_mat16x16<f16, B>>(&a[256], 16u);
            coopStoreT(coopMultiplyAdd(x, y, coop_mat16x16<f32, C>()), &c[0], 16u);
        }";

    fn offered(shape: MatrixShape, capabilities: &[spv::Capability]) -> bool {
        let shader = Shader {
            name: "product".into(),
            source: PRODUCT.into(),
            bindings: &[],
            needs: Features::default(),
            workgroup_size: [32, 1, 1],
        };
        let offers = Offers {
            capabilities: capabilities.to_vec(),
            matrices: vec![shape],
            ..Offers::default()
        };
        words(&shader, &offers, true).unwrap().is_some()
    }

    #[test]
    fn a_kernel_needs_the_shape_and_the_units_of_its_matrices() {
        use spv::Capability::{CooperativeMatrixKHR, Float16, Matrix, Shader, VulkanMemoryModel};
        let all = [Shader, Matrix, Float16, CooperativeMatrixKHR, VulkanMemoryModel];
        let shape = MatrixShape {
            m: 16,
            n: 16,
            k: 16,
            input_width: 2,
            output_width: 4,
        };
        assert!(offered(shape, &all));
        assert!(!offered(MatrixShape { m: 8, ..shape }, &all));
        assert!(!offered(
            MatrixShape {
                output_width: 2,
                ..shape
            },
            &all
        ));
        assert!(!offered(shape, &all[..3]));
    }

    #[test]
    fn an_invalid_kernel_is_an_error_that_names_it() {
        let shader = Shader {
            name: "broken.one".into(),
            source: "fn main() { return 1; }".into(),
            bindings: &[],
            needs: Features::default(),
            workgroup_size: [1; 3],
        };
        let error = words(&shader, &Offers::default(), true).unwrap_err();
        assert!(format!("{error:#}").contains("broken.one"), "{error:#}");
    }
}
