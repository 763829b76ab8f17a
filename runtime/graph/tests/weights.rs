//! What the builder makes of weights of each type, and which it refuses.

use std::collections::BTreeMap;

use kinora_graph::{Activation, BinaryOp, Builder, Epilogue, Error, Op, Padding, Scope};
use kinora_quant::{DType, Result, Rotation, Tensor, TensorInfo, Weights};

const NONE: Epilogue = Epilogue::Activation(Activation::None);

/// Descriptions without tensors, whatever they say.
struct Described(BTreeMap<&'static str, TensorInfo>);

impl Described {
    fn one(name: &'static str, dtype: DType, shape: &[usize]) -> Self {
        let shape = shape.to_vec();
        Self(BTreeMap::from([(name, TensorInfo { dtype, shape })]))
    }
}

impl Weights for Described {
    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.0.get(name).cloned()
    }

    fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        Err(self.missing(name))
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().map(|name| (*name).to_owned()).collect()
    }

    fn origin(&self) -> String {
        "file test.gguf".to_owned()
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>, why: &str) {
    let error = result.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::WeightType { .. }), "{text}");
    for part in ["file test.gguf", "`to", why] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn rows_must_be_whole_blocks() {
    let weights = Described::one("to.weight", DType::Q4K, &[8, 100]);
    let mut b = Builder::new(&weights);
    let x = b.input("x", &[3, 100]);
    refused(b.linear(&Scope::root(), "to", x, 8, NONE), "no whole blocks of 256");
}

#[test]
fn only_linear_layers_have_rotated_weights() {
    let rotated = DType::Int8ConvRot(Rotation::G16);
    let weights = Described::one("to.weight", rotated, &[8, 16, 1, 1, 1]);
    let mut b = Builder::new(&weights);
    let x = b.input("x", &[2, 3, 3, 16]);
    let conv = b.conv3d(
        &Scope::root(),
        "to",
        x,
        None,
        8,
        [1; 3],
        [1; 3],
        Padding::default(),
        None,
    );
    refused(conv, "only linear layers");

    let weights = Described::one("to", rotated, &[8, 16]);
    let mut b = Builder::new(&weights);
    let ids = b.input_u32("ids", &[4]);
    refused(b.gather(&Scope::root(), "to", ids, 8, 16), "only linear layers");
}

#[test]
fn sums_of_integers_must_fit_32_bits() {
    for (k, fits) in [(132_104, true), (132_105, false)] {
        let weights = Described::one("to.weight", DType::Int8, &[1, k]);
        let mut b = Builder::new(&weights);
        let x = b.input("x", &[1, k]);
        match fits {
            true => drop(b.linear(&Scope::root(), "to", x, 1, NONE).unwrap()),
            false => refused(b.linear(&Scope::root(), "to", x, 1, NONE), "132104 at most"),
        }
        // As numbers, they may be as long as they like.
        b.linear_weight_only(&Scope::root(), "to", x, 1, 0..1, NONE).unwrap();
    }
}

#[test]
fn inputs_are_scaled_as_the_weight_was() {
    let mut weights = Described::one("to.weight", DType::Nvfp4, &[8, 32]);
    let scale = TensorInfo {
        dtype: DType::F32,
        shape: vec![32],
    };
    weights.0.insert("to.pre_quant_scale", scale);
    let mut b = Builder::new(&weights);
    let x = b.input("x", &[3, 32]);
    let y = b.linear(&Scope::root(), "to", x, 8, NONE).unwrap();
    let graph = b.finish();
    let Op::Linear(op) = &graph.node(y).op else {
        panic!("a linear layer")
    };
    let Op::Binary { op, a, b } = graph.node(op.x).op else {
        panic!("its input is a product")
    };
    assert_eq!((op, a), (BinaryOp::Mul, x));
    assert_eq!(graph.node(b).label, "to.pre_quant_scale");
}

#[test]
fn operations_of_experts_take_only_what_fits() {
    let weights = Described::one("up.weight", DType::F32, &[6, 4, 8]);
    let mut b = Builder::new(&weights);
    let root = Scope::root();
    let logits = b.input("logits", &[5, 6]);
    let ids = b.input_u32("ids", &[5, 2]);
    assert!(b.top_k(&root, "k", logits, 7).is_err());
    // Ids of the host are not bounded by the number of experts.
    assert!(b.group_by_expert(&root, "groups", ids).is_err());
    let ids = b.top_k(&root, "k", logits, 2).unwrap();
    let groups = b.group_by_expert(&root, "groups", ids).unwrap();
    assert_eq!(b.shape(groups), [10 + 10 + 7]);
    use kinora_graph::experts::Source;
    let tokens = b.input("tokens", &[5, 8]);
    let mut up = |source, rows| b.grouped_linear(&root, "up", tokens, source, groups, 4, rows, Activation::None);
    assert!(up(Source::Places, 0..4).is_err(), "tokens are not sorted by expert");
    assert!(up(Source::Tokens, 2..5).is_err(), "an expert has four rows");
    let y = up(Source::Tokens, 1..4).unwrap();
    assert_eq!(b.shape(y), [10, 3]);
    let wrong = b.input("shares", &[5, 3]);
    assert!(b.scatter_experts(&root, "sum", y, groups, wrong).is_err());
}
