//! Which rows there are: each kind of measurement at the shapes of each model.

use std::collections::BTreeSet;

use kinora_graph::{Activation, Cost, Error, Scores};
use kinora_models::wan::Variant;
use kinora_quant::DType;

use super::args::{BenchArgs, Kind};
use super::numbers::random;
use super::ops::{Add, Attention, Conv3d, Linear, Norm, Operation, QkNormRope};
use super::report::{Check, Clock, Limit, Measured};
use super::session::{Name, Outcome, Session, Unit};
use super::shapes::{HEAD, LEVELS, Level, Reduction, SIZES, SQUARE, Size, TEXT_ROWS};
use super::{ceilings, graphs};
use crate::convert::Target;
use crate::interrupt;

/// Types of weights in products, where none are asked for.
pub(super) const FORMATS: [&str; 4] = ["f16", "q8_0", "q4_k", "int8"];

/// The ceilings, then all rows that are asked for.
pub(super) fn all(session: &mut Session<'_>, args: &BenchArgs) -> Outcome {
    ceilings::measure(session)?;
    let asked = |variant: Variant| args.model.is_empty() || args.model.contains(&variant);
    let sizes: Vec<&Size> = SIZES.iter().filter(|size| asked(size.variant)).collect();
    let main = || sizes.iter().filter(|size| size.main);
    // Reduced sizes are the same for all clips of a model.
    let every = || sizes.iter().filter(|size| size.main || !args.quick);
    let levels = || LEVELS.iter().filter(|level| asked(level.variant));
    let graph_types = args.types(&["f16"]);
    for kind in args.kinds() {
        match kind {
            Kind::Gemm => {
                if args.model.is_empty() {
                    squares(session, &args.types(&FORMATS))?;
                }
                main().try_for_each(|size| products(session, size, &args.types(&FORMATS)))?;
            }
            Kind::Attention => {
                if args.model.is_empty() {
                    square_attention(session)?;
                }
                every().try_for_each(|size| attention(session, size))?;
            }
            Kind::Conv3d => {
                for level in levels() {
                    convolution(session, level)?;
                }
            }
            Kind::Norms => main().try_for_each(|size| norms(session, size))?,
            Kind::Upload => uploads(session)?,
            Kind::Block | Kind::Step => {
                for target in &graph_types {
                    every().try_for_each(|size| graphs::step(session, kind, size, *target))?;
                }
            }
            Kind::Vae => {
                let variants: BTreeSet<_> = levels().map(|level| level.variant.name()).collect();
                for variant in variants {
                    graphs::vae(session, variant.parse()?, Target::F16)?;
                }
            }
            Kind::All => unreachable!("it stands for the others"),
        }
    }
    Ok(())
}

fn name(session: &Session<'_>, kind: Kind, model: &str, name: &str, format: &str) -> Name {
    Name {
        kind: kind.name(),
        model: model.to_owned(),
        name: name.to_owned(),
        format: format.to_owned(),
        reduced: session.report.options.quick,
        unit: Unit::Float,
    }
}

/// A product of weights of type `target`.
fn product(session: &mut Session<'_>, model: &str, part: &str, target: Target, linear: Linear) -> Outcome {
    if target.dtype.row_bytes(linear.k).is_none() {
        // Rows that are no whole blocks keep another type in files.
        return Ok(());
    }
    let name = Name {
        unit: Unit::of(target.dtype),
        ..name(session, Kind::Gemm, model, part, target.name)
    };
    session.operation(name, &linear)
}

fn squares(session: &mut Session<'_>, types: &[Target]) -> Outcome {
    let side = Reduction(session.report.options.quick).side(SQUARE.side);
    for m in SQUARE.rows.into_iter().chain([side]) {
        for target in types {
            let linear = Linear {
                m,
                n: side,
                k: side,
                dtype: target.dtype,
                activation: Activation::None,
            };
            product(session, "-", "square", *target, linear)?;
        }
    }
    Ok(())
}

fn products(session: &mut Session<'_>, size: &Size, types: &[Target]) -> Outcome {
    let reduce = Reduction(session.report.options.quick);
    let (dim, ffn) = (reduce.width(size.dim), reduce.width(size.ffn));
    let (tokens, text) = (reduce.rows(size.tokens()), reduce.rows(TEXT_ROWS));
    let layers = [
        ("attention.qkvo", tokens, dim, dim, Activation::None),
        ("ffn.up", tokens, ffn, dim, Activation::GeluTanh),
        ("ffn.down", tokens, dim, ffn, Activation::None),
        ("text.kv", text, dim, dim, Activation::None),
    ];
    for (part, m, n, k, activation) in layers {
        // Reduced, the text is as long as the clip.
        if reduce.0 && part == "text.kv" {
            continue;
        }
        for target in types {
            let linear = Linear {
                m,
                n,
                k,
                dtype: target.dtype,
                activation,
            };
            product(session, size.variant.name(), part, *target, linear)?;
        }
    }
    Ok(())
}

