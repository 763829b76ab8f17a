//! The JSON of a benchmark. `benches/README.md` documents it; a change of meaning is a new [`SCHEMA`].

use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::spread::Spread;

/// Version of the format.
pub const SCHEMA: u32 = 1;

/// A run of `kinora bench`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Program and version.
    pub tool: String,
    /// Seconds since 1970 when it began.
    pub started: u64,
    /// Whether everything asked for was measured; `false` after Ctrl-C.
    pub complete: bool,
    /// What was measured.
    pub device: DeviceInfo,
    /// The machine around it.
    pub host: HostInfo,
    /// What was asked for.
    pub options: Options,
    /// What the device can do at best.
    pub ceilings: Vec<Ceiling>,
    /// What it did.
    pub rows: Vec<Row>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// Name that the driver gives.
    pub name: String,
    /// Vulkan, Metal or DX12.
    pub backend: String,
    /// discrete, integrated, virtual or software.
    pub class: String,
    /// Driver and version.
    pub driver: String,
    /// Bytes of its memory, where the driver tells.
    pub memory: Option<u64>,
    /// Most bytes that a kernel sees of a buffer.
    pub max_binding: u64,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostInfo {
    /// Operating system.
    pub os: String,
    /// Instruction set.
    pub arch: String,
    /// Threads that run at once.
    pub threads: usize,
}

/// Options of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Kinds of rows.
    pub targets: Vec<String>,
    /// Reduced shapes.
    pub quick: bool,
    /// `f32` or `f16`: arithmetic of products.
    pub precision: String,
    /// Types of weights.
    pub formats: Vec<String>,
    /// Models; all where empty.
    pub models: Vec<String>,
    /// Part of the ids of rows.
    pub filter: Option<String>,
}

/// What times were taken with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// The device's own.
    Device,
    /// The host's, from submission to completion.
    Wall,
}

/// The best that a part of the machine was seen to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// E.g. `peak.f32`, `copy`, `upload`.
    pub name: String,
    /// Rate in `unit`, or seconds: the best sample.
    pub value: f64,
    /// `op/s`, `B/s` or `s`.
    pub unit: String,
    /// Seconds of a sample.
    pub seconds: Spread,
}

/// One thing that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Unique in a report and the same in the next one: kind, model, size, name, format, shape.
    pub id: String,
    /// gemm, attention, conv3d, norms, upload, block, step or vae.
    pub kind: String,
    /// The model whose shape it is, or `-`.
    pub model: String,
    /// Which part of it.
    pub name: String,
    /// Type of the weights, or `-`.
    pub format: String,
    /// The shape that was run, e.g. `m=27280 n=3072 k=3072`.
    pub shape: String,
    /// Whether that shape is smaller than the model's (`--quick`).
    pub reduced: bool,
    /// Multiplications and additions.
    pub flops: u64,
    /// Bytes that must be read and written at least once.
    pub bytes: u64,
    /// The result; none where there is an error.
    pub measured: Option<Measured>,
    /// Why there is no result.
    pub error: Option<String>,
}

/// A result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Seconds of one run.
    pub seconds: Spread,
    /// What they were taken with.
    pub clock: Clock,
    /// Dispatches of one run.
    pub dispatches: usize,
    /// Seconds that the host took to encode and submit a dispatch.
    pub host_seconds_per_dispatch: f64,
    /// Bytes of device memory that were held at most.
    pub memory: u64,
    /// How near to the device's limits the median is.
    pub limit: Option<Limit>,
    /// Whether the result was right.
    pub check: Check,
    /// Where the time of a whole graph went, slowest first; empty for single operations.
    pub parts: Vec<Part>,
}

impl Measured {
    /// What the host takes to encode and submit a run, over the time of a run.
    pub fn host_share(&self) -> f64 {
        self.host_seconds_per_dispatch * self.dispatches as f64 / self.seconds.median
    }
}

/// The lower of arithmetic and memory: what a row could be at best.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Name of the ceiling that binds.
    pub ceiling: String,
    /// Seconds at that ceiling.
    pub seconds: f64,
    /// That over the median.
    pub fraction: f64,
}

/// A comparison with the processor's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Numbers that were compared; 0 where the result was only checked to be finite.
    pub compared: usize,
    /// Numbers that the result has.
    pub of: usize,
    /// Largest difference over the largest expected number.
    pub error: f64,
    /// Most that is allowed.
    pub tolerance: f64,
    /// The same difference from what the operation approximates, where it does: int8 attention from float attention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method_error: Option<f64>,
    /// Whether `error` is within `tolerance`.
    pub passed: bool,
}

/// Operations of one kind in a graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Kind of operation.
    pub op: String,
    /// How many there are.
    pub count: usize,
    /// Seconds of all together.
    pub seconds: f64,
    /// Multiplications and additions.
    pub flops: u64,
    /// Least traffic.
    pub bytes: u64,
}

impl Report {
    /// Reads a report.
    ///
    /// # Errors
    /// Where the file cannot be read, is no report, or has another schema.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        let version: Version = serde_json::from_str(&text)
            .with_context(|| format!("{shown} is no report of `kinora bench` (its JSON has no `schema`)"))?;
        if version.schema != SCHEMA {
            bail!(
                "{shown} has schema {}, this version reads {SCHEMA}: compare it with the version that wrote it, or measure again",
                version.schema
            );
        }
        serde_json::from_str(&text).with_context(|| format!("{shown} is damaged"))
    }

    /// The rate of a ceiling.
    pub fn ceiling(&self, name: &str) -> Option<f64> {
        self.ceilings.iter().find(|c| c.name == name).map(|c| c.value)
    }
}

impl Row {
    /// Operations per second.
    pub fn flops_per_second(&self) -> Option<f64> {
        Some(self.flops as f64 / self.measured.as_ref()?.seconds.median)
    }

    /// Bytes per second.
    pub fn bytes_per_second(&self) -> Option<f64> {
        Some(self.bytes as f64 / self.measured.as_ref()?.seconds.median)
    }

    /// Operations per byte.
    pub fn intensity(&self) -> f64 {
        self.flops as f64 / (self.bytes as f64).max(1.0)
    }
}
