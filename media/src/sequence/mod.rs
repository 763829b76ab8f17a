//! Sequences of still pictures.

mod exr;
mod names;
mod png;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::options::{Options, Rational};
use crate::sink::{Sink, Written};
use crate::temp::{TempFile, parent, sync_folder, temp_name};

pub(crate) use exr::read_metadata as read_exr;
pub(crate) use names::{Pattern, ends_with_separator, is_folder};
pub(crate) use png::{read_metadata as read_png, save as save_png};

/// How each picture is written.
pub(crate) struct Still {
    kind: Kind,
    metadata: BTreeMap<String, String>,
    fps: Rational,
    bits: u8,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Png,
    Exr,
}

impl Still {
    /// PNG of 8 or 16 bits.
    pub(crate) fn png(path: &Path, options: &Options) -> Result<Self> {
        let bits = options.bits_of(path, 8, &[8, 16])?;
        Ok(Self::new(Kind::Png, options, bits))
    }

    /// OpenEXR in half (16 bits) or f32.
    pub(crate) fn exr(path: &Path, options: &Options) -> Result<Self> {
        let bits = options.bits_of(path, 16, &[16, 32])?;
        Ok(Self::new(Kind::Exr, options, bits))
    }

    fn new(kind: Kind, options: &Options, bits: u8) -> Self {
        Self {
            kind,
            metadata: options.metadata.clone(),
            fps: options.fps,
            bits,
        }
    }

    fn extension(&self) -> &'static str {
        match self.kind {
            Kind::Png => "png",
            Kind::Exr => "exr",
        }
    }

    fn write(&self, out: impl Write + Seek, frame: &Frame) -> io::Result<()> {
        match self.kind {
            Kind::Png => png::write(out, frame, self.bits, &self.metadata),
            Kind::Exr => exr::write(out, frame, self.bits, self.fps, &self.metadata),
        }
    }
}

/// Frames to files; see [`crate::create`] for where they go.
pub(crate) struct SequenceSink {
    still: Still,
    place: Place,
    path: PathBuf,
    files: Vec<PathBuf>,
    bytes: u64,
}

enum Place {
    One { overwrite: bool },
    Pattern { pattern: Pattern, overwrite: bool },
    Folder(Folder),
}

/// Frames gather in `temp` until all are there. If `target` exists, `temp` lies in it, so that a
/// link or a mount point stays what it is; else beside it, to become it by a rename.
struct Folder {
    target: PathBuf,
    temp: PathBuf,
    existed: bool,
}

impl SequenceSink {
    /// Decides between one file, a pattern and a folder.
    pub(crate) fn new(path: &Path, options: &Options, still: Still) -> Result<Self> {
        let overwrite = options.overwrite;
        let place = if let Some(pattern) = Pattern::of(path) {
            // Refuse what is foreseeable before an hour's work.
            for number in 1..=options.frames.unwrap_or(1).clamp(1, 100_000) {
                crate::temp::check_target(&pattern.file(number), overwrite)?;
            }
            Place::Pattern { pattern, overwrite }
        } else if is_folder(path) {
            Place::Folder(Folder::create(path, overwrite)?)
        } else if options.frames == Some(1) {
            crate::temp::check_target(path, overwrite)?;
            Place::One { overwrite }
        } else {
            Place::Folder(Folder::create(&path.with_extension(""), overwrite)?)
        };
        Ok(Self {
            still,
            place,
            path: path.to_owned(),
            files: Vec::new(),
            bytes: 0,
        })
    }

    fn write_file(&self, path: &Path, overwrite: bool, frame: &Frame) -> Result<u64> {
        let mut file = TempFile::create(path, overwrite)?;
        self.still
            .write(&mut file, frame)
            .map_err(Error::io(path, "write the frame"))?;
        file.commit()
    }
}

