//! Products with weights: linear layers and convolutions.

use std::ops::Range;

use kinora_graph::{Conv3d, Epilogue, Linear, Matrix, Result, Value};
use kinora_shaders::linear::Tile;
use kinora_shaders::quantize_rows::{self, QuantizeRows};
use kinora_shaders::{Factors, WeightType, conv3d, flags, linear};

use super::super::chunk::share;
use super::super::emit::Emitter;
use super::super::view::View;
use super::super::{TensorRows, Weight};
use super::{activation, flag};
use crate::tune::Operation;

/// Rows and columns of the kernels' tiles: pieces are multiples of both.
const TILE_ROWS: usize = 128;
const TILE_COLUMNS: usize = 64;

/// The type in which a weight lies on the device. Elements of a block cannot change places.
pub(super) fn stored(matrix: &Matrix) -> WeightType {
    if matrix.layout.moves_elements() && matrix.dtype.format().block > 1 {
        return WeightType::F32;
    }
    WeightType::from_dtype(matrix.dtype).unwrap_or(WeightType::F32)
}

/// Columns of an output that one dispatch computes.
struct Columns {
    /// Of the output.
    columns: Range<usize>,
    /// The rows of the weight for them, and some before.
    weight: View,
    /// How many rows before.
    skipped: usize,
}

