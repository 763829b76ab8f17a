//! Weights on the device, shared by the programs that use them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use kinora_graph::{Error, Graph, MatrixLayout, Op, Result};
use kinora_quant::Weights;
use kinora_shaders::WeightType;

use crate::device::{Allocation, Device, STAGE, Staged};
use crate::plan::{Fixed, Plan, Source, TensorRows, Weight};

/// Bytes of a record that are read at a time: they stay in the processor's cache until they are copied on.
const RUN: usize = 256 << 10;

/// A weight that stays on the device.
pub(super) struct Held {
    pub(super) buffer: Allocation,
    loaded: AtomicBool,
    // Keeps the address by which the weight is found from being used again.
    _weights: Arc<dyn Weights>,
}

impl Held {
    /// Whether its bytes are there, or on their way before any later work.
    pub(super) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Relaxed)
    }

    pub(super) fn set_loaded(&self) {
        self.loaded.store(true, Ordering::Relaxed);
    }
}

/// What is on the device now: by address of the weights object and place in it.
#[derive(Default)]
pub(super) struct Store {
    held: HashMap<(usize, Weight), Weak<Held>>,
}

fn key(weights: &Arc<dyn Weights>, weight: &Weight) -> (usize, Weight) {
    (Arc::as_ptr(weights).cast::<()>() as usize, weight.clone())
}

impl Store {
    /// Whether a program holds the weight.
    pub(super) fn has(&self, weights: &Arc<dyn Weights>, weight: &Weight) -> bool {
        let held = self.held.get(&key(weights, weight));
        held.is_some_and(|held| held.strong_count() > 0)
    }

    /// The weight's buffer, with nothing in it yet where no program had it.
    pub(super) fn get(&mut self, device: &Device, weights: &Arc<dyn Weights>, weight: &Weight) -> Result<Arc<Held>> {
        let key = key(weights, weight);
        if let Some(held) = self.held.get(&key).and_then(Weak::upgrade) {
            return Ok(held);
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let what = format!("weight `{}`", weight.name());
        let held = Arc::new(Held {
            buffer: device.buffer(&what, weight.bytes(), usage)?,
            loaded: AtomicBool::new(false),
            _weights: weights.clone(),
        });
        self.held.insert(key, Arc::downgrade(&held));
        Ok(held)
    }

    /// Forgets weights that no program uses any more.
    pub(super) fn sweep(&mut self) {
        self.held.retain(|_, held| held.strong_count() > 0);
    }
}

/// Rows of a weight that are staged and copied together.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// Index into [`Plan::weights`].
    pub(super) weight: usize,
    /// Rows of a tensor.
    rows: TensorRows,
    /// The last of that tensor.
    ends: bool,
    /// First byte within the weight.
    pub(super) offset: u64,
    /// Bytes.
    pub(super) size: u64,
    /// When it can be copied: see [`crate::plan::Upload`].
    pub(super) window: Range<usize>,
    /// The weight is complete with it.
    pub(super) last: bool,
}

/// The pieces of a weight, in order.
pub(super) fn pieces(plan: &Plan, index: usize, window: &Range<usize>) -> Result<Vec<Piece>> {
    let weight = &plan.weights[index];
    let row = weight.row_bytes().max(1);
    // Four rows are a multiple of four bytes.
    let step = (STAGE as usize / row) / 4 * 4;
    if step == 0 {
        return Err(Error::OutOfMemory {
            what: format!("a row of `{}`", weight.name()),
            needed: row as u64,
            available: STAGE / 4,
            remedy: "no known model has such rows; the file may be damaged".into(),
        });
    }
    let (mut pieces, mut offset) = (Vec::new(), 0);
    for part in &weight.parts {
        for start in part.rows.clone().step_by(step) {
            let rows = start..(start + step).min(part.rows.end);
            let size = (rows.len() * row) as u64;
            pieces.push(Piece {
                weight: index,
                ends: rows.end == part.rows.end,
                rows: TensorRows {
                    name: part.name.clone(),
                    rows,
                },
                offset,
                size,
                window: window.clone(),
                last: false,
            });
            offset += size;
        }
    }
    if let Some(piece) = pieces.last_mut() {
        piece.last = true;
    }
    Ok(pieces)
}

/// Writes a piece as the kernels want it.
pub(super) fn fill(plan: &Plan, weights: &dyn Weights, piece: &Piece, staged: &mut Staged) -> Result<()> {
    stage(plan, weights, piece, staged)?;
    if piece.ends {
        weights.release(&piece.rows.name);
    }
    Ok(())
}