impl Sink for SequenceSink {
    fn write(&mut self, frame: &Frame) -> Result<()> {
        let number = self.files.len() + 1;
        let (file, bytes) = match &self.place {
            Place::One { .. } if number > 1 => {
                return Err(Error::unsupported(
                    &self.path,
                    "a second frame for a file that was to hold one",
                    "announce the number of frames, or leave it out to get a folder",
                ));
            }
            Place::One { overwrite } => {
                let bytes = self.write_file(&self.path, *overwrite, frame)?;
                (self.path.clone(), bytes)
            }
            Place::Pattern { pattern, overwrite } => {
                let file = pattern.file(number);
                let bytes = self.write_file(&file, *overwrite, frame)?;
                (file, bytes)
            }
            Place::Folder(folder) => {
                let name = names::frame_name(number, self.still.extension());
                let bytes = folder.write(&name, &self.still, frame)?;
                (folder.target.join(name), bytes)
            }
        };
        self.files.push(file);
        self.bytes += bytes;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        let path = match &self.place {
            Place::One { .. } => self.path,
            Place::Pattern { pattern, .. } => parent(&pattern.file(1)).to_owned(),
            Place::Folder(folder) => {
                folder.finish(&self.files, self.still.extension())?;
                folder.target.clone()
            }
        };
        Ok(Written {
            path,
            frames: self.files.len(),
            files: self.files,
            bytes: self.bytes,
        })
    }
}

impl Folder {
    fn create(target: &Path, overwrite: bool) -> Result<Self> {
        let existed = target.is_dir();
        if existed {
            let mut entries = fs::read_dir(target).map_err(Error::io(target, "read the folder"))?;
            if !overwrite && entries.next().is_some() {
                return Err(Error::Exists {
                    path: target.to_owned(),
                });
            }
        } else {
            // What exists there is no folder, and is never replaced by one.
            crate::temp::check_target(target, false)?;
        }
        let beside = if existed {
            target.join("frames")
        } else {
            target.to_owned()
        };
        let mut n = 0;
        loop {
            let temp = temp_name(&beside, n);
            match fs::create_dir(&temp) {
                Ok(()) => {
                    return Ok(Self {
                        target: target.to_owned(),
                        temp,
                        existed,
                    });
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && n < 100 => n += 1,
                Err(e) => return Err(Error::io(&temp, "create the temporary folder")(e)),
            }
        }
    }

    /// Writes one file and flushes it to the disk; its size in bytes.
    fn write(&self, name: &str, still: &Still, frame: &Frame) -> Result<u64> {
        let target = self.target.join(name);
        let failed = Error::io(&target, "write the frame");
        let write = || {
            let mut out = BufWriter::new(File::create_new(self.temp.join(name))?);
            still.write(&mut out, frame)?;
            let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            Ok(file.metadata()?.len())
        };
        write().map_err(failed)
    }

    fn finish(&self, files: &[PathBuf], extension: &str) -> Result<()> {
        let target = self.target.as_path();
        sync_folder(&self.temp);
        if !self.existed {
            // A rename replaces an empty folder that appeared meanwhile, never a full one.
            fs::rename(&self.temp, target).map_err(Error::io(target, "name the finished folder"))?;
            sync_folder(parent(target));
            return Ok(());
        }
        for file in files {
            let name = file.file_name().unwrap_or_default();
            fs::rename(self.temp.join(name), file).map_err(Error::io(file, "rename the finished frame"))?;
        }
        // Frames of an earlier, longer clip would play as part of this one.
        let entries = fs::read_dir(target).map_err(Error::io(target, "read the folder"))?;
        for file in entries.flatten().map(|entry| entry.path()) {
            let number = names::frame_number(&file, extension);
            if number.is_some_and(|number| number > files.len()) {
                fs::remove_file(&file).map_err(Error::io(&file, "remove an older frame"))?;
            }
        }
        sync_folder(target);
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Gone already if it was renamed. Nobody is left to hear of a failure here.
        let _ = fs::remove_dir_all(&self.temp);
    }
}
