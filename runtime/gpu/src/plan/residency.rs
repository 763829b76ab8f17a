//! Which weights stay on the device and which pass through a ring, when memory is bounded.
//!
//! Results do not depend on it: the same kernels run on the same bytes, wherever those lie.

use std::ops::Range;

use kinora_graph::{Error, Result};

use super::Plan;
use super::arena::ALIGNMENT;

/// Where a weight is while a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a buffer of its own.
    Resident,
    /// In a part of a buffer of the ring, from its upload to its last use.
    Ring {
        /// Index into [`Residency::ring`].
        buffer: usize,
        /// First byte.
        offset: u64,
    },
}

/// When a streamed weight can be uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Index into [`Plan::weights`].
    pub weight: usize,
    /// From the dispatch on after whose predecessors its place is free, to the dispatch that first uses it.
    pub window: Range<usize>,
}

/// The place of each weight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Residency {
    /// In the order of [`Plan::weights`].
    pub places: Vec<Place>,
    /// Bytes of each buffer of the ring.
    pub ring: Vec<u64>,
    /// Streamed weights in the order of their use.
    pub uploads: Vec<Upload>,
    /// Bytes of the resident weights, those among them that are on the device already left out.
    pub resident: u64,
    /// Bytes that every run uploads.
    pub streamed: u64,
}

/// Dispatches that belong together: no streamed weight is used both inside and outside.
struct Segment {
    /// After its last dispatch.
    end: usize,
    /// Each with the dispatch that uses it first, in that order.
    weights: Vec<(usize, usize)>,
    bytes: u64,
}

impl Segment {
    /// For each weight the buffer of a half, of `max_buffer` bytes at most, and its place there.
    fn packed(&self, plan: &Plan, max_buffer: u64) -> Vec<(usize, Range<u64>)> {
        let (mut buffer, mut end) = (0, 0);
        let place = |&(weight, _): &(usize, usize)| {
            let bytes = size(plan, weight);
            if end > 0 && end + bytes > max_buffer {
                (buffer, end) = (buffer + 1, 0);
            }
            end += bytes;
            (buffer, end - bytes..end)
        };
        self.weights.iter().map(place).collect()
    }
}

impl Residency {
    /// Chooses places for the weights of `plan` within `available` bytes (`None`: as many as there are). Weights for
    /// which `held` is true are on the device already and take nothing.
    ///
    /// What does not fit is spread evenly over the run, so that uploads overlap the work between them. With room for
    /// it the ring has two halves: one is filled while the other is used.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] where not even one segment fits; `needed` is what the ring would take.
    pub fn choose(plan: &Plan, available: Option<u64>, max_buffer: u64, held: impl Fn(usize) -> bool) -> Result<Self> {
        let fresh: Vec<usize> = (0..plan.weights.len()).filter(|w| !held(*w)).collect();
        let total: u64 = fresh.iter().map(|w| size(plan, *w)).sum();
        let mut residency = Self {
            places: vec![Place::Resident; plan.weights.len()],
            resident: total,
            ..Self::default()
        };
        let Some(available) = available.filter(|available| total > *available) else {
            return Ok(residency);
        };
        let segments = segments(plan, &fresh);
        // Large enough for each segment in its turn.
        let mut half = Half::default();
        for segment in &segments {
            half.cover(&segment.packed(plan, max_buffer));
        }
        let largest = half.buffers.iter().sum::<u64>();
        if largest > available {
            return Err(Error::OutOfMemory {
                what: "the weights of one part of the model".into(),
                needed: largest,
                available,
                remedy: "raise `--vram`, render a smaller picture or fewer frames, or use a file with smaller weights (`kinora quantize`)"
                    .into(),
            });
        }
        let halves = if 2 * largest <= available { 2 } else { 1 };
        let share = (available - halves * largest) as f64 / total as f64;
        let (mut seen, mut kept) = (0u64, 0u64);
        let mut rings = Rings::new(halves as usize, max_buffer);
        for segment in &segments {
            seen += segment.bytes;
            if (kept + segment.bytes) as f64 <= share * seen as f64 {
                kept += segment.bytes;
            } else {
                rings.take(plan, segment, &mut residency);
            }
        }
        residency.resident = kept;
        residency.ring = rings.finish();
        Ok(residency)
    }

    /// Bytes that the ring takes.
    pub fn ring_bytes(&self) -> u64 {
        self.ring.iter().sum()
    }
}

/// What a weight takes in a ring.
fn size(plan: &Plan, weight: usize) -> u64 {
    plan.weights[weight].bytes().max(16).next_multiple_of(ALIGNMENT)
}

/// The weights in groups whose uses do not interleave, in order.
fn segments(plan: &Plan, weights: &[usize]) -> Vec<Segment> {
    let uses = plan.weight_uses();
    let mut order: Vec<(Range<usize>, usize)> = weights
        .iter()
        .map(|w| (uses[*w].clone(), *w))
        .filter(|(used, _)| !used.is_empty())
        .collect();
    order.sort_by_key(|(used, weight)| (used.start, *weight));
    let mut segments: Vec<Segment> = Vec::new();
    for (used, weight) in order {
        let bytes = size(plan, weight);
        match segments.last_mut() {
            Some(last) if used.start < last.end => {
                last.end = last.end.max(used.end);
                last.weights.push((weight, used.start));
                last.bytes += bytes;
            }
            _ => segments.push(Segment {
                end: used.end,
                weights: vec![(weight, used.start)],
                bytes,
            }),
        }
    }
    segments
}

