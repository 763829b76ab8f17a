//! One quantised matrix: its elements and scales, checked, and put together row by row.

use std::ops::Range;

use super::config::LayerConfig;
use super::swizzle::{self, TILE_COLUMNS};
use crate::{DType, Result, Rotation, Tensor, TensorInfo, Weights};

/// Formats by the names that files use.
pub(super) const FORMATS: &str = "float8_e4m3fn, float8_e5m2, mxfp8, nvfp4, int8_tensorwise, awq_w4a16";

/// Elements that share a scale in [`DType::Int4F16`].
const GROUP: usize = 64;

/// A matrix whose scales have been checked.
#[derive(Debug)]
pub(super) struct Layer {
    weight: String,
    /// As the record type that it becomes.
    pub(super) info: TensorInfo,
    /// Bytes of a row's elements.
    elements: usize,
    blocks: Blocks,
    /// Scales of rows: one for all, one for each, or none.
    scales: Vec<f32>,
}

/// Scales of blocks within a row.
#[derive(Debug)]
enum Blocks {
    None,
    /// So many bytes for each row, in tiles ([`swizzle`]).
    Tiles {
        name: String,
        columns: usize,
    },
    /// So many pairs of 16 bits for each row, in tensors of groups by rows.
    Groups {
        names: [String; 2],
        groups: usize,
    },
}

impl Layer {
    /// The tensor with its elements.
    pub(super) fn weight(&self) -> &str {
        &self.weight
    }

    /// The matrix `{layer}.weight` of `file` as `config` describes it; `None` for one that is not quantised after all.
    ///
    /// # Errors
    /// In words, what does not fit.
    pub(super) fn new(file: &dyn Weights, layer: &str, config: &LayerConfig) -> Result<Option<Self>, String> {
        let weight = format!("{layer}.weight");
        let stored = file.info(&weight).ok_or_else(|| file.missing(&weight).to_string())?;
        let &[rows, width] = stored.shape.as_slice() else {
            return Err(format!(
                "it has the shape {:?}; only matrices can have scales",
                stored.shape
            ));
        };
        let source = Source {
            file,
            layer,
            rows,
            width,
            dtype: stored.dtype,
        };
        let parts = match (config.format.as_str(), config.rotation) {
            ("float8_e4m3fn" | "float8_e5m2", _) if is_plain(stored.dtype) => return source.unscaled().map(|()| None),
            ("float8_e4m3fn", _) => source.rows(&[DType::F8E4M3], DType::F8E4M3Scaled)?,
            ("float8_e5m2", _) => source.rows(&[DType::F8E5M2], DType::F8E5M2Scaled)?,
            ("int8_tensorwise", None) => source.rows(&[DType::I8], DType::Int8)?,
            ("int8_tensorwise", Some(group)) => {
                let rotation = Rotation::of(group)
                    .ok_or_else(|| format!("it is rotated in groups of {group}; 16, 64, 256 and 1024 are read"))?;
                source.rows(&[DType::I8], DType::Int8ConvRot(rotation))?
            }
            ("mxfp8", _) => source.mxfp8(config.rows)?,
            ("nvfp4", _) => source.nvfp4(config.rows)?,
            ("awq_w4a16", _) => source.int4(config.group.unwrap_or(GROUP))?,
            (other, _) => {
                return Err(format!(
                    "the format `{}` cannot be read; use a version of the file in one of {FORMATS}, or a GGUF file",
                    crate::error::shown(other)
                ));
            }
        };
        let Parts {
            dtype,
            rows,
            columns,
            elements,
            blocks,
            scales,
        } = parts;
        let info = TensorInfo {
            dtype,
            shape: vec![rows, columns],
        };
        if info.checked_bytes().is_none() {
            return Err(format!("rows of {columns} elements hold no whole blocks of {dtype}"));
        }
        Ok(Some(Self {
            weight,
            info,
            elements,
            blocks,
            scales,
        }))
    }

    /// Writes the records of `rows` to `out`, which has their size.
    pub(super) fn read(&self, file: &dyn Weights, rows: Range<usize>, out: &mut [u8]) -> Result<()> {
        let weight = file.rows(&self.weight, rows.clone())?;
        let record = out.len().checked_div(rows.len()).unwrap_or(0);
        if record == 0 {
            return Ok(());
        }
        let stored = weight.data.len() / rows.len();
        let blocks = self.blocks.open(file)?;
        for ((row, elements), out) in rows
            .zip(weight.data.chunks_exact(stored))
            .zip(out.chunks_exact_mut(record))
        {
            let (to, rest) = out.split_at_mut(self.elements);
            to.copy_from_slice(&elements[..self.elements]);
            let end = blocks.put(row, self.info.shape[0], rest);
            let (tail, padding) = rest[end..].split_at_mut(if self.scales.is_empty() { 0 } else { 4 });
            if let Some(scale) = self.scales.get(row).or(self.scales.first()) {
                tail.copy_from_slice(&scale.to_le_bytes());
            }
            padding.fill(0);
        }
        Ok(())
    }
}

