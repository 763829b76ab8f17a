//! Conversions: exhaustive where 16 bits allow it, and against independent arithmetic elsewhere.

use kinora_quant::{DType, Error, Tensor, round_f16, round_f16_slice};
use proptest::prelude::*;

/// The value of half-precision bits, from the definition.
fn f16_value(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    match exponent {
        0 => sign * fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => sign * f64::INFINITY,
        31 => f64::NAN,
        e => sign * (1.0 + fraction / 1024.0) * 2f64.powi(e - 15),
    }
}

fn encode(dtype: DType, value: f32) -> u16 {
    let bytes = dtype.encode(1, &[value]).unwrap();
    u16::from_le_bytes(bytes.try_into().unwrap())
}

#[test]
fn every_f16_decodes_to_its_value_and_back() {
    let bits: Vec<u16> = (0..=u16::MAX).collect();
    let mut bytes = vec![0u8];
    bytes.extend(bits.iter().flat_map(|b| b.to_le_bytes()));
    let mut out = vec![0.0; bits.len()];
    // From the second byte on, so that the input is unaligned.
    DType::F16.decode(1, &bytes[1..], &mut out);
    for (bits, got) in bits.iter().zip(&out) {
        let want = f16_value(*bits);
        assert!(
            f64::from(*got) == want || (want.is_nan() && got.is_nan()),
            "{bits:#06x}: {got} instead of {want}"
        );
        if !want.is_nan() {
            assert_eq!(encode(DType::F16, *got), *bits);
            assert_eq!(round_f16(*got).to_bits(), got.to_bits());
        }
    }
}

/// Between two neighbours: the middle goes to the even one, the next numbers on either side to the nearer one.
fn check_middles(dtype: DType, infinity: u16, value: impl Fn(u16) -> f64, beyond: f64) {
    for bits in 0..infinity {
        let upper = if bits + 1 == infinity { beyond } else { value(bits + 1) };
        let middle = ((value(bits) + upper) / 2.0) as f32;
        assert_eq!(f64::from(middle), (value(bits) + upper) / 2.0, "the middle is exact");
        for (sign, mask) in [(1.0, 0), (-1.0, 0x8000)] {
            assert_eq!(
                encode(dtype, sign * middle.next_down()),
                bits | mask,
                "{dtype} below {middle}"
            );
            assert_eq!(
                encode(dtype, sign * middle),
                (bits + (bits & 1)) | mask,
                "{dtype} at {middle}"
            );
            assert_eq!(
                encode(dtype, sign * middle.next_up()),
                (bits + 1) | mask,
                "{dtype} above {middle}"
            );
        }
    }
    assert_eq!(encode(dtype, f32::INFINITY), infinity);
    assert!(encode(dtype, f32::NAN) & 0x7FFF > infinity);
}

#[test]
fn f16_rounds_to_nearest_even() {
    check_middles(DType::F16, 0x7C00, f16_value, 65536.0);
}

#[test]
fn bf16_rounds_to_nearest_even() {
    let value = |bits: u16| f64::from(f32::from_bits(u32::from(bits) << 16));
    check_middles(DType::BF16, 0x7F80, value, 2f64.powi(128));
}

proptest! {
    /// Of all numbers of the type, an encoded one is nearest.
    #[test]
    fn f16_is_the_nearest(value in -70000f32..70000f32, scale in -30i32..1) {
        let value = value * 2f32.powi(scale);
        let got = encode(DType::F16, value);
        let distance = |bits: u16| (f16_value(bits) - f64::from(value)).abs();
        if got & 0x7FFF < 0x7C00 {
            for other in [got.wrapping_sub(1), got.wrapping_add(1)] {
                prop_assert!(!f16_value(other).is_finite() || distance(got) <= distance(other));
            }
        } else {
            prop_assert!(value.abs() >= 65520.0);
        }
        prop_assert_eq!(f64::from(round_f16(value)), f16_value(got));
    }

    /// Slices of any length and alignment convert like their elements.
    #[test]
    fn slices_convert_like_elements(bits in prop::collection::vec(any::<u32>(), 0..3000), shift in 0usize..4) {
        let values: Vec<f32> = bits.iter().map(|b| f32::from_bits(*b)).filter(|v| !v.is_nan()).collect();
        let mut rounded = values.clone();
        round_f16_slice(&mut rounded);
        for (v, r) in values.iter().zip(&rounded) {
            prop_assert_eq!(round_f16(*v).to_bits(), r.to_bits());
        }
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let bytes = dtype.encode(1, &values).unwrap();
            let mut moved = vec![0; shift];
            moved.extend(&bytes);
            let tensor = Tensor::new(dtype, &[values.len()], &moved[shift..]).unwrap();
            let decoded = tensor.to_f32().unwrap();
            for (i, v) in values.iter().enumerate() {
                let one = dtype.encode(1, &[*v]).unwrap();
                prop_assert_eq!(&one, &bytes[i * one.len()..][..one.len()]);
                let mut want = [0.0];
                dtype.decode(1, &one, &mut want);
                prop_assert_eq!(want[0].to_bits(), decoded[i].to_bits());
            }
        }
    }
}