impl Emitter<'_> {
    /// The rows of a weight in parts that can be bound, counted from the first row used.
    pub(super) fn weight_parts(&mut self, matrix: &Matrix, granule: usize) -> Vec<(Range<usize>, View)> {
        let dtype = stored(matrix).dtype();
        let row = dtype.row_bytes(matrix.k).unwrap_or(0) as u64;
        let most = ((self.capabilities.max_binding / row.max(1)) as usize / granule * granule).max(granule);
        let n = matrix.n();
        (0..n)
            .step_by(most)
            .map(|start| {
                let range = start..(start + most).min(n);
                let rows = TensorRows {
                    name: matrix.name.clone(),
                    rows: matrix.rows.start + range.start..matrix.rows.start + range.end,
                };
                let weight = Weight {
                    parts: vec![rows],
                    k: matrix.k,
                    layout: matrix.layout,
                    dtype,
                };
                (range, self.weight(weight))
            })
            .collect()
    }

    /// All columns of a product, cut where the weight is, and where `most` columns are reached.
    fn columns(&mut self, matrix: &Matrix, most: usize) -> Vec<Columns> {
        let mut out = Vec::new();
        for (range, weight) in self.weight_parts(matrix, TILE_COLUMNS) {
            for start in range.clone().step_by(most) {
                out.push(Columns {
                    columns: start..(start + most).min(range.end),
                    weight,
                    skipped: start - range.start,
                });
            }
        }
        out
    }

    /// Most columns of a dispatch: all of them, except where few rows are too much for a time slice.
    fn most_columns(&self, rows: usize, columns: usize, cost: kinora_graph::Cost) -> usize {
        let fewest = share(cost, (TILE_ROWS as f64 / rows as f64).min(1.0));
        self.pieces_in_slice(columns, TILE_COLUMNS, fewest)
    }

    /// Whether kernels in lanes ([`Tile::Lanes`]) are the fastest where they can be used.
    pub(super) fn in_lanes(&self) -> bool {
        self.capabilities.software && self.capabilities.features.subgroup8
    }

    /// The tile of a layer of `m` rows and `n` columns, by rule.
    pub(super) fn linear_tile(&self, op: &Linear, m: usize, n: usize) -> Tile {
        // Lanes load numbers, and those of a row by fours.
        match self.in_lanes() && op.weight.k.is_multiple_of(4) && !op.quantizes() {
            true => Tile::choose_lanes(m as u32),
            false => Tile::choose(m as u32, n as u32, self.large_from()),
        }
    }

    /// The tile of a layer of `shape`, by rule or as measured. What is measured is whole: layers in parts are left to the
    /// rule.
    pub(super) fn linear_tile_of(
        &mut self,
        arithmetic: linear::Arithmetic,
        shape: [usize; 3],
        part_k: Option<u32>,
        rule: Tile,
    ) -> Tile {
        match part_k {
            Some(_) => rule,
            None => self.product_tile(Operation::Linear(arithmetic), shape, rule),
        }
    }

    /// How a tile holds the factors of products with weights.
    fn factors_in(&self, tile: Tile) -> Factors {
        match tile.in_registers() {
            true => self.factors().in_registers(),
            false => self.factors(),
        }
    }

    /// How a layer multiplies, and its x in the form for that, with its columns.
    pub(super) fn factors_of(&mut self, op: &Linear, tile: Tile) -> Result<(linear::Arithmetic, View, usize)> {
        let (k, rotation) = (op.weight.k, op.weight.rotation());
        if op.quantizes() {
            let x = self.prepared(op.x, QuantizeRows::Int8(rotation))?;
            return Ok((linear::Arithmetic::Int8, x, quantize_rows::words(k as u32) as usize));
        }
        let factors = match op.precise {
            true => Factors::F32,
            false => self.factors_in(tile),
        };
        let arithmetic = linear::Arithmetic::Float {
            weight: stored(&op.weight),
            factors,
        };
        Ok((arithmetic, self.factor(op.x, rotation)?, k))
    }

    pub(super) fn linear(&mut self, value: Value, op: &Linear) -> Result<()> {
        let node = self.graph.node(value);
        let (m, n, k) = (node.rows(), op.weight.n(), op.weight.k);
        let cost = self.graph.cost(value);
        let rule = self.linear_tile(op, m, n);
        let (arithmetic, x, x_columns) = self.factors_of(op, rule)?;
        let bias = op.bias.map(|v| self.view(v));
        let (epilogue, residual, gate) = match op.epilogue {
            Epilogue::Activation(a) => (linear::Epilogue::Activation(activation(a)), None, None),
            Epilogue::GeluTanhTimes(other) => (linear::Epilogue::GeluTanhTimes, Some(other), None),
            Epilogue::Residual { residual, gate } => (linear::Epilogue::Residual, Some(residual), gate),
        };
        let residual = residual.map(|v| self.view(v));
        let indices = match &gate {
            None => None,
            Some(gate) => self.row_indices(gate.rows, gate.table)?,
        };
        let table = gate.map(|g| self.view(g.table));
        let out = self.result(value);
        let part_k = self.part_of_k(arithmetic, [m, n, k]);
        let kernel = linear::Linear {
            arithmetic,
            epilogue,
            tile: self.linear_tile_of(arithmetic, [m, n, k], part_k, rule),
        };
        let mut operands = vec![(x, x_columns), (out, n)];
        operands.extend(residual.map(|v| (v, n)));
        operands.extend(indices.map(|v| (v, 1)));
        let most = self.most_columns(m, n, cost);
        let columns = self.columns(&op.weight, most);
        for part in &columns {
            let cost = share(cost, part.columns.len() as f64 / n as f64);
            for chunk in self.chunks(m, TILE_ROWS, &operands, cost) {
                let params = linear::Params {
                    m: chunk.len(),
                    n: part.columns.len() as u32,
                    k: k as u32,
                    first_row: chunk.first(),
                    first_weight_row: part.skipped as u32,
                    first_column: part.columns.start as u32,
                    out_stride: n as u32,
                    flags: flag(bias.is_some(), flags::BIAS)
                        | flag(table.is_some(), flags::TABLE)
                        | flag(indices.is_some(), flags::ROWS),
                    gate_column: gate.map_or(0, |g| g.column as u32),
                    table_stride: gate.map_or(0, |g| self.graph.node(g.table).columns() as u32),
                    ..Default::default()
                };
                let input = chunk.view(x, x_columns);
                let views = [
                    part.weight,
                    input,
                    bias.unwrap_or(input),
                    residual.map_or(input, |v| chunk.view(v, n)),
                    table.unwrap_or(input),
                    indices.map_or(input, |v| chunk.view(v, 1)),
                    chunk.view(out, n),
                ];
                self.emit_linear(kernel, params, part_k, views, chunk.cost(cost))?;
            }
        }
        Ok(())
    }

    pub(super) fn conv3d(&mut self, value: Value, op: &Conv3d) -> Result<()> {
        if op.weight.k >= conv3d::Conv3d::MAX_K {
            let why = format!(
                "{} weights for each output channel; this device takes fewer than {}: use `--device cpu`",
                op.weight.k,
                conv3d::Conv3d::MAX_K
            );
            return Err(self.unsupported(why));
        }
        let node = self.graph.node(value);
        let (frames, height, width) = (node.shape[0], node.shape[1], node.shape[2]);
        let (n, voxels) = (op.weight.n(), height * width);
        let input = self.graph.node(op.x).shape.clone();
        let cached = op.cache.map_or(0, |v| self.graph.node(v).shape[0]);
        let cost = self.graph.cost(value);
        let (x, out) = (self.view(op.x), self.result(value));
        let cache = op.cache.map(|v| self.view(v));
        let bias = op.bias.map(|v| self.view(v));
        let residual = op.residual.map(|v| self.view(v));
        let rule = match self.in_lanes() {
            true => Tile::Lanes,
            false => conv3d::Conv3d::tile((frames * voxels) as u32, n as u32, self.large_from()),
        };
        let (weight, factors, by_fours) = (stored(&op.weight), self.factors_in(rule), input[3].is_multiple_of(4));
        let product = Operation::Conv3d {
            weight,
            factors,
            by_fours,
        };
        let kernel = conv3d::Conv3d {
            weight,
            factors,
            tile: self.product_tile(product, [frames * voxels, n, op.weight.k], rule),
            by_fours,
        };
        let base = conv3d::Params {
            k: op.weight.k as u32,
            out_stride: n as u32,
            flags: flag(bias.is_some(), flags::BIAS) | flag(residual.is_some(), flags::RESIDUAL),
            input: [cached, input[0], input[1], input[2]].map(|v| v as u32),
            output: [height as u32, width as u32, 0, 0],
            kernel: [op.kernel[0], op.kernel[1], op.kernel[2], input[3]].map(|v| v as u32),
            stride: [op.stride[0], op.stride[1], op.stride[2], 0].map(|v| v as u32),
            padding: [op.padding.front, op.padding.top, op.padding.left, 0].map(|v| v as u32),
            ..Default::default()
        };
        let max = self.capabilities.max_binding;
        let fits = [Some(x), Some(out), cache, residual]
            .iter()
            .flatten()
            .all(|v| v.size <= max);
        // Feature maps that cannot be bound whole are bound a frame of the output at a time.
        let windows: Vec<Range<usize>> = match fits {
            true => std::iter::once(0..frames).collect(),
            false => (0..frames).map(|t| t..t + 1).collect(),
        };
        let most = self.most_columns(frames * voxels, n, cost);
        let columns = self.columns(&op.weight, most);
        for window in &windows {
            let mut params = base;
            let (mut x, mut cache, mut residual, mut out) = (x, cache, residual, out);
            if !fits {
                let frame = input[1] * input[2] * input[3];
                // Frames that are read, counted over padding, cache and input.
                let first = window.start * op.stride[0];
                let read = first..first + op.kernel[0];
                let within = |from: usize, count: usize| {
                    let clip = |i: usize| i.clamp(from, from + count) - from;
                    clip(read.start)..clip(read.end)
                };
                let padding = within(0, op.padding.front);
                let old = within(op.padding.front, cached);
                let new = within(op.padding.front + cached, input[0]);
                params.input[0] = old.len() as u32;
                params.input[1] = new.len() as u32;
                params.padding[0] = padding.len() as u32;
                x = if new.is_empty() {
                    x.part(0, 4)
                } else {
                    x.rows(&new, frame)
                };
                cache = cache.map(|v| {
                    if old.is_empty() {
                        v.part(0, 4)
                    } else {
                        v.rows(&old, frame)
                    }
                });
                residual = residual.map(|v| v.rows(window, voxels * n));
                out = out.rows(window, voxels * n);
                let aligned = |v: &View| v.offset.is_multiple_of(self.capabilities.storage_alignment);
                if ![Some(x), cache, residual, Some(out)].iter().flatten().all(aligned) {
                    return Err(self.too_large(node.elements() as u64 * 4));
                }
            }
            let cost = share(cost, window.len() as f64 / frames as f64);
            for part in &columns {
                let cost = share(cost, part.columns.len() as f64 / n as f64);
                for chunk in self.chunks(window.len() * voxels, TILE_ROWS, &[], cost) {
                    let params = conv3d::Params {
                        m: chunk.len(),
                        n: part.columns.len() as u32,
                        first_row: chunk.first(),
                        first_weight_row: part.skipped as u32,
                        first_column: part.columns.start as u32,
                        ..params
                    };
                    let views = [
                        part.weight,
                        x,
                        cache.unwrap_or(x),
                        bias.unwrap_or(x),
                        residual.unwrap_or(x),
                        out,
                    ];
                    self.emit(kernel, params, &views, chunk.cost(cost))?;
                }
            }
        }
        Ok(())
    }
}
