//! Seeded injuries to files: the same on every machine.

/// xorshift64*.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }

    /// One to four small injuries of the kinds that parsers stumble over: bits, bytes, runs left out or doubled,
    /// `pieces` put in, the end cut off, and what `special` does.
    pub(crate) fn mutate(&mut self, file: &mut Vec<u8>, pieces: &[&[u8]], special: impl Fn(&mut Self, &mut Vec<u8>)) {
        for _ in 0..=self.below(4) {
            let at = self.below(file.len() + 1);
            let end = (at + self.below(24)).min(file.len());
            match self.below(7) {
                0 if at < file.len() => file[at] ^= 1 << self.below(8),
                1 if at < file.len() => file[at] = self.below(256) as u8,
                2 => drop(file.drain(at..end)),
                3 => drop(file.splice(at..end, file[at..end].repeat(2))),
                4 => drop(file.splice(at..at, pieces[self.below(pieces.len())].iter().copied())),
                5 => special(self, file),
                _ => file.truncate(at),
            }
        }
    }
}
