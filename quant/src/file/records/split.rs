//! Records taken apart: the tensors that ComfyUI's files keep a quantised weight in.

use serde_json::json;

use super::swizzle::{self, TILE_COLUMNS};
use crate::{DType, Tensor, TensorInfo};

/// Elements that share a scale in [`DType::Int4F16`].
const GROUP: usize = 64;

/// A tensor to be written: its name, type and shape.
type Part = (String, TensorInfo);

/// The tensors that hold the record tensor `name`, which ends in `.weight`; in the order of [`split`].
///
/// # Errors
/// In words: another name, or a tensor that is no matrix.
pub(in crate::file) fn announce(name: &str, info: &TensorInfo) -> Result<Vec<Part>, String> {
    let layer = name.strip_suffix(".weight").ok_or_else(|| {
        format!(
            "`{name}` is quantised as {}, so its name must end in `.weight`",
            info.dtype
        )
    })?;
    let &[rows, columns] = info.shape.as_slice() else {
        return Err(format!("`{name}` is quantised as {} and no matrix", info.dtype));
    };
    let too_large = || format!("tensor `{name}` is too large");
    let weight = |dtype, shape: [usize; 2]| ("weight", dtype, shape.to_vec());
    let parts = match info.dtype {
        DType::F8E4M3Scaled | DType::F8E5M2Scaled => vec![
            weight(elements(info.dtype), [rows, columns]),
            ("weight_scale", DType::F32, vec![]),
        ],
        DType::Int8 | DType::Int8ConvRot(_) => vec![
            weight(DType::I8, [rows, columns]),
            ("weight_scale", DType::F32, vec![rows, 1]),
        ],
        DType::Mxfp8 | DType::Nvfp4 => {
            let nvfp4 = info.dtype == DType::Nvfp4;
            let (block, multiple) = if nvfp4 { (16, 16) } else { (32, 32) };
            let padded = rows.checked_next_multiple_of(multiple).ok_or_else(too_large)?;
            let tiles = swizzle::padded(padded, columns / block).ok_or_else(too_large)?;
            let (width, scale) = if nvfp4 {
                (columns / 2, DType::F8E4M3)
            } else {
                (columns, DType::U8)
            };
            let mut parts = vec![
                weight(elements(info.dtype), [padded, width]),
                ("weight_scale", scale, tiles.to_vec()),
            ];
            if nvfp4 {
                parts.push(("weight_scale_2", DType::F32, vec![]));
            }
            parts
        }
        DType::Int4F16 | DType::Int4BF16 => {
            let scale = if info.dtype == DType::Int4F16 {
                DType::F16
            } else {
                DType::BF16
            };
            vec![
                weight(DType::I8, [rows, columns / 2]),
                ("weight_scale", scale, vec![columns / GROUP, rows]),
                ("weight_zeros", scale, vec![columns / GROUP, rows]),
            ]
        }
        other => {
            return Err(format!(
                "`{name}` is of type {other}, which a safetensors file cannot hold"
            ));
        }
    };
    let config = ("comfy_quant", DType::U8, vec![config(info.dtype, rows, columns).len()]);
    let named = parts.into_iter().chain([config]).map(|(part, dtype, shape)| {
        let name = format!("{layer}.{part}");
        (name, TensorInfo { dtype, shape })
    });
    Ok(named.collect())
}

/// The contents of the tensors that [`announce`] lists.
///
/// # Errors
/// In words: rows with different scales where the format has one for the matrix.
pub(in crate::file) fn split(tensor: &Tensor<'_>) -> Result<Vec<Vec<u8>>, String> {
    let TensorInfo { dtype, shape } = &tensor.info;
    let (rows, columns) = (shape[0], shape[1]);
    let record = dtype.row_bytes(columns).unwrap_or(0).max(1);
    let records = tensor.data.chunks_exact(record);
    let width = match dtype {
        DType::Nvfp4 | DType::Int4F16 | DType::Int4BF16 => columns / 2,
        _ => columns,
    };
    let mut weight: Vec<u8> = records.clone().flat_map(|r| &r[..width]).copied().collect();
    let scales = |at: usize| {
        records
            .clone()
            .flat_map(move |r| &r[at..at + 4])
            .copied()
            .collect::<Vec<u8>>()
    };
    let scale = |at: usize| {
        let scales = scales(at);
        let (first, same) = match scales.first_chunk::<4>() {
            Some(first) => (first.to_vec(), scales.chunks_exact(4).all(|s| s == first)),
            None => (1f32.to_le_bytes().to_vec(), true),
        };
        same.then_some(first).ok_or_else(|| {
            format!("rows of {dtype} with different scales cannot be written: the format has one for the matrix")
        })
    };
    // Scales of blocks in tiles, and the rows of padding.
    let mut tiles = |columns: usize, multiple: usize| {
        let padded = rows.next_multiple_of(multiple);
        weight.resize(padded * width, 0);
        let shape = swizzle::padded(padded, columns).unwrap_or_default();
        let mut out = vec![0; shape[0] * shape[1]];
        for (row, record) in records.clone().enumerate() {
            for (i, four) in record[width..width + columns].chunks(TILE_COLUMNS).enumerate() {
                let at = swizzle::offset(row, i * TILE_COLUMNS, columns);
                out[at..at + four.len()].copy_from_slice(four);
            }
        }
        out
    };
    // 16 bits for each group of each row, groups outermost.
    let groups = |at: usize| {
        let mut out = Vec::new();
        for group in 0..columns / GROUP {
            let at = at + 2 * group;
            out.extend(records.clone().flat_map(|r| &r[at..at + 2]));
        }
        out
    };
    let mut parts = match dtype {
        DType::F8E4M3Scaled | DType::F8E5M2Scaled => vec![scale(width)?],
        DType::Mxfp8 => vec![tiles(columns / 32, 32)],
        DType::Nvfp4 => vec![tiles(columns / 16, 16), scale(width + columns / 16)?],
        DType::Int4F16 | DType::Int4BF16 => vec![groups(width), groups(width + columns / GROUP * 2)],
        _ => vec![scales(width)],
    };
    parts.insert(0, weight);
    parts.push(config(*dtype, rows, columns).into_bytes());
    Ok(parts)
}

/// The plain type of a record's elements.
fn elements(dtype: DType) -> DType {
    match dtype {
        DType::F8E5M2Scaled => DType::F8E5M2,
        DType::Nvfp4 => DType::U8,
        _ => DType::F8E4M3,
    }
}

/// The text of `comfy_quant`. `orig_shape` is ours, for matrices that are padded; ComfyUI passes over it.
fn config(dtype: DType, rows: usize, columns: usize) -> String {
    let config = match dtype {
        DType::F8E4M3Scaled => json!({"format": "float8_e4m3fn"}),
        DType::F8E5M2Scaled => json!({"format": "float8_e5m2"}),
        DType::Mxfp8 => json!({"format": "mxfp8", "orig_shape": [rows, columns]}),
        DType::Nvfp4 => json!({"format": "nvfp4", "orig_shape": [rows, columns]}),
        DType::Int8ConvRot(rotation) => {
            json!({"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": rotation.group()})
        }
        DType::Int4F16 | DType::Int4BF16 => json!({"format": "awq_w4a16", "group_size": GROUP}),
        _ => json!({"format": "int8_tensorwise"}),
    };
    config.to_string()
}
