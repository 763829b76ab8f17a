//! From outputs to a verdict.

use std::collections::BTreeMap;
use std::path::Path;

use kinora_graph::{Control, Executor, Precision};
use serde::Serialize;

use super::bisect::BisectExecutor;
use super::{Arithmetic, Bisect, Case, CaseError, Difference, Result, Tensors, Tolerance, compare, compute, supported};

/// Outputs of the reference that nothing here computes, because no render needs them: the mean and the variance of
/// an encoder's posterior in one tensor. The mean is compared on its own.
const NOT_COMPUTED: [&str; 1] = ["moments"];

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "why")]
pub enum Verdict {
    /// Every output is within the tolerance.
    Passed,
    /// An output is not.
    Failed(String),
    /// The case asks for what is not implemented.
    Unsupported(String),
    /// The case could not be run or read.
    Error(String),
    /// Ctrl-C.
    Cancelled,
}

impl Verdict {
    pub(super) fn of(error: CaseError) -> Self {
        match error {
            CaseError::Unsupported(why) => Self::Unsupported(why),
            CaseError::Model(kinora_models::Error::Graph(kinora_graph::Error::Cancelled)) => Self::Cancelled,
            error => Self::Error(error.to_string()),
        }
    }
}

/// One output against the reference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// The reference's name of it.
    pub output: String,
    /// How far it is from the reference.
    #[serde(flatten)]
    pub difference: Difference,
}

/// The second half of a verdict on rounded operands. Rounding those of every product to f16 moves a result by far
/// more than the case's tolerance allows, and by how much depends on the model; so the case also runs on the
/// processor with roundings in the same places, and
///
/// - every operation of that run, given to the device alone with the processor's operands, must give the
///   processor's result within [`super::Divergence::limit`], a tenth of one rounding to f16 (one rounding for attention
///   by matrix units, which rounds its probabilities too; of int8 attention, a part of the method's own error);
/// - the device's error against the reference, as a root mean square, must be at most [`Rounded::FACTOR`] times
///   the processor's (or its largest error within the case's own tolerance), and its cosine within the tolerance.
///
/// The two whole runs are not compared with each other. They sum in another order, so that sums next to the middle
/// between two f16 numbers are rounded apart; each such flip moves the operands after it and makes more of them flip,
/// until after some layers the runs are as far from each other as either is from the reference (measured: 0.4 to 1.5
/// times that). Operation by operation nothing can pile up, and the bound is far tighter. For the same reason the
/// whole runs' errors are compared as root mean squares: which single element ends up farthest off is chance (another
/// order of summation in one kernel moved the largest error of a pipeline to 2.5 times the processor's; the root mean
/// squares stayed equal to two digits).
///
/// The same holds for int8 scores, whose error is the method's and not the device's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rounded {
    /// The processor's run against the reference.
    pub cpu: Difference,
    /// The operations alone.
    pub operations: Bisect,
}

impl Rounded {
    /// Most that the error against the reference may be larger than the processor's.
    pub const FACTOR: f64 = 2.0;

    /// Largest rms_rel against the reference, where max_rel is not within the case's tolerance.
    pub fn limit(cpu: Difference) -> f64 {
        Self::FACTOR * cpu.rms_rel
    }
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaseResult {
    /// Name of its folder.
    pub case: String,
    /// How it ended.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The case's tolerance, where it could be read.
    pub tolerance: Option<Tolerance>,
    /// The worst figures of all outputs, where there were any.
    #[serde(flatten)]
    pub worst: Option<Difference>,
    /// Where operands are rounded: the processor's run.
    pub rounded: Option<Rounded>,
    /// Each output.
    pub outputs: Vec<Compared>,
    /// Outputs of the reference that nothing here computes.
    pub not_computed: Vec<String>,
    /// Wall time, reading included.
    pub seconds: f64,
}

impl CaseResult {
    pub(super) fn new(folder: &Path) -> Self {
        let name = folder
            .canonicalize()
            .ok()
            .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        Self {
            case: name.unwrap_or_else(|| folder.display().to_string()),
            verdict: Verdict::Cancelled,
            tolerance: None,
            worst: None,
            rounded: None,
            outputs: Vec::new(),
            not_computed: Vec::new(),
            seconds: 0.0,
        }
    }

