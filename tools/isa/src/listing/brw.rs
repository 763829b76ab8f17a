//! Listings of BRW, Mesa's compiler for Intel: `mnemonic(lanes) operands`, messages explained on the line behind.

use super::{Instruction, Kind, Listing};

/// A program; lines of other kinds are passed over.
pub(crate) fn parse(text: &str) -> Listing {
    let mut listing = Listing::default();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(label) = line.trim_end().strip_suffix(':').and_then(label) {
            listing.label(label);
            continue;
        }
        let Some((mnemonic, lanes, operands)) = split(line) else {
            continue;
        };
        let message = lines.next_if(|next| next.contains("MsgDesc:"));
        let (kind, flops) = classify(mnemonic, lanes, operands, message);
        let target = operands
            .split_once("JIP:")
            .and_then(|(_, rest)| label(rest.split_whitespace().next()?));
        listing.push(Instruction { kind, flops, cycles: 0 }, target);
    }
    listing
}

/// The number in `LABEL12`.
fn label(text: &str) -> Option<u32> {
    text.strip_prefix("LABEL")?.parse().ok()
}

/// `(+f0.0) add.sat(16) g1<1>F …`: mnemonic, lanes, operands.
fn split(line: &str) -> Option<(&str, u64, &str)> {
    let line = match line.strip_prefix('(') {
        Some(predicated) => predicated.split_once(") ")?.1,
        None => line,
    };
    if !line.starts_with(|c: char| c.is_ascii_lowercase()) {
        return None;
    }
    let (mnemonic, rest) = line.split_once('(')?;
    let (lanes, operands) = rest.split_once(')')?;
    Some((mnemonic, lanes.parse().ok()?, operands))
}

/// Kind and flops of an instruction.
fn classify(mnemonic: &str, lanes: u64, operands: &str, message: Option<&str>) -> (Kind, u64) {
    let name = mnemonic.split(['.', ' ']).next().unwrap_or(mnemonic);
    let float = operands.split_whitespace().next().is_some_and(|to| to.ends_with('F'));
    match name {
        "sync" | "nop" => (Kind::Wait, 0),
        "dpas" => (Kind::Matrix, matrix_flops(mnemonic, lanes)),
        "dp4a" => (Kind::Dot4, 8 * lanes),
        "mad" if float => (Kind::Fma, 2 * lanes),
        "send" | "sendc" | "sends" => (memory(message.unwrap_or_default()), 0),
        "if" | "else" | "endif" | "do" | "while" | "break" | "cont" | "halt" | "jmpi" | "goto" | "join" => {
            (Kind::Scalar, 0)
        }
        // One value for the whole subgroup.
        _ if lanes == 1 => (Kind::Scalar, 0),
        _ => (Kind::Vector, 0),
    }
}

/// `            slm MsgDesc: ( load, …`: where a message goes.
fn memory(message: &str) -> Kind {
    let unit = message.split_whitespace().next().unwrap_or_default();
    match unit {
        _ if message.contains("( fence") => Kind::Scalar,
        "gateway" | "thread_spawner" | "ts/btd" => Kind::Scalar,
        "slm" => Kind::Lds,
        _ => Kind::Global,
    }
}

/// Of `dpas.8x8(16)` on halves: systolic depth x repeats, two halves a step and lane.
fn matrix_flops(mnemonic: &str, lanes: u64) -> u64 {
    let shape = mnemonic.split_once('.').map_or("", |(_, shape)| shape);
    let steps: u64 = shape.split('x').filter_map(|n| n.parse::<u64>().ok()).product();
    2 * steps * 2 * lanes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_read() {
        let instructions = parse(include_str!("fixtures/brw.txt")).inner_loop().unwrap();
        let kinds: Vec<_> = instructions
            .iter()
            .map(|i| i.kind)
            .filter(|kind| *kind != Kind::Wait)
            .collect();
        use Kind::{Dot4, Fma, Global, Lds, Scalar, Vector};
        let expected = [
            Vector, Scalar, Vector, Scalar, Vector, Global, Scalar, Vector, Scalar, Lds, Scalar, Scalar, Lds, Fma, Fma,
            Dot4, Scalar,
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn flops_are_those_of_the_lanes() {
        let listing = parse(include_str!("fixtures/brw.txt"));
        assert_eq!(listing.weighted_flops(10), 10 * (2 * 2 * 16 + 8 * 16));
        assert_eq!(matrix_flops("dpas.8x8", 16), 2 * 8 * 16 * 16);
    }

    #[test]
    fn a_predicate_is_no_mnemonic() {
        assert_eq!(
            split("(+f0.0) if(8)   JIP:  LABEL3"),
            Some(("if", 8, "   JIP:  LABEL3"))
        );
        assert_eq!(split("    RANGE0 (32B): Vulkan push constants"), None);
    }
}
