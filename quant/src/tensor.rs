//! A shaped run of bytes, and the trait through which models see named ones.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use crate::{DType, Error, Result};

/// What a tensor is, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Storage type of the elements.
    pub dtype: DType,
    /// Dimensions, outermost first (row-major).
    pub shape: Vec<usize>,
}

/// No type takes more bytes for an element, a row of one element with its scale included.
const MOST_BYTES: usize = 8;

impl TensorInfo {
    /// Number of elements. The readers guarantee that it does not overflow.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of bytes. The readers guarantee that rows hold whole blocks.
    pub fn bytes(&self) -> usize {
        self.bytes_of(&self.shape).unwrap_or(usize::MAX)
    }

    /// Bytes of a part of shape `shape`, or `None` where its rows hold no whole blocks.
    fn bytes_of(&self, shape: &[usize]) -> Option<usize> {
        let (k, rows) = shape.split_last().unwrap_or((&1, &[]));
        self.dtype.row_bytes(*k)?.checked_mul(rows.iter().product())
    }

    /// Number of bytes, or `None` where a product of some of the dimensions overflows or rows hold no whole blocks:
    /// the readers' guarantee.
    /// A dimension of 0 does not excuse the others, so that the product of any of them is safe to take.
    pub fn checked_bytes(&self) -> Option<usize> {
        let bound = self
            .shape
            .iter()
            .try_fold(MOST_BYTES, |n, d| n.checked_mul((*d).max(1)))?;
        isize::try_from(bound).ok()?;
        self.bytes_of(&self.shape)
    }
}

/// A tensor's description and its bytes, borrowed from a mapped file or owned.
/// Bytes are little-endian and row-major; a borrowed run may be unaligned.
#[derive(Clone, Debug)]
pub struct Tensor<'a> {
    /// Storage type and shape.
    pub info: TensorInfo,
    /// `info.bytes()` bytes.
    pub data: Cow<'a, [u8]>,
}

/// One line of a file's table of contents, also for tensors of a type that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// What the file calls the type ("BF16", "F8_E4M3").
    pub type_name: String,
    /// The type, where this crate reads it.
    pub dtype: Option<DType>,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Bytes that the elements take.
    pub bytes: u64,
}

impl From<TensorInfo> for Listing {
    fn from(info: TensorInfo) -> Self {
        Self {
            type_name: info.dtype.name().to_owned(),
            dtype: Some(info.dtype),
            bytes: info.bytes() as u64,
            shape: info.shape,
        }
    }
}

/// Named tensors: a file, several files, a renaming of either, or generated weights.
pub trait Weights: Send + Sync {
    /// Type and shape of `name`, or `None` where there is no such tensor or its type cannot be read
    /// ([`missing`](Self::missing) says which).
    fn info(&self, name: &str) -> Option<TensorInfo>;

    /// The tensor itself. Mapped files return borrowed bytes.
    fn tensor(&self, name: &str) -> Result<Tensor<'_>>;

    /// All names, sorted, those of unreadable types among them.
    fn names(&self) -> Vec<String>;

    /// Where the tensors come from, for error messages ("file wan.safetensors").
    fn origin(&self) -> String;

    /// The error for a name that is not there, or whose type cannot be read.
    fn missing(&self, name: &str) -> Error {
        Error::MissingTensor {
            origin: self.origin(),
            name: name.to_owned(),
        }
    }

