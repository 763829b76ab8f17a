//! Times linear layers or convolutions of one shape: each tile of the device's tiers, and other texts of the kernel, in
//! one run.
//!
//! `cargo run -p kinora-runtime --example products -- SHAPE FORMAT [f32|f16] [OTHER.wgsl …]`
//!
//! SHAPE is MxNxK; or TxHxWxCxO: causal convolutions of 3x3x3 taps from C to O channels, two frames being cached.
//!
//! A text has the kernel's bindings; its first line, `// tile ROWS COLUMNS`, says what a workgroup makes of the output.
//! With `--print` the kernels' own texts go to standard output instead, to start one from.

use kinora_quant::DType;
use kinora_runtime::Device;
use kinora_shaders::conv3d::{self, Conv3d};
use kinora_shaders::linear::{self, Arithmetic, Epilogue, FEW_ROWS, Linear, Tile};
use kinora_shaders::{Activation, Call, Factors, Kernel, WeightType};

const ROUNDS: usize = 15;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let print = arguments.iter().position(|a| a == "--print");
    if let Some(print) = print {
        arguments.remove(print);
    }
    let usage = "usage: products MxNxK|TxHxWxCxO FORMAT [f32|f16] [OTHER.wgsl …] [--print]";
    let [shape, format, rest @ ..] = &arguments[..] else {
        return Err(usage.into());
    };
    let shape = shape.split('x').map(str::parse).collect::<Result<Vec<u32>, _>>()?;
    let weight = DType::all()
        .find(|t| t.name().eq_ignore_ascii_case(format))
        .and_then(WeightType::from_dtype)
        .ok_or_else(|| format!("no kernel reads weights of type {format}"))?;
    let (round, texts) = match rest {
        [precision, texts @ ..] => (precision == "f16", texts),
        [] => (false, rest),
    };
    let device = Device::open(None)?;
    let features = device.capabilities().features;
    // Rows and columns of the output.
    let [m, n] = match shape[..] {
        [m, n, _] => [m, n],
        [t, h, w, _, o] => [t * h * w, o],
        _ => return Err(usage.into()),
    };
    let linear = |tile, factors| Linear {
        arithmetic: Arithmetic::Float { weight, factors },
        epilogue: Epilogue::Activation(Activation::None),
        tile,
    };
    let conv3d = |tile, factors| Conv3d {
        weight,
        factors,
        tile,
        by_fours: shape[3].is_multiple_of(4),
    };
    let shader = |tile, factors| match shape.len() {
        3 => linear(tile, factors).shader(),
        _ => conv3d(tile, factors).shader(),
    };
    let factors = Factors::ALL
        .into_iter()
        .filter(|f| f.rounded() == round && features.cover(f.needs()));
    let variants: Vec<(Tile, Factors)> = factors
        .flat_map(|f| Tile::ALL.map(|t| (t, f)))
        .filter(|(t, f)| !t.in_registers() || *f == f.in_registers())
        .filter(|(t, _)| match t {
            Tile::FewRows => shape.len() == 3 && m <= FEW_ROWS,
            Tile::Lanes => features.subgroup8 && (shape.len() == 5 || shape[2].is_multiple_of(4)),
            Tile::FewLanes => features.subgroup8 && shape.len() == 3 && shape[2].is_multiple_of(4),
            _ => true,
        })
        .collect();
    if print.is_some() {
        for (tile, factors) in variants {
            let shader = shader(tile, factors);
            println!("// {}\n{}", shader.name, shader.source);
        }
        return Ok(());
    }
    println!("{}, {shape:?}", device.description());
    let (tile, factors) = variants[0];
    let base = match shape[..] {
        [frames, height, width, channels, _] => conv3d::Case {
            kernel: conv3d(tile, factors),
            input: [2, frames, height, width],
            taps: [3, 3, 3, channels],
            channels: n,
            stride: [1; 3],
            padding: [0, 1, 1, 1, 1],
            flags: 0,
            sliced: false,
        }
        .call(1),
        _ => linear::Case {
            kernel: linear(tile, factors),
            shape: [m, n, shape[2]],
            flags: 0,
            sliced: false,
        }
        .call(1),
    };
    let mut calls: Vec<Call> = Vec::new();
    for (tile, factors) in variants {
        let mut call_of = base.clone();
        call_of.shader = shader(tile, factors);
        call_of.workgroups = tile.workgroups(factors, m, n);
        call_of.name.clone_from(&call_of.shader.name);
        calls.push(call_of);
    }
    for path in texts {
        let mut call = base.clone();
        call.shader.source = std::fs::read_to_string(path)?;
        call.shader.name.clone_from(path);
        call.name.clone_from(path);
        let line = call.shader.source.lines().next().unwrap_or_default();
        let tile: Vec<u32> = line.split_whitespace().filter_map(|w| w.parse().ok()).collect();
        let [rows, columns] = tile[..] else {
            return Err(format!("{path} must begin with `// tile ROWS COLUMNS`").into());
        };
        call.workgroups = [n.div_ceil(columns), m.div_ceil(rows), 1];
        calls.push(call);
    }
    let mut probes = Vec::new();
    for call in &calls {
        let probe = device.probe(&call.shader, &call.params, call.workgroups, &call.operands)?;
        let warm = probe.run(1)?;
        let error = call.error(&probe.read(call.out)?);
        println!(
            "{}: error {error:.1e}, first run {:.1} ms",
            call.name,
            1e3 * warm.device
        );
        probes.push((probe, Vec::new()));
    }
    for _ in 0..ROUNDS {
        for (probe, times) in &mut probes {
            times.push(probe.run(1)?.device);
        }
    }
    // Whatever else the machine does only adds time: the least is what the kernel takes.
    let mut first = None;
    for (call, (_, times)) in calls.iter().zip(&mut probes) {
        times.sort_by(f64::total_cmp);
        let [least, median] = [times[0], times[ROUNDS / 2]];
        let first = *first.get_or_insert(least);
        println!(
            "{:9.3} ms (median {:9.3})  {:7.2} GFLOP/s  x{:.2}  {}",
            1e3 * least,
            1e3 * median,
            call.flops / least / 1e9,
            first / least,
            call.name
        );
    }
    Ok(())
}
