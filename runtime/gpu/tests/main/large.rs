//! A graph beyond narrow limits.

use kinora_graph::{Activation, Attention, Builder, Epilogue, Gate, Modulation, Padding, Rows, Scope, Scores};
use kinora_quant::{DType, Rotation};

use crate::zoo::{Specimen, Tensors, inputs};

/// Values and weights beyond a binding of 64 KiB, of the kinds that can be split.
pub(crate) fn large(seed: u64) -> Specimen {
    let mut t = Tensors::new(seed);
    let (rows, width, heads) = (700, 128, 2);
    t.layer("wide", &[300, width], DType::F32);
    t.layer("back", &[width, 300], DType::BF16);
    t.layer("int8", &[300, width], DType::Int8ConvRot(Rotation::G64));
    t.add("table", &[900, width], DType::BF16);
    t.add("norm.weight", &[width], DType::F32);
    t.layer("conv", &[17, 16, 3, 3, 3], DType::F16);
    let mut random = t.random.clone();
    let weights = t.finish();
    let mut b = Builder::new(&weights);
    let root = Scope::root();
    let ids = b.input_u32("ids", &[rows]);
    let x = b.gather(&root, "table", ids, 900, width).unwrap();
    let modulation = b.input("modulation", &[3, 3 * width]);
    let index = b.input_u32("rows", &[rows]);
    let m = Modulation {
        table: modulation,
        shift: 0,
        scale: width,
        rows: Rows::Indexed(index),
    };
    let y = b.modulated_norm(&root, "norm", x, 1e-6, m).unwrap();
    let cos = b.input("cos", &[rows, width / heads / 2]);
    let [y] = b.qk_norm_rope(&root, ["norm"], [y], 1e-6, heads, [cos; 2]).unwrap();
    let keys = b.slice(y, 0, 5..55).unwrap();
    let bias = Some(b.input("bias", &[rows + 49, heads]));
    let blocks = Some(b.constant(&[11, 1], &[1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]));
    let op = Attention {
        q: y,
        k: keys,
        v: keys,
        heads,
        scale: 0.1,
        bias,
        mask: None,
        blocks,
        scores: Scores::Float,
    };
    let y = b.attention(&root, "attention", op.clone()).unwrap();
    let op = Attention {
        q: y,
        bias: None,
        scores: Scores::Int8,
        ..op
    };
    let y = b.attention(&root, "int8 attention", op).unwrap();
    let up = b
        .linear(&root, "wide", y, 300, Epilogue::Activation(Activation::GeluTanh))
        .unwrap();
    let gated = b.linear(&root, "wide", y, 300, Epilogue::GeluTanhTimes(up)).unwrap();
    let gate = Some(Gate {
        table: modulation,
        column: 2 * width,
        rows: Rows::Indexed(index),
    });
    let y = b
        .linear(&root, "back", gated, width, Epilogue::Residual { residual: x, gate })
        .unwrap();
    let coefficients = b.constant(&[2], &[0.5, -1.5]);
    let y = b.combine(coefficients, &[y, x]).unwrap();
    let y = b.activation(Activation::Silu, y);
    let first = b.slice(y, 0, 0..1).unwrap();
    let y = b.add(y, first).unwrap();
    let y = b.mul(y, x).unwrap();
    let y = b.permute(y, &[rows, 4, 32], &[0, 2, 1], 0, &[rows, width]).unwrap();
    let one = b.slice(y, 0, 0..3).unwrap();
    let y = b.concat(&[one, y, x]).unwrap();
    let filled = b.fill(&[2 * rows + 3, width], 1.5);
    let y = b.add(y, filled).unwrap();
    b.output("out", y);
    let none = Epilogue::Activation(Activation::None);
    let int8 = b.linear(&root, "int8", x, 300, none).unwrap();
    b.output("int8", int8);
    let video = b.input("video", &[12, 12, 16, 16]);
    let cache = b.input("cache", &[2, 12, 16, 16]);
    let conv = b
        .conv3d(
            &root,
            "conv",
            video,
            Some(cache),
            17,
            [3; 3],
            [1; 3],
            Padding::SPACE_1,
            None,
        )
        .unwrap();
    let padded = Padding {
        front: 2,
        ..Padding::SPACE_1
    };
    let conv = b
        .conv3d(&root, "conv", video, None, 17, [3; 3], [1; 3], padded, Some(conv))
        .unwrap();
    b.output("conv", conv);
    let graph = b.finish();
    let inputs = inputs(&graph, &mut random, 3);
    Specimen { graph, weights, inputs }
}
