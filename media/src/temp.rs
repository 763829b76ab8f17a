//! Files that appear under their name only when they are whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A file under a temporary name beside its target. [`TempFile::commit`] gives it its name;
/// dropped before, it is removed.
pub(crate) struct TempFile {
    /// `None` once another process writes the file, or it is committed.
    file: Option<BufWriter<File>>,
    temp: PathBuf,
    target: PathBuf,
    overwrite: bool,
    keep: bool,
}

/// The folder that holds `path`; `.` for a bare name.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Refuses a target whose folder is missing, which is a folder, or which exists unbidden.
pub(crate) fn check_target(target: &Path, overwrite: bool) -> Result<()> {
    let folder = parent(target);
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => {
            return Err(Error::Io {
                path: folder.to_owned(),
                action: "write into it",
                source: io::ErrorKind::NotADirectory.into(),
            });
        }
        Err(source) => return Err(Error::io(folder, "open the output folder")(source)),
    }
    match fs::symlink_metadata(target) {
        Ok(found) if found.is_dir() => Err(Error::unsupported(target, "it is a folder", "give the name of a file")),
        Ok(_) if !overwrite => Err(Error::Exists {
            path: target.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// `.NAME.kinora-tmp-PID[-n].EXT` beside `target`, for the first free n. The extension comes
/// last, for programs that judge a file by it.
pub(crate) fn temp_name(target: &Path, n: u32) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_stem().unwrap_or_default());
    name.push(format!(".kinora-tmp-{}", std::process::id()));
    if n > 0 {
        name.push(format!("-{n}"));
    }
    if let Some(extension) = target.extension() {
        name.push(".");
        name.push(extension);
    }
    parent(target).join(name)
}

impl TempFile {
    /// Opens a new temporary file beside `target`, after checking that it can become `target`.
    pub(crate) fn create(target: &Path, overwrite: bool) -> Result<Self> {
        check_target(target, overwrite)?;
        let mut n = 0;
        loop {
            let temp = temp_name(target, n);
            match OpenOptions::new().write(true).create_new(true).open(&temp) {
                Ok(file) => {
                    return Ok(Self {
                        file: Some(BufWriter::with_capacity(1 << 18, file)),
                        temp,
                        target: target.to_owned(),
                        overwrite,
                        keep: false,
                    });
                }
                // A leftover of a process that had our number, or another sink of ours.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && n < 100 => n += 1,
                Err(e) => return Err(Error::io(&temp, "create the temporary file")(e)),
            }
        }
    }

    /// The name that it has now.
    pub(crate) fn temp_path(&self) -> &Path {
        &self.temp
    }

    /// Closes our handle, for another process to write the file.
    pub(crate) fn hand_over(&mut self) {
        self.file = None;
    }

    /// Flushes the file to the disk and gives it its name. Returns its size in bytes.
    pub(crate) fn commit(mut self) -> Result<u64> {
        let fail = |action| Error::io(&self.target, action);
        let file = match self.file.take() {
            Some(buffered) => buffered
                .into_inner()
                .map_err(|e| fail("write the last bytes")(e.into_error()))?,
            // Windows flushes only what is open for writing.
            None => OpenOptions::new()
                .write(true)
                .open(&self.temp)
                .map_err(fail("open the finished file"))?,
        };
        file.sync_all().map_err(fail("flush it to the disk"))?;
        let bytes = file.metadata().map_err(fail("look at the finished file"))?.len();
        drop(file);
        if !self.overwrite && fs::symlink_metadata(&self.target).is_ok() {
            self.keep = true;
            return Err(Error::Appeared {
                path: self.target.clone(),
                kept: self.temp.clone(),
            });
        }
        fs::rename(&self.temp, &self.target).map_err(fail("rename the finished file"))?;
        self.keep = true;
        sync_folder(parent(&self.target));
        Ok(bytes)
    }

    fn open(&mut self) -> io::Result<&mut BufWriter<File>> {
        self.file.as_mut().ok_or_else(|| io::Error::other("the file is closed"))
    }
}

/// Makes a rename last through a power cut, where the system can; elsewhere it is a no-op.
pub(crate) fn sync_folder(folder: &Path) {
    // A file system that cannot flush a folder has nothing better to offer: not an error.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

impl Write for TempFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.open()?.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open()?.flush()
    }
}

impl Seek for TempFile {
    fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
        self.open()?.seek(pos)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        if let Some(buffered) = self.file.take() {
            // Without a last flush: what is removed need not be written.
            let _ = buffered.into_parts();
        }
        // Nobody is left to hear of a failure here.
        let _ = fs::remove_file(&self.temp);
    }
}
