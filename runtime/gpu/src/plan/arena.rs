//! Where intermediate values lie: lifetimes become offsets in a few large buffers.

use std::ops::RangeInclusive;

/// Alignment of every value in bytes: enough for any device's binding offsets.
pub(crate) const ALIGNMENT: u64 = 256;

/// A value that needs room from one step to another.
#[derive(Clone, Debug)]
pub(crate) struct Lifetime {
    /// Bytes.
    pub(crate) size: u64,
    /// First and last step that touches the value.
    pub(crate) steps: RangeInclusive<usize>,
}

/// Place of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which arena.
    pub(crate) arena: usize,
    /// First byte.
    pub(crate) offset: u64,
}

/// Places of values and the sizes of the arenas.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// One place for each value.
    pub(crate) places: Vec<Place>,
    /// Bytes of each arena.
    pub(crate) sizes: Vec<u64>,
}

/// Gives each value the lowest free offset, large values first; arenas hold at most `max` bytes.
/// `Err` is the index of a value that is larger than that.
pub(crate) fn layout(values: &[Lifetime], max: u64) -> Result<Layout, usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(values[*i].size), *i));
    let mut out = Layout {
        places: vec![Place { arena: 0, offset: 0 }; values.len()],
        sizes: Vec::new(),
    };
    // Values placed in each arena, by offset.
    let mut placed: Vec<Vec<usize>> = Vec::new();
    for index in order {
        let size = values[index].size;
        if size > max {
            return Err(index);
        }
        let arena = (0..=placed.len())
            .find_map(|arena| {
                if arena == placed.len() {
                    return Some((arena, 0));
                }
                let offset = lowest(values, &out.places, &placed[arena], index);
                (offset + size <= max).then_some((arena, offset))
            })
            .expect("an empty arena holds any value that is not too large");
        let (arena, offset) = arena;
        if arena == placed.len() {
            placed.push(Vec::new());
            out.sizes.push(0);
        }
        out.places[index] = Place { arena, offset };
        out.sizes[arena] = out.sizes[arena].max(offset + size);
        let list = &mut placed[arena];
        let at = list.partition_point(|i| out.places[*i].offset <= offset);
        list.insert(at, index);
    }
    Ok(out)
}

/// The lowest offset at which value `index` meets no value of `placed` (sorted by offset).
fn lowest(values: &[Lifetime], places: &[Place], placed: &[usize], index: usize) -> u64 {
    let (own, size) = (&values[index].steps, values[index].size);
    let mut offset = 0u64;
    for other in placed {
        let steps = &values[*other].steps;
        if steps.start() > own.end() || own.start() > steps.end() {
            continue;
        }
        let start = places[*other].offset;
        if start >= offset + size {
            break;
        }
        offset = offset.max((start + values[*other].size).next_multiple_of(ALIGNMENT));
    }
    offset
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_two_live_values_overlap(
            raw in prop::collection::vec((1u64..5000, 0usize..40, 0usize..12), 1..80),
            max in 5000u64..40_000,
        ) {
            let values: Vec<_> = raw
                .into_iter()
                .map(|(size, start, length)| Lifetime { size, steps: start..=start + length })
                .collect();
            let layout = layout(&values, max).unwrap();
            for (i, a) in values.iter().enumerate() {
                let pa = layout.places[i];
                prop_assert!(pa.offset.is_multiple_of(ALIGNMENT));
                prop_assert!(pa.offset + a.size <= layout.sizes[pa.arena]);
                for (j, b) in values.iter().enumerate().skip(i + 1) {
                    let pb = layout.places[j];
                    let together = a.steps.start() <= b.steps.end() && b.steps.start() <= a.steps.end();
                    let apart = pa.arena != pb.arena
                        || pa.offset + a.size <= pb.offset
                        || pb.offset + b.size <= pa.offset;
                    prop_assert!(!together || apart, "{i} {j} {pa:?} {pb:?}");
                }
            }
            prop_assert!(layout.sizes.iter().all(|s| *s <= max));
        }
    }

    #[test]
    fn a_value_larger_than_an_arena_is_refused() {
        let value = Lifetime {
            size: 300,
            steps: 0..=1,
        };
        assert_eq!(layout(std::slice::from_ref(&value), 256).unwrap_err(), 0);
        assert_eq!(layout(&[value], 300).unwrap().sizes, [300]);
    }

    #[test]
    fn values_that_never_meet_share_room() {
        let value = |steps| Lifetime { size: 1000, steps };
        let layout = layout(&[value(0..=1), value(1..=2), value(2..=3)], 1 << 20).unwrap();
        assert_eq!(layout.sizes, [2024]);
        assert_eq!(layout.places[0], layout.places[2]);
    }
}
