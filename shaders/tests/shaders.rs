//! Every variant is parsed, validated, compared with its signature and translated, without a GPU.

use std::collections::BTreeSet;

use kinora_shaders::{BindingKind, Features, Shader, table};
use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, StorageAccess};

/// What core WebGPU promises.
const STORAGE_BUFFERS: usize = 8;
const INVOCATIONS: u32 = 256;

/// Core WebGPU, of which `pack2x16float` is a part, and what the shader says that it needs.
fn capabilities(needs: Features) -> Capabilities {
    let mut capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    capabilities.set(Capabilities::SUBGROUP, needs.subgroup);
    capabilities.set(Capabilities::SHADER_FLOAT16, needs.f16);
    capabilities.set(Capabilities::COOPERATIVE_MATRIX, needs.matrices());
    capabilities
}

fn validated(shader: &Shader) -> (Module, ModuleInfo) {
    let module = shader.module().unwrap_or_else(|e| panic!("{e}"));
    let info = Validator::new(ValidationFlags::all(), capabilities(shader.needs))
        .validate(&module)
        .unwrap_or_else(|e| panic!("{}: {}", shader.name, e.emit_to_string(&shader.source)));
    (module, info)
}

#[test]
fn names_are_unique() {
    let shaders = table::shaders();
    let names: BTreeSet<_> = shaders.iter().map(|s| &s.name).collect();
    assert_eq!(names.len(), shaders.len());
}

#[test]
fn every_variant_has_its_bindings_and_is_translated() {
    // There are thousands, and parsing each takes the most time: once for all, on all cores.
    let shaders = table::shaders();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for some in shaders.chunks(shaders.len().div_ceil(threads)) {
            scope.spawn(move || {
                for shader in some {
                    let (module, info) = validated(shader);
                    check_globals(shader, &module);
                    check_translations(shader, &module, &info);
                }
            });
        }
    });
}

/// Bindings, workgroup memory and the entry point are as the shader says.
fn check_globals(shader: &Shader, module: &Module) {
    let mut memory = 0;
    let mut found = vec![None; shader.bindings.len()];
    for (_, global) in module.global_variables.iter() {
        let size = module.types[global.ty].inner.size(module.to_ctx());
        if global.space == AddressSpace::Private {
            continue;
        }
        if global.space == AddressSpace::WorkGroup {
            memory += size;
            continue;
        }
        let binding = global.binding.expect("a resource has a binding");
        assert_eq!(binding.group, 0, "{}", shader.name);
        let kind = match global.space {
            AddressSpace::Uniform => BindingKind::Uniform,
            AddressSpace::Storage { access } if access == StorageAccess::LOAD => BindingKind::Weights,
            AddressSpace::Storage { access } if access == StorageAccess::LOAD | StorageAccess::STORE => {
                BindingKind::Arena
            }
            space => panic!("{}: {space:?}", shader.name),
        };
        let name = global.name.as_deref().expect("a global has a name");
        found[binding.binding as usize] = Some((name, kind));
    }
    let signature: Vec<_> = shader.bindings.iter().map(|b| Some((b.name, b.kind))).collect();
    assert_eq!(found, signature, "{}", shader.name);
    assert_eq!(shader.bindings[0].kind, BindingKind::Uniform, "{}", shader.name);
    assert!(shader.bindings.len() - 1 <= STORAGE_BUFFERS, "{}", shader.name);
    assert!(
        memory <= shader.needs.workgroup_memory(),
        "{}: {memory} bytes of workgroup memory",
        shader.name
    );

    let [entry] = &module.entry_points[..] else {
        panic!("{}: one entry point", shader.name)
    };
    assert_eq!(
        (entry.name.as_str(), entry.workgroup_size),
        ("main", shader.workgroup_size),
        "{}",
        shader.name
    );
    assert!(
        shader.workgroup_size.iter().product::<u32>() <= INVOCATIONS,
        "{}",
        shader.name
    );
}

/// It becomes SPIR-V, MSL and HLSL.
fn check_translations(shader: &Shader, module: &Module, info: &ModuleInfo) {
    let words = spv::write_vec(module, info, &spv::Options::default(), None)
        .unwrap_or_else(|e| panic!("{}: SPIR-V: {e}", shader.name));
    assert!(!words.is_empty());

    let options = msl::Options {
        fake_missing_bindings: true,
        lang_version: (2, 4),
        ..msl::Options::default()
    };
    let (text, _) = msl::write_string(module, info, &options, &msl::PipelineOptions::default())
        .unwrap_or_else(|e| panic!("{}: MSL: {e}", shader.name));
    assert!(text.contains("kernel void"), "{}", shader.name);

    if shader.needs.matrices() {
        // Used with Vulkan alone; naga has no HLSL for them.
        return;
    }
    let mut text = String::new();
    let options = hlsl::Options {
        fake_missing_bindings: true,
        ..hlsl::Options::default()
    };
    let pipeline = hlsl::PipelineOptions::default();
    hlsl::Writer::new(&mut text, &options, &pipeline)
        .write(module, info, None)
        .unwrap_or_else(|e| panic!("{}: HLSL: {e}", shader.name));
    assert!(text.contains("numthreads"), "{}", shader.name);
}

#[test]
fn uniforms_have_the_size_of_the_params() {
    for (_, calls) in table::CALLS {
        let mut seen = BTreeSet::new();
        for call in calls(1) {
            if !seen.insert(call.shader.name.clone()) {
                continue;
            }
            let (module, _) = validated(&call.shader);
            let (_, uniform) = module
                .global_variables
                .iter()
                .find(|(_, g)| g.space == AddressSpace::Uniform)
                .expect("a uniform");
            let size = module.types[uniform.ty].inner.size(module.to_ctx()) as usize;
            assert_eq!((size, size % 16), (call.params.len(), 0), "{}", call.name);
        }
    }
}

#[test]
fn calls_keep_to_the_limits() {
    for (kernel, calls) in table::CALLS {
        let calls = calls(2);
        assert!(!calls.is_empty(), "{kernel}");
        for call in calls {
            assert!(
                call.workgroups.iter().all(|n| (1..=65_535).contains(n)),
                "{}: {:?}",
                call.name,
                call.workgroups
            );
            assert!(
                call.operands.iter().all(|o| !o.is_empty() && o.len() % 16 == 0),
                "{}",
                call.name
            );
            assert!(
                call.elements.decode(&call.operands[call.out]).len() >= call.expected.len(),
                "{}",
                call.name
            );
            assert!(call.expected.iter().all(|v| v.is_finite()), "{}", call.name);
        }
    }
}
