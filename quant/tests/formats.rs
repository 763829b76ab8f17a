//! Formats of weights against the packages that define them; `tools/reference/make_format_fixtures.py` made the fixtures.

use kinora_quant::{DType, Rotation};
use safetensors::SafeTensors;

/// A file of named arrays.
struct Fixture(SafeTensors<'static>);

impl Fixture {
    fn blocks() -> Self {
        Self(SafeTensors::deserialize(include_bytes!("fixtures/blocks.safetensors")).unwrap())
    }

    fn records() -> Self {
        Self(SafeTensors::deserialize(include_bytes!("fixtures/records.safetensors")).unwrap())
    }

    fn bytes(&self, name: &str) -> &[u8] {
        self.0.tensor(name).unwrap().data()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.bytes(name)
            .as_chunks()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect()
    }

    /// The length of the rows of an array.
    fn columns(&self, name: &str) -> usize {
        *self.0.tensor(name).unwrap().shape().last().unwrap()
    }
}

fn decode(dtype: DType, k: usize, bytes: &[u8], elements: usize) -> Vec<f32> {
    let mut out = vec![0.0; elements];
    dtype.decode(k, bytes, &mut out);
    out
}

/// The same bits; any NaN is as good as another.
fn assert_same(dtype: DType, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{dtype}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!(
            got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()),
            "{dtype}, element {i}: {got} instead of {want}"
        );
    }
}

/// Records out of their parts, each `rows` rows.
fn records(dtype: DType, k: usize, rows: usize, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for row in 0..rows {
        let end = out.len() + dtype.row_bytes(k).unwrap();
        for part in parts {
            let n = part.len() / rows;
            out.extend(&part[row * n..][..n]);
        }
        out.resize(end, 0);
    }
    out
}

#[test]
fn random_blocks_decode_to_the_bit_as_gguf_does() {
    let fixture = Fixture::blocks();
    for dtype in DType::BLOCKS {
        let want = fixture.floats(&format!("{dtype}.values"));
        let got = decode(dtype, want.len(), fixture.bytes(&format!("{dtype}.bytes")), want.len());
        assert_same(dtype, &got, &want);
    }
}

#[test]
fn the_first_blocks_encode_as_gguf_does() {
    let fixture = Fixture::blocks();
    let input = fixture.floats("input");
    for dtype in [DType::Q4_0, DType::Q4_1, DType::Q5_0, DType::Q5_1, DType::Q8_0] {
        let got = dtype.encode(fixture.columns("input"), &input).unwrap();
        assert!(got == fixture.bytes(&format!("{dtype}.encoded")), "{dtype}");
    }
}

#[test]
fn eight_bit_floats_are_those_of_the_reference() {
    let fixture = Fixture::records();
    let every: Vec<u8> = (0..=255).collect();
    for (dtype, scaled) in [
        (DType::F8E4M3, DType::F8E4M3Scaled),
        (DType::F8E5M2, DType::F8E5M2Scaled),
    ] {
        let part = |name: &str| format!("{dtype}.{name}");
        assert_same(
            dtype,
            &decode(dtype, 256, &every, 256),
            &fixture.floats(&part("values")),
        );
        let narrowed = dtype.encode(256, &fixture.floats(&part("wide"))).unwrap();
        assert_eq!(narrowed, fixture.bytes(&part("narrowed")), "{dtype}");

        let row = records(scaled, 256, 1, &[&every, fixture.bytes(&part("scale"))]);
        assert_same(
            scaled,
            &decode(scaled, 256, &row, 256),
            &fixture.floats(&part("scaled")),
        );
        let input = fixture.floats("F32.input");
        let k = fixture.columns("F32.input");
        let scales = fixture.bytes(&part("tensor_scale")).repeat(input.len() / k);
        let want = records(scaled, k, input.len() / k, &[fixture.bytes(&part("encoded")), &scales]);
        assert_eq!(scaled.encode(k, &input).unwrap(), want, "{scaled}");
    }
}

#[test]
fn powers_of_two_are_those_of_the_standard() {
    let values = decode(DType::F8E8M0, 256, &(0..=255).collect::<Vec<u8>>(), 256);
    for (e, value) in values[..255].iter().enumerate() {
        assert_eq!(f64::from(*value), 2f64.powi(e as i32 - 127));
    }
    assert!(values[255].is_nan());
}

#[test]
fn mxfp8_is_that_of_the_reference() {
    let (fixture, dtype) = (Fixture::records(), DType::Mxfp8);
    let parts = [fixture.bytes("MXFP8.elements"), fixture.bytes("MXFP8.scales")];
    let want = fixture.floats("MXFP8.values");
    let rows = want.len() / 128;
    assert_same(
        dtype,
        &decode(dtype, 128, &records(dtype, 128, rows, &parts), want.len()),
        &want,
    );

    let (input, k) = (fixture.floats("F32.input"), fixture.columns("F32.input"));
    let rows = input.len() / k;
    let scales = fixture.bytes("MXFP8.encoded_scales");
    // Of blocks whose scale is 0 the reference divides by it; their elements do not matter.
    let mut elements = fixture.bytes("MXFP8.encoded").to_vec();
    for (block, scale) in elements.chunks_mut(32).zip(scales) {
        if *scale == 0 {
            block.fill(0);
        }
    }
    assert_eq!(
        dtype.encode(k, &input).unwrap(),
        records(dtype, k, rows, &[&elements, scales])
    );
}