/// The halves of the ring (or the one that there is), filled in turn.
struct Rings {
    max_buffer: u64,
    halves: Vec<Half>,
    next: usize,
}

#[derive(Default)]
struct Half {
    /// Bytes of each of its buffers.
    buffers: Vec<u64>,
    /// The dispatch from which on it is free again.
    free: usize,
}

impl Half {
    /// Grows until it holds what was packed.
    fn cover(&mut self, packed: &[(usize, Range<u64>)]) {
        for (buffer, bytes) in packed {
            if self.buffers.len() <= *buffer {
                self.buffers.resize(buffer + 1, 0);
            }
            self.buffers[*buffer] = self.buffers[*buffer].max(bytes.end);
        }
    }
}

impl Rings {
    fn new(halves: usize, max_buffer: u64) -> Self {
        Self {
            max_buffer,
            halves: (0..halves).map(|_| Half::default()).collect(),
            next: 0,
        }
    }

    /// Puts a segment's weights into the next half. Buffers of the halves are numbered in turn.
    fn take(&mut self, plan: &Plan, segment: &Segment, residency: &mut Residency) {
        let count = self.halves.len();
        let half = &mut self.halves[self.next];
        let packed = segment.packed(plan, self.max_buffer);
        half.cover(&packed);
        for (&(weight, first), (buffer, bytes)) in segment.weights.iter().zip(packed) {
            residency.places[weight] = Place::Ring {
                buffer: buffer * count + self.next,
                offset: bytes.start,
            };
            residency.streamed += plan.weights[weight].bytes();
            residency.uploads.push(Upload {
                weight,
                window: half.free..first,
            });
        }
        half.free = segment.end;
        self.next = (self.next + 1) % count;
    }

    fn finish(self) -> Vec<u64> {
        let count = self.halves.len();
        let longest = self.halves.iter().map(|h| h.buffers.len()).max().unwrap_or(0);
        (0..longest * count)
            .map(|i| self.halves[i % count].buffers.get(i / count).copied().unwrap_or(0))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use kinora_graph::MatrixLayout;
    use kinora_quant::DType;
    use proptest::prelude::*;

    use super::super::{Buffer, Dispatch, Region, TensorRows, Weight};
    use super::*;

    /// A plan of dispatches that each read one weight.
    fn plan(sizes: &[usize], reads: &[usize]) -> Plan {
        let weights = sizes.iter().enumerate().map(|(index, k)| Weight {
            parts: vec![TensorRows {
                name: index.to_string(),
                rows: 0..1,
            }],
            k: *k,
            layout: MatrixLayout::RowMajor,
            dtype: DType::F32,
        });
        let dispatches = reads.iter().map(|read| Dispatch {
            op: 0,
            shader: 0,
            params: 0..0,
            workgroups: [1; 3],
            bindings: vec![Region {
                buffer: Buffer::Weight(read % sizes.len()),
                offset: 0,
                size: 16,
            }],
            seconds: 0.0,
        });
        Plan {
            weights: weights.collect(),
            dispatches: dispatches.collect(),
            ..Plan::default()
        }
    }

    proptest! {
        #[test]
        fn nothing_is_overwritten_that_is_still_read(
            sizes in prop::collection::vec(1usize..400, 1..24),
            reads in prop::collection::vec(0usize..24, 1..60),
            sorted in any::<bool>(),
            share in 1u64..100,
            max_buffer in 2048u64..6000,
        ) {
            let mut reads = reads;
            reads.iter_mut().for_each(|r| *r %= sizes.len());
            if sorted {
                reads.sort_unstable();
            }
            let plan = plan(&sizes, &reads);
            let total: u64 = (0..sizes.len()).map(|w| size(&plan, w)).sum();
            let available = total * share / 100;
            let Ok(chosen) = Residency::choose(&plan, Some(available), max_buffer, |_| false) else {
                return Ok(());
            };
            prop_assert!(chosen.resident + chosen.ring_bytes() <= available);
            prop_assert!(chosen.ring.iter().all(|b| *b <= max_buffer));
            let uses = plan.weight_uses();
            let mut last = 0;
            for (i, upload) in chosen.uploads.iter().enumerate() {
                prop_assert!(upload.window.start <= upload.window.end);
                prop_assert_eq!(upload.window.end, uses[upload.weight].start);
                prop_assert!(upload.window.end >= last);
                last = upload.window.end;
                let Place::Ring { buffer, offset } = chosen.places[upload.weight] else {
                    panic!("uploaded and resident");
                };
                let end = offset + size(&plan, upload.weight);
                prop_assert!(end <= chosen.ring[buffer]);
                for other in &chosen.uploads[i + 1..] {
                    let Place::Ring { buffer: b, offset: o } = chosen.places[other.weight] else {
                        panic!("uploaded and resident");
                    };
                    let apart = b != buffer || o >= end || o + size(&plan, other.weight) <= offset;
                    // The later one may come from the start of its window on.
                    prop_assert!(apart || other.window.start >= uses[upload.weight].end);
                }
            }
        }
    }
}
