//! Weights on their way to the device while a program runs.

use kinora_graph::Result;

use super::flight::Flight;
use super::memory::Memory;
use super::program::Program;
use super::weights::Piece;
use crate::device::Feed;

/// Copies pieces in their order, each in its window: the copy of one waits, on the device, for all work submitted
/// before it, so that nothing is overwritten that is still read.
pub(super) struct Supply<'a> {
    feed: Option<&'a Feed<'a>>,
    pieces: &'a [Piece],
    next: usize,
    done: u64,
    total: u64,
}

impl<'a> Supply<'a> {
    /// `feed` is filled with `pieces`; it may be absent where there are none.
    pub(super) fn new(feed: Option<&'a Feed<'a>>, pieces: &'a [Piece]) -> Self {
        Self {
            feed,
            pieces,
            next: 0,
            done: 0,
            total: pieces.iter().map(|p| p.size).sum(),
        }
    }

    /// Copies what the dispatch `index` needs, and what is ready and may come already. All dispatches before it have
    /// been submitted.
    pub(super) fn before(
        &mut self,
        index: usize,
        program: &Program,
        memory: &Memory,
        flight: &mut Flight<'_>,
    ) -> Result<()> {
        let Some(feed) = self.feed else { return Ok(()) };
        while let Some(piece) = self.pieces.get(self.next) {
            let needed = piece.window.end <= index;
            if !needed && piece.window.start > index {
                break;
            }
            let (target, offset) = program.target(memory, piece);
            if !feed.copy_next(target, offset, needed)? {
                break;
            }
            self.next += 1;
            self.done += piece.size;
            if piece.last {
                program.loaded(piece.weight);
            }
            flight.copied(self.done, self.total)?;
        }
        Ok(())
    }

    /// The first dispatch after `index` before which [`Self::before`] must be asked again.
    pub(super) fn horizon(&self, index: usize) -> usize {
        match self.pieces.get(self.next) {
            None => usize::MAX,
            Some(piece) if piece.window.start > index => piece.window.start,
            Some(piece) => piece.window.end,
        }
    }
}
