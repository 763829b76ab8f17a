//! What encoders promise: small errors, and bytes for any numbers.

use kinora_quant::DType;
use proptest::prelude::*;

fn writable() -> impl Iterator<Item = DType> {
    DType::all().filter(|dtype| dtype.is_float() && dtype.encode(0, &[]).is_ok())
}

fn round_trip(dtype: DType, k: usize, values: &[f32]) -> Vec<f32> {
    let bytes = dtype.encode(k, values).unwrap();
    let mut out = vec![0.0; values.len()];
    dtype.decode(k, &bytes, &mut out);
    out
}

fn squares(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

/// Normally distributed numbers, their spread another one every 4096 elements.
fn normal(count: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut unit = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24)
    };
    (0..count)
        .map(|i| {
            let twelve: f64 = (0..12).map(|_| unit()).sum();
            ((twelve - 6.0) * 0.02 * f64::from(1 + i as u32 / 4096)) as f32
        })
        .collect()
}

/// The least that a search must be better than: scales straight from the range of each group. The squared error.
fn without_search(dtype: DType, block: &[f32]) -> f64 {
    let rounded = |v: f32| half::f16::from_f32(v).to_f32();
    let over = |a: f32, b: f32| if b == 0.0 { 0.0 } else { a / b };
    let affine = |group: usize, top: f32, range: f32| {
        let range_of = |g: &[f32]| {
            g.iter()
                .fold((0f32, 0f32), |(low, high), v| (low.min(*v), high.max(*v)))
        };
        let steps: Vec<_> = block
            .chunks(group)
            .map(|g| (range_of(g), g))
            .map(|((low, high), g)| ((high - low) / top, -low, g))
            .collect();
        let d = rounded(steps.iter().map(|s| s.0).fold(0.0, f32::max) / range);
        let m = rounded(steps.iter().map(|s| s.1).fold(0.0, f32::max) / range);
        let decoded = steps.iter().flat_map(|(step, low, g)| {
            let step = d * over(*step, d).round_ties_even().min(range);
            let low = m * over(*low, m).round_ties_even().min(range);
            g.iter()
                .map(move |v| step * over(v + low, step).round_ties_even().clamp(0.0, top) - low)
        });
        squares(&decoded.collect::<Vec<_>>(), block)
    };
    let symmetric = |levels: f32, divisor: f32, range: f32| {
        let scales: Vec<_> = block
            .chunks(16)
            .map(|g| g.iter().fold(0f32, |most, v| most.max(v.abs())) / divisor)
            .collect();
        let d = rounded(scales.iter().copied().fold(0.0, f32::max) / range);
        let decoded = block.chunks(16).zip(&scales).flat_map(|(g, scale)| {
            let scale = d * over(*scale, d).round_ties_even().min(range);
            g.iter()
                .map(move |v| scale * over(*v, scale).round_ties_even().clamp(-levels, levels - 1.0))
        });
        squares(&decoded.collect::<Vec<_>>(), block)
    };
    match dtype {
        DType::Q2K => affine(16, 3.0, 15.0),
        DType::Q4K => affine(32, 15.0, 63.0),
        DType::Q5K => affine(32, 31.0, 63.0),
        DType::Q3K => symmetric(4.0, 4.0, 31.0),
        DType::Q6K => symmetric(32.0, 31.0, 127.0),
        _ => f64::INFINITY,
    }
}

#[test]
fn searches_find_better_scales_than_the_range() {
    let values = normal(1 << 16);
    let size = squares(&values, &vec![0.0; values.len()]);
    // The root of the mean squared error over that of the values.
    for (dtype, most) in [
        (DType::Q2K, 0.30),
        (DType::Q3K, 0.16),
        (DType::Q4K, 0.075),
        (DType::Q5K, 0.038),
        (DType::Q6K, 0.02),
        (DType::Iq4Nl, 0.09),
        (DType::Iq4Xs, 0.09),
    ] {
        let found = squares(&round_trip(dtype, values.len(), &values), &values);
        let plain: f64 = values.chunks(256).map(|block| without_search(dtype, block)).sum();
        let share = |error: f64| (error / size).sqrt();
        println!("{dtype}: {:.5}, by the range {:.5}", share(found), share(plain));
        assert!(
            found < plain,
            "{dtype}: {} by the range, {} found",
            share(plain),
            share(found)
        );
        assert!(share(found) < most, "{dtype}: {}", share(found));
    }
}