    /// Whether every output is within the tolerance.
    pub fn passed(&self) -> bool {
        self.verdict == Verdict::Passed
    }
}

pub(super) fn judge(
    folder: &Path,
    executor: &mut dyn Executor,
    arithmetic: Arithmetic,
    control: &mut dyn Control,
    result: &mut CaseResult,
) -> Result<Verdict> {
    let description = supported(folder)?;
    let tolerance = description.tolerance;
    result.tolerance = Some(tolerance);
    let case = Case::open(folder, description, arithmetic.scores)?;
    let outputs = compute(&case, executor, control)?;
    let against_reference = compare_all(&case, &outputs, case.expected());
    let (compared, missing) = match against_reference {
        Ok(compared) => compared,
        Err(why) => return Ok(Verdict::Failed(why)),
    };
    let worst = worst(&compared);
    (result.outputs, result.not_computed, result.worst) = (compared, missing, Some(worst));

    let rounds = match case.description.module.as_str() {
        // What runs on no device rounds nothing.
        "sampler" => false,
        "transformer" | "pipeline" => arithmetic != Arithmetic::default(),
        // What has no self-attention of a transformer.
        _ => arithmetic.precision != Precision::F32,
    };
    if !rounds {
        return Ok(if worst.within(tolerance) {
            Verdict::Passed
        } else {
            Verdict::Failed(far(&result.outputs, tolerance))
        });
    }
    let mut both = BisectExecutor::new(executor, arithmetic.precision);
    let cpu = compute(&case, &mut both, control)?;
    let operations = both.finish();
    let cpu = match compare_all(&case, &cpu, case.expected()) {
        Ok((cpu, _)) => cpu,
        Err(why) => return Ok(Verdict::Failed(format!("the processor's run: {why}"))),
    };
    let first = operations.first.clone();
    result.rounded = Some(Rounded {
        cpu: self::worst(&cpu),
        operations,
    });
    for (device, cpu) in result.outputs.iter().zip(&cpu) {
        let (d, limit) = (device.difference, Rounded::limit(cpu.difference));
        // The cosine of a correct half-precision run is still within the tolerance.
        let near = d.max_rel <= tolerance.max_rel || d.rms_rel <= limit;
        if !(near && d.cosine >= tolerance.cosine) {
            return Ok(Verdict::Failed(format!(
                "`{}` rms_rel {:.1e} (limit {limit:.1e}) max_rel {:.1e} cosine {:.7}",
                device.output, d.rms_rel, d.max_rel, d.cosine
            )));
        }
    }
    if let Some(first) = first {
        return Ok(Verdict::Failed(format!("the first operation that differs: {first}")));
    }
    Ok(Verdict::Passed)
}

/// Every expected output, and the names of those that nothing here computes; or why they cannot be compared.
fn compare_all(case: &Case, actual: &Tensors, expected: &Tensors) -> Result<(Vec<Compared>, Vec<String>), String> {
    let mut by_name: BTreeMap<&str, _> = actual.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let (mut compared, mut missing) = (Vec::new(), Vec::new());
    for (name, expected) in expected {
        match by_name.remove(name.as_str()) {
            Some(actual) => {
                let difference = compare::difference(actual, expected, case.description.valid_rows());
                let difference = difference.map_err(|why| format!("`{name}`: {why}"))?;
                compared.push(Compared {
                    output: name.clone(),
                    difference,
                });
            }
            None if NOT_COMPUTED.contains(&name.as_str()) => missing.push(name.clone()),
            None => return Err(format!("the reference has an output `{name}`, which was not computed")),
        }
    }
    if let Some(name) = by_name.keys().next() {
        return Err(format!("`{name}` was computed, but the reference has no such output"));
    }
    if compared.is_empty() {
        return Err("the reference has no outputs to compare with".to_owned());
    }
    Ok((compared, missing))
}

fn worst(compared: &[Compared]) -> Difference {
    compared
        .iter()
        .fold(Difference::NONE, |worst, c| worst.worst(c.difference))
}

/// The outputs that are too far off, in words.
fn far(compared: &[Compared], tolerance: Tolerance) -> String {
    let far: Vec<String> = compared
        .iter()
        .filter(|c| !c.difference.within(tolerance))
        .map(|c| {
            format!(
                "`{}` max_rel {:.1e} cosine {:.7}",
                c.output, c.difference.max_rel, c.difference.cosine
            )
        })
        .collect();
    far.join(", ")
}
