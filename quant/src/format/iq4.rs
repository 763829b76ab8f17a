//! GGUF's four-bit codes through a table: with an f16 scale for 32 (IQ4_NL), or 6-bit scales below one for 256 (IQ4_XS).

use half::f16;

use super::search::{self, Levels};
use super::{Encoder, Format, extreme, half_at, wgsl};
use crate::DType;

/// Elements that share a scale.
const GROUP: usize = 32;
/// Elements of a block of IQ4_XS.
const BLOCK: usize = 256;

/// The values of the codes (ggml's).
const VALUES: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// The format of a type of this family.
pub(super) fn format(dtype: DType) -> Option<Format> {
    Some(match dtype {
        DType::Iq4Nl => Format {
            name: "IQ4_NL",
            block: GROUP,
            block_bytes: 18,
            tail: None,
            decode: decode_nl,
            encode: Some(Encoder::Rows(encode_nl)),
            wgsl: wgsl!([] "iq4" "iq4_nl"),
        },
        DType::Iq4Xs => Format {
            name: "IQ4_XS",
            block: BLOCK,
            block_bytes: 136,
            tail: None,
            decode: decode_xs,
            encode: Some(Encoder::Rows(encode_xs)),
            wgsl: wgsl!([] "iq4" "iq4_xs"),
        },
        _ => return None,
    })
}

/// The table as levels.
struct Table;

impl Levels for Table {
    const LOWEST: f32 = VALUES[0] as f32;

    fn code(value: f32) -> u8 {
        // How many middles between neighbours lie below.
        VALUES
            .windows(2)
            .filter(|pair| value > (f32::from(pair[0]) + f32::from(pair[1])) / 2.0)
            .count() as u8
    }

    fn value(code: u8) -> f32 {
        f32::from(VALUES[usize::from(code)])
    }
}

/// Elements i and i + 16 in a byte.
fn decode_group(scale: f32, bytes: &[u8], out: &mut [f32]) {
    let (low, high) = out.split_at_mut(GROUP / 2);
    for ((low, high), byte) in low.iter_mut().zip(high).zip(bytes) {
        *low = scale * Table::value(byte & 15);
        *high = scale * Table::value(byte >> 4);
    }
}

fn encode_group(scale: f32, values: &[f32], out: &mut Vec<u8>) {
    let mut codes = [0; GROUP];
    search::codes::<Table>(values, scale, &mut codes);
    out.extend((0..GROUP / 2).map(|i| codes[i] | (codes[i + GROUP / 2] << 4)));
}

fn decode_nl(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(18).zip(out.chunks_exact_mut(GROUP)) {
        decode_group(half_at(block, 0), &block[2..], out);
    }
}

fn encode_nl(values: &[f32], out: &mut Vec<u8>) {
    for group in values.chunks_exact(GROUP) {
        let d = f16::from_f32(search::scale::<Table>(group));
        out.extend(d.to_le_bytes());
        encode_group(d.to_f32(), group, out);
    }
}

/// Scale; two high bits of each group's scale; their four low bits; elements.
fn decode_xs(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(136).zip(out.chunks_exact_mut(BLOCK)) {
        let d = half_at(block, 0);
        let high = u16::from_le_bytes([block[2], block[3]]);
        let groups = out.chunks_exact_mut(GROUP).zip(block[8..].chunks_exact(GROUP / 2));
        for (j, (out, elements)) in groups.enumerate() {
            let low = (block[4 + j / 2] >> (j % 2 * 4)) & 15;
            let scale = i32::from(low) | i32::from((high >> (2 * j)) & 3) << 4;
            decode_group(d * (scale - 32) as f32, elements, out);
        }
    }
}

fn encode_xs(values: &[f32], out: &mut Vec<u8>) {
    for block in values.chunks_exact(BLOCK) {
        let mut scales = [0.0; BLOCK / GROUP];
        for (scale, group) in scales.iter_mut().zip(block.chunks_exact(GROUP)) {
            *scale = search::scale::<Table>(group);
        }
        let d = f16::from_f32(extreme(&scales) / -32.0);
        let (mut high, mut low) = (0u16, [0u8; 4]);
        let mut elements = Vec::with_capacity(BLOCK / 2);
        for (j, (scale, group)) in scales.iter().zip(block.chunks_exact(GROUP)).enumerate() {
            let whole = search::whole_scale::<Table>(group, *scale, d.to_f32(), 32);
            encode_group(d.to_f32() * whole as f32, group, &mut elements);
            let stored = (whole + 32) as u8;
            low[j / 2] |= (stored & 15) << (j % 2 * 4);
            high |= u16::from(stored >> 4) << (2 * j);
        }
        out.extend(d.to_le_bytes());
        out.extend(high.to_le_bytes());
        out.extend(low);
        out.extend(elements);
    }
}
