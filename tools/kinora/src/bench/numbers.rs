//! Random operands.

use kinora_graph::HostTensor;
use kinora_shaders::call::Random;
use rayon::prelude::*;

/// Inputs of a graph.
pub(super) type Inputs = Vec<(String, HostTensor)>;

/// Numbers that come from one stream.
const RUN: usize = 1 << 16;

/// A tensor of numbers in [-scale, scale); other seeds, other numbers.
pub(super) fn random(shape: &[usize], scale: f32, seed: u64) -> HostTensor {
    let mut values = vec![0.0; shape.iter().product()];
    values.par_chunks_mut(RUN).enumerate().for_each(|(index, values)| {
        let mut random = Random::new(seed << 32 | index as u64);
        values.iter_mut().for_each(|value| *value = random.unit() * scale);
    });
    HostTensor::f32(shape, values)
}

/// Most rows of a result that are compared with the processor's.
pub(super) const SAMPLED: usize = 16;

/// Rows spread over all `rows` of a result, the first and the last among them.
pub(super) fn sampled(rows: usize) -> Vec<usize> {
    let count = rows.min(SAMPLED);
    (0..count).map(|i| i * (rows - 1) / (count - 1).max(1)).collect()
}

/// These rows of a `[…, columns]` tensor.
pub(super) fn pick(values: &[f32], columns: usize, rows: &[usize]) -> Vec<f32> {
    let row = |row: &usize| &values[row * columns..(row + 1) * columns];
    rows.iter().flat_map(row).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_reach_both_ends() {
        assert_eq!(sampled(1), [0]);
        assert_eq!(sampled(3), [0, 1, 2]);
        let many = sampled(1000);
        assert_eq!((many.len(), many[0], many[SAMPLED - 1]), (SAMPLED, 0, 999));
        assert_eq!(pick(&[1.0, 2.0, 3.0, 4.0], 2, &[1]), [3.0, 4.0]);
    }
}