fn stage(plan: &Plan, weights: &dyn Weights, piece: &Piece, staged: &mut Staged) -> Result<()> {
    let weight = &plan.weights[piece.weight];
    let TensorRows { name, rows } = &piece.rows;
    let info = weights.info(name).ok_or_else(|| weights.missing(name))?;
    // Some types differ in name alone: an int8 matrix is read alike whether its rows were rotated or not.
    let as_stored = WeightType::from_dtype(info.dtype).is_some_and(|read| read.dtype() == weight.dtype);
    // A file may have unit dimensions in front; then rows cannot be asked for.
    let by_rows = info.shape.first().is_some_and(|n| n * weight.k == info.elements());
    if as_stored && by_rows && !weight.layout.moves_elements() && info.dtype.format().tail.is_some() {
        // Records are put together from several tensors.
        let step = (RUN / weight.row_bytes()).max(1);
        let mut run = vec![0; step * weight.row_bytes()];
        for start in rows.clone().step_by(step) {
            let rows = start..(start + step).min(rows.end);
            let run = &mut run[..rows.len() * weight.row_bytes()];
            weights.read_rows(name, rows, run)?;
            staged.write(run);
        }
        return Ok(());
    }
    let data = if by_rows {
        weights.rows(name, rows.clone())?.data
    } else {
        let row = info.dtype.row_bytes(weight.k).unwrap_or(0);
        let bytes = rows.start * row..rows.end * row;
        match weights.tensor(name)?.data {
            Cow::Borrowed(all) if bytes.end <= all.len() => Cow::Borrowed(&all[bytes]),
            Cow::Owned(all) if bytes.end <= all.len() => Cow::Owned(all[bytes].to_vec()),
            all => {
                return Err(kinora_quant::Error::Length {
                    dtype: info.dtype,
                    got: all.len(),
                    shape: info.shape,
                }
                .into());
            }
        }
    };
    if as_stored {
        staged.write(&ordered(&data, weight));
    } else {
        let mut values = vec![0f32; rows.len() * weight.k];
        info.dtype.decode(weight.k, &data, &mut values);
        staged.write(&ordered(bytemuck::cast_slice(&values), weight));
    }
    weights.check()?;
    Ok(())
}

/// Rows in the order of the kernels.
fn ordered<'a>(data: &'a [u8], weight: &Weight) -> Cow<'a, [u8]> {
    match weight.layout {
        MatrixLayout::ChannelsLast { channels, taps } if weight.layout.moves_elements() => {
            // What lies behind the elements (a scale) stays there.
            let mut out = data.to_vec();
            let (size, row) = (weight.dtype.format().block_bytes, weight.row_bytes());
            for (from, to) in data.chunks(row).zip(out.chunks_mut(row)) {
                for (tap, to) in to[..weight.k * size].chunks_mut(channels * size).enumerate() {
                    for (channel, to) in to.chunks_mut(size).enumerate() {
                        let at = (channel * taps + tap) * size;
                        to.copy_from_slice(&from[at..at + size]);
                    }
                }
            }
            Cow::Owned(out)
        }
        MatrixLayout::ChannelsLast { .. } | MatrixLayout::RowMajor => Cow::Borrowed(data),
    }
}

/// The contents of the buffer of parameters and constants, uploaded.
pub(super) fn upload_fixed(device: &Device, plan: &Plan, graph: &Graph, weights: &dyn Weights) -> Result<Allocation> {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
    let buffer = device.buffer("parameters and constants", plan.fixed_bytes, usage)?;
    for fixed in &plan.fixed {
        let values = contents(fixed, graph, weights)?;
        let part = &values[fixed.elements.clone()];
        device.upload(&buffer, fixed.offset, bytemuck::cast_slice(part))?;
    }
    Ok(buffer)
}

/// The whole constant that `fixed` is a part of.
fn contents<'g>(fixed: &Fixed, graph: &'g Graph, weights: &dyn Weights) -> Result<Cow<'g, [f32]>> {
    Ok(match &fixed.source {
        Source::Parameter(name) => Cow::Owned(weights.tensor(name)?.to_f32()?),
        Source::Constant(index) => match &graph.nodes()[*index].op {
            Op::Constant { data } => Cow::Borrowed(data.as_slice()),
            _ => unreachable!("the plan was made of this graph"),
        },
        Source::Fill(bits) => Cow::Owned(vec![f32::from_bits(*bits); fixed.elements.end]),
    })
}
