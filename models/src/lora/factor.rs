//! Matrices of LoRA files and their products, row by row: nothing is kept that can be made again.

use std::ops::Range;
use std::sync::Arc;

use kinora_quant::{Result, Weights};

/// A matrix that is read, or known.
#[derive(Clone)]
pub(super) enum Factor {
    /// A tensor of a file; dimensions after the first are columns.
    Stored {
        file: Arc<dyn Weights>,
        name: String,
        shape: [usize; 2],
    },
    /// Numbers that were computed.
    Made { values: Arc<[f32]>, shape: [usize; 2] },
    /// Ones on the diagonal.
    Identity(usize),
}

impl Factor {
    /// Rows and columns.
    pub(super) fn shape(&self) -> [usize; 2] {
        match self {
            Self::Stored { shape, .. } | Self::Made { shape, .. } => *shape,
            Self::Identity(n) => [*n; 2],
        }
    }

    /// Rows `range`.
    pub(super) fn rows(&self, range: Range<usize>) -> Result<Vec<f32>> {
        match self {
            Self::Stored { file, name, .. } => file.rows(name, range)?.to_f32(),
            Self::Made {
                values,
                shape: [_, columns],
            } => Ok(values[range.start * columns..range.end * columns].to_vec()),
            Self::Identity(n) => {
                let mut out = vec![0.0; range.len() * n];
                for (row, one) in range.enumerate() {
                    out[row * n + one] = 1.0;
                }
                Ok(out)
            }
        }
    }

    /// All of it.
    pub(super) fn all(&self) -> Result<Vec<f32>> {
        self.rows(0..self.shape()[0])
    }
}

/// `up · down`; a matrix that is no product has an identity beside it.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) up: Factor,
    pub(super) down: Factor,
}

impl Pair {
    /// A matrix that is given whole, with the smaller identity.
    pub(super) fn whole(matrix: Factor) -> Self {
        match matrix.shape() {
            [rows, columns] if rows < columns => Self {
                up: Factor::Identity(rows),
                down: matrix,
            },
            [_, columns] => Self {
                up: matrix,
                down: Factor::Identity(columns),
            },
        }
    }

    fn shape(&self) -> [usize; 2] {
        [self.up.shape()[0], self.down.shape()[1]]
    }

    fn rank(&self) -> usize {
        self.down.shape()[0]
    }

    /// Rows `range` of the product.
    fn rows(&self, range: Range<usize>) -> Result<Vec<f32>> {
        match (&self.up, &self.down) {
            (Factor::Identity(_), matrix) | (matrix, Factor::Identity(_)) => matrix.rows(range),
            (up, down) => {
                let columns = self.shape()[1];
                let mut out = vec![0.0; range.len() * columns];
                let (up, down) = (up.rows(range)?, down.all()?);
                let rank = self.rank();
                if rank == 0 || columns == 0 {
                    return Ok(out);
                }
                for (out, up) in out.chunks_exact_mut(columns).zip(up.chunks_exact(rank)) {
                    for (factor, down) in up.iter().zip(down.chunks_exact(columns)) {
                        for (out, down) in out.iter_mut().zip(down) {
                            *out += factor * down;
                        }
                    }
                }
                Ok(out)
            }
        }
    }
}

/// How one or two products make a change `[N, K]`. All are low-rank products themselves.
#[derive(Clone)]
pub(super) enum Product {
    /// The product itself.
    Plain(Pair),
    /// Element by element: rows of the factors are products of rows.
    Hadamard([Pair; 2]),
    /// Kronecker's: so are its factors.
    Kronecker([Pair; 2]),
}

impl Product {
    /// Rows and columns; `None` where they overflow or do not fit together.
    pub(super) fn shape(&self) -> Option<[usize; 2]> {
        match self {
            Self::Plain(pair) => Some(pair.shape()),
            Self::Hadamard([a, b]) => (a.shape() == b.shape()).then(|| a.shape()),
            Self::Kronecker([a, b]) => {
                let ([n, k], [m, l]) = (a.shape(), b.shape());
                Some([n.checked_mul(m)?, k.checked_mul(l)?])
            }
        }
    }

    /// Columns of `up`, rows of `down`.
    pub(super) fn rank(&self) -> Option<usize> {
        match self {
            Self::Plain(pair) => Some(pair.rank()),
            Self::Hadamard([a, b]) | Self::Kronecker([a, b]) => a.rank().checked_mul(b.rank()),
        }
    }

    /// Whether the factors are smaller than the product.
    pub(super) fn is_low_rank(&self) -> bool {
        let sizes = || {
            let [n, k] = self.shape()?;
            Some((self.rank()?.checked_mul(n.checked_add(k)?)?, n.checked_mul(k)?))
        };
        sizes().is_some_and(|(factors, product)| factors < product)
    }

    /// Rows `range` of the product.
    pub(super) fn rows(&self, range: Range<usize>) -> Result<Vec<f32>> {
        match self {
            Self::Plain(pair) => pair.rows(range),
            Self::Hadamard([a, b]) => {
                let mut out = a.rows(range.clone())?;
                out.iter_mut().zip(b.rows(range)?).for_each(|(a, b)| *a *= b);
                Ok(out)
            }
            Self::Kronecker([a, b]) => outer_rows(range, b.shape()[0], |r| a.rows(r), |r| b.rows(r)),
        }
    }

