//! Numbers and texts from untrusted bytes, one after the other.

/// What is left to read.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], String> {
        let taken = usize::try_from(length).ok().and_then(|n| self.rest.split_at_checked(n));
        let (taken, rest) = taken.ok_or_else(|| {
            let left = self.rest.len();
            format!("{length} bytes are announced where {left} are left; the file was probably cut off: fetch it again")
        })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn skip(&mut self, length: u64) -> Result<(), String> {
        self.take(length).map(drop)
    }

    pub(super) fn u32(&mut self) -> Result<u32, String> {
        let bytes = self.take(4)?.try_into().expect("four bytes were taken");
        Ok(u32::from_le_bytes(bytes))
    }

    pub(super) fn u64(&mut self) -> Result<u64, String> {
        let bytes = self.take(8)?.try_into().expect("eight bytes were taken");
        Ok(u64::from_le_bytes(bytes))
    }

    /// A text's bytes, which may not be UTF-8.
    pub(super) fn text_bytes(&mut self) -> Result<&'a [u8], String> {
        let length = self.u64()?;
        self.take(length)
    }

    /// The name of a key or tensor.
    pub(super) fn name(&mut self) -> Result<&'a str, String> {
        let bytes = self.text_bytes()?;
        std::str::from_utf8(bytes).map_err(|_| "a name is not UTF-8 text".to_owned())
    }
}
