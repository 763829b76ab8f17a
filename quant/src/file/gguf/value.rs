//! Values of a GGUF file's metadata.

use std::ops::Range;

use super::cursor::Cursor;

/// Type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    U8 = 0,
    I8 = 1,
    U16 = 2,
    I16 = 3,
    U32 = 4,
    I32 = 5,
    F32 = 6,
    Bool = 7,
    Text = 8,
    Array = 9,
    U64 = 10,
    I64 = 11,
    F64 = 12,
}

/// Most arrays within arrays.
const MAX_DEPTH: usize = 4;

impl Kind {
    /// All of them, in the order of their numbers.
    const ALL: [Self; 13] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::Bool,
        Self::Text,
        Self::Array,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, String> {
        let number = cursor.u32()?;
        Self::ALL
            .get(number as usize)
            .copied()
            .ok_or_else(|| format!("value type {number} does not exist"))
    }

    /// Bytes of a scalar; `None` for texts and arrays.
    fn size(self) -> Option<usize> {
        Some(match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
            Self::Text | Self::Array => return None,
        })
    }

    /// Moves `cursor` past `count` values of this type. Nothing is kept, so that a count that lies costs nothing.
    pub(super) fn skip(self, cursor: &mut Cursor<'_>, count: u64, depth: usize) -> Result<(), String> {
        if let Some(size) = self.size() {
            let bytes = count.checked_mul(size as u64);
            return cursor.skip(bytes.ok_or("an array's size overflows")?);
        }
        if depth == MAX_DEPTH {
            return Err(format!("arrays lie more than {MAX_DEPTH} deep"));
        }
        for _ in 0..count {
            if self == Self::Text {
                cursor.text_bytes()?;
            } else {
                let element = Self::read(cursor)?;
                let count = cursor.u64()?;
                element.skip(cursor, count, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// Where a value lies in the file; it is decoded when it is asked for. Its bytes have been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its type.
    pub kind: Kind,
    /// Bytes of the file.
    pub range: Range<usize>,
}

/// A value, over the bytes of its file.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    kind: Kind,
    bytes: &'a [u8],
}

impl<'a> Value<'a> {
    /// The value at `place` of the file that begins with `start`.
    pub fn new(start: &'a [u8], place: &Place) -> Option<Self> {
        Some(Self {
            kind: place.kind,
            bytes: start.get(place.range.clone())?,
        })
    }

    /// Its type.
    pub fn kind(self) -> Kind {
        self.kind
    }

    /// Its bytes in the file.
    pub(super) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// An integer or boolean.
    pub fn integer(self) -> Option<i128> {
        let b = self.bytes;
        Some(match self.kind {
            Kind::U8 => u8::from_le_bytes(b.try_into().ok()?).into(),
            Kind::I8 => i8::from_le_bytes(b.try_into().ok()?).into(),
            Kind::U16 => u16::from_le_bytes(b.try_into().ok()?).into(),
            Kind::I16 => i16::from_le_bytes(b.try_into().ok()?).into(),
            Kind::U32 => u32::from_le_bytes(b.try_into().ok()?).into(),
            Kind::I32 => i32::from_le_bytes(b.try_into().ok()?).into(),
            Kind::U64 => u64::from_le_bytes(b.try_into().ok()?).into(),
            Kind::I64 => i64::from_le_bytes(b.try_into().ok()?).into(),
            Kind::Bool => i128::from(*b.first()? != 0),
            Kind::F32 | Kind::F64 | Kind::Text | Kind::Array => return None,
        })
    }

    /// A float.
    pub fn float(self) -> Option<f64> {
        match self.kind {
            Kind::F32 => Some(f32::from_le_bytes(self.bytes.try_into().ok()?).into()),
            Kind::F64 => Some(f64::from_le_bytes(self.bytes.try_into().ok()?)),
            _ => None,
        }
    }

    /// A text, where it is valid UTF-8.
    pub fn text(self) -> Option<&'a str> {
        std::str::from_utf8(self.text_bytes()?).ok()
    }

    /// The bytes of a text.
    pub fn text_bytes(self) -> Option<&'a [u8]> {
        (self.kind == Kind::Text).then(|| Cursor::new(self.bytes).text_bytes().ok())?
    }

    /// The elements of an array, in order.
    pub fn elements(self) -> Option<Elements<'a>> {
        if self.kind != Kind::Array {
            return None;
        }
        let mut cursor = Cursor::new(self.bytes);
        let kind = Kind::read(&mut cursor).ok()?;
        let left = cursor.u64().ok()?;
        Some(Elements { kind, left, cursor })
    }

    /// A boolean, number or text as people write it; `None` for arrays and for what is no text.
    pub fn to_text(self) -> Option<String> {
        match self.kind {
            Kind::Bool => Some((self.integer()? != 0).to_string()),
            Kind::F32 => Some(f32::from_le_bytes(self.bytes.try_into().ok()?).to_string()),
            Kind::F64 => Some(self.float()?.to_string()),
            Kind::Text => self.text().map(str::to_owned),
            _ => Some(self.integer()?.to_string()),
        }
    }
}

/// The elements of an array.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    kind: Kind,
    left: u64,
    cursor: Cursor<'a>,
}

impl<'a> Elements<'a> {
    /// How many are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.left = self.left.checked_sub(1)?;
        let rest = self.cursor.rest();
        self.kind.skip(&mut self.cursor, 1, 0).ok()?;
        Some(Value {
            kind: self.kind,
            bytes: &rest[..rest.len() - self.cursor.rest().len()],
        })
    }
}
