//! Weights on the device, shared by the programs that use them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use kinora_graph::{Graph, MatrixLayout, Op, Result};
use kinora_quant::{DType, Weights};
use kinora_shaders::WeightType;

use crate::device::Device;
use crate::plan::{Fixed, Plan, Source, Weight};

/// Bytes that are prepared in host memory at a time.
const BLOCK: usize = 32 << 20;

/// A weight on the device.
pub(super) struct Held {
    pub(super) buffer: wgpu::Buffer,
    // Keeps the address by which the weight is found from being used again.
    _weights: Arc<dyn Weights>,
}

/// What is on the device now: by address of the weights object and place in it.
#[derive(Default)]
pub(super) struct Store {
    held: HashMap<(usize, Weight), Weak<Held>>,
}

impl Store {
    /// The weight, uploaded where no program has it yet.
    pub(super) fn get(&mut self, device: &Device, weights: &Arc<dyn Weights>, weight: &Weight) -> Result<Arc<Held>> {
        let key = (Arc::as_ptr(weights).cast::<()>() as usize, weight.clone());
        if let Some(held) = self.held.get(&key).and_then(Weak::upgrade) {
            return Ok(held);
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let what = format!("weight `{}`", weight.name);
        let buffer = device.buffer(&what, weight.bytes(), usage)?;
        upload(device, weights.as_ref(), weight, &buffer)?;
        let held = Arc::new(Held {
            buffer,
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

fn upload(device: &Device, weights: &dyn Weights, weight: &Weight, buffer: &wgpu::Buffer) -> Result<()> {
    let info = weights
        .info(&weight.name)
        .ok_or_else(|| weights.missing(&weight.name))?;
    // A file may have unit dimensions in front; then rows cannot be asked for.
    let by_rows = info.shape.first().is_some_and(|n| n * weight.k == info.elements());
    let whole = match by_rows {
        true => None,
        false => Some(weights.tensor(&weight.name)?),
    };
    // Four rows are a multiple of four bytes.
    let step = (BLOCK / weight.row_bytes().max(1)).max(1).next_multiple_of(4);
    for start in weight.rows.clone().step_by(step) {
        let range = start..(start + step).min(weight.rows.end);
        let part;
        let data: &[u8] = match &whole {
            None => {
                part = weights.rows(&weight.name, range.clone())?;
                &part.data
            }
            Some(whole) => {
                let row = info.dtype.row_bytes(weight.k).unwrap_or(0);
                let bytes = range.start * row..range.end * row;
                whole.data.get(bytes).ok_or(kinora_quant::Error::Length {
                    dtype: info.dtype,
                    shape: info.shape.clone(),
                    got: whole.data.len(),
                })?
            }
        };
        let mut bytes = prepared(data, info.dtype, weight);
        if !bytes.len().is_multiple_of(4) {
            let whole = bytes.len().next_multiple_of(4);
            bytes.to_mut().resize(whole, 0);
        }
        let offset = (start - weight.rows.start) * weight.row_bytes();
        device.upload(buffer, offset as u64, &bytes)?;
    }
    Ok(())
}

/// The bytes of some rows as the kernels want them.
fn prepared<'a>(data: &'a [u8], from: DType, weight: &Weight) -> Cow<'a, [u8]> {
    let as_stored = WeightType::from_dtype(from).is_some_and(|read| read.dtype() == weight.dtype);
    let data = if as_stored {
        Cow::Borrowed(data)
    } else {
        let rows = data.len() / from.row_bytes(weight.k).unwrap_or(1).max(1);
        let mut values = vec![0f32; rows * weight.k];
        from.decode(weight.k, data, &mut values);
        Cow::Owned(bytemuck::cast_slice(&values).to_vec())
    };
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
        MatrixLayout::ChannelsLast { .. } | MatrixLayout::RowMajor => data,
    }
}

/// The contents of the buffer of parameters and constants, uploaded.
pub(super) fn upload_fixed(device: &Device, plan: &Plan, graph: &Graph, weights: &dyn Weights) -> Result<wgpu::Buffer> {
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