    /// Rows `range` of the first dimension. Generated weights make only these; files borrow them.
    fn rows(&self, name: &str, range: Range<usize>) -> Result<Tensor<'_>> {
        self.tensor(name)?.into_rows(range)
    }

    /// [`rows`](Self::rows) written to `out`, which has exactly their size: no copy between file and device more than
    /// needed. Afterwards [`check`](Self::check) has passed.
    fn read_rows(&self, name: &str, range: Range<usize>, out: &mut [u8]) -> Result<()> {
        let rows = self.rows(name, range)?;
        if rows.data.len() != out.len() {
            return Err(Error::Length {
                dtype: rows.info.dtype,
                shape: rows.info.shape,
                got: out.len(),
            });
        }
        out.copy_from_slice(&rows.data);
        self.check()
    }

    /// Whether what has been read so far can be trusted: a mapped file that has changed or shrunk since it was opened
    /// gives other bytes, and zeros for those that it has lost.
    ///
    /// # Errors
    /// [`Error::Changed`], naming the file.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Gives the memory of what has been read of `name` back to the system, where it lies in a mapped file. The tensor
    /// can be read again as before.
    fn release(&self, _name: &str) {}

    /// What the file says of `name`, whether its type can be read or not.
    fn listing(&self, name: &str) -> Option<Listing> {
        self.info(name).map(Listing::from)
    }

    /// The file's own remarks (safetensors `__metadata__`); empty where there are none.
    fn metadata(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}

/// Pointers to weights are weights.
macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<W: Weights + ?Sized> Weights for $pointer {
            fn info(&self, name: &str) -> Option<TensorInfo> {
                (**self).info(name)
            }
            fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
                (**self).tensor(name)
            }
            fn names(&self) -> Vec<String> {
                (**self).names()
            }
            fn origin(&self) -> String {
                (**self).origin()
            }
            fn missing(&self, name: &str) -> Error {
                (**self).missing(name)
            }
            fn rows(&self, name: &str, range: Range<usize>) -> Result<Tensor<'_>> {
                (**self).rows(name, range)
            }
            fn read_rows(&self, name: &str, range: Range<usize>, out: &mut [u8]) -> Result<()> {
                (**self).read_rows(name, range, out)
            }
            fn check(&self) -> Result<()> {
                (**self).check()
            }
            fn release(&self, name: &str) {
                (**self).release(name);
            }
            fn listing(&self, name: &str) -> Option<Listing> {
                (**self).listing(name)
            }
            fn metadata(&self) -> BTreeMap<String, String> {
                (**self).metadata()
            }
        }
    )*};
}
forward!(&W, Box<W>, std::sync::Arc<W>);

/// Tensors in memory: what a program made itself and wants to save, or a test's weights.
impl Weights for BTreeMap<String, Tensor<'_>> {
    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.get(name).map(|t| t.info.clone())
    }

    fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        self.get(name).map(Tensor::borrow).ok_or_else(|| self.missing(name))
    }

    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }

    fn origin(&self) -> String {
        "tensors in memory".to_owned()
    }
}

