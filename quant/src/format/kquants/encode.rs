//! Encoders: a scale for each group by [`search`], the scale of the scales, then the best whole numbers around.

use half::f16;

use super::super::extreme;
use super::super::search::{self, Integers, Levels};
use super::BLOCK;

/// A block found: what the layouts then pack. `N` is the number of groups.
struct Affine<const N: usize> {
    d: f16,
    minimum: f16,
    scales: [u8; N],
    minima: [u8; N],
    codes: [u8; BLOCK],
}

/// Codes up to `top` times scales less minima, both of these up to `range`.
fn affine<const N: usize>(block: &[f32], top: u8, range: u8) -> Affine<N> {
    let groups = || block.chunks_exact(BLOCK / N);
    let mut found = [(0.0, 0.0); N];
    for (found, group) in found.iter_mut().zip(groups()) {
        *found = search::affine(group, top);
    }
    let most = |part: fn(&(f32, f32)) -> f32| found.iter().map(part).fold(0.0, f32::max);
    let d = f16::from_f32(most(|f| f.0) / f32::from(range));
    let minimum = f16::from_f32(most(|f| -f.1) / f32::from(range));
    let (step, depth) = (d.to_f32(), minimum.to_f32());
    let mut out = Affine {
        d,
        minimum,
        scales: [0; N],
        minima: [0; N],
        codes: [0; BLOCK],
    };
    for (j, (group, codes)) in groups().zip(out.codes.chunks_exact_mut(BLOCK / N)).enumerate() {
        let (scale, base) = search::whole_affine(group, top, found[j], step, depth, range);
        let (step, low) = (step * f32::from(scale), depth * f32::from(base));
        search::affine_codes(group, top, step, low, codes);
        (out.scales[j], out.minima[j]) = (scale, base);
    }
    out
}

/// As [`Affine`] without minima; groups of 16.
struct Symmetric {
    d: f16,
    scales: [i32; 16],
    codes: [u8; BLOCK],
}

/// Levels times scales from -`range` to `range` - 1.
fn symmetric<L: Levels>(block: &[f32], range: i32) -> Symmetric {
    let groups = || block.chunks_exact(16);
    let mut found = [0.0; 16];
    for (found, group) in found.iter_mut().zip(groups()) {
        *found = search::scale::<L>(group);
    }
    let d = f16::from_f32(extreme(&found) / -range as f32);
    let mut out = Symmetric {
        d,
        scales: [0; 16],
        codes: [0; BLOCK],
    };
    for (j, (group, codes)) in groups().zip(out.codes.chunks_exact_mut(16)).enumerate() {
        let whole = search::whole_scale::<L>(group, found[j], d.to_f32(), range);
        search::codes::<L>(group, d.to_f32() * whole as f32, codes);
        out.scales[j] = whole;
    }
    out
}

/// Bits `shift..shift + bits` of each code, `count` runs of `run` codes side by side in a run of bytes.
fn pack(codes: &[u8], shift: u32, bits: u32, run: usize, count: usize, out: &mut Vec<u8>) {
    for part in codes.chunks_exact(run * count) {
        out.extend((0..run).map(|i| {
            let piece = |n: usize| ((part[n * run + i] >> shift) & ((1 << bits) - 1)) << (n as u32 * bits);
            (0..count).fold(0, |byte, n| byte | piece(n))
        }));
    }
}

pub(super) fn q2(values: &[f32], out: &mut Vec<u8>) {
    for block in values.chunks_exact(BLOCK) {
        let found = affine::<16>(block, 3, 15);
        out.extend((0..16).map(|j| found.scales[j] | (found.minima[j] << 4)));
        pack(&found.codes, 0, 2, 32, 4, out);
        out.extend(found.d.to_le_bytes());
        out.extend(found.minimum.to_le_bytes());
    }
}

pub(super) fn q3(values: &[f32], out: &mut Vec<u8>) {
    for block in values.chunks_exact(BLOCK) {
        let found = symmetric::<Integers<4>>(block, 32);
        pack(&found.codes, 2, 1, 32, 8, out);
        pack(&found.codes, 0, 2, 32, 4, out);
        let scales = found.scales.map(|scale| (scale + 32) as u8);
        pack(&scales, 0, 4, 8, 2, out);
        pack(&scales, 4, 2, 4, 4, out);
        out.extend(found.d.to_le_bytes());
    }
}

pub(super) fn q4(values: &[f32], out: &mut Vec<u8>) {
    for block in values.chunks_exact(BLOCK) {
        let found = affine(block, 15, 63);
        head(&found, out);
        pack(&found.codes, 0, 4, 32, 2, out);
    }
}

pub(super) fn q5(values: &[f32], out: &mut Vec<u8>) {
    for block in values.chunks_exact(BLOCK) {
        let found = affine(block, 31, 63);
        head(&found, out);
        pack(&found.codes, 4, 1, 32, 8, out);
        pack(&found.codes, 0, 4, 32, 2, out);
    }
}

/// What Q4_K and Q5_K begin with; the inverse of [`super::scale_and_minimum`].
fn head(found: &Affine<8>, out: &mut Vec<u8>) {
    out.extend(found.d.to_le_bytes());
    out.extend(found.minimum.to_le_bytes());
    for part in [&found.scales, &found.minima] {
        out.extend((0..4).map(|j| part[j] | (part[j + 4] >> 4) << 6));
    }
    out.extend((4..8).map(|j| (found.scales[j] & 15) | (found.minima[j] << 4)));
}

pub(super) fn q6(values: &[f32], out: &mut Vec<u8>) {
    for block in values.chunks_exact(BLOCK) {
        let found = symmetric::<Integers<32>>(block, 128);
        pack(&found.codes, 0, 4, 64, 2, out);
        pack(&found.codes, 4, 2, 32, 4, out);
        out.extend(found.scales.map(|scale| scale as i8 as u8));
        out.extend(found.d.to_le_bytes());
    }
}