fn square_attention(session: &mut Session<'_>) -> Outcome {
    let reduce = Reduction(session.report.options.quick);
    let (heads, tokens) = (reduce.heads(SQUARE.heads), reduce.tokens(SQUARE.side));
    for head in SQUARE.widths {
        let op = Attention {
            heads,
            head,
            queries: tokens,
            keys: tokens,
            scores: Scores::Float,
        };
        float_and_int8(session, "-", "square", op)?;
    }
    Ok(())
}

/// A row of attention, and one with int8 scores.
fn float_and_int8(session: &mut Session<'_>, model: &str, part: &str, op: Attention) -> Outcome {
    session.operation(name(session, Kind::Attention, model, part, "-"), &op)?;
    let unit = Unit::Int8;
    let int8 = name(session, Kind::Attention, model, part, "int8");
    let scores = Scores::Int8;
    session.operation(Name { unit, ..int8 }, &Attention { scores, ..op })
}

fn attention(session: &mut Session<'_>, size: &Size) -> Outcome {
    let reduce = Reduction(session.report.options.quick);
    let (heads, queries) = (reduce.heads(size.heads()), reduce.tokens(size.tokens()));
    let text = if reduce.0 { 128 } else { TEXT_ROWS };
    let model = size.variant.name();
    let op = Attention {
        heads,
        head: HEAD,
        queries,
        keys: queries,
        scores: Scores::Float,
    };
    float_and_int8(session, model, "self", op)?;
    let cross = Attention { keys: text, ..op };
    session.operation(name(session, Kind::Attention, model, "cross", "-"), &cross)
}

fn convolution(session: &mut Session<'_>, level: &Level) -> Outcome {
    let reduce = Reduction(session.report.options.quick);
    let op = Conv3d {
        channels: reduce.channels(level.channels),
        size: reduce.picture(level.size),
        dtype: DType::F16,
    };
    let name = name(session, Kind::Conv3d, level.variant.name(), level.vae, "f16");
    session.operation(name, &op)
}

fn norms(session: &mut Session<'_>, size: &Size) -> Outcome {
    let reduce = Reduction(session.report.options.quick);
    let (rows, columns) = (reduce.tokens(size.tokens()), reduce.width(size.dim));
    let heads = columns / HEAD;
    let operations: [(&str, &dyn Operation); 3] = [
        ("norm", &Norm { rows, columns }),
        ("qk_norm_rope", &QkNormRope { rows, heads }),
        ("add", &Add { rows, columns }),
    ];
    for (part, op) in operations {
        let name = name(session, Kind::Norms, size.variant.name(), part, "-");
        session.operation(name, op)?;
    }
    Ok(())
}

/// Uploads of several sizes: small ones show what each costs whatever its size.
fn uploads(session: &mut Session<'_>) -> Outcome {
    let quick = session.report.options.quick;
    let sizes: &[usize] = if quick { &[1, 32] } else { &[1, 16, 256, 1024] };
    for mib in sizes {
        let name = name(session, Kind::Upload, "-", "weights", "-");
        session.row(name, format!("mib={mib}"), |session| {
            let data = random(&[mib << 18], 1.0, *mib as u64);
            let bytes = data.bytes();
            session.device.time_upload(bytes)?;
            let seconds = session.budget.sample(|| {
                if interrupt::requested() {
                    return Err(Error::Cancelled);
                }
                session.device.time_upload(bytes)
            })?;
            let cost = Cost {
                flops: 0,
                bytes: bytes.len() as u64,
            };
            let limit = session.report.ceiling("memcpy").map(|rate| {
                let least = cost.bytes as f64 / rate;
                Limit {
                    ceiling: "memcpy".to_owned(),
                    seconds: least,
                    fraction: least / seconds.median,
                }
            });
            let measured = Measured {
                seconds,
                clock: Clock::Wall,
                dispatches: 0,
                host_seconds_per_dispatch: 0.0,
                memory: session.device.ledger().peak(),
                limit,
                check: Check {
                    compared: 0,
                    of: 0,
                    error: 0.0,
                    tolerance: 0.0,
                    method_error: None,
                    passed: true,
                },
                parts: Vec::new(),
            };
            Ok((cost, measured))
        })?;
    }
    Ok(())
}
