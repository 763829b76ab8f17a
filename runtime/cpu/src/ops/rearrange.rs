//! Copies, permutations, repetitions and block means.

use kinora_graph::Rearrange;
use rayon::prelude::*;

use super::TASK;

/// Whether the result is the input itself (a reshape).
pub(super) fn is_identity(spec: &Rearrange, input: &[usize]) -> bool {
    let contiguous = match (spec.sizes.as_slice(), spec.strides.as_slice()) {
        ([], _) | (_, [1]) => spec.reduce == 0,
        _ => false,
    };
    contiguous && spec.offset == 0 && spec.outputs() == input.iter().product::<usize>()
}

/// `spec` of `x`.
pub(super) fn run(x: &[f32], spec: &Rearrange) -> Vec<f32> {
    let kept = spec.sizes.len() - spec.reduce;
    let (outer, inner, step) = match spec.sizes[..kept].split_last() {
        Some((inner, outer)) => (outer, *inner, spec.strides[kept - 1]),
        None => (&[][..], 1, 0),
    };
    let averaged = Offsets::all(&spec.sizes[kept..], &spec.strides[kept..]);
    let mut out = vec![0.0; spec.outputs()];
    let lines = (TASK / inner).max(1);
    out.par_chunks_mut(lines * inner).enumerate().for_each(|(task, out)| {
        let mut offsets = Offsets::new(outer, &spec.strides, task * lines);
        for line in out.chunks_mut(inner) {
            let x = &x[spec.offset + offsets.next()..];
            if spec.reduce > 0 {
                mean(line, x, step, &averaged);
            } else {
                copy(line, x, step);
            }
        }
    });
    out
}

/// `line[i] = x[i · step]`.
fn copy(line: &mut [f32], x: &[f32], step: usize) {
    match step {
        0 => line.fill(x[0]),
        1 => line.copy_from_slice(&x[..line.len()]),
        _ => line.iter_mut().zip(x.iter().step_by(step)).for_each(|(y, x)| *y = *x),
    }
}

/// `line[i]` = mean over the offsets of `x[i · step + offset]`.
fn mean(line: &mut [f32], x: &[f32], step: usize, offsets: &[usize]) {
    let factor = 1.0 / offsets.len() as f64;
    for (i, y) in line.iter_mut().enumerate() {
        let sum: f64 = offsets.iter().map(|offset| f64::from(x[i * step + offset])).sum();
        *y = (sum * factor) as f32;
    }
}

/// Walks over input offsets in the order of the output.
struct Offsets<'a> {
    sizes: &'a [usize],
    strides: &'a [usize],
    position: Vec<usize>,
    offset: usize,
}

impl<'a> Offsets<'a> {
    /// From the output line number `start` on.
    fn new(sizes: &'a [usize], strides: &'a [usize], start: usize) -> Self {
        let mut position = vec![0; sizes.len()];
        let mut rest = start;
        for axis in (0..sizes.len()).rev() {
            position[axis] = rest % sizes[axis];
            rest /= sizes[axis];
        }
        let offset = position.iter().zip(strides).map(|(i, stride)| i * stride).sum();
        Self {
            sizes,
            strides,
            position,
            offset,
        }
    }

    /// All of them.
    fn all(sizes: &'a [usize], strides: &'a [usize]) -> Vec<usize> {
        let mut offsets = Self::new(sizes, strides, 0);
        (0..sizes.iter().product()).map(|_| offsets.next()).collect()
    }

    /// The current offset; then moves on.
    fn next(&mut self) -> usize {
        let current = self.offset;
        for axis in (0..self.sizes.len()).rev() {
            self.position[axis] += 1;
            self.offset += self.strides[axis];
            if self.position[axis] < self.sizes[axis] {
                break;
            }
            self.offset -= self.sizes[axis] * self.strides[axis];
            self.position[axis] = 0;
        }
        current
    }
}
