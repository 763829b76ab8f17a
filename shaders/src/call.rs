//! A test case made concrete: what a device test or a benchmark needs, whatever the kernel.

use crate::{Kernel, Shader, WeightType};

/// What the elements of an output are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elements {
    /// Numbers.
    F32,
    /// Ids and indices: exact, and no more than 24 bits.
    U32,
    /// Rows of `row` words: bytes, and in the last `scales` words an f32 each ([`crate::quantize_rows`],
    /// [`crate::quantize_heads`]).
    QuantizedRows {
        /// Words of a row.
        row: usize,
        /// Those of them that are scales.
        scales: usize,
    },
}

impl Elements {
    /// The numbers that `bytes` hold.
    pub fn decode(self, bytes: &[u8]) -> Vec<f32> {
        let words: Vec<u32> = bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
        match self {
            Self::F32 => words.into_iter().map(f32::from_bits).collect(),
            Self::U32 => words.into_iter().map(|w| w as f32).collect(),
            Self::QuantizedRows { row, scales } => words
                .chunks_exact(row)
                .flat_map(|words| {
                    let (words, scales) = words.split_at(row - scales);
                    let bytes = words.iter().flat_map(|w| w.to_le_bytes());
                    let bytes = bytes.map(|b| f32::from(b as i8));
                    bytes
                        .chain(scales.iter().map(|w| f32::from_bits(*w)))
                        .collect::<Vec<_>>()
                })
                .collect(),
        }
    }
}

/// One dispatch with its operands and what must come out.
#[derive(Clone, Debug)]
pub struct Call {
    /// Kernel and shape, for messages.
    pub name: String,
    /// The shader.
    pub shader: Shader,
    /// Bytes of the uniform (binding 0).
    pub params: Vec<u8>,
    /// The grid.
    pub workgroups: [u32; 3],
    /// Bytes of bindings 1, 2, …; each a multiple of 16.
    pub operands: Vec<Vec<u8>>,
    /// Which of `operands` is written.
    pub out: usize,
    /// What its elements are.
    pub elements: Elements,
    /// All of them afterwards; those that the kernel must leave alone included.
    pub expected: Vec<f32>,
    /// Largest allowed [`Call::error`].
    pub tolerance: f32,
    /// Multiply-adds times two, for rates; 0 for kernels bound by memory.
    pub flops: f64,
}

/// What unwritten elements of an output hold before and after a call.
pub const UNTOUCHED: f32 = -77.25;

impl Call {
    /// A call of `kernel`; `operands` in the order of the bindings from 1 on, the last one being the output.
    pub(crate) fn new<K: Kernel>(
        kernel: &K,
        shape: &str,
        params: &K::Params,
        operands: Vec<Vec<u8>>,
        expected: Vec<f32>,
    ) -> Self {
        let shader = kernel.shader();
        let operands: Vec<_> = operands
            .into_iter()
            .map(|mut bytes| {
                bytes.resize(bytes.len().next_multiple_of(16).max(16), 0);
                bytes
            })
            .collect();
        assert_eq!(operands.len() + 1, shader.bindings.len(), "{}", shader.name);
        Self {
            name: format!("{} {shape}", shader.name),
            params: bytemuck::bytes_of(params).to_vec(),
            workgroups: kernel.workgroups(params),
            out: operands.len() - 1,
            shader,
            operands,
            elements: Elements::F32,
            expected,
            tolerance: 1e-5,
            flops: 0.0,
        }
    }

    /// Compares another operand than the last one.
    pub(crate) fn comparing(mut self, out: usize) -> Self {
        self.out = out;
        self
    }

    pub(crate) fn elements(mut self, elements: Elements) -> Self {
        self.elements = elements;
        self
    }

    pub(crate) fn tolerance(mut self, tolerance: f32) -> Self {
        self.tolerance = tolerance;
        self
    }

    pub(crate) fn flops(mut self, flops: f64) -> Self {
        self.flops = flops;
        self
    }

    /// Largest |difference| of `found` over the largest |expected| among the elements written; infinite where one is
    /// not finite, or where the kernel wrote what it must leave alone. `found` are the operand's bytes.
    pub fn error(&self, found: &[u8]) -> f32 {
        let found = self.elements.decode(found);
        assert!(
            found.len() >= self.expected.len(),
            "{} of {} elements",
            found.len(),
            self.expected.len()
        );
        let (mut scale, mut worst) = (f32::MIN_POSITIVE, 0f32);
        for (e, f) in self.expected.iter().zip(&found) {
            if !f.is_finite() || (*e == UNTOUCHED && *f != UNTOUCHED) {
                return f32::INFINITY;
            }
            if *e != UNTOUCHED {
                scale = scale.max(e.abs());
                worst = worst.max((e - f).abs());
            }
        }
        worst / scale
    }
}

/// A seeded stream of numbers (PCG): the same cases everywhere.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A stream.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678)
    }

    /// The next number below `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let word = (((self.0 >> 18) ^ self.0) >> 27) as u32;
        ((u64::from(word.rotate_right((self.0 >> 59) as u32)) * u64::from(end)) >> 32) as u32
    }

    /// A number in [-1, 1).
    pub fn unit(&mut self) -> f32 {
        self.below(1 << 24) as f32 / (1 << 23) as f32 - 1.0
    }

    /// `count` numbers in [-scale, scale).
    pub fn floats(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| self.unit() * scale).collect()
    }

    /// Rows of `k` random elements, whatever bytes the format allows, and these bytes. Numbers are finite, and none is
    /// so small that a device may take it for zero.
    pub(crate) fn any_weights(&mut self, weight: WeightType, rows: u32, k: u32) -> (Vec<f32>, Vec<u8>) {
        let (dtype, k) = (weight.dtype(), k as usize);
        let size = dtype.row_bytes(k).expect("whole blocks");
        let (mut values, mut bytes) = (Vec::new(), Vec::new());
        while values.len() < rows as usize * k {
            let row: Vec<u8> = (0..size).map(|_| self.below(256) as u8).collect();
            let mut decoded = vec![0.0; k];
            dtype.decode(k, &row, &mut decoded);
            if decoded.iter().all(|v| *v == 0.0 || v.is_normal()) {
                values.extend(decoded);
                bytes.extend(row);
            }
        }
        (values, bytes)
    }

    /// Rows of `k` numbers in about [-scale, scale) that the format holds exactly, and their bytes.
    pub(crate) fn weights(&mut self, weight: WeightType, rows: u32, k: u32, scale: f32) -> (Vec<f32>, Vec<u8>) {
        let (dtype, k) = (weight.dtype(), k as usize);
        let mut values = self.floats(rows as usize * k, scale);
        let bytes = dtype.encode(k, &values).expect("whole blocks");
        dtype.decode(k, &bytes, &mut values);
        (values, bytes)
    }
}

/// Bytes of an operand.
pub(crate) fn bytes<T: bytemuck::NoUninit>(values: &[T]) -> Vec<u8> {
    bytemuck::cast_slice(values).to_vec()
}
