//! Weights made by rule instead of read from a file: tests of large models without large files.
//!
//! The rule, `splitmix64-u24-v1`: for the tensor `name`, flat row-major index `i` and 64-bit wrapping integers,
//! ```text
//! h = fnv1a64(name) ^ (seed * 0x9E3779B97F4A7C15)
//! z = splitmix64's output function of h + (i + 1) * 0x9E3779B97F4A7C15
//! u = (z >> 40) / 2^24
//! w = bf16(f32(mean + amp * (2u - 1)))        mean, amp and arithmetic in f64; roundings to nearest even
//! ```
//! Any range of elements can be made alone, so nothing is kept.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use crate::error::shown;
use crate::file::header::MAX_RANK;
use crate::json::{self, UniqueMap};
use crate::{DType, Error, Result, Tensor, TensorInfo, Weights};

/// The name of the rule.
const RULE: &str = "splitmix64-u24-v1";

/// The step of splitmix64, 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// One tensor's line of the rule.
#[derive(Clone, Debug)]
struct Line {
    info: TensorInfo,
    mean: f64,
    amp: f64,
}

/// Tensors in BF16 whose elements follow from their names; see the [module](self) for the rule. Bytes are made
/// when they are asked for, and owned by the caller.
#[derive(Clone, Debug)]
pub struct RuleWeights {
    origin: String,
    seed: u64,
    lines: BTreeMap<String, Line>,
}

/// [`RuleWeights`] that a program describes itself.
pub type SynthWeights = RuleWeights;

impl RuleWeights {
    /// Weights for tensors given as (name, shape, mean, amplitude): elements lie evenly in `mean ± amp`.
    ///
    /// # Panics
    /// If a shape has more bytes than an address space, a mean or amplitude is not finite, or a name comes twice:
    /// the caller's mistakes, unlike those of a file.
    pub fn new<N: Into<String>>(tensors: impl IntoIterator<Item = (N, Vec<usize>, f64, f64)>, seed: u64) -> Self {
        let mut lines = BTreeMap::new();
        for (name, shape, mean, amp) in tensors {
            let name = name.into();
            let line = Line::new(shape, mean, amp).unwrap_or_else(|e| panic!("tensor `{name}`: {e}"));
            assert!(
                lines.insert(name.clone(), line).is_none(),
                "tensor `{name}` is there twice"
            );
        }
        Self {
            origin: format!("rule {RULE}, seed {seed}"),
            seed,
            lines,
        }
    }

    /// Weights as a `weights.json` describes them:
    /// `{"rule": "splitmix64-u24-v1", "seed": 31, "tensors": {"name": [[384, 64], mean, amp], ..}}`.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] for broken JSON, another rule, a name that is there twice, a shape that is
    /// too large.
    pub fn from_json(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let weights = json::read(path, "rule file for weights", Self::parse_json)?;
        Ok(Self {
            origin: format!("rule file {}", path.display()),
            ..weights
        })
    }

    /// [`from_json`](Self::from_json) of bytes. A pure function, for fuzzers too.
    ///
    /// # Errors
    /// In words: what is wrong and with which tensor.
    pub fn parse_json(bytes: &[u8]) -> Result<Self, String> {
        #[derive(serde::Deserialize)]
        struct File {
            rule: String,
            seed: u64,
            tensors: UniqueMap<(Vec<usize>, f64, f64)>,
        }
        let file: File = json::parse(bytes)?;
        if file.rule != RULE {
            return Err(format!("its rule is `{}`; only `{RULE}` is known", shown(&file.rule)));
        }
        let mut lines = BTreeMap::new();
        for (name, (shape, mean, amp)) in file.tensors.0 {
            let line = Line::new(shape, mean, amp).map_err(|e| format!("tensor `{}`: {e}", shown(&name)))?;
            lines.insert(name, line);
        }
        Ok(Self {
            origin: format!("rule {RULE}, seed {}", file.seed),
            seed: file.seed,
            lines,
        })
    }

    fn line(&self, name: &str) -> Result<&Line> {
        self.lines.get(name).ok_or_else(|| self.missing(name))
    }

    /// BF16 bytes of the elements at flat indices `range`.
    fn make(&self, name: &str, line: &Line, range: Range<usize>) -> Result<Vec<u8>> {
        let bytes = 2 * range.len();
        let mut out = Vec::new();
        // A rule file of a hundred bytes can ask for any amount.
        if out.try_reserve_exact(bytes).is_err() {
            return Err(Error::Memory {
                origin: self.origin(),
                name: name.to_owned(),
                bytes,
            });
        }
        out.resize(bytes, 0);
        let start = fnv1a(name) ^ self.seed.wrapping_mul(GOLDEN);
        let mut z = start.wrapping_add((range.start as u64).wrapping_mul(GOLDEN));
        for element in out.as_chunks_mut().0 {
            z = z.wrapping_add(GOLDEN);
            let u = (mix(z) >> 40) as f64 / f64::from(1u32 << 24);
            *element = bf16(line.mean + line.amp * (2.0 * u - 1.0));
        }
        Ok(out)
    }
}

impl Line {
    fn new(shape: Vec<usize>, mean: f64, amp: f64) -> Result<Self, String> {
        let info = TensorInfo {
            dtype: DType::BF16,
            shape,
        };
        if info.shape.len() > MAX_RANK || info.checked_bytes().is_none() {
            return Err(format!(
                "its shape, with {} dimensions, is too large to exist",
                info.shape.len()
            ));
        }
        if !(mean.is_finite() && amp.is_finite()) {
            return Err(format!("mean {mean} and amplitude {amp} must be finite"));
        }
        Ok(Self { info, mean, amp })
    }
}

fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// The output function of splitmix64.
fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Rounds twice, to `f32` and then to BF16, because the rule does; no branch for NaN, which the rule cannot give.
fn bf16(value: f64) -> [u8; 2] {
    let bits = (value as f32).to_bits();
    let rounded = bits.wrapping_add(0x7FFF + ((bits >> 16) & 1));
    ((rounded >> 16) as u16).to_le_bytes()
}

impl Weights for RuleWeights {
    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.lines.get(name).map(|line| line.info.clone())
    }

    fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        let line = self.line(name)?;
        Tensor::new(
            DType::BF16,
            &line.info.shape,
            self.make(name, line, 0..line.info.elements())?,
        )
    }

    fn names(&self) -> Vec<String> {
        self.lines.keys().cloned().collect()
    }

    fn origin(&self) -> String {
        self.origin.clone()
    }

    fn rows(&self, name: &str, range: Range<usize>) -> Result<Tensor<'_>> {
        let line = self.line(name)?;
        let bytes = line.info.row_bytes(&range)?;
        let mut shape = line.info.shape.clone();
        shape[0] = range.len();
        Tensor::new(
            DType::BF16,
            &shape,
            self.make(name, line, bytes.start / 2..bytes.end / 2)?,
        )
    }
}
