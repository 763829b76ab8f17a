//! One file in, one file out: tensor by tensor, a few rows at a time.

use std::collections::BTreeMap;
use std::path::Path;

use kinora_models::wan::names::{self, Part};
use kinora_quant::{DType, Tensor, TensorInfo, Weights};
use rayon::prelude::*;

use super::output::Output;
use super::{Error, Target};

/// Elements that are decoded at a time: 16 MiB of `f32`.
const PIECE: usize = 4 << 20;

/// What to do.
pub struct Quantize<'a> {
    /// The tensors, under the names that their file has.
    pub weights: &'a dyn Weights,
    /// The file to write.
    pub output: &'a Path,
    /// Type of the matrices.
    pub target: Target,
    /// Replace an existing file.
    pub force: bool,
    /// Take matrices that are quantised already.
    pub requantize: bool,
}

/// What became of a tensor.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// The type that it had.
    pub from: DType,
    /// The type that it has; `None` where it was left out.
    pub to: Option<DType>,
    /// Whether it is a matrix that stayed larger because its rows are no whole blocks.
    pub unfit: bool,
    /// Its errors, where it was changed.
    pub error: Option<Totals>,
}

/// Sizes and errors of a tensor or of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Bytes before.
    pub read: u64,
    /// Bytes after.
    pub written: u64,
    /// Sum of the squares of the values.
    pub square: f64,
    /// Sum of the squares of the errors.
    pub error: f64,
    /// The largest error.
    pub max: f32,
}

impl Totals {
    /// Root of the mean square error over that of the values; 0 for zeros that stayed zeros.
    pub fn relative_rms(&self) -> f64 {
        if self.error == 0.0 {
            0.0
        } else {
            (self.error / self.square).sqrt()
        }
    }

    /// Adds those of another run of elements.
    pub fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.written += other.written;
        self.square += other.square;
        self.error += other.error;
        self.max = self.max.max(other.max);
    }
}

/// Writes the file. `tell` hears of each finished tensor and of the bytes read since it last heard; it stops the work
/// by returning false. Memory is bounded by a few pieces of 16 MiB.
///
/// # Errors
/// [`Error`]; no file is left then.
pub fn quantize(job: &Quantize<'_>, tell: &mut dyn FnMut(u64, Option<Line>) -> bool) -> Result<Totals, Error> {
    let weights = job.weights;
    let part = names::detect(weights).ok_or_else(|| Error::Source {
        origin: weights.origin(),
        why: "it is no part of a model that Kinora knows (transformer, text encoder or autoencoder)".to_owned(),
    })?;
    let container = job.target.container_of(job.output)?;
    let mut plan = BTreeMap::new();
    let mut tensors = BTreeMap::new();
    for name in weights.names() {
        let info = weights.info(&name).ok_or_else(|| weights.missing(&name))?;
        if !job.requantize && is_quantised(info.dtype) {
            return Err(Error::Quantised {
                origin: weights.origin(),
                tensor: name,
                dtype: info.dtype.name(),
            });
        }
        let to = job.target.dtype_of(part, &name, &info, container);
        if let Some((dtype, _)) = to {
            let shape = info.shape.clone();
            tensors.insert(name.clone(), TensorInfo { dtype, shape });
        }
        plan.insert(name, (info, to));
    }
    check_worth(job, part, &tensors)?;
    let mut output = Output::create(job.output, container, &tensors, part, job.force)?;
    let mut totals = Totals::default();
    for (name, (info, to)) in plan {
        let mut line = Line {
            name,
            from: info.dtype,
            to: to.map(|(dtype, _)| dtype),
            unfit: to.is_some_and(|(_, unfit)| unfit),
            error: None,
        };
        if let Some((dtype, _)) = to {
            let mut heard = |bytes| tell(bytes, None);
            let of_tensor = convert(weights, &line.name, &info, dtype, &mut output, &mut heard)?;
            totals.add(&of_tensor);
            line.error = (dtype != info.dtype).then_some(of_tensor);
        }
        if !tell(0, Some(line)) {
            return Err(Error::Cancelled);
        }
    }
    // A source that was changed meanwhile would have given a mixture.
    weights.check()?;
    output.finish()?;
    Ok(totals)
}

