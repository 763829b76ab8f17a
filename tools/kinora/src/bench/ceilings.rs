//! What the device and its bus can do at best.

use std::hint::black_box;
use std::time::Instant;

use anyhow::ensure;
use kinora_runtime::Device;
use kinora_shaders::Kernel;
use kinora_shaders::copy::{self, Copy};
use kinora_shaders::peak::{self, Peak};

use super::numbers::random;
use super::report::Ceiling;
use super::session::{Outcome, Session};
use super::spread::Spread;
use super::text;
use crate::interrupt;

/// Rounds of an invocation of arithmetic: starting it costs nothing beside them.
const ROUNDS: u32 = 256;

/// Workgroups to begin with, and most.
const GROUPS: [u32; 2] = [16, 1 << 16];

/// Seconds that it should run: long enough for clocks to rise, shorter than a time slice.
const LONG: f64 = 0.02;

/// Samples of each ceiling.
const SAMPLES: usize = 7;

/// Dispatches that are counted together.
const DISPATCHES: usize = 1000;

/// Bytes that leave every cache.
fn large(session: &Session<'_>) -> usize {
    let most = session.device.capabilities().max_binding;
    let wanted = if session.report.options.quick {
        64 << 20
    } else {
        512 << 20
    };
    most.min(wanted) as usize / 16 * 16
}

/// Measures all ceilings.
pub(super) fn measure(session: &mut Session<'_>) -> Outcome {
    for kernel in Peak::all() {
        let name = match kernel {
            Peak::Dot4 => "peak.int8".to_owned(),
            _ => kernel.shader().name,
        };
        if session.device.supports(&kernel.shader()) {
            let seconds = peak(&session.device, kernel)?;
            add(session, &name, "op/s", seconds)?;
        }
    }
    let bytes = large(session);
    let numbers = random(&[bytes / 4], 1.0, 9);
    let data = numbers.bytes();
    let seconds = copied(&session.device, data)?;
    add(session, "copy", "B/s", (2.0 * bytes as f64, seconds))?;
    let seconds = times(|| Ok(session.device.time_upload(data)?))?;
    add(session, "upload", "B/s", (bytes as f64, seconds))?;
    let mut to = vec![0u8; bytes];
    let seconds = times(|| {
        let start = Instant::now();
        black_box(&mut to).copy_from_slice(black_box(data));
        Ok(start.elapsed().as_secs_f64())
    })?;
    add(session, "memcpy", "B/s", (bytes as f64, seconds))?;
    dispatches(session)
}

/// Keeps and shows a ceiling: `work` units in each of `seconds`.
fn add(session: &mut Session<'_>, name: &str, unit: &str, (work, seconds): (f64, Spread)) -> Outcome {
    let value = if unit == "s" { seconds.min } else { work / seconds.min };
    let ceiling = Ceiling {
        name: name.to_owned(),
        value,
        unit: unit.to_owned(),
        seconds,
    };
    writeln!(session.out, "{}", text::ceiling(&ceiling))?;
    session.report.ceilings.push(ceiling);
    Ok(())
}

/// Several samples, after one that nobody counts.
fn times(mut sample: impl FnMut() -> anyhow::Result<f64>) -> anyhow::Result<Spread> {
    let mut samples = Vec::new();
    for index in 0..=SAMPLES {
        if interrupt::requested() {
            return Err(kinora_graph::Error::Cancelled.into());
        }
        let seconds = sample()?;
        if index > 0 {
            samples.push(seconds);
        }
    }
    Ok(Spread::of(samples))
}

/// Operations, and seconds that they took.
fn peak(device: &Device, kernel: Peak) -> anyhow::Result<(f64, Spread)> {
    check(device, &peak::cases(), kernel)?;
    let mut groups = GROUPS[0];
    loop {
        let params = kernel.params(groups, ROUNDS);
        let (bytes, workgroups) = (bytemuck::bytes_of(&params), kernel.workgroups(&params));
        let out = vec![0; (groups * peak::INVOCATIONS * 4) as usize];
        let probe = device.probe(&kernel.shader(), bytes, workgroups, &[out])?;
        // The first run may compile.
        probe.run(1)?;
        let seconds = probe.run(1)?.device.max(1e-6);
        if seconds >= LONG / 2.0 || groups == GROUPS[1] {
            let seconds = times(|| Ok(probe.run(1)?.device))?;
            return Ok((kernel.operations(&params), seconds));
        }
        // A few groups leave much of a large device idle, and say little of how long many take.
        let more = (LONG / seconds).clamp(2.0, 16.0);
        groups = ((f64::from(groups) * more) as u32).min(GROUPS[1]);
    }
}

/// The kernel of arithmetic against its plain version.
fn check(device: &Device, cases: &[peak::Case], kernel: Peak) -> Outcome {
    for case in cases.iter().filter(|case| case.kernel == kernel) {
        let call = case.call(1);
        let probe = device.probe(&call.shader, &call.params, call.workgroups, &call.operands)?;
        probe.run(1)?;
        let found = probe.read(call.out)?;
        let error = call.error(&found);
        ensure!(
            error <= call.tolerance.max(f32::EPSILON),
            "{} is wrong on this device (error {error:e}): update the driver",
            call.name
        );
    }
    Ok(())
}

fn copied(device: &Device, data: &[u8]) -> anyhow::Result<Spread> {
    let params = copy::Params {
        count: (data.len() / 16) as u32,
        ..copy::Params::default()
    };
    let bytes = bytemuck::bytes_of(&params);
    let zeros = vec![0; data.len()];
    let probe = device.probe(&Copy.shader(), bytes, Copy.workgroups(&params), &[data.to_vec(), zeros])?;
    let seconds = times(|| Ok(probe.run(1)?.device))?;
    ensure!(
        probe.read(1)? == data,
        "a copy on this device differs from its source: update the driver"
    );
    Ok(seconds)
}

/// What a dispatch costs that does nothing, on the device and on the host, and a submission with a wait.
fn dispatches(session: &mut Session<'_>) -> Outcome {
    let params = copy::Params {
        count: 1,
        ..copy::Params::default()
    };
    let bytes = bytemuck::bytes_of(&params);
    let device = session.device.clone();
    let probe = device.probe(
        &Copy.shader(),
        bytes,
        Copy.workgroups(&params),
        &[vec![0; 16], vec![0; 16]],
    )?;
    let each = |seconds: f64| seconds / DISPATCHES as f64;
    let on_device = times(|| Ok(each(probe.run(DISPATCHES)?.device)))?;
    add(session, "dispatch.device", "s", (1.0, on_device))?;
    let on_host = times(|| Ok(each(probe.run(DISPATCHES)?.host)))?;
    add(session, "dispatch.host", "s", (1.0, on_host))?;
    let submission = times(|| {
        let start = Instant::now();
        probe.run(1)?;
        Ok(start.elapsed().as_secs_f64())
    })?;
    add(session, "submission", "s", (1.0, submission))
}
