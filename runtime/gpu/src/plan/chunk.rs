//! Cuts an operation into pieces that fit a time slice and the largest binding.

use std::ops::Range;

use kinora_graph::Cost;

use super::emit::Emitter;
use super::view::View;

/// Most rows of a dispatch: 65,535 workgroups of 64 rows.
pub(super) const MAX_ROWS: usize = 4 << 20;

/// A binding may begin at multiples of so many elements.
const BEGINNINGS: usize = 64;

/// Some rows of an operation.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    /// Rows of the whole.
    pub(super) rows: Range<usize>,
    /// Whether only these rows are bound; all rows otherwise.
    windowed: bool,
    of: usize,
}

impl Chunk {
    /// Index of the first row in what is bound.
    pub(super) fn first(&self) -> u32 {
        if self.windowed { 0 } else { self.rows.start as u32 }
    }

    /// Number of rows.
    pub(super) fn len(&self) -> u32 {
        self.rows.len() as u32
    }

    /// Whether only this chunk's rows are bound.
    pub(super) fn is_windowed(&self) -> bool {
        self.windowed
    }

    /// What is bound of a matrix with one row for each row of the operation.
    pub(super) fn view(&self, view: View, columns: usize) -> View {
        if self.windowed {
            view.rows(&self.rows, columns)
        } else {
            view
        }
    }

    /// This chunk's part of the work.
    pub(super) fn cost(&self, whole: Cost) -> Cost {
        share(whole, self.rows.len() as f64 / self.of as f64)
    }
}

/// A part of some work.
pub(super) fn share(whole: Cost, share: f64) -> Cost {
    Cost {
        flops: (whole.flops as f64 * share) as u64,
        bytes: (whole.bytes as f64 * share) as u64,
    }
}

impl Emitter<'_> {
    /// How many of `count` equal pieces of `cost` fit a time slice: a multiple of `granule`.
    pub(super) fn pieces_in_slice(&self, count: usize, granule: usize, cost: Cost) -> usize {
        let seconds = self.capabilities.speed.seconds(cost);
        if seconds <= self.options.slice {
            return count;
        }
        let fitting = (count as f64 * self.options.slice / seconds) as usize;
        (fitting / granule * granule).clamp(granule.min(count), count)
    }

    /// Cuts `rows` rows. `operands` are the views with one row for each of them, and their columns. Where one is
    /// too large to be bound, all are bound in parts. Pieces are multiples of `granule`.
    pub(super) fn chunks(&self, rows: usize, granule: usize, operands: &[(View, usize)], cost: Cost) -> Vec<Chunk> {
        let max = self.capabilities.max_binding;
        let windowed = operands.iter().any(|(view, _)| view.size > max);
        let mut alignment = 1;
        let mut most = MAX_ROWS;
        if windowed {
            for (_, columns) in operands {
                alignment = lcm(alignment, BEGINNINGS / gcd(BEGINNINGS, *columns));
                most = most.min((max / 4) as usize / columns.max(&1));
            }
        }
        let granule = lcm(granule, alignment);
        let step = self.pieces_in_slice(rows, granule, cost).min(most);
        let step = if step >= rows {
            rows
        } else if step >= granule {
            step / granule * granule
        } else {
            // Incomplete tiles. Where even the least part is too large, the dispatch is refused with the
            // operation's name.
            (step / alignment * alignment).max(alignment)
        };
        (0..rows)
            .step_by(step.max(1))
            .map(|start| Chunk {
                rows: start..(start + step).min(rows),
                windowed,
                of: rows,
            })
            .collect()
    }

    /// What is bound of the rows `rows` of a matrix, and the place of their first element in it: the whole matrix where
    /// that can be bound; else a part that begins where a binding may, for kernels that take such a place.
    pub(super) fn window(&self, matrix: View, rows: &Range<usize>, columns: usize) -> (View, usize) {
        let first = rows.start * columns;
        if matrix.size <= self.capabilities.max_binding {
            return (matrix, first);
        }
        let skipped = first % BEGINNINGS;
        let part = matrix.part(first - skipped, skipped + rows.len() * columns);
        (part, skipped)
    }

    /// The most rows of a matrix that [`Self::window`] can bind, wherever they begin: at least one, which is refused with the
    /// operation's name where that is too many.
    pub(super) fn rows_of_window(&self, matrix: View, columns: usize) -> usize {
        let max = self.capabilities.max_binding;
        if matrix.size <= max {
            return usize::MAX;
        }
        let elements = (max / 4) as usize;
        (elements.saturating_sub(BEGINNINGS - 1) / columns.max(1)).max(1)
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn lcm(a: usize, b: usize) -> usize {
    a / gcd(a, b) * b
}