/// Types that the fp8 formats' readers take as they are.
fn is_plain(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F16 | DType::BF16)
}

/// What [`Layer`] is made of.
struct Parts {
    dtype: DType,
    rows: usize,
    columns: usize,
    elements: usize,
    blocks: Blocks,
    scales: Vec<f32>,
}

/// A matrix as it is stored.
struct Source<'a> {
    file: &'a dyn Weights,
    layer: &'a str,
    rows: usize,
    width: usize,
    dtype: DType,
}

impl Source<'_> {
    fn name(&self, part: &str) -> String {
        format!("{}.{part}", self.layer)
    }

    fn tensor(&self, part: &str) -> Result<Tensor<'_>, String> {
        self.file.tensor(&self.name(part)).map_err(|e| e.to_string())
    }

    fn expect(&self, types: &[DType], format: &str) -> Result<(), String> {
        if types.contains(&self.dtype) {
            return Ok(());
        }
        Err(format!(
            "its elements are stored as {}, which {format} does not use",
            self.dtype
        ))
    }

    /// Elements of a byte each, with a scale for the matrix or for each row.
    fn rows(&self, types: &[DType], dtype: DType) -> Result<Parts, String> {
        self.expect(types, dtype.name())?;
        // What old files call it.
        let names = ["weight_scale", "scale_weight"];
        let part = names
            .into_iter()
            .find(|part| self.file.info(&self.name(part)).is_some());
        Ok(Parts {
            dtype,
            rows: self.rows,
            columns: self.width,
            elements: self.width,
            blocks: Blocks::None,
            scales: self.scales(part.unwrap_or(names[0]), self.rows)?,
        })
    }

    /// Weights that stayed plain in a file of scaled ones may have a scale of 1.
    fn unscaled(&self) -> Result<(), String> {
        for part in ["weight_scale", "scale_weight"] {
            let ones = self.file.info(&self.name(part)).is_none() || self.scales(part, self.rows)? == [1.0];
            if !ones {
                return Err(format!(
                    "it is stored as {}, but `{}` is not 1",
                    self.dtype,
                    self.name(part)
                ));
            }
        }
        Ok(())
    }

    fn mxfp8(&self, rows: Option<usize>) -> Result<Parts, String> {
        self.expect(&[DType::F8E4M3], "mxfp8")?;
        let tiles = self.tiles(self.width / 32, &[DType::U8, DType::F8E8M0], |scale| *scale == 0xff)?;
        Ok(Parts {
            dtype: DType::Mxfp8,
            rows: self.rows_before_padding(rows, 32)?,
            columns: self.width,
            elements: self.width,
            blocks: tiles,
            scales: Vec::new(),
        })
    }

    fn nvfp4(&self, rows: Option<usize>) -> Result<Parts, String> {
        self.expect(&[DType::U8, DType::I8], "nvfp4")?;
        // NaN, or below zero.
        let bad = |scale: &u8| *scale == 0x7f || *scale > 0x80;
        let tiles = self.tiles(self.width / 8, &[DType::U8, DType::F8E4M3], bad)?;
        Ok(Parts {
            dtype: DType::Nvfp4,
            rows: self.rows_before_padding(rows, 16)?,
            columns: self.width.checked_mul(2).ok_or("its rows are too long")?,
            elements: self.width,
            blocks: tiles,
            scales: self.scales("weight_scale_2", 1)?,
        })
    }

    fn int4(&self, group: usize) -> Result<Parts, String> {
        self.expect(&[DType::I8, DType::U8], "awq_w4a16")?;
        if group != GROUP {
            return Err(format!("{group} elements share a scale; {GROUP} is what is read"));
        }
        let columns = self.width.checked_mul(2).ok_or("its rows are too long")?;
        let offsets = ["weight_zeros", "weight_zero"];
        let part = offsets
            .into_iter()
            .find(|part| self.file.info(&self.name(part)).is_some());
        let names = ["weight_scale", part.unwrap_or(offsets[0])];
        let tensors = [self.tensor(names[0])?, self.tensor(names[1])?];
        let dtype = match [tensors[0].info.dtype, tensors[1].info.dtype] {
            [DType::F16, DType::F16] => DType::Int4F16,
            [DType::BF16, DType::BF16] => DType::Int4BF16,
            [a, b] => {
                return Err(format!(
                    "its scales and offsets are stored as {a} and {b}; F16 or BF16 are read"
                ));
            }
        };
        for (name, tensor) in names.iter().zip(&tensors) {
            if tensor.info.shape != [columns / GROUP, self.rows] {
                let (shape, wanted) = (&tensor.info.shape, [columns / GROUP, self.rows]);
                return Err(format!("`{}` has the shape {shape:?}, not {wanted:?}", self.name(name)));
            }
            let values = tensor.to_f32().map_err(|e| e.to_string())?;
            if let Some(at) = values.iter().position(|v| !v.is_finite()) {
                return Err(format!("`{}` holds {} at {at}", self.name(name), values[at]));
            }
        }
        Ok(Parts {
            dtype,
            rows: self.rows,
            columns,
            elements: self.width,
            blocks: Blocks::Groups {
                names: names.map(|part| self.name(part)),
                groups: columns / GROUP,
            },
            scales: Vec::new(),
        })
    }

    /// One scale, or one for each of `rows` rows; each at least 0 and finite.
    fn scales(&self, part: &str, rows: usize) -> Result<Vec<f32>, String> {
        let (tensor, name) = (self.tensor(part)?, self.name(part));
        let TensorInfo { dtype, shape } = &tensor.info;
        if !matches!(dtype, DType::F32 | DType::F16 | DType::BF16 | DType::F64) {
            return Err(format!("`{name}` is stored as {dtype}; scales of rows are floats"));
        }
        let one = shape.iter().all(|d| *d == 1);
        let each = shape.first() == Some(&rows) && shape[1..].iter().all(|d| *d == 1);
        if !one && !each {
            return Err(format!(
                "`{name}` has the shape {shape:?}; it must hold one scale or {rows}"
            ));
        }
        let scales = tensor.to_f32().map_err(|e| e.to_string())?;
        match scales.iter().position(|s| !(s.is_finite() && *s >= 0.0)) {
            Some(at) => Err(format!(
                "`{name}` holds {} at {at}, which is no scale; the file is damaged or was converted badly",
                scales[at]
            )),
            None => Ok(scales),
        }
    }

    /// `weight_scale`: a byte for each of `columns` blocks of a row, in tiles.
    fn tiles(&self, columns: usize, types: &[DType], bad: impl Fn(&u8) -> bool) -> Result<Blocks, String> {
        let (tensor, name) = (self.tensor("weight_scale")?, self.name("weight_scale"));
        let TensorInfo { dtype, shape } = &tensor.info;
        if !types.contains(dtype) {
            return Err(format!("`{name}` is stored as {dtype}, which its format does not use"));
        }
        let wanted = swizzle::padded(self.rows, columns).ok_or("its shape is too large")?;
        if tensor.data.len() != wanted[0] * wanted[1] {
            return Err(format!("`{name}` has the shape {shape:?}, not {wanted:?}"));
        }
        // Runs without an exit in them are checked many bytes at a time, and there may be hundreds of megabytes.
        const RUN: usize = 4096;
        let run = tensor
            .data
            .chunks(RUN)
            .position(|run| run.iter().fold(false, |any, s| any | bad(s)));
        match run.map(|run| run * RUN) {
            Some(at) => Err(format!(
                "`{name}` holds something that is no scale (NaN or below zero) from {at} on; the file is damaged or was converted badly"
            )),
            None => Ok(Blocks::Tiles { name, columns }),
        }
    }

    /// Rows that the model has: matrices are padded to `multiple` of them, and biases are not.
    fn rows_before_padding(&self, said: Option<usize>, multiple: usize) -> Result<usize, String> {
        let fits = |rows: &usize| *rows <= self.rows && self.rows - rows < multiple;
        if let Some(rows) = said {
            return Some(rows)
                .filter(fits)
                .ok_or_else(|| format!("it is said to have {rows} rows, and {} are there", self.rows));
        }
        let bias = self.file.info(&self.name("bias"));
        let rows = bias.and_then(|bias| bias.shape.first().copied());
        Ok(rows.filter(fits).unwrap_or(self.rows))
    }
}

