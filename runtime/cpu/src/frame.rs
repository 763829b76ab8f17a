//! The values of one run.

use std::ops::Deref;
use std::sync::Arc;

use kinora_graph::{ElementType, Error, Graph, HostData, HostTensor, Result, Value};

/// Numbers that are borrowed from the caller or the graph, or shared with states and parameters.
#[derive(Clone, Debug)]
pub(crate) enum Slab<'a, T> {
    /// Of the caller or the graph.
    Borrowed(&'a [T]),
    /// Made by a program.
    Shared(Arc<Vec<T>>),
}

impl<T> Deref for Slab<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Borrowed(values) => values,
            Self::Shared(values) => values,
        }
    }
}

impl<T: Clone> Slab<'_, T> {
    /// The numbers themselves, copied only where something else uses them.
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::Borrowed(values) => values.to_vec(),
            Self::Shared(values) => Arc::unwrap_or_clone(values),
        }
    }
}

/// A value of a run.
#[derive(Clone, Debug)]
pub(crate) enum Data<'a> {
    /// Activations.
    F32(Slab<'a, f32>),
    /// Ids or indices.
    U32(Slab<'a, u32>),
}

impl<'a> Data<'a> {
    /// The elements of a tensor of the host.
    pub(crate) fn borrowed(tensor: &'a HostTensor) -> Self {
        match &tensor.data {
            HostData::F32(values) => Self::F32(Slab::Borrowed(values)),
            HostData::U32(values) => Self::U32(Slab::Borrowed(values)),
        }
    }

    /// Activations that were just computed.
    pub(crate) fn owned(values: Vec<f32>) -> Self {
        Self::F32(Slab::Shared(Arc::new(values)))
    }

    /// Ids or indices that were just computed.
    pub(crate) fn owned_u32(values: Vec<u32>) -> Self {
        Self::U32(Slab::Shared(Arc::new(values)))
    }

    /// As a tensor of the host.
    pub(crate) fn into_host(self, shape: &[usize]) -> HostTensor {
        match self {
            Self::F32(values) => HostTensor::f32(shape, values.into_vec()),
            Self::U32(values) => HostTensor::u32(shape, values.into_vec()),
        }
    }

    /// As a state: activations that the executor keeps.
    pub(crate) fn into_state(self) -> Result<Arc<Vec<f32>>> {
        match self {
            Self::F32(Slab::Shared(values)) => Ok(values),
            Self::F32(Slab::Borrowed(values)) => Ok(Arc::new(values.to_vec())),
            Self::U32(_) => Err(Error::ElementType {
                expected: ElementType::F32,
                found: ElementType::U32,
            }),
        }
    }
}

/// What an operation sees of the run: the values so far.
pub(crate) struct Frame<'a> {
    graph: &'a Graph,
    values: Vec<Option<Data<'a>>>,
    last_uses: &'a [usize],
    /// Index of the node that runs now.
    current: usize,
}

impl<'a> Frame<'a> {
    /// No values yet.
    pub(crate) fn new(graph: &'a Graph, last_uses: &'a [usize]) -> Self {
        Self {
            graph,
            values: vec![None; graph.nodes().len()],
            last_uses,
            current: 0,
        }
    }

    /// The graph that runs.
    pub(crate) fn graph(&self) -> &'a Graph {
        self.graph
    }

    /// Starts the node `index`.
    pub(crate) fn enter(&mut self, index: usize) {
        self.current = index;
    }

    /// Keeps the result of the current node, unless nobody reads it, and forgets the operands that nobody reads
    /// any more.
    pub(crate) fn leave(&mut self, result: Data<'a>) {
        let current = self.current;
        if self.last_uses[current] > current {
            self.values[current] = Some(result);
        }
        for operand in self.graph.nodes()[current].op.operands() {
            if self.last_uses[operand.index()] == current {
                self.values[operand.index()] = None;
            }
        }
    }

    /// A value.
    pub(crate) fn data(&self, value: Value) -> &Data<'a> {
        self.values[value.index()]
            .as_ref()
            .expect("operands come first and live to their last use")
    }

    /// A value's activations.
    pub(crate) fn f32(&self, value: Value) -> Result<&[f32]> {
        match self.data(value) {
            Data::F32(values) => Ok(values),
            Data::U32(_) => Err(Error::ElementType {
                expected: ElementType::F32,
                found: ElementType::U32,
            }),
        }
    }

    /// The activations of an operand that may be absent.
    pub(crate) fn optional(&self, value: Option<Value>) -> Result<Option<&[f32]>> {
        value.map(|v| self.f32(v)).transpose()
    }

    /// A value's ids.
    pub(crate) fn u32(&self, value: Value) -> Result<&[u32]> {
        match self.data(value) {
            Data::U32(values) => Ok(values),
            Data::F32(_) => Err(Error::ElementType {
                expected: ElementType::U32,
                found: ElementType::F32,
            }),
        }
    }

    /// Shape of a value.
    pub(crate) fn shape(&self, value: Value) -> &'a [usize] {
        &self.graph.node(value).shape
    }

    /// The activations of `value` to be changed in place: moved out where the current node is the last to read
    /// them and `others`, the node's other operands, are not the same value; copied otherwise.
    pub(crate) fn take_or_copy(&mut self, value: Value, others: &[Value]) -> Result<Vec<f32>> {
        let movable = self.last_uses[value.index()] == self.current && !others.contains(&value);
        if movable && let Some(Data::F32(slab)) = self.values[value.index()].take_if(|d| matches!(d, Data::F32(_))) {
            return Ok(slab.into_vec());
        }
        Ok(self.f32(value)?.to_vec())
    }
}