impl<'a> Tensor<'a> {
    /// A tensor that owns `values`.
    pub fn from_f32(shape: &[usize], values: &[f32]) -> Tensor<'static> {
        assert_eq!(
            shape.iter().product::<usize>(),
            values.len(),
            "shape {shape:?} does not hold {} values",
            values.len()
        );
        Tensor {
            info: TensorInfo {
                dtype: DType::F32,
                shape: shape.to_vec(),
            },
            data: Cow::Owned(bytemuck::cast_slice(values).to_vec()),
        }
    }

    /// A tensor over given bytes, owned or borrowed.
    ///
    /// # Errors
    /// [`Error::Length`] where the bytes are not those of this type and shape.
    pub fn new(dtype: DType, shape: &[usize], data: impl Into<Cow<'a, [u8]>>) -> Result<Self> {
        let tensor = Self {
            info: TensorInfo {
                dtype,
                shape: shape.to_vec(),
            },
            data: data.into(),
        };
        tensor.check()?;
        Ok(tensor)
    }

    /// The same tensor, borrowing this one's bytes.
    pub fn borrow(&self) -> Tensor<'_> {
        Tensor {
            info: self.info.clone(),
            data: Cow::Borrowed(&self.data),
        }
    }

    /// The same tensor with bytes of its own (copied if they were borrowed).
    pub fn into_owned(self) -> Tensor<'static> {
        Tensor {
            info: self.info,
            data: Cow::Owned(self.data.into_owned()),
        }
    }

    /// All elements as `f32` in row-major order; see [`DType::decode`] for the rounding.
    ///
    /// # Errors
    /// [`Error::Length`] where `data` does not match `info`.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        self.check()?;
        let mut out = vec![0.0; self.info.elements()];
        let k = self.info.shape.last().copied().unwrap_or(1);
        self.info.dtype.decode(k, &self.data, &mut out);
        Ok(out)
    }

    /// All elements of an integer or boolean tensor as `u32` in row-major order.
    ///
    /// # Errors
    /// [`Error::Value`] for an element below 0 or above `u32::MAX`, [`Error::Conversion`] for a floating-point
    /// tensor, [`Error::Length`] where `data` does not match `info`.
    pub fn to_u32(&self) -> Result<Vec<u32>> {
        self.check()?;
        match self.info.dtype {
            DType::U8 => Ok(self.data.iter().map(|b| u32::from(*b)).collect()),
            DType::Bool => Ok(self.data.iter().map(|b| u32::from(*b != 0)).collect()),
            DType::U32 => integers(&self.data, |b| i64::from(u32::from_le_bytes(b))),
            DType::I32 => integers(&self.data, |b| i64::from(i32::from_le_bytes(b))),
            DType::I64 => integers(&self.data, i64::from_le_bytes),
            from => Err(Error::Conversion { from, to: "U32" }),
        }
    }

    /// Rows `range` of the first dimension, borrowed: shape `[range.len(), ..]`.
    ///
    /// # Errors
    /// [`Error::Rows`] where the range is reversed or reaches past the end, or the tensor has no dimension;
    /// [`Error::Length`] where `data` does not match `info`.
    pub fn rows(&self, range: Range<usize>) -> Result<Tensor<'_>> {
        self.borrow().into_rows(range)
    }

    /// [`rows`](Self::rows) that keeps the lifetime of the bytes (owned bytes are cut to the range).
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub fn into_rows(self, range: Range<usize>) -> Result<Self> {
        self.check()?;
        let bytes = self.info.row_bytes(&range)?;
        let mut shape = self.info.shape;
        shape[0] = range.len();
        let data = match self.data {
            Cow::Borrowed(data) => Cow::Borrowed(&data[bytes]),
            Cow::Owned(mut data) => {
                data.truncate(bytes.end);
                data.drain(..bytes.start);
                Cow::Owned(data)
            }
        };
        Ok(Self {
            info: TensorInfo {
                dtype: self.info.dtype,
                shape,
            },
            data,
        })
    }

    /// The fields are public: before any arithmetic on them, make sure that they belong together.
    fn check(&self) -> Result<()> {
        if self.info.checked_bytes() == Some(self.data.len()) {
            return Ok(());
        }
        Err(Error::Length {
            dtype: self.info.dtype,
            shape: self.info.shape.clone(),
            got: self.data.len(),
        })
    }
}

impl TensorInfo {
    /// Where the bytes of rows `range` of the first dimension lie.
    ///
    /// # Errors
    /// [`Error::Rows`] where there are no such rows.
    pub fn row_bytes(&self, range: &Range<usize>) -> Result<Range<usize>> {
        let row = self.shape.split_first().and_then(|(rows, row)| {
            let bytes = self.bytes_of(row)?;
            (range.start <= range.end && range.end <= *rows).then_some(bytes)
        });
        match row {
            Some(row) => Ok(range.start * row..range.end * row),
            None => Err(Error::Rows {
                range: range.clone(),
                shape: self.shape.clone(),
            }),
        }
    }
}

fn integers<const N: usize>(bytes: &[u8], decode: impl Fn([u8; N]) -> i64) -> Result<Vec<u32>> {
    let (chunks, _) = bytes.as_chunks::<N>();
    let numbers = chunks.iter().map(|b| decode(*b)).enumerate();
    numbers
        .map(|(index, value)| u32::try_from(value).map_err(|_| Error::Value { index, value }))
        .collect()
}
