//! GGUF's K blocks: 256 elements in groups of 16 or 32, whose scales (and minima) are themselves quantised.

mod encode;

use super::{Encoder, Format, half_at, wgsl};
use crate::DType;

/// Elements of a block.
const BLOCK: usize = 256;

/// The format of a type of this family.
pub(super) fn format(dtype: DType) -> Option<Format> {
    let block = |name, block_bytes, decode, encode, wgsl| Format {
        name,
        block: BLOCK,
        block_bytes,
        tail: None,
        decode,
        encode: Some(Encoder::Rows(encode)),
        wgsl,
    };
    Some(match dtype {
        DType::Q2K => block(
            "Q2_K",
            84,
            |bytes, out| blocks::<84>(bytes, out, q2),
            encode::q2,
            wgsl!([] "q2_k"),
        ),
        DType::Q3K => block(
            "Q3_K",
            110,
            |bytes, out| blocks::<110>(bytes, out, q3),
            encode::q3,
            wgsl!([] "q3_k"),
        ),
        DType::Q4K => block(
            "Q4_K",
            144,
            |bytes, out| blocks::<144>(bytes, out, q4),
            encode::q4,
            wgsl!(runs ["const WEIGHT_FIFTH = false;"] "q45_k"),
        ),
        DType::Q5K => block(
            "Q5_K",
            176,
            |bytes, out| blocks::<176>(bytes, out, q5),
            encode::q5,
            wgsl!(runs ["const WEIGHT_FIFTH = true;"] "q45_k"),
        ),
        DType::Q6K => block(
            "Q6_K",
            210,
            |bytes, out| blocks::<210>(bytes, out, q6),
            encode::q6,
            wgsl!([] "q6_k"),
        ),
        _ => return None,
    })
}

fn blocks<const N: usize>(bytes: &[u8], out: &mut [f32], decode: impl Fn(&[u8; N], &mut [f32])) {
    for (block, out) in bytes.as_chunks().0.iter().zip(out.chunks_exact_mut(BLOCK)) {
        decode(block, out);
    }
}

/// Scales (low) and minima (high) of groups of 16; elements; scale and minimum of all.
fn q2(block: &[u8; 84], out: &mut [f32]) {
    let (d, minimum) = (half_at(block, 80), half_at(block, 82));
    for (j, out) in out.chunks_exact_mut(16).enumerate() {
        let (scale, low) = (d * f32::from(block[j] & 15), minimum * f32::from(block[j] >> 4));
        for (o, q) in out.iter_mut().zip(&block[16 + pairs(j)..]) {
            *o = scale * f32::from((q >> (j / 2 % 4 * 2)) & 3) - low;
        }
    }
}

/// High bits; low bits; scales; the scale of all. A high bit that is not set takes four off.
fn q3(block: &[u8; 110], out: &mut [f32]) {
    let d = half_at(block, 108);
    for (j, out) in out.chunks_exact_mut(16).enumerate() {
        let low = (block[96 + j % 8] >> (j / 8 * 4)) & 15;
        let high = (block[104 + j % 4] >> (j / 4 * 2)) & 3;
        let scale = d * (i32::from(low | (high << 4)) - 32) as f32;
        let bits = block[32 + pairs(j)..].iter().zip(&block[j % 2 * 16..]);
        for (o, (low, high)) in out.iter_mut().zip(bits) {
            let q = i32::from((low >> (j / 2 % 4 * 2)) & 3) + i32::from((high >> (j / 2)) & 1) * 4 - 4;
            *o = scale * q as f32;
        }
    }
}

/// Where, among two-bit elements, group `j` of 16 begins: four groups share their bytes.
fn pairs(j: usize) -> usize {
    j / 8 * 32 + j % 2 * 16
}

/// Scale and minimum of all; scales and minima; low bits, two groups of 32 in 32 bytes.
fn q4(block: &[u8; 144], out: &mut [f32]) {
    affine(block, None, &block[16..], out);
}

/// As Q4_K, the fifth bits before the low ones.
fn q5(block: &[u8; 176], out: &mut [f32]) {
    affine(block, Some(&block[16..48]), &block[48..], out);
}

fn affine(block: &[u8], fifth: Option<&[u8]>, low: &[u8], out: &mut [f32]) {
    let (d, minimum) = (half_at(block, 0), half_at(block, 2));
    for (j, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, base) = scale_and_minimum(&block[4..16], j);
        let (scale, base) = (d * f32::from(scale), minimum * f32::from(base));
        let mut codes = [0u8; 32];
        for (code, bits) in codes.iter_mut().zip(&low[j / 2 * 32..]) {
            *code = (bits >> (j % 2 * 4)) & 15;
        }
        if let Some(fifth) = fifth {
            for (code, bits) in codes.iter_mut().zip(fifth) {
                *code |= ((bits >> j) & 1) << 4;
            }
        }
        for (o, q) in out.iter_mut().zip(codes) {
            *o = scale * f32::from(q) - base;
        }
    }
}

/// The 6-bit scale and minimum of group `j` out of twelve bytes.
fn scale_and_minimum(packed: &[u8], j: usize) -> (u8, u8) {
    if j < 4 {
        return (packed[j] & 63, packed[j + 4] & 63);
    }
    let (low, high) = (packed[j + 4], |byte: u8| (byte >> 2) & 48);
    ((low & 15) | high(packed[j - 4]), (low >> 4) | high(packed[j]))
}

/// Four low bits; two high bits; scales of groups of 16; the scale of all.
fn q6(block: &[u8; 210], out: &mut [f32]) {
    let d = half_at(block, 208);
    for (j, out) in out.chunks_exact_mut(16).enumerate() {
        let scale = d * f32::from(block[192 + j] as i8);
        // 128 elements in 64 bytes of low bits, and in 32 of high bits.
        let low = &block[j / 8 * 64 + j % 4 * 16..];
        let high = &block[128 + pairs(j)..];
        for (o, (low, high)) in out.iter_mut().zip(low.iter().zip(high)) {
            let q = ((low >> (j / 4 % 2 * 4)) & 15) | (((high >> (j / 2 % 4 * 2)) & 3) << 4);
            *o = scale * (i32::from(q) - 32) as f32;
        }
    }
}
