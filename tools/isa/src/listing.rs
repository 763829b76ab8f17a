//! Machine code as far as the table needs it: kinds of instructions and loops.

pub(crate) mod aco;
pub(crate) mod brw;

use std::collections::BTreeMap;

/// What an instruction keeps busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Matrix units.
    Matrix,
    /// Dot product of four pairs of bytes.
    Dot4,
    /// Multiply-adds of pairs of halves.
    Packed,
    /// One multiply-add a lane.
    Fma,
    /// All other vector arithmetic: addresses, comparisons, conversions, copies.
    Vector,
    /// Workgroup memory.
    Lds,
    /// Memory behind the caches, scratch included.
    Global,
    /// Scalar arithmetic, branches, barriers.
    Scalar,
    /// Hints to the front end: waits for results, gaps, groups. They take no unit; a wait takes time.
    Wait,
}

impl Kind {
    /// All that take a unit, in the table's order.
    pub(crate) const ALL: [Self; 8] = [
        Self::Matrix,
        Self::Dot4,
        Self::Packed,
        Self::Fma,
        Self::Vector,
        Self::Lds,
        Self::Global,
        Self::Scalar,
    ];

    /// The arithmetic that a kernel is there for.
    pub(crate) fn carries(self) -> bool {
        matches!(self, Self::Matrix | Self::Dot4 | Self::Packed | Self::Fma)
    }

    /// Whether the vector or the matrix unit runs it.
    pub(crate) fn is_vector(self) -> bool {
        self.carries() || self == Self::Vector
    }
}

/// One instruction of a subgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) kind: Kind,
    /// Multiplications and additions of the carrying kinds, of the whole subgroup.
    pub(crate) flops: u64,
    /// The compiler's estimate of cycles until the next can start; 0 where it says nothing.
    pub(crate) cycles: u64,
}

/// A program in its final order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Listing {
    pub(crate) instructions: Vec<Instruction>,
    /// Index of the instruction behind a label.
    labels: BTreeMap<u32, usize>,
    /// Index of a branch, and the label that it leads to.
    branches: Vec<(usize, u32)>,
}

/// First instruction of a loop, and its last branch back.
type Loop = (usize, usize);

impl Listing {
    /// Adds an instruction, and where it may lead.
    fn push(&mut self, instruction: Instruction, target: Option<u32>) {
        self.branches
            .extend(target.map(|label| (self.instructions.len(), label)));
        self.instructions.push(instruction);
    }

    /// Adds a label in front of what comes next.
    fn label(&mut self, label: u32) {
        self.labels.insert(label, self.instructions.len());
    }

    /// One for each label to which a branch leads back.
    fn loops(&self) -> Vec<Loop> {
        let mut ends = BTreeMap::new();
        for (at, label) in &self.branches {
            if let Some(start) = self.labels.get(label).filter(|start| *start <= at) {
                ends.entry(*start)
                    .and_modify(|end: &mut usize| *end = (*end).max(*at))
                    .or_insert(*at);
            }
        }
        ends.into_iter().collect()
    }

    /// The loop that carries the kernel: of all loops, without the loops inside it, the one with the most flops, and
    /// with the most vector instructions where there are none. `None` for a program without loops.
    pub(crate) fn inner_loop(&self) -> Option<Vec<Instruction>> {
        let loops = self.loops();
        let innermost = |at: usize| {
            loops
                .iter()
                .filter(|l| contains(l, at))
                .min_by_key(|(start, end)| end - start)
        };
        let own = |wanted: &Loop| -> Vec<_> {
            let indices = (wanted.0..=wanted.1).filter(|at| innermost(*at) == Some(wanted));
            indices.map(|at| self.instructions[at]).collect()
        };
        loops.iter().map(own).max_by_key(|instructions| {
            let vector = instructions.iter().filter(|i| i.kind.is_vector()).count();
            (instructions.iter().map(|i| i.flops).sum::<u64>(), vector)
        })
    }

    /// Flops, each loop around an instruction counted `times`.
    pub(crate) fn weighted_flops(&self, times: u64) -> u64 {
        let loops = self.loops();
        let depth = |at| loops.iter().filter(|l| contains(l, at)).count();
        let weighted = self.instructions.iter().enumerate();
        weighted.map(|(at, i)| i.flops * times.pow(depth(at) as u32)).sum()
    }
}

fn contains((start, end): &Loop, at: usize) -> bool {
    (*start..=*end).contains(&at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instruction(kind: Kind, flops: u64) -> Instruction {
        Instruction { kind, flops, cycles: 1 }
    }

    /// Two nested loops: 0 [ fma 1 [ vector back to 1 ] fma fma back to 0 ].
    fn nested() -> Listing {
        let mut listing = Listing::default();
        listing.push(instruction(Kind::Fma, 100), None);
        listing.label(0);
        listing.push(instruction(Kind::Fma, 2), None);
        listing.label(1);
        listing.push(instruction(Kind::Vector, 0), None);
        listing.push(instruction(Kind::Scalar, 0), Some(1));
        listing.push(instruction(Kind::Fma, 2), Some(7));
        listing.push(instruction(Kind::Scalar, 0), Some(0));
        listing.label(7);
        listing
    }

    #[test]
    fn the_loop_with_the_arithmetic_is_chosen_without_the_loops_inside() {
        let kinds: Vec<_> = nested().inner_loop().unwrap().iter().map(|i| i.kind).collect();
        assert_eq!(kinds, [Kind::Fma, Kind::Fma, Kind::Scalar]);
    }

    #[test]
    fn flops_are_weighted_by_depth() {
        assert_eq!(nested().weighted_flops(10), 100 + 10 * (2 + 2));
    }

    #[test]
    fn a_branch_forward_is_no_loop() {
        let mut listing = Listing::default();
        listing.push(instruction(Kind::Scalar, 0), Some(3));
        listing.label(3);
        listing.push(instruction(Kind::Fma, 2), None);
        assert_eq!(listing.inner_loop(), None);
    }
}