/// [`Blocks`] with their bytes at hand.
enum OpenBlocks<'a> {
    None,
    Tiles { scales: Tensor<'a>, columns: usize },
    Groups { tensors: [Tensor<'a>; 2], groups: usize },
}

impl Blocks {
    fn open<'a>(&self, file: &'a dyn Weights) -> Result<OpenBlocks<'a>> {
        Ok(match self {
            Self::None => OpenBlocks::None,
            Self::Tiles { name, columns } => OpenBlocks::Tiles {
                scales: file.tensor(name)?,
                columns: *columns,
            },
            Self::Groups {
                names: [scales, offsets],
                groups,
            } => OpenBlocks::Groups {
                tensors: [file.tensor(scales)?, file.tensor(offsets)?],
                groups: *groups,
            },
        })
    }
}

impl OpenBlocks<'_> {
    /// Writes what belongs to `row` of a matrix of `rows` to the front of `out`; how many bytes that took.
    fn put(&self, row: usize, rows: usize, out: &mut [u8]) -> usize {
        match self {
            Self::None => 0,
            Self::Tiles { scales, columns } => {
                for (i, four) in out[..*columns].chunks_mut(TILE_COLUMNS).enumerate() {
                    let at = swizzle::offset(row, i * TILE_COLUMNS, *columns);
                    four.copy_from_slice(&scales.data[at..at + four.len()]);
                }
                *columns
            }
            Self::Groups { tensors, groups } => {
                for (tensor, out) in tensors.iter().zip(out.chunks_exact_mut(2 * groups)) {
                    for (group, out) in out.chunks_exact_mut(2).enumerate() {
                        let at = 2 * (group * rows + row);
                        out.copy_from_slice(&tensor.data[at..at + 2]);
                    }
                }
                4 * groups
            }
        }
    }
}