    /// Rows `range` of `up` `[N, rank]`.
    pub(super) fn up(&self, range: Range<usize>) -> Result<Vec<f32>> {
        match self {
            Self::Plain(pair) => pair.up.rows(range),
            Self::Hadamard([a, b]) => {
                let (left, right) = (a.up.rows(range.clone())?, b.up.rows(range.clone())?);
                let mut out = Vec::with_capacity(range.len() * a.rank() * b.rank());
                for row in 0..range.len() {
                    outer(
                        &left[row * a.rank()..][..a.rank()],
                        &right[row * b.rank()..][..b.rank()],
                        &mut out,
                    );
                }
                Ok(out)
            }
            Self::Kronecker([a, b]) => outer_rows(range, b.up.shape()[0], |r| a.up.rows(r), |r| b.up.rows(r)),
        }
    }

    /// Rows `range` of `down` `[rank, K]`.
    pub(super) fn down(&self, range: Range<usize>) -> Result<Vec<f32>> {
        match self {
            Self::Plain(pair) => pair.down.rows(range),
            Self::Hadamard([a, b]) => {
                let columns = a.shape()[1];
                let mut out = Vec::with_capacity(range.len() * columns);
                let right = b.down.all()?;
                for index in range {
                    let left = a.down.rows(index / b.rank()..index / b.rank() + 1)?;
                    let right = &right[index % b.rank() * columns..][..columns];
                    out.extend(left.iter().zip(right).map(|(l, r)| l * r));
                }
                Ok(out)
            }
            Self::Kronecker([a, b]) => outer_rows(range, b.rank(), |r| a.down.rows(r), |r| b.down.rows(r)),
        }
    }
}

/// Rows `range` of a Kronecker product whose second matrix has `count` rows.
fn outer_rows(
    range: Range<usize>,
    count: usize,
    first: impl Fn(Range<usize>) -> Result<Vec<f32>>,
    second: impl Fn(Range<usize>) -> Result<Vec<f32>>,
) -> Result<Vec<f32>> {
    let mut out = Vec::new();
    if range.is_empty() {
        return Ok(out);
    }
    let right = second(0..count)?;
    let width = right.len() / count;
    let mut left = (usize::MAX, Vec::new());
    for row in range {
        if left.0 != row / count {
            left = (row / count, first(row / count..row / count + 1)?);
        }
        outer(&left.1, &right[row % count * width..][..width], &mut out);
    }
    Ok(out)
}

/// Each element of `left` times all of `right`.
fn outer(left: &[f32], right: &[f32], out: &mut Vec<f32>) {
    for l in left {
        out.extend(right.iter().map(|r| l * r));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(rows: usize, columns: usize, seed: usize) -> Factor {
        let values = (0..rows * columns)
            .map(|i| ((i * 7 + seed) % 11) as f32 - 5.0)
            .collect();
        Factor::Made {
            values,
            shape: [rows, columns],
        }
    }

    fn pair(rows: usize, rank: usize, columns: usize, seed: usize) -> Pair {
        Pair {
            up: made(rows, rank, seed),
            down: made(rank, columns, seed + 3),
        }
    }

    #[test]
    fn factors_multiply_to_the_product() {
        for product in [
            Product::Plain(pair(6, 2, 8, 0)),
            Product::Plain(Pair::whole(made(6, 8, 1))),
            Product::Plain(Pair::whole(made(8, 6, 1))),
            Product::Hadamard([pair(6, 2, 8, 1), pair(6, 3, 8, 2)]),
            Product::Kronecker([pair(2, 1, 4, 1), pair(3, 2, 2, 2)]),
            Product::Kronecker([Pair::whole(made(3, 2, 5)), pair(2, 1, 4, 2)]),
            Product::Kronecker([Pair::whole(made(2, 4, 5)), Pair::whole(made(3, 2, 1))]),
        ] {
            let ([n, k], rank) = (product.shape().unwrap(), product.rank().unwrap());
            let (up, down) = (product.up(0..n).unwrap(), product.down(0..rank).unwrap());
            let mut expected = vec![0.0; n * k];
            for row in 0..n {
                for column in 0..k {
                    expected[row * k + column] = (0..rank).map(|r| up[row * rank + r] * down[r * k + column]).sum();
                }
            }
            assert_eq!(product.rows(0..n).unwrap(), expected);
            assert_eq!(product.rows(1..n - 1).unwrap(), expected[k..(n - 1) * k]);
            assert_eq!(product.up(1..n).unwrap(), up[rank..]);
            assert_eq!(product.down(1..rank).unwrap(), down[k..]);
        }
    }

    #[test]
    fn kronecker_is_what_it_says() {
        let product = Product::Kronecker([Pair::whole(made(2, 2, 0)), Pair::whole(made(1, 3, 4))]);
        let (a, b) = (made(2, 2, 0).all().unwrap(), made(1, 3, 4).all().unwrap());
        let expected: Vec<f32> = [a[0], a[1], a[2], a[3]]
            .iter()
            .flat_map(|a| b.iter().map(move |b| a * b))
            .collect();
        assert_eq!(product.rows(0..2).unwrap(), expected);
    }
}
