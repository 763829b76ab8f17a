//! Mapped files that say when they have changed.

use std::fs::File;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memmap2::Mmap;
#[cfg(unix)]
use memmap2::UncheckedAdvice;

#[cfg(unix)]
use super::fault::Watched;
use crate::{Error, Result};

/// A file mapped read-only. A page that the file no longer has reads as zeros and is noted (on Unix; elsewhere the
/// system refuses to shorten a mapped file).
#[derive(Debug)]
pub(crate) struct Map {
    // Before `bytes`: addresses must not be watched once others may be mapped there.
    #[cfg(unix)]
    watched: Watched,
    bytes: Mmap,
    path: PathBuf,
    file: File,
    stamp: Stamp,
}

/// What changes when somebody writes to a file.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(file: &File) -> std::io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self {
            length: meta.len(),
            modified: meta.modified().ok(),
        })
    }
}

impl Map {
    /// Maps `file`, which `path` names in errors.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn new(path: &Path, file: File) -> Result<Self> {
        let stamp = Stamp::of(&file).map_err(Error::io(path, "ask for its size"))?;
        // SAFETY: the mapping is private to this value and read-only. Others may still write to the file or shorten
        // it: `check` notices, and `Watched` keeps a shortened one from ending the process.
        let bytes = unsafe { Mmap::map(&file) }.map_err(Error::io(path, "map it into memory"))?;
        Ok(Self {
            #[cfg(unix)]
            watched: Watched::new(&bytes).map_err(Error::io(path, "watch its mapping"))?,
            bytes,
            path: path.to_owned(),
            file,
            stamp,
        })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether all bytes read so far are those of the file that was opened.
    ///
    /// # Errors
    /// [`Error::Changed`] where the file has another length or time of change, or a page of it was gone.
    pub(crate) fn check(&self) -> Result<()> {
        let now = Stamp::of(&self.file).map_err(Error::io(&self.path, "ask for its size"))?;
        #[cfg(unix)]
        let lost = self.watched.faulted();
        #[cfg(not(unix))]
        let lost = false;
        let reason = if now.length != self.stamp.length {
            format!("it had {} bytes and has {} now", self.stamp.length, now.length)
        } else if lost {
            "a part of it could not be read any more".to_owned()
        } else if now != self.stamp {
            "something has written to it".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::Changed {
            path: self.path.clone(),
            reason,
        })
    }
}

impl Map {
    /// Gives the memory of the pages that lie wholly in `range` back to the system, which keeps them as a copy of the
    /// file for as long as it has nothing better to do with them.
    pub(crate) fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        {
            // The mapping begins with a page, and no page is larger than this anywhere.
            const PAGE: usize = 64 << 10;
            let (start, end) = (range.start.next_multiple_of(PAGE), range.end / PAGE * PAGE);
            if start < end {
                // SAFETY: the mapping is shared with the file and read-only: what is read next is read from the file
                // again, or is a page of zeros that `Watched` put there, and reads as zeros again.
                let advised = unsafe {
                    self.bytes
                        .unchecked_advise_range(UncheckedAdvice::DontNeed, start, end - start)
                };
                if let Err(error) = advised {
                    tracing::debug!("pages of {} stay in memory: {error}", self.path.display());
                }
            }
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}
