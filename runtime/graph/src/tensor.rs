//! Tensors on the host: what goes into a program and what comes out.

use crate::{Error, Result};

/// Element type of a value in a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElementType {
    /// Activations and parameters.
    F32,
    /// Token ids and row indices.
    U32,
}

/// The elements of a [`HostTensor`].
#[derive(Clone, Debug, PartialEq)]
pub enum HostData {
    /// Activations.
    F32(Vec<f32>),
    /// Ids or indices.
    U32(Vec<u32>),
}

/// A row-major tensor in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// `shape.iter().product()` elements.
    pub data: HostData,
}

impl HostTensor {
    /// A tensor of activations. Panics where `values` does not fill `shape`.
    pub fn f32(shape: &[usize], values: Vec<f32>) -> Self {
        assert_eq!(
            shape.iter().product::<usize>(),
            values.len(),
            "{} values do not fill {shape:?}",
            values.len()
        );
        Self {
            shape: shape.to_vec(),
            data: HostData::F32(values),
        }
    }

    /// A tensor of ids or indices. Panics where `values` does not fill `shape`.
    pub fn u32(shape: &[usize], values: Vec<u32>) -> Self {
        assert_eq!(
            shape.iter().product::<usize>(),
            values.len(),
            "{} values do not fill {shape:?}",
            values.len()
        );
        Self {
            shape: shape.to_vec(),
            data: HostData::U32(values),
        }
    }

    /// Element type.
    pub fn element_type(&self) -> ElementType {
        match self.data {
            HostData::F32(_) => ElementType::F32,
            HostData::U32(_) => ElementType::U32,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The activations; an error where this is a tensor of ids.
    pub fn as_f32(&self) -> Result<&[f32]> {
        match &self.data {
            HostData::F32(v) => Ok(v),
            HostData::U32(_) => Err(Error::ElementType {
                expected: ElementType::F32,
                found: ElementType::U32,
            }),
        }
    }

    /// The activations, moved out; an error where this is a tensor of ids.
    pub fn into_f32(self) -> Result<Vec<f32>> {
        match self.data {
            HostData::F32(v) => Ok(v),
            HostData::U32(_) => Err(Error::ElementType {
                expected: ElementType::F32,
                found: ElementType::U32,
            }),
        }
    }

    /// The ids; an error where this is a tensor of activations.
    pub fn as_u32(&self) -> Result<&[u32]> {
        match &self.data {
            HostData::U32(v) => Ok(v),
            HostData::F32(_) => Err(Error::ElementType {
                expected: ElementType::U32,
                found: ElementType::F32,
            }),
        }
    }

    /// The elements as bytes.
    pub fn bytes(&self) -> &[u8] {
        match &self.data {
            HostData::F32(v) => bytemuck::cast_slice(v),
            HostData::U32(v) => bytemuck::cast_slice(v),
        }
    }
}
