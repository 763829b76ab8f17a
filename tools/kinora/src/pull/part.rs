//! The unfinished file: `.NAME.TAG.part` in the folder of the final one, and the hash of what it holds.
//!
//! The tag stands for the version of the file on the hub, so that the rest of one version is never put behind the
//! beginning of another.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Error;

pub(super) struct Part {
    path: PathBuf,
    target: PathBuf,
    file: File,
    hash: Sha256,
    length: u64,
}

impl Part {
    /// Opens the part of `target` that belongs to the version `tag`, or begins it. Reads what is there once, for the
    /// hash; `cancelled` can stop that.
    pub(super) fn open(target: &Path, tag: &str, cancelled: &dyn Fn() -> bool) -> Result<Self, Error> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let tag = hex(&Sha256::digest(tag.as_bytes()))[..12].to_owned();
        let path = target.with_file_name(format!(".{name}.{tag}.part"));
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let mut file = file.map_err(io(&path, "write it"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Busy {
                    path: target.to_owned(),
                });
            }
            // A file system without locks has no better protection to offer.
            Err(TryLockError::Error(error)) => tracing::debug!("{}: cannot lock it: {error}", path.display()),
        }
        let (mut hash, mut length) = (Sha256::new(), 0);
        let mut buffer = vec![0; 1 << 20];
        loop {
            let n = file.read(&mut buffer).map_err(io(&path, "read it"))?;
            if n == 0 {
                break;
            }
            hash.update(&buffer[..n]);
            length += n as u64;
            if cancelled() {
                return Err(Error::Cancelled { done: length });
            }
        }
        let target = target.to_owned();
        Ok(Self {
            path,
            target,
            file,
            hash,
            length,
        })
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(io(&self.path, "write it"))?;
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Throws away what was there.
    pub(super) fn restart(&mut self) -> Result<(), Error> {
        self.file.set_len(0).map_err(io(&self.path, "empty it"))?;
        self.file.seek(SeekFrom::Start(0)).map_err(io(&self.path, "empty it"))?;
        (self.hash, self.length) = (Sha256::new(), 0);
        Ok(())
    }

    /// SHA-256 of what is there, in hexadecimal digits.
    pub(super) fn sha256(&self) -> String {
        hex(&self.hash.clone().finalize())
    }

    /// Makes the file durable and gives it its name.
    pub(super) fn finish(self) -> Result<(), Error> {
        self.file.sync_all().map_err(io(&self.path, "write it to the disk"))?;
        // Windows does not rename what is open.
        drop(self.file);
        std::fs::rename(&self.path, &self.target).map_err(io(&self.target, "give the download its name"))
    }

    /// Removes a part that is worth nothing.
    pub(super) fn remove(self) -> Result<(), Error> {
        drop(self.file);
        std::fs::remove_file(&self.path).map_err(io(&self.path, "remove it"))
    }
}

pub(super) fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io {
        path: path.to_owned(),
        action,
        source,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
