//! Parts of values whose places are not known yet.

use std::ops::Range;

use super::Buffer;

/// What a value lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A value with a lifetime, by index.
    Temp(usize),
    /// Anything with a place of its own.
    Placed(Buffer),
}

/// Bytes of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) target: Target,
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl View {
    /// `elements` of 4 bytes, from the element `start` on.
    pub(super) fn part(self, start: usize, elements: usize) -> Self {
        Self {
            offset: self.offset + 4 * start as u64,
            size: 4 * elements as u64,
            ..self
        }
    }

    /// Rows `rows` of a matrix with `columns` columns.
    pub(super) fn rows(self, rows: &Range<usize>, columns: usize) -> Self {
        self.part(rows.start * columns, rows.len() * columns)
    }
}
