//! Rows of modulation tables, and rows by the task.

use kinora_graph::{Error, Result, Rows, Value};

use super::TASK;
use crate::frame::Frame;

/// A table `[R, W]` and which of its rows serves which row of an activation.
pub(super) struct Table<'a> {
    values: &'a [f32],
    width: usize,
    index: Option<&'a [u32]>,
}

impl<'a> Table<'a> {
    /// `table` with the choice of rows `rows`; `label` is the operation's, for errors.
    pub(super) fn new(frame: &'a Frame<'_>, table: Value, rows: Rows) -> Result<Self> {
        let values = frame.f32(table)?;
        let node = frame.graph().node(table);
        let index = match rows {
            Rows::First => None,
            Rows::Indexed(value) => {
                let index = frame.u32(value)?;
                if let Some(row) = index.iter().find(|row| **row as usize >= node.rows()) {
                    return Err(Error::Input {
                        name: frame.graph().node(value).label.clone(),
                        why: format!("row {row} is asked for; the table has {} rows", node.rows()),
                    });
                }
                Some(index)
            }
        };
        Ok(Self {
            values,
            width: node.columns(),
            index,
        })
    }

    /// `n` columns from `column` on of the table's row for row `row` of the activation.
    pub(super) fn columns(&self, row: usize, column: usize, n: usize) -> &'a [f32] {
        let start = self.index.map_or(0, |index| index[row] as usize) * self.width + column;
        &self.values[start..start + n]
    }
}

/// Rows of `columns` elements that make a task of a sensible size.
pub(super) fn rows_per_task(columns: usize) -> usize {
    (TASK / columns.max(1)).max(1)
}
