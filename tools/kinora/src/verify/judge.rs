//! From outputs to a verdict.

use std::collections::BTreeMap;
use std::path::Path;

use kinora_cpu::CpuExecutor;
use kinora_graph::{Control, Executor, Precision};
use serde::Serialize;

use super::{Case, CaseError, Difference, Result, Tensors, Tolerance, compare, compute, supported};

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

/// The second half of a half-precision verdict. Rounding the operands of every product to f16 moves a result by far
/// more than the case's tolerance allows, and by how much depends on the model; so the case also runs on the
/// processor with roundings in the same places, and
///
/// - the device must be close to *that* run ([`HalfPrecision::CLOSE`]), and
/// - its error against the reference must be at most twice that run's (or within the case's own tolerance).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HalfPrecision {
    /// The processor's run against the reference.
    pub cpu: Difference,
    /// The device against the processor's run.
    pub apart: Difference,
}

impl HalfPrecision {
    /// Largest max_rel between device and processor. They round the same values in the same places, but sum in
    /// another order: a sum that lies next to the middle between two f16 numbers is then rounded to the other one,
    /// which changes a single operand by 2⁻¹¹ = 4.9e-4 of itself. A few such flips, each diluted in a sum, reach an
    /// element of the output; four undiluted ones would be this much.
    pub const CLOSE: f64 = 2e-3;

    /// Most that the error against the reference may be larger than the processor's.
    pub const FACTOR: f64 = 2.0;

    fn passes(&self, device: Difference, tolerance: Tolerance) -> bool {
        let limit = (Self::FACTOR * self.cpu.max_rel).max(tolerance.max_rel);
        // The cosine of a correct half-precision run is still within the tolerance.
        self.apart.max_rel <= Self::CLOSE && device.max_rel <= limit && device.cosine >= tolerance.cosine
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
    /// In half precision: the processor's run.
    pub half_precision: Option<HalfPrecision>,
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
            half_precision: None,
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
    precision: Precision,
    control: &mut dyn Control,
    result: &mut CaseResult,
) -> Result<Verdict> {
    let description = supported(folder)?;
    let tolerance = description.tolerance;
    result.tolerance = Some(tolerance);
    let case = Case::open(folder, description)?;
    let outputs = compute(&case, executor, control)?;
    let against_reference = compare_all(&case, &outputs, case.expected());
    let (compared, missing) = match against_reference {
        Ok(compared) => compared,
        Err(why) => return Ok(Verdict::Failed(why)),
    };
    let worst = worst(&compared);
    (result.outputs, result.not_computed, result.worst) = (compared, missing, Some(worst));

    // What runs on no device rounds nothing.
    if precision == Precision::F32 || case.description.module == "sampler" {
        return Ok(if worst.within(tolerance) {
            Verdict::Passed
        } else {
            Verdict::Failed(far(&result.outputs, tolerance))
        });
    }
    let cpu = compute(&case, &mut CpuExecutor::new(Precision::F16), control)?;
    let figures = compare_all(&case, &cpu, case.expected()).and_then(|c| Ok((c, compare_all(&case, &outputs, &cpu)?)));
    let (cpu, apart) = match figures {
        Ok(((cpu, _), (apart, _))) => (cpu, apart),
        Err(why) => return Ok(Verdict::Failed(format!("the processor's run: {why}"))),
    };
    result.half_precision = Some(HalfPrecision {
        cpu: self::worst(&cpu),
        apart: self::worst(&apart),
    });
    for ((device, cpu), apart) in result.outputs.iter().zip(&cpu).zip(&apart) {
        let half = HalfPrecision {
            cpu: cpu.difference,
            apart: apart.difference,
        };
        if !half.passes(device.difference, tolerance) {
            return Ok(Verdict::Failed(format!(
                "`{}` is {:.1e} from the reference (the processor's f16 run {:.1e}) and {:.1e} from that run",
                device.output, device.difference.max_rel, cpu.difference.max_rel, apart.difference.max_rel
            )));
        }
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
