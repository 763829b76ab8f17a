//! Times burn's wgpu backend at the shapes of a report of `kinora bench`: products, attention and convolutions in f32.
//!
//! `cargo run --release -- kinora.json burn.json`

use std::collections::BTreeMap;
use std::time::Instant;

use burn::tensor::module::{attention, conv3d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, DeviceKind, Distribution, Tensor};
use serde_json::{Value, json};

/// Seconds of all samples of a row, and how many there are at least and at most.
const SECONDS: f64 = 2.0;
const LEAST: usize = 3;
const MOST: usize = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = arguments.as_slice() else {
        return Err("usage: burn-peer kinora.json burn.json".into());
    };
    let report: Value = serde_json::from_str(&std::fs::read_to_string(from)?)?;
    if report["schema"] != 1 {
        return Err(format!("{from} has schema {}; this program reads 1", report["schema"]).into());
    }
    let (mut known, mut rows) = (BTreeMap::new(), Vec::new());
    for row in report["rows"].as_array().into_iter().flatten() {
        let (Some(kind), Some(shape)) = (row["kind"].as_str(), row["shape"].as_str()) else {
            continue;
        };
        if !["gemm", "attention", "conv3d"].contains(&kind) {
            continue;
        }
        // A shape is timed once, whatever the weights of Kinora's rows are stored as.
        let key = (kind.to_owned(), shape.to_owned());
        let seconds = known.entry(key).or_insert_with(|| samples(kind, &sizes(shape)));
        println!("{kind} {shape}: {:.3} s", seconds[seconds.len() / 2]);
        rows.push(json!({
            "id": row["id"], "kind": kind, "flops": row["flops"], "bytes": row["bytes"],
            "computed_as": "f32", "measured": {"seconds": spread(seconds)}
        }));
    }
    let result = json!({
        "schema": 1, "tool": "burn 0.22, wgpu", "device": {"name": "the default adapter"}, "rows": rows
    });
    let partial = format!("{to}.part");
    std::fs::write(&partial, serde_json::to_string_pretty(&result)?)?;
    std::fs::rename(partial, to)?;
    Ok(())
}

/// `m=8 n=16` by name.
fn sizes(shape: &str) -> BTreeMap<&str, usize> {
    let pairs = shape.split(' ').filter_map(|pair| pair.split_once('='));
    pairs
        .filter_map(|(name, size)| Some((name, size.parse().ok()?)))
        .collect()
}

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let device = Device::wgpu(DeviceKind::DefaultDevice);
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &device)
}

/// Sorted seconds of several runs, each until a number of the result is there: evaluation is lazy.
fn samples(kind: &str, s: &BTreeMap<&str, usize>) -> Vec<f64> {
    match kind {
        "gemm" => {
            let (x, w) = (random([s["m"], s["k"]]), random([s["n"], s["k"]]));
            let bias: Tensor<2> = random([1, s["n"]]);
            timed(|| x.clone().matmul(w.clone().transpose()) + bias.clone())
        }
        "attention" => {
            let [q, k, v] = ["q", "k", "k"].map(|rows| random([1, s["heads"], s[rows], s["d"]]));
            timed(|| attention(q.clone(), k.clone(), v.clone(), None, None, Default::default()))
        }
        _ => {
            let c = s["c"];
            // Two frames of the chunk before, and a zero on each side.
            let x: Tensor<5> = random([1, c, s["t"] + 2, s["h"], s["w"]]);
            let (w, bias): (Tensor<5>, Tensor<1>) = (random([c, c, 3, 3, 3]), random([c]));
            timed(|| {
                let options = ConvOptions::new([1, 1, 1], [0, 1, 1], [1, 1, 1], 1);
                conv3d(x.clone(), w.clone(), Some(bias.clone()), options)
            })
        }
    }
}

fn timed<const D: usize>(run: impl Fn() -> Tensor<D>) -> Vec<f64> {
    let once = || {
        let start = Instant::now();
        // One number is enough: it depends on the whole kernel.
        let _ = run().slice(std::array::from_fn::<_, D, _>(|_| 0..1)).into_data();
        start.elapsed().as_secs_f64()
    };
    // The first runs choose among kernels.
    for _ in 0..3 {
        once();
    }
    let (mut seconds, mut total) = (Vec::new(), 0.0);
    while seconds.len() < MOST && (total < SECONDS || seconds.len() < LEAST) {
        seconds.push(once());
        total += seconds[seconds.len() - 1];
    }
    seconds.sort_by(f64::total_cmp);
    seconds
}

fn spread(sorted: &[f64]) -> Value {
    let at = |share: f64| sorted[(share * (sorted.len() - 1) as f64).round() as usize];
    json!({
        "median": at(0.5), "min": at(0.0), "max": at(1.0), "lower_quartile": at(0.25),
        "upper_quartile": at(0.75), "samples": sorted.len()
    })
}
