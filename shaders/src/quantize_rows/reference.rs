//! The plain version.

use kinora_quant::int8::quantize_row;

use super::{Params, QuantizeRows};

/// What the kernel does; `out` holds words. All in f32: each step has one result, whoever computes it.
pub fn reference(kernel: QuantizeRows, p: &Params, x: &[f32], out: &mut [u32]) {
    let (k, words) = (p.k as usize, kernel.out_words(p.k) as usize);
    for row in p.first_row as usize..(p.first_row + p.rows) as usize {
        let mut values = x[row * k..][..k].to_vec();
        if let Some(rotation) = kernel.rotation() {
            rotation.rotate(&mut values);
        }
        let out = &mut out[row * words..][..words];
        match kernel {
            QuantizeRows::Int8(_) => {
                let mut bytes = vec![0i8; 4 * (words - 1)];
                out[words - 1] = quantize_row(&values, &mut bytes[..k]).to_bits();
                for (word, four) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *word = u32::from_le_bytes(four.map(|q| q as u8));
                }
            }
            QuantizeRows::Rotate(_) => out.copy_from_slice(bytemuck::cast_slice(&values)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Params, QuantizeRows, reference};

    #[test]
    fn a_quantised_row_by_hand() {
        let p = Params {
            rows: 1,
            k: 5,
            first_row: 1,
            _pad: 0,
        };
        let x = [9.0, 9.0, 9.0, 9.0, 9.0, 254.0, -2.0, 1.0, 3.0, -254.0];
        let mut out = [7; 6];
        reference(QuantizeRows::Int8(None), &p, &x, &mut out);
        assert_eq!(out, [7, 7, 7, 0x0200_ff7f, 0x81, 2f32.to_bits()]);
    }
}
