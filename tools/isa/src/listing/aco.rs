//! Listings of ACO, Mesa's compiler for AMD, as `ACO_DEBUG=perfinfo` prints them: the final program with estimates of
//! cycles, in one syntax for all chips.

use super::{Instruction, Kind, Listing};

/// A program of subgroups of `lanes` invocations. Lines in front of the first block are passed over.
pub(crate) fn parse(text: &str, lanes: u64) -> Listing {
    let mut listing = Listing::default();
    for line in text.lines() {
        if let Some(label) = block(line) {
            listing.label(label);
            continue;
        }
        let Some((cycles, rest)) = line.split_once(" clk)") else {
            continue;
        };
        let cycles = cycles.trim_start_matches(['\t', ' ', '(']).parse().unwrap_or(0);
        let target = rest.split_once("block:").and_then(|(_, label)| block(label));
        // Two in one line where a chip issues two at once.
        for (i, opcode) in rest.split_whitespace().filter(|word| is_opcode(word)).enumerate() {
            let (kind, flops) = classify(opcode, lanes);
            let cycles = if i == 0 { cycles } else { 0 };
            listing.push(Instruction { kind, flops, cycles }, target);
        }
    }
    listing
}

/// The number in `BB12`.
fn block(text: &str) -> Option<u32> {
    text.trim_end().strip_prefix("BB")?.parse().ok()
}

const FAMILIES: [&str; 8] = ["v_", "s_", "ds_", "buffer_", "global_", "flat_", "scratch_", "image_"];

fn is_opcode(word: &str) -> bool {
    // Operands are like v[3-4], s12 and imm:7; marks in brackets may stand in front.
    FAMILIES.iter().any(|family| word.starts_with(family))
}

/// Kind and flops of an instruction.
fn classify(opcode: &str, lanes: u64) -> (Kind, u64) {
    let name = opcode.replace("v_dual_", "v_");
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let hints = [
        "s_wait",
        "s_delay_alu",
        "s_nop",
        "s_clause",
        "s_code_end",
        "s_inst_prefetch",
        "s_sendmsg",
    ];
    let floats = ["_f32", "_f16", "_bf16"].iter().any(|number| name.contains(number));
    if starts(&["v_wmma", "v_swmmac", "v_mfma"]) {
        (Kind::Matrix, matrix_flops(&name))
    } else if starts(&["v_dot4"]) {
        (Kind::Dot4, 8 * lanes)
    } else if starts(&["v_dot2", "v_pk_fma"]) && floats {
        (Kind::Packed, 4 * lanes)
    } else if starts(&["v_fma", "v_mad"]) && floats && !starts(&["v_fmas"]) {
        (Kind::Fma, 2 * lanes)
    } else if starts(&["v_"]) {
        (Kind::Vector, 0)
    } else if starts(&["ds_"]) {
        (Kind::Lds, 0)
    } else if starts(&hints) {
        (Kind::Wait, 0)
    } else if starts(&["s_"]) {
        (Kind::Scalar, 0)
    } else {
        (Kind::Global, 0)
    }
}

/// Of `v_wmma_f32_16x16x16_f16` and its like.
fn matrix_flops(name: &str) -> u64 {
    let shape = name.split('_').find(|part| part.contains('x'));
    2 * shape
        .into_iter()
        .flat_map(|s| s.split('x'))
        .filter_map(|n| n.parse::<u64>().ok())
        .product::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_read() {
        let listing = parse(include_str!("fixtures/aco.txt"), 64);
        let kinds: Vec<_> = listing.inner_loop().unwrap().iter().map(|i| i.kind).collect();
        use Kind::{Dot4, Fma, Global, Lds, Scalar, Vector, Wait};
        let expected = [
            Scalar, Vector, Vector, Wait, Global, Lds, Lds, Wait, Scalar, Fma, Fma, Fma, Dot4, Scalar, Scalar,
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn cycles_and_flops_are_those_of_the_loop() {
        let instructions = parse(include_str!("fixtures/aco.txt"), 64).inner_loop().unwrap();
        assert_eq!(instructions.iter().map(|i| i.flops).sum::<u64>(), 3 * 2 * 64 + 8 * 64);
        assert_eq!(instructions.iter().map(|i| i.cycles).sum::<u64>(), 40);
    }

    #[test]
    fn instructions_of_each_kind_are_known() {
        let kind = |name| classify(name, 32);
        assert_eq!(kind("v_wmma_f32_16x16x16_f16"), (Kind::Matrix, 8192));
        assert_eq!(kind("v_pk_fma_f16"), (Kind::Packed, 128));
        assert_eq!(kind("v_dot2_f32_f16"), (Kind::Packed, 128));
        assert_eq!(kind("v_dot4c_i32_i8"), (Kind::Dot4, 256));
        assert_eq!(kind("v_fma_mix_f32"), (Kind::Fma, 64));
        assert_eq!(kind("v_dual_fmac_f32"), (Kind::Fma, 64));
        assert_eq!(kind("v_mad_u32_u24"), (Kind::Vector, 0));
        assert_eq!(kind("v_exp_f32"), (Kind::Vector, 0));
        assert_eq!(kind("buffer_load_dword"), (Kind::Global, 0));
        assert_eq!(kind("scratch_load_b32"), (Kind::Global, 0));
        assert_eq!(kind("s_barrier"), (Kind::Scalar, 0));
        assert_eq!(kind("s_wait_loadcnt"), (Kind::Wait, 0));
    }

    #[test]
    fn two_instructions_in_a_line_are_two() {
        let listing = parse(
            "BB0\n\t(  1 clk)   v1 = v_dual_fmac_f32 v2, v3, v1, v4 = v_dual_mov_b32 v5\n",
            32,
        );
        let kinds: Vec<_> = listing.instructions.iter().map(|i| (i.kind, i.cycles)).collect();
        assert_eq!(kinds, [(Kind::Fma, 1), (Kind::Vector, 0)]);
    }
}