#[test]
fn nvfp4_is_that_of_the_reference() {
    let (fixture, dtype) = (Fixture::records(), DType::Nvfp4);
    let want = fixture.floats("NVFP4.values");
    let rows = want.len() / 64;
    let scale = fixture.bytes("NVFP4.scale").repeat(rows);
    let parts = [fixture.bytes("NVFP4.elements"), fixture.bytes("NVFP4.scales"), &scale];
    assert_same(
        dtype,
        &decode(dtype, 64, &records(dtype, 64, rows, &parts), want.len()),
        &want,
    );

    let (input, k) = (fixture.floats("F32.input"), fixture.columns("F32.input"));
    let rows = input.len() / k;
    let scale = fixture.bytes("NVFP4.tensor_scale").repeat(rows);
    let parts = [
        fixture.bytes("NVFP4.encoded"),
        fixture.bytes("NVFP4.encoded_scales"),
        &scale,
    ];
    assert_eq!(dtype.encode(k, &input).unwrap(), records(dtype, k, rows, &parts));
}

#[test]
fn int8_is_that_of_the_reference() {
    let (fixture, dtype) = (Fixture::records(), DType::Int8);
    let elements = fixture.bytes("INT8.elements");
    let (k, rows) = (1024, elements.len() / 1024);
    for (scales, values) in [
        (fixture.bytes("INT8.scales").to_vec(), "INT8.values"),
        (fixture.bytes("INT8.scale").repeat(rows), "INT8.tensor_values"),
    ] {
        let row = records(dtype, k, rows, &[elements, &scales]);
        assert_same(dtype, &decode(dtype, k, &row, rows * k), &fixture.floats(values));
    }
    let input = fixture.floats("F32.input");
    let parts = [fixture.bytes("INT8.encoded"), fixture.bytes("INT8.encoded_scales")];
    assert_eq!(
        dtype.encode(k, &input).unwrap(),
        records(dtype, k, input.len() / k, &parts)
    );
}

#[test]
fn rotated_int8_is_that_of_the_reference() {
    let fixture = Fixture::records();
    let (elements, scales) = (fixture.bytes("INT8.elements"), fixture.bytes("INT8.scales"));
    let (k, rows) = (1024, elements.len() / 1024);
    let input = fixture.floats("F32.input");
    for dtype in Rotation::ALL.map(DType::Int8ConvRot) {
        let part = |name: &str| format!("{dtype}.{name}");
        let got = decode(dtype, k, &records(dtype, k, rows, &[elements, scales]), rows * k);
        let want = fixture.floats(&part("values"));
        let largest = want.iter().fold(0f32, |m, v| m.max(v.abs()));
        // Sums of up to 1024 products, here in another order than in the reference's matrix product.
        for (got, want) in got.iter().zip(&want) {
            assert!((got - want).abs() <= 2e-6 * largest, "{dtype}: {got} instead of {want}");
        }

        // For the same reason a rotated element next to the middle between two integers may become the other one.
        let got = dtype.encode(k, &input).unwrap();
        let want = records(
            dtype,
            k,
            input.len() / k,
            &[fixture.bytes(&part("encoded")), fixture.bytes(&part("encoded_scales"))],
        );
        let mut others = 0;
        for (got, want) in got.chunks(k + 4).zip(want.chunks(k + 4)) {
            let scale = |row: &[u8]| f32::from_le_bytes(row[k..].try_into().unwrap());
            assert!((scale(got) / scale(want) - 1.0).abs() <= 2e-6, "{dtype}");
            for (got, want) in got[..k].iter().zip(&want[..k]) {
                let apart = i32::from(*got as i8) - i32::from(*want as i8);
                assert!(apart.abs() <= 1, "{dtype}");
                others += apart.abs();
            }
        }
        assert!(
            others as usize * 1000 <= input.len(),
            "{dtype}: {others} elements differ"
        );
    }
}

#[test]
fn int4_is_that_of_the_reference() {
    let fixture = Fixture::records();
    for dtype in [DType::Int4F16, DType::Int4BF16] {
        let part = |name: &str| fixture.bytes(&format!("{dtype}.{name}"));
        let want = fixture.floats(&format!("{dtype}.values"));
        let rows = want.len() / 256;
        let row = records(dtype, 256, rows, &[part("elements"), part("scales"), part("offsets")]);
        assert_same(dtype, &decode(dtype, 256, &row, want.len()), &want);
    }
}