fn is_quantised(dtype: DType) -> bool {
    !matches!(dtype, DType::F32 | DType::F16 | DType::BF16 | DType::F64) && dtype.is_float()
}

/// A file of which nothing is quantised would carry a wrong name.
fn check_worth(job: &Quantize<'_>, part: Part, tensors: &BTreeMap<String, TensorInfo>) -> Result<(), Error> {
    if tensors.values().any(|info| info.dtype == job.target.dtype) {
        return Ok(());
    }
    Err(Error::Source {
        origin: job.weights.origin(),
        why: match part {
            Part::Vae => {
                "an autoencoder is not quantised: it is small, and its errors are seen; f16 and bf16 work".to_owned()
            }
            _ => format!(
                "none of its matrices can be {}: their rows are no whole blocks",
                job.target.name
            ),
        },
    })
}

/// Copies or converts one tensor. Returns its sizes and errors.
fn convert(
    weights: &dyn Weights,
    name: &str,
    info: &TensorInfo,
    dtype: DType,
    output: &mut Output,
    tell: &mut dyn FnMut(u64) -> bool,
) -> Result<Totals, Error> {
    let mut totals = Totals::default();
    let absmax = if dtype.has_tensor_scale() {
        absmax(weights, name, info)?
    } else {
        0.0
    };
    for_pieces(weights, name, info, &mut |piece| {
        let read = piece.data.len() as u64;
        if dtype == info.dtype {
            output.append(name, &piece.data)?;
            totals.add(&Totals {
                read,
                written: read,
                ..Totals::default()
            });
        } else {
            for (bytes, of_run) in encode(&piece, dtype, absmax)? {
                output.append(name, &bytes)?;
                totals.add(&of_run);
            }
            totals.read += read;
        }
        if tell(read) { Ok(()) } else { Err(Error::Cancelled) }
    })?;
    Ok(totals)
}

/// Calls `each` with runs of rows of the tensor, in order.
fn for_pieces(
    weights: &dyn Weights,
    name: &str,
    info: &TensorInfo,
    each: &mut dyn FnMut(Tensor<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let (rows, row) = match info.shape.split_first() {
        None | Some((0, _)) => return each(weights.tensor(name)?),
        Some(shape) => shape,
    };
    let step = (PIECE / row.iter().product::<usize>().max(1)).max(1);
    for begin in (0..*rows).step_by(step) {
        each(weights.rows(name, begin..(begin + step).min(*rows))?)?;
    }
    Ok(())
}

/// The largest magnitude of the tensor.
fn absmax(weights: &dyn Weights, name: &str, info: &TensorInfo) -> Result<f32, Error> {
    let mut most = 0.0f32;
    for_pieces(weights, name, info, &mut |piece| {
        let values = piece.to_f32()?;
        most = most.max(values.par_iter().map(|value| value.abs()).reduce(|| 0.0, f32::max));
        Ok(())
    })?;
    Ok(most)
}

/// Encodes a run of rows on all processors: the bytes of each sub-run in order, with its errors.
fn encode(piece: &Tensor<'_>, dtype: DType, absmax: f32) -> Result<Vec<(Vec<u8>, Totals)>, Error> {
    let values = piece.to_f32()?;
    let k = piece.info.shape.last().copied().unwrap_or(1).max(1);
    let rows = (values.len() / k).div_ceil(4 * rayon::current_num_threads()).max(1);
    let runs = values.par_chunks(rows * k).map(|run| {
        let bytes = dtype.encode_rows(k, run, absmax)?;
        let mut back = vec![0.0; run.len()];
        dtype.decode(k, &bytes, &mut back);
        let mut totals = Totals {
            written: bytes.len() as u64,
            ..Totals::default()
        };
        for (value, back) in run.iter().zip(&back) {
            let error = (value - back).abs();
            totals.square += f64::from(*value).powi(2);
            totals.error += f64::from(error).powi(2);
            totals.max = totals.max.max(error);
        }
        Ok((bytes, totals))
    });
    runs.collect()
}
