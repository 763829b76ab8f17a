//! From the tensors that a LoRA has for one layer to the layer's changes.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use kinora_quant::Weights;

use super::change::{Change, Magnitude};
use super::factor::{Factor, Pair, Product};
use super::key::{Half, Piece, Role};
use super::shown;
use crate::{Error, Result};

/// The tensors of one layer. What is used is taken out.
pub(super) struct Layer<'m, 'a> {
    pub(super) file: &'m Arc<dyn Weights>,
    /// Names of tensors by role.
    pub(super) tensors: BTreeMap<Role, &'a str>,
    /// The model's tensor, for messages.
    pub(super) target: &'m str,
    /// Its shape.
    pub(super) shape: &'m [usize],
    /// What the LoRA seems to be for, for messages.
    pub(super) seems: &'m str,
    pub(super) strength: f32,
}

/// A tensor that was taken, as a matrix, with its name and shape.
struct Taken<'a> {
    name: &'a str,
    shape: Vec<usize>,
    factor: Factor,
}

impl<'a> Layer<'_, 'a> {
    /// The changes of the weight: low-rank pair, LoHa and LoKr, then the difference.
    pub(super) fn weight(&mut self) -> Result<Vec<Change>> {
        let schemes = [Self::pair, Self::hadamard, Self::kronecker];
        let mut products = Vec::new();
        for scheme in schemes {
            products.extend(scheme(self)?);
        }
        let mut changes = Vec::new();
        if !products.is_empty() {
            let alpha = self.alpha()?;
            let magnitude = self.magnitude()?;
            if products.len() > 1 && magnitude.is_some() {
                return Err(self.wrong(format!("`{}` has two changes and one magnitude", shown(self.target))));
            }
            let strength = if magnitude.is_some() { 1.0 } else { self.strength };
            let mut magnitude = magnitude;
            for (product, rank) in products {
                let scale = match (alpha, rank) {
                    (Some(alpha), Some(rank)) => alpha / rank as f32,
                    _ => 1.0,
                };
                changes.push(Change {
                    product,
                    scale: strength * scale,
                    magnitude: magnitude.take(),
                });
            }
        }
        if let Some(diff) = self.take(Role::Diff)? {
            changes.push(self.difference(diff, self.target, self.shape)?);
        }
        Ok(changes)
    }

    /// The difference of the bias `target`.
    pub(super) fn bias(&mut self, target: &str, shape: &[usize]) -> Result<Option<Change>> {
        match self.take(Role::DiffBias)? {
            Some(diff) => self.difference(diff, target, shape).map(Some),
            None => Ok(None),
        }
    }

    /// The name of the tensor that replaces the weight.
    pub(super) fn set(&mut self) -> Result<Option<&'a str>> {
        let Some(tensor) = self.take(Role::Set)? else {
            return Ok(None);
        };
        if tensor.shape != self.shape {
            return Err(self.mismatch(&[&tensor], self.target, &tensor.shape, self.shape));
        }
        Ok(Some(tensor.name))
    }

    fn difference(&self, diff: Taken<'_>, target: &str, shape: &[usize]) -> Result<Change> {
        let without_ones = |shape: &[usize]| shape.iter().copied().filter(|n| *n != 1).collect::<Vec<_>>();
        if without_ones(&diff.shape) != without_ones(shape) {
            return Err(self.mismatch(&[&diff], target, &diff.shape, shape));
        }
        let [n, k] = matrix_shape(shape);
        // Rows are the target's: a file may have no leading dimension of size 1 where the target has one.
        let factor = match diff.factor.shape() == [n, k] {
            true => diff.factor,
            false => self.made(diff.factor.all()?, [n, k]),
        };
        Ok(Change {
            product: Product::Plain(Pair {
                up: factor,
                down: Factor::Identity(k),
            }),
            scale: self.strength,
            magnitude: None,
        })
    }

    /// `up · down`, and the rank that alpha is divided by.
    fn pair(&mut self) -> Result<Option<(Product, Option<usize>)>> {
        let (up, down) = match (self.take(Role::Up)?, self.take(Role::Down)?) {
            (None, None) => return Ok(None),
            (Some(up), Some(down)) => (up, down),
            (Some(one), None) | (None, Some(one)) => {
                return Err(self.wrong(format!(
                    "`{}` has no partner: a low-rank pair needs both factors; the file is incomplete",
                    shown(one.name)
                )));
            }
        };
        let rank = down.shape.first().copied().unwrap_or(0);
        let mid = self.take(Role::Mid)?;
        let names = [&up, &down];
        let core = match &mid {
            Some(mid) => self.through_core(mid, &down)?,
            None => down.factor.clone(),
        };
        let pair = self.fit(&names, up.factor.clone(), core)?;
        Ok(Some((self.checked(&names, Product::Plain(pair))?, Some(rank))))
    }

    /// LoHa.
    fn hadamard(&mut self) -> Result<Option<(Product, Option<usize>)>> {
        let Some((first, rank)) = self.half(Role::Hada, Half::First)? else {
            return match self.half(Role::Hada, Half::Second)? {
                None => Ok(None),
                Some(_) => Err(self.lacks("hada_w1_a")),
            };
        };
        let Some((second, _)) = self.half(Role::Hada, Half::Second)? else {
            return Err(self.lacks("hada_w2_a"));
        };
        let product = self.checked(&[], Product::Hadamard([first, second]))?;
        Ok(Some((product, rank)))
    }

    /// LoKr. Alpha counts only where a half is a product; the second half's rank goes before the first's.
    fn kronecker(&mut self) -> Result<Option<(Product, Option<usize>)>> {
        let Some((first, first_rank)) = self.half(Role::Kron, Half::First)? else {
            return match self.half(Role::Kron, Half::Second)? {
                None => Ok(None),
                Some(_) => Err(self.lacks("lokr_w1")),
            };
        };
        let Some((second, second_rank)) = self.half(Role::Kron, Half::Second)? else {
            return Err(self.lacks("lokr_w2"));
        };
        let product = self.checked(&[], Product::Kronecker([first, second]))?;
        Ok(Some((product, second_rank.or(first_rank))))
    }

    /// One of two matrices, whole or as a product, and its rank in the latter case.
    fn half(&mut self, role: fn(Half, Piece) -> Role, half: Half) -> Result<Option<(Pair, Option<usize>)>> {
        if let Some(whole) = self.take(role(half, Piece::Whole))? {
            return Ok(Some((Pair::whole(whole.factor), None)));
        }
        let (a, b) = match (self.take(role(half, Piece::A))?, self.take(role(half, Piece::B))?) {
            (None, None) => return Ok(None),
            (Some(a), Some(b)) => (a, b),
            (Some(one), None) | (None, Some(one)) => {
                return Err(self.wrong(format!("`{}` has no partner; the file is incomplete", shown(one.name))));
            }
        };
        let rank = b.shape.first().copied();
        let pair = match self.take(role(half, Piece::Core))? {
            None => self.fit(&[&a, &b], a.factor.clone(), b.factor.clone())?,
            Some(core) => {
                // With a core, `a` lies on its side.
                let [rows, columns] = a.factor.shape();
                let values = a.factor.all()?;
                let turned = (0..rows * columns).map(|at| values[at % rows * columns + at / rows]);
                let up = self.made(turned.collect(), [columns, rows]);
                let down = self.through_core(&core, &b)?;
                self.fit(&[&a, &b], up, down)?
            }
        };
        Ok(Some((pair, rank)))
    }

    /// `core` `[R, R', …taps]` times `down` `[R', C]`: `[R, C · taps]`.
    fn through_core(&self, core: &Taken<'_>, down: &Taken<'_>) -> Result<Factor> {
        let [rank, inner] = [0, 1].map(|axis| core.shape.get(axis).copied().unwrap_or(0));
        let [rows, channels] = down.factor.shape();
        let taps = core.shape.iter().skip(2).product::<usize>();
        let [n, k] = matrix_shape(self.shape);
        // The bound on the rank bounds what is made here.
        if core.shape.len() < 2 || inner != rows || rank > n.max(k) || channels.checked_mul(taps).is_none() {
            return Err(self.wrong(format!(
                "`{}` of shape {:?} and `{}` of shape {:?} do not fit together",
                shown(core.name),
                core.shape,
                shown(down.name),
                down.shape
            )));
        }
        if channels * taps > k {
            return Err(self.mismatch(&[core, down], self.target, &[rank, channels * taps], self.shape));
        }
        let (core, down) = (core.factor.all()?, down.factor.all()?);
        let mut out = vec![0f32; rank * channels * taps];
        for (at, out) in out.iter_mut().enumerate() {
            let (r, channel, tap) = (at / (channels * taps), at / taps % channels, at % taps);
            *out = (0..inner)
                .map(|i| core[(r * inner + i) * taps + tap] * down[i * channels + channel])
                .sum();
        }
        Ok(self.made(out, [rank, channels * taps]))
    }

    fn made(&self, values: Vec<f32>, shape: [usize; 2]) -> Factor {
        Factor::Made {
            values: values.into(),
            shape,
        }
    }

    /// Two factors that have the same rank.
    fn fit(&self, tensors: &[&Taken<'_>], up: Factor, down: Factor) -> Result<Pair> {
        let ([_, columns], [rank, _]) = (up.shape(), down.shape());
        if columns != rank || rank == 0 {
            return Err(self.wrong(format!(
                "{} do not fit together: their ranks differ or are 0",
                list(tensors)
            )));
        }
        Ok(Pair { up, down })
    }

    /// A product of the target's shape.
    fn checked(&self, tensors: &[&Taken<'_>], product: Product) -> Result<Product> {
        let wanted = matrix_shape(self.shape);
        match product.shape() {
            Some(shape) if shape == wanted => Ok(product),
            Some(shape) => Err(self.mismatch(tensors, self.target, &shape, self.shape)),
            None => Err(self.wrong(format!("the changes of `{}` do not fit together", shown(self.target)))),
        }
    }

    fn alpha(&mut self) -> Result<Option<f32>> {
        let Some(tensor) = self.take(Role::Alpha)? else {
            return Ok(None);
        };
        let values = self.file.tensor(tensor.name)?.to_f32()?;
        match values.as_slice() {
            [alpha] if alpha.is_finite() => Ok(Some(*alpha)),
            _ => Err(self.wrong(format!("`{}` is not one finite number", shown(tensor.name)))),
        }
    }

    fn magnitude(&mut self) -> Result<Option<Magnitude>> {
        let Some(tensor) = self.take(Role::Magnitude)? else {
            return Ok(None);
        };
        let [rows, _] = matrix_shape(self.shape);
        let elements: usize = tensor.shape.iter().product();
        let by_rows = tensor.shape.first() == Some(&rows) && elements == rows;
        let by_columns = tensor.shape.first() == Some(&1) && self.shape.get(1) == Some(&elements) && elements > 0;
        if !by_rows && !by_columns {
            return Err(self.mismatch(&[&tensor], self.target, &tensor.shape, self.shape));
        }
        Ok(Some(Magnitude {
            lengths: self.file.tensor(tensor.name)?.to_f32()?,
            by_rows,
            strength: self.strength,
            norms: OnceLock::new(),
        }))
    }

    /// Takes the tensor of a role; an error where it is there and holds no numbers that can be read.
    fn take(&mut self, role: Role) -> Result<Option<Taken<'a>>> {
        let Some(name) = self.tensors.remove(&role) else {
            return Ok(None);
        };
        let info = self.file.info(name).ok_or_else(|| self.file.missing(name))?;
        if !info.dtype.is_float() {
            return Err(self.wrong(format!(
                "`{}` is stored as {}; factors of a LoRA are floating-point numbers",
                shown(name),
                info.dtype
            )));
        }
        if info.shape.is_empty() && role != Role::Alpha {
            return Err(self.wrong(format!("`{}` is a single number, and no matrix", shown(name))));
        }
        let factor = Factor::Stored {
            file: self.file.clone(),
            name: name.to_owned(),
            shape: matrix_shape(&info.shape),
        };
        Ok(Some(Taken {
            name,
            shape: info.shape,
            factor,
        }))
    }

    fn lacks(&self, what: &str) -> Error {
        self.wrong(format!(
            "the change of `{}` lacks `{what}`; the file is incomplete",
            shown(self.target)
        ))
    }

    fn mismatch(&self, tensors: &[&Taken<'_>], target: &str, shape: &[usize], wanted: &[usize]) -> Error {
        let of = match tensors {
            [] => String::new(),
            _ => format!(" ({})", list(tensors)),
        };
        self.wrong(format!(
            "a change of shape {shape:?}{of} is for `{}`, whose shape is {wanted:?}; {}",
            shown(target),
            self.seems
        ))
    }

    fn wrong(&self, why: String) -> Error {
        Error::Config {
            origin: self.file.origin(),
            why,
        }
    }
}

/// Rows of the first dimension, and elements of each.
fn matrix_shape(shape: &[usize]) -> [usize; 2] {
    let (rows, rest) = shape.split_first().unwrap_or((&1, &[]));
    [*rows, rest.iter().product()]
}

fn list(tensors: &[&Taken<'_>]) -> String {
    let tensors: Vec<_> = tensors
        .iter()
        .map(|t| format!("`{}` of shape {:?}", shown(t.name), t.shape))
        .collect();
    tensors.join(" and ")
}
