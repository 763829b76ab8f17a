//! Causal convolutions of an autoencoder: 3 x 3 x 3, two frames of the chunk before in front.

use std::collections::BTreeMap;

use kinora_graph::{Builder, HostTensor, Padding, Result, Scope, Value};
use kinora_quant::{DType, TensorInfo};

use super::{Extent, Operation};
use crate::bench::numbers::{Inputs, random};

/// Frames that a convolution sees of the chunk before.
const CACHED: usize = 2;

/// Pixels that are compared: a corner, where there are zeros around, of so many rows and columns in the last frame.
const CORNER: [usize; 2] = [2, 8];

/// As many channels in as out.
pub(in crate::bench) struct Conv3d {
    pub(in crate::bench) channels: usize,
    /// Frames, height and width of the output.
    pub(in crate::bench) size: [usize; 3],
    pub(in crate::bench) dtype: DType,
}

impl Conv3d {
    /// Rows and columns that are compared.
    fn corner(&self) -> [usize; 2] {
        [CORNER[0].min(self.size[1]), CORNER[1].min(self.size[2])]
    }
}

impl Operation for Conv3d {
    fn shape(&self) -> String {
        let [t, h, w] = self.size;
        format!("c={} t={t} h={h} w={w}", self.channels)
    }

    fn tensors(&self) -> BTreeMap<String, TensorInfo> {
        let weight = TensorInfo {
            dtype: self.dtype,
            shape: vec![self.channels, self.channels, 3, 3, 3],
        };
        let bias = TensorInfo {
            dtype: DType::F32,
            shape: vec![self.channels],
        };
        BTreeMap::from([("conv.weight".to_owned(), weight), ("conv.bias".to_owned(), bias)])
    }

    fn inputs(&self) -> Inputs {
        let [t, h, w] = self.size;
        vec![
            ("cache".to_owned(), random(&[CACHED, h, w, self.channels], 1.0, 1)),
            ("x".to_owned(), random(&[t, h, w, self.channels], 1.0, 2)),
        ]
    }

    /// The last three frames around the upper left corner.
    fn sample(&self, inputs: &Inputs) -> Inputs {
        let ([t, h, w], c) = (self.size, self.channels);
        let [rows, columns] = self.corner();
        let (tall, wide) = (rows + 2, columns + 2);
        let values = inputs.iter().map(|(_, tensor)| tensor.as_f32().expect("numbers"));
        let frames: Vec<&[f32]> = values.flat_map(|values| values.chunks(h * w * c)).collect();
        let mut x = vec![0.0; 3 * tall * wide * c];
        for (out, frame) in x.chunks_mut(tall * wide * c).zip(&frames[t + CACHED - 3..]) {
            for row in 1..tall.min(h + 1) {
                let width = (wide - 1).min(w) * c;
                let (to, from) = ((row * wide + 1) * c, (row - 1) * w * c);
                out[to..to + width].copy_from_slice(&frame[from..from + width]);
            }
        }
        vec![("x".to_owned(), HostTensor::f32(&[3, tall, wide, c], x))]
    }

    fn sampled(&self, result: &[f32]) -> Vec<f32> {
        let ([t, h, w], c) = (self.size, self.channels);
        let [rows, columns] = self.corner();
        let row = |row: usize| {
            let start = ((t - 1) * h + row) * w * c;
            &result[start..start + columns * c]
        };
        (0..rows).flat_map(row).copied().collect()
    }

    fn build(&self, b: &mut Builder<'_>, extent: Extent) -> Result<Value> {
        let ([t, h, w], c) = (self.size, self.channels);
        let (x, cache, padding) = match extent {
            Extent::Whole => {
                let cache = b.input("cache", &[CACHED, h, w, c]);
                (b.input("x", &[t, h, w, c]), Some(cache), Padding::SPACE_1)
            }
            Extent::Sample => {
                let [rows, columns] = self.corner();
                (b.input("x", &[3, rows + 2, columns + 2, c]), None, Padding::default())
            }
        };
        let root = Scope::root();
        b.conv3d(&root, "conv", x, cache, c, [3, 3, 3], [1, 1, 1], padding, None)
    }
}
