//! Queries and keys of int8 attention: heads quantised one by one, keys without their mean.

use kinora_graph::{Cost, Result};
use kinora_quant::int8::MEAN_BLOCK;
use kinora_shaders::quantize_heads::{self, QuantizeHeads};
use kinora_shaders::sum_rows::{self, SumRows};

use super::super::chunk::MAX_ROWS;
use super::super::emit::Emitter;
use super::super::view::View;

// A workgroup has a block.
const _: () = assert!(MAX_ROWS / MEAN_BLOCK <= 65_535);

impl Emitter<'_> {
    /// The `rows` rows of `x`, of `heads` heads of `head_dim` elements, as int8; `smooth`: without their mean.
    pub(super) fn quantized_heads(
        &mut self,
        x: View,
        rows: usize,
        [heads, head_dim]: [usize; 2],
        smooth: bool,
    ) -> Result<View> {
        let width = heads * head_dim;
        let mean = if smooth {
            Some(self.column_means(x, rows, width)?)
        } else {
            None
        };
        let words = quantize_heads::words(heads as u32, head_dim as u32) as usize;
        let out = self.temp(rows * words);
        let cost = Cost {
            flops: 4 * (rows * width) as u64,
            bytes: x.size + out.size,
        };
        for chunk in self.chunks(rows, 1, &[(x, width), (out, words)], cost) {
            let params = quantize_heads::Params {
                rows: chunk.len(),
                heads: heads as u32,
                head_dim: head_dim as u32,
                first_row: chunk.first(),
            };
            let part = chunk.view(x, width);
            let views = [part, mean.unwrap_or(part), chunk.view(out, words)];
            self.emit(QuantizeHeads { smooth }, params, &views, chunk.cost(cost))?;
        }
        Ok(out)
    }

    /// The mean of each column: sums of blocks, then their sum.
    fn column_means(&mut self, x: View, rows: usize, width: usize) -> Result<View> {
        let blocks = rows.div_ceil(MEAN_BLOCK);
        let (sums, mean) = (self.temp(blocks * width), self.temp(width));
        let cost = Cost {
            flops: (rows * width) as u64,
            bytes: x.size + sums.size,
        };
        for chunk in self.chunks(rows, MEAN_BLOCK, &[(x, width)], cost) {
            if !chunk.rows.start.is_multiple_of(MEAN_BLOCK) {
                // Less than a block can be bound.
                return Err(self.too_large((4 * MEAN_BLOCK * width) as u64));
            }
            let params = sum_rows::Params {
                rows: chunk.len(),
                width: width as u32,
                block: MEAN_BLOCK as u32,
                first_row: chunk.first(),
                out_row: (chunk.rows.start / MEAN_BLOCK) as u32,
                factor: 1.0,
                ..Default::default()
            };
            self.emit(SumRows, params, &[chunk.view(x, width), sums], chunk.cost(cost))?;
        }
        let params = sum_rows::Params {
            rows: blocks as u32,
            width: width as u32,
            block: blocks as u32,
            factor: 1.0 / rows as f32,
            ..Default::default()
        };
        let cost = Cost {
            flops: (blocks * width) as u64,
            bytes: sums.size + mean.size,
        };
        self.emit(SumRows, params, &[sums, mean], cost)?;
        Ok(mean)
    }
}
