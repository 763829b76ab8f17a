//! The one list of kernels.

use crate::{
    Call, Kernel, Shader, add_parts, attention, binary, combine, conv3d, copy, expert_weights, fill, gather,
    group_by_expert, grouped_linear, linear, matmul, norm, peak, qk_norm_rope, quantize_heads, quantize_rows,
    rearrange, scatter_experts, softmax, sum_rows, top_k, unary,
};

/// Every variant of every kernel.
pub fn shaders() -> Vec<Shader> {
    fn of<K: Kernel>() -> impl Iterator<Item = Shader> {
        K::all().into_iter().map(|kernel| kernel.shader())
    }
    of::<linear::Linear>()
        .chain(of::<add_parts::AddParts>())
        .chain(of::<conv3d::Conv3d>())
        .chain(of::<matmul::Matmul>())
        .chain(of::<attention::Attention>())
        .chain(of::<softmax::Softmax>())
        .chain(of::<norm::Norm>())
        .chain(of::<qk_norm_rope::QkNormRope>())
        .chain(of::<gather::Gather>())
        .chain(of::<quantize_rows::QuantizeRows>())
        .chain(of::<sum_rows::SumRows>())
        .chain(of::<quantize_heads::QuantizeHeads>())
        .chain(of::<top_k::TopK>())
        .chain(of::<expert_weights::ExpertWeights>())
        .chain(of::<group_by_expert::GroupByExpert>())
        .chain(of::<grouped_linear::GroupedLinear>())
        .chain(of::<scatter_experts::ScatterExperts>())
        .chain(of::<rearrange::Rearrange>())
        .chain(of::<unary::Unary>())
        .chain(of::<binary::Binary>())
        .chain(of::<combine::Combine>())
        .chain(of::<fill::Fill>())
        .chain(of::<copy::Copy>())
        .chain(of::<peak::Peak>())
        .collect()
}

/// Makes the calls of a kernel's cases from a seed.
pub type Calls = fn(u64) -> Vec<Call>;

/// Every kernel's name and test calls.
pub const CALLS: [(&str, Calls); 24] = [
    ("linear", |seed| {
        linear::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("add_parts", |seed| {
        add_parts::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("conv3d", |seed| {
        conv3d::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("matmul", |seed| {
        matmul::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("attention", |seed| {
        attention::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("softmax", |seed| {
        softmax::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("norm", |seed| {
        norm::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("qk_norm_rope", |seed| {
        qk_norm_rope::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("gather", |seed| {
        gather::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("quantize_rows", |seed| {
        quantize_rows::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("sum_rows", |seed| {
        sum_rows::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("quantize_heads", |seed| {
        quantize_heads::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("top_k", |seed| {
        top_k::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("expert_weights", |seed| {
        expert_weights::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("group_by_expert", |seed| {
        group_by_expert::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("grouped_linear", |seed| {
        grouped_linear::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("scatter_experts", |seed| {
        scatter_experts::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("rearrange", |seed| {
        rearrange::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("unary", |seed| {
        unary::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("binary", |seed| {
        binary::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("combine", |seed| {
        combine::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("fill", |seed| {
        fill::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("copy", |seed| {
        copy::cases().iter().map(|case| case.call(seed)).collect()
    }),
    ("peak", |seed| {
        peak::cases().iter().map(|case| case.call(seed)).collect()
    }),
];
