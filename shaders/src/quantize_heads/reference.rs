//! The plain version.

use kinora_quant::int8::quantize_row;

use super::{Params, QuantizeHeads, words};

/// What the kernel does; `out` holds words. All in f32: each step has one result, whoever computes it.
pub fn reference(kernel: QuantizeHeads, p: &Params, x: &[f32], mean: &[f32], out: &mut [u32]) {
    let (heads, dim) = (p.heads as usize, p.head_dim as usize);
    let (width, words) = (heads * dim, words(p.heads, p.head_dim) as usize);
    for row in p.first_row as usize..(p.first_row + p.rows) as usize {
        let out = &mut out[row * words..][..words];
        for head in 0..heads {
            let mut values = x[row * width + head * dim..][..dim].to_vec();
            if kernel.smooth {
                let mean = &mean[head * dim..][..dim];
                values.iter_mut().zip(mean).for_each(|(v, m)| *v -= m);
            }
            let mut bytes = vec![0i8; dim];
            out[width / 4 + head] = quantize_row(&values, &mut bytes).to_bits();
            for (word, four) in out[head * dim / 4..].iter_mut().zip(bytes.as_chunks::<4>().0) {
                *word = u32::from_le_bytes(four.map(|q| q as u8));
            }
        }
    }
}

/// The numbers that quantised rows stand for: `[rows, heads · head_dim]`.
pub fn dequantize(heads: u32, head_dim: u32, quantized: &[u32]) -> Vec<f32> {
    let (width, dim) = ((heads * head_dim) as usize, head_dim as usize);
    let rows = quantized.chunks_exact(words(heads, head_dim) as usize);
    rows.flat_map(|row| {
        let bytes = row[..width / 4].iter().flat_map(|word| word.to_le_bytes());
        let number = |(i, byte): (usize, u8)| f32::from(byte as i8) * f32::from_bits(row[width / 4 + i / dim]);
        bytes.enumerate().map(number).collect::<Vec<_>>()
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::{Params, QuantizeHeads, dequantize, reference};

    #[test]
    fn two_heads_by_hand() {
        let p = Params {
            rows: 1,
            heads: 2,
            head_dim: 4,
            first_row: 0,
        };
        let x = [254.0, -2.0, 1.0, 4.0, 1.0, 2.0, 128.0, 1.0];
        let mean = [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0];
        let mut out = [7; 6];
        reference(QuantizeHeads { smooth: true }, &p, &x, &mean, &mut out);
        assert_eq!(out, [0x0200_ff7f, 0x007f_0100, 2f32.to_bits(), 1f32.to_bits(), 7, 7]);
        let numbers = dequantize(2, 4, &out);
        assert_eq!(numbers, [254.0, -2.0, 0.0, 4.0, 0.0, 1.0, 127.0, 0.0]);
    }
}