#[test]
fn other_types_become_f32() {
    let f32_of = |dtype: DType, bytes: Vec<u8>| {
        let n = bytes.len() / dtype.row_bytes(1).unwrap();
        Tensor::new(dtype, &[n], bytes).unwrap().to_f32().unwrap()
    };
    assert_eq!(
        f32_of(
            DType::F64,
            [1.5f64, -1e300].iter().flat_map(|v| v.to_le_bytes()).collect()
        ),
        [1.5, f32::NEG_INFINITY]
    );
    assert_eq!(
        f32_of(
            DType::I64,
            [-3i64, 1 << 40].iter().flat_map(|v| v.to_le_bytes()).collect()
        ),
        [-3.0, 2f32.powi(40)]
    );
    assert_eq!(f32_of(DType::I32, (-7i32).to_le_bytes().to_vec()), [-7.0]);
    assert_eq!(f32_of(DType::U32, u32::MAX.to_le_bytes().to_vec()), [2f32.powi(32)]);
    assert_eq!(f32_of(DType::U8, vec![0, 255]), [0.0, 255.0]);
    assert_eq!(f32_of(DType::Bool, vec![0, 1]), [0.0, 1.0]);
}

#[test]
fn integers_become_u32_or_say_which_does_not_fit() {
    let ids: Vec<u8> = [0i64, 255_999].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(
        Tensor::new(DType::I64, &[2], ids).unwrap().to_u32().unwrap(),
        [0, 255_999]
    );
    assert_eq!(
        Tensor::new(DType::U8, &[2], vec![7, 200]).unwrap().to_u32().unwrap(),
        [7, 200]
    );
    assert_eq!(
        Tensor::new(DType::Bool, &[2], vec![0, 3]).unwrap().to_u32().unwrap(),
        [0, 1]
    );
    let bad: Vec<u8> = [5i32, -1].iter().flat_map(|v| v.to_le_bytes()).collect();
    let error = Tensor::new(DType::I32, &[2], bad).unwrap().to_u32().unwrap_err();
    assert!(matches!(error, Error::Value { index: 1, value: -1 }), "{error}");
    let error = Tensor::from_f32(&[1], &[1.0]).to_u32().unwrap_err();
    assert!(matches!(error, Error::Conversion { from: DType::F32, .. }), "{error}");
    assert!(DType::I32.encode(1, &[1.0]).is_err());
}

#[test]
fn rows_are_sub_ranges_of_the_first_dimension() {
    let tensor = Tensor::from_f32(&[3, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let rows = tensor.rows(1..3).unwrap();
    assert!(matches!(rows.data, std::borrow::Cow::Borrowed(_)));
    assert_eq!(
        (rows.info.shape.as_slice(), rows.to_f32().unwrap()),
        ([2, 2].as_slice(), vec![2.0, 3.0, 4.0, 5.0])
    );
    assert_eq!(tensor.rows(3..3).unwrap().to_f32().unwrap(), [0.0; 0]);
    assert_eq!(
        tensor.clone().into_rows(1..2).unwrap().into_owned().to_f32().unwrap(),
        [2.0, 3.0]
    );
    #[expect(clippy::reversed_empty_ranges, reason = "what must be refused")]
    let wrong = [0..4, 2..1, 4..4, usize::MAX..usize::MAX];
    for range in wrong {
        assert!(matches!(tensor.rows(range), Err(Error::Rows { .. })));
    }
    assert!(matches!(
        Tensor::from_f32(&[], &[1.0]).rows(0..1),
        Err(Error::Rows { .. })
    ));
}

#[test]
fn bytes_that_do_not_match_are_an_error() {
    for (shape, bytes) in [
        (vec![2], 7),
        (vec![], 0),
        (vec![usize::MAX, 2], 8),
        (vec![0, usize::MAX, 2], 0),
    ] {
        let error = Tensor::new(DType::F32, &shape, vec![0; bytes]).unwrap_err();
        assert!(matches!(error, Error::Length { .. }), "{error}");
    }
}