/// The largest error of an element over the largest magnitude, where a bound of this kind exists.
fn bound(dtype: DType) -> Option<f32> {
    Some(match dtype {
        DType::F32 | DType::F64 => 0.0,
        DType::F16 => 0.0005,
        DType::BF16 => 0.002,
        // Half a step where steps are largest.
        DType::F8E4M3 | DType::F8E4M3Scaled | DType::Mxfp8 => 0.0626,
        DType::F8E5M2 | DType::F8E5M2Scaled => 0.126,
        // Half of 4 to 6, and a scale that was rounded down.
        DType::Nvfp4 => 0.24,
        DType::Q8_0 | DType::Int8 => 0.005,
        // Without a minimum the range lacks a step at one end.
        DType::Q4_0 => 0.126,
        DType::Q5_0 => 0.063,
        DType::Q4_1 => 0.068,
        DType::Q5_1 => 0.034,
        DType::Int4F16 => 0.07,
        DType::Int4BF16 => 0.08,
        // What searches may give up at the ends for the sake of the many.
        DType::Q2K => 0.6,
        DType::Q3K => 0.4,
        DType::Q4K | DType::Iq4Nl | DType::Iq4Xs => 0.25,
        DType::Q5K => 0.12,
        DType::Q6K => 0.08,
        // Rotation spreads errors over the group.
        _ => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn errors_are_bounded(mut values in prop::collection::vec(-4f32..4.0, 2048)) {
        for dtype in writable() {
            let k = 1024;
            values[0] = 4.0;
            values[k] = -4.0;
            let found = round_trip(dtype, k, &values);
            if let Some(bound) = bound(dtype) {
                for (a, b) in found.iter().zip(&values) {
                    prop_assert!((a - b).abs() <= bound * 4.0, "{dtype}: {a} for {b}");
                }
            } else {
                // The rotated row is no larger than √g times the largest element, and its steps are 1/127 of that.
                let most = 4.0 * (dtype.format().block as f64).sqrt() / 254.0;
                let error = (squares(&found, &values) / values.len() as f64).sqrt();
                prop_assert!(error <= most, "{dtype}: {error}");
            }
        }
    }

    #[test]
    fn any_numbers_become_bytes(bits in prop::collection::vec(any::<u32>(), 2048), odd in 0usize..5) {
        const ODD: [f32; 5] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-42, 0.0];
        let mut values: Vec<_> = bits.into_iter().map(f32::from_bits).collect();
        // Rows of only one of them, and rows with some.
        values[..1024].fill(ODD[odd]);
        for dtype in writable() {
            let bytes = dtype.encode(1024, &values).unwrap();
            prop_assert_eq!(bytes.len(), 2 * dtype.row_bytes(1024).unwrap());
            let mut out = vec![0.0; values.len()];
            dtype.decode(1024, &bytes, &mut out);
        }
    }
}

#[test]
fn zeros_stay_zeros() {
    for dtype in writable() {
        assert!(
            round_trip(dtype, 1024, &[0.0; 1024]).iter().all(|v| *v == 0.0),
            "{dtype}"
        );
    }
}

#[test]
fn parts_of_a_tensor_are_encoded_with_the_scale_of_all() {
    let values = normal(8192);
    let most = values.iter().fold(0f32, |most, v| most.max(v.abs()));
    for dtype in writable() {
        let mut parts = dtype.encode_rows(1024, &values[..2048], most).unwrap();
        parts.extend(dtype.encode_rows(1024, &values[2048..], most).unwrap());
        assert!(parts == dtype.encode(1024, &values).unwrap(), "{dtype}");
    }
    let scaled: Vec<_> = writable().filter(|dtype| dtype.has_tensor_scale()).collect();
    assert_eq!(scaled, [DType::F8E4M3Scaled, DType::F8E5M2Scaled, DType::Nvfp4]);
}

#[test]
fn rows_that_hold_no_whole_blocks_are_refused() {
    for dtype in [DType::Q4K, DType::Mxfp8, DType::Nvfp4, DType::Int4F16] {
        assert!(dtype.encode(100, &[0.0; 100]).is_err(), "{dtype}");
    }
    for dtype in [DType::F64, DType::F8E8M0, DType::I8] {
        assert!(dtype.encode(4, &[0.0; 4]).is_err(), "{dtype}");
    }
}
