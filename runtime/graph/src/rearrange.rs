//! Rearrangement: every copy, permutation, repetition and block mean as one operation.

/// Most axes that a [`Rearrange`] may have.
pub const MAX_AXES: usize = 8;

/// Output element `(i₀, i₁, …)` over `sizes` comes from input element
/// `offset + Σ iₐ · strideₐ`; a stride of 0 repeats. The last `reduce` axes are averaged away.
///
/// Slices, transpositions, (un)patchify, pixel (un)shuffle, nearest upsampling, channel repeats and
/// group means are all of this form; [`crate::Builder`] has a named method for each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rearrange {
    /// Size of each axis, outermost first: the output's axes, then the averaged ones.
    pub sizes: Vec<usize>,
    /// Step in the input, in elements, of each axis.
    pub strides: Vec<usize>,
    /// First input element.
    pub offset: usize,
    /// How many of the last axes are averaged.
    pub reduce: usize,
}

impl Rearrange {
    /// Number of output elements.
    pub fn outputs(&self) -> usize {
        self.sizes[..self.sizes.len() - self.reduce].iter().product()
    }

    /// Number of input elements averaged for each output element.
    pub fn averaged(&self) -> usize {
        self.sizes[self.sizes.len() - self.reduce..].iter().product()
    }

    /// One more than the last input element that is read.
    pub fn extent(&self) -> usize {
        self.offset
            + self
                .sizes
                .iter()
                .zip(&self.strides)
                .map(|(n, s)| (n - 1) * s)
                .sum::<usize>()
            + 1
    }

    /// The same rearrangement with unit axes dropped and neighbouring axes merged where they are contiguous.
    pub fn simplified(&self) -> Self {
        let kept = self.sizes.len() - self.reduce;
        let mut sizes = Vec::new();
        let mut strides: Vec<usize> = Vec::new();
        let mut reduce = 0;
        for axis in 0..self.sizes.len() {
            let (size, stride) = (self.sizes[axis], self.strides[axis]);
            if size == 1 {
                continue;
            }
            let reduced = axis >= kept;
            let mergeable = if reduced { reduce > 0 } else { !sizes.is_empty() };
            if mergeable && *strides.last().expect("an axis before") == size * stride {
                *sizes.last_mut().expect("an axis before") *= size;
                *strides.last_mut().expect("an axis before") = stride;
            } else {
                sizes.push(size);
                strides.push(stride);
                reduce += usize::from(reduced);
            }
        }
        Self {
            sizes,
            strides,
            offset: self.offset,
            reduce,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rearrange;

    #[test]
    fn contiguous_axes_merge_but_never_across_the_mean() {
        let spec = Rearrange {
            sizes: vec![2, 1, 3, 4, 5],
            strides: vec![60, 60, 20, 5, 1],
            offset: 7,
            reduce: 1,
        };
        let simple = spec.simplified();
        assert_eq!(
            (simple.sizes.as_slice(), simple.strides.as_slice(), simple.reduce),
            (&[24, 5][..], &[5, 1][..], 1)
        );
        assert_eq!(
            (simple.outputs(), simple.averaged(), simple.extent()),
            (spec.outputs(), spec.averaged(), spec.extent())
        );
    }
}
