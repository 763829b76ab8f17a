//! Operations of layers with experts: each token chooses some of E experts, tokens are grouped by expert, multiplied
//! with that expert's matrices, and summed up again.
//!
//! A *slot* is one of the k choices of a token: slot `token · k + i`. A *place* is where a slot lies once they are
//! sorted by expert, those of one expert in the order of their slots.

use std::ops::Range;

use crate::{Activation, Matrix, Value};

/// How the logits of a router become scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scoring {
    /// Softmax over all experts.
    Softmax,
    /// Softmax over the chosen experts.
    SoftmaxOfChosen,
    /// 1 / (1 + exp(-x))
    Sigmoid,
}

/// Weights of the chosen experts, from the logits of all: `[T, E]` and `[T, k]` → `[T, k]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpertWeights {
    /// `[T, E]`
    pub logits: Value,
    /// The chosen experts, `[T, k]`.
    pub ids: Value,
    /// See [`Scoring`].
    pub scoring: Scoring,
    /// Divided by their sum.
    pub normalize: bool,
    /// Factor, after that.
    pub scale: f32,
}

/// Where the parts of a grouping of `slots` slots begin: the slot of each place, the place of each slot, the first
/// place of each expert, and the number of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// T · k.
    pub slots: usize,
    /// E.
    pub experts: usize,
}

impl Grouping {
    /// Elements of the value.
    pub fn elements(&self) -> usize {
        2 * self.slots + self.experts + 1
    }

    /// The slot of each place.
    pub fn order(&self) -> Range<usize> {
        0..self.slots
    }

    /// The place of each slot.
    pub fn places(&self) -> Range<usize> {
        self.slots..2 * self.slots
    }

    /// The first place of each expert, and the number of slots.
    pub fn starts(&self) -> Range<usize> {
        2 * self.slots..self.elements()
    }
}

/// Which row of x a place is multiplied from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// That of its slot's token: x is `[T, K]`.
    Tokens,
    /// Its own: x is `[T · k, K]`, the result of another grouped layer.
    Places,
}

/// `activation(x Wᵀ + bias)` with each place's own expert: → `[T · k, N]`, sorted by expert.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupedLinear {
    /// See [`Source`].
    pub x: Value,
    /// Rows of x.
    pub source: Source,
    /// See [`Grouping`].
    pub groups: Value,
    /// What `groups` holds.
    pub grouping: Grouping,
    /// `[E · R, K]`, an expert after the other.
    pub weight: Matrix,
    /// The rows of each expert's R that are used: N.
    pub rows: Range<usize>,
    /// `[E · R]`
    pub bias: Option<Value>,
    /// Of the result.
    pub activation: Activation,
}

impl GroupedLinear {
    /// R: rows of the weight of an expert.
    pub fn expert_rows(&self) -> usize {
        self.weight.n() / self.grouping.experts
    }
}
