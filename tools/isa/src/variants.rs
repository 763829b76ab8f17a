//! Which variants the table holds: all tiles and arithmetic of the kernels that the time goes to, for a few weight
//! formats and without an epilogue; the first variant of each other kernel.

use std::collections::BTreeSet;

use kinora_shaders::{Shader, WeightType, table};

/// Kernels that the time goes to.
const HEAVY: [&str; 5] = ["linear", "conv3d", "attention", "grouped_linear", "matmul"];

/// Formats that stand for all: plain numbers, and blocks of each kind of decoder.
const FORMATS: [&str; 5] = ["f32", "f16", "q8_0", "q4_k", "int8"];

/// Parts of names of epilogues, of which none is measured: they come once a tile.
const EPILOGUES: [&str; 7] = [
    "silu",
    "gelu_tanh",
    "gelu_erf",
    "gelu_tanh_times",
    "residual",
    "apart",
    "parts",
];

/// Parts of names of what these chips do not run, or seldom: tiles for drivers on the processor, loads of single numbers,
/// for sizes that no model has, and matrices for subgroups of 32.
const ELSEWHERE: [&str; 7] = ["8x8", "lanes", "few_lanes", "single", "singly", "matrix8", "matrix16"];

/// The kernel of a variant: the first part of its name.
pub(crate) fn kernel(variant: &str) -> &str {
    variant.split('.').next().unwrap_or(variant)
}

/// The variants of these kernels, of all where none is named. Parts of names that are not known here are kept, so
/// that new tiles and tiers come in by themselves.
pub(crate) fn chosen(kernels: &[String]) -> Vec<Shader> {
    let dropped: BTreeSet<String> = WeightType::all()
        .map(WeightType::name)
        .filter(|format| !FORMATS.contains(&format.as_str()))
        .chain(EPILOGUES.into_iter().chain(ELSEWHERE).map(str::to_owned))
        .collect();
    let mut seen = BTreeSet::new();
    let mut shaders = table::shaders();
    shaders.retain(|shader| {
        let name = kernel(&shader.name);
        let first = seen.insert(name.to_owned());
        let kept = if HEAVY.contains(&name) {
            !shader.name.split('.').skip(1).any(|part| dropped.contains(part))
        } else {
            first
        };
        kept && (kernels.is_empty() || kernels.iter().any(|k| k == name))
    });
    shaders
}

/// Names of all kernels.
pub(crate) fn kernels() -> BTreeSet<String> {
    table::shaders()
        .iter()
        .map(|shader| kernel(&shader.name).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_has_a_variant() {
        let chosen: BTreeSet<_> = chosen(&[]).iter().map(|s| kernel(&s.name).to_owned()).collect();
        assert_eq!(chosen, kernels());
    }

    #[test]
    fn the_parts_that_choose_are_those_of_names() {
        let all = table::shaders();
        let parts: BTreeSet<&str> = all.iter().flat_map(|s| s.name.split('.')).collect();
        for part in HEAVY.iter().chain(&FORMATS).chain(&EPILOGUES).chain(&ELSEWHERE) {
            assert!(parts.contains(part), "no variant's name has {part}");
        }
    }

    #[test]
    fn epilogues_and_most_formats_are_left_out() {
        let names: Vec<_> = chosen(&["linear".into()]).into_iter().map(|s| s.name).collect();
        assert!(names.contains(&"linear.q4_k.f16.none.square".to_owned()), "{names:?}");
        assert!(
            !names
                .iter()
                .any(|name| name.contains("residual") || name.contains("q6_k")),
            "{names:?}"
        );
    }
}
