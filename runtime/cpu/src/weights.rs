//! Weight matrices: borrowed from the file, decoded to f32 in panels of bounded size.

use std::borrow::Cow;
use std::ops::Range;

use kinora_graph::{Matrix, MatrixLayout, Precision, Result};
use kinora_quant::{DType, Weights, round_f16_slice};
use rayon::prelude::*;

/// Most bytes of one decoded panel.
const PANEL_BYTES: usize = 16 << 20;

/// A weight matrix of an operation and where its bytes are.
#[derive(Clone, Copy)]
pub(crate) struct WeightMatrix<'a> {
    weights: &'a dyn Weights,
    matrix: &'a Matrix,
    precision: Precision,
}

impl<'a> WeightMatrix<'a> {
    /// `matrix` in `weights`; its elements are rounded as `precision` says.
    pub(crate) fn new(weights: &'a dyn Weights, matrix: &'a Matrix, precision: Precision) -> Self {
        Self {
            weights,
            matrix,
            precision,
        }
    }

    /// Ranges of rows (counted from the first row that the operation uses) whose decoded size is bounded.
    /// They follow from the shape alone.
    pub(crate) fn panels(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let rows = (PANEL_BYTES / 4 / self.matrix.k.max(1)).next_multiple_of(16).max(16);
        let n = self.matrix.n();
        (0..n).step_by(rows).map(move |start| start..n.min(start + rows))
    }

    /// Rows `range` as f32, `[range.len(), K]` in the operation's element order. Uses the whole pool.
    pub(crate) fn decode(&self, range: Range<usize>) -> Result<Cow<'a, [f32]>> {
        let range_len = range.len();
        let stored = self.stored(range)?;
        let k = self.matrix.k;
        match self.matrix.layout {
            MatrixLayout::RowMajor => {
                let direct = self.precision == Precision::F32;
                if direct && let Some(numbers) = stored.as_f32() {
                    return Ok(Cow::Borrowed(numbers));
                }
                let row = self.matrix.row_bytes();
                let mut out = vec![0.0; range_len * k];
                // Tasks of whole rows, some 32 Ki elements each.
                let run = k * (32_768 / k).max(1);
                out.par_chunks_mut(run)
                    .zip(stored.bytes.par_chunks(run / k * row))
                    .for_each(|(out, bytes)| {
                        stored.dtype.decode(k, bytes, out);
                        self.round(out);
                    });
                Ok(Cow::Owned(out))
            }
            MatrixLayout::ChannelsLast { channels, taps } => {
                let mut out = vec![0.0; range_len * k];
                let rows = stored.bytes.par_chunks(self.matrix.row_bytes());
                out.par_chunks_mut(k).zip(rows).for_each_init(
                    || vec![0.0; k],
                    |row, (out, bytes)| {
                        stored.dtype.decode(k, bytes, row);
                        self.round(row);
                        for channel in 0..channels {
                            for tap in 0..taps {
                                out[tap * channels + channel] = row[channel * taps + tap];
                            }
                        }
                    },
                );
                Ok(Cow::Owned(out))
            }
        }
    }

    /// Rows `range` of a row-major matrix, decoded into `out` by this thread alone.
    pub(crate) fn decode_into(&self, range: Range<usize>, out: &mut [f32]) -> Result<()> {
        let stored = self.stored(range)?;
        stored.dtype.decode(self.matrix.k, &stored.bytes, out);
        self.round(out);
        Ok(())
    }

    /// Rows `range` of an int8 matrix: the bytes as numbers, and the rows' scales. Uses the whole pool.
    pub(crate) fn integers(&self, range: Range<usize>) -> Result<(Vec<f32>, Vec<f32>)> {
        let (k, rows) = (self.matrix.k, range.len());
        let stored = self.stored(range)?;
        let mut out = vec![0.0; rows * k];
        let scales = out
            .par_chunks_mut(k)
            .zip(stored.bytes.par_chunks(self.matrix.row_bytes()))
            .map(|(out, row)| {
                let (bytes, tail) = row.split_at(k);
                out.iter_mut().zip(bytes).for_each(|(v, b)| *v = f32::from(*b as i8));
                let (scale, _) = tail.split_first_chunk().expect("a record ends with its scale");
                f32::from_le_bytes(*scale)
            })
            .collect();
        Ok((out, scales))
    }

    fn round(&self, values: &mut [f32]) {
        if self.precision == Precision::F16 {
            round_f16_slice(values);
        }
    }

    /// The stored bytes of rows `range`.
    fn stored(&self, range: Range<usize>) -> Result<Stored<'a>> {
        let Matrix { name, rows, k, .. } = self.matrix;
        let range = rows.start + range.start..rows.start + range.end;
        let info = self.weights.info(name).ok_or_else(|| self.weights.missing(name))?;
        let bytes = if info.shape.first().is_some_and(|n| n * k == info.elements()) {
            self.weights.rows(name, range)?.data
        } else {
            // A file may have dimensions of size 1 in front of the rows.
            let row = self.matrix.row_bytes();
            let bytes = range.start * row..range.end * row;
            match self.weights.tensor(name)?.data {
                Cow::Borrowed(all) => Cow::Borrowed(&all[bytes]),
                Cow::Owned(all) => Cow::Owned(all[bytes].to_vec()),
            }
        };
        // Rotated rows are taken as they are: what they are multiplied with is rotated instead.
        let dtype = match info.dtype {
            DType::Int8ConvRot(_) => DType::Int8,
            dtype => dtype,
        };
        Ok(Stored { dtype, bytes })
    }
}

/// Rows of a matrix as they are in the file.
struct Stored<'a> {
    dtype: DType,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Stored<'a> {
    /// The numbers in place, where they are f32, lie in the file and are aligned.
    fn as_f32(&self) -> Option<&'a [f32]> {
        match (self.dtype, &self.bytes) {
            (DType::F32, Cow::Borrowed(bytes)) => bytemuck::try_cast_slice(bytes).ok(),
            _ => None,
        }
    }
}
