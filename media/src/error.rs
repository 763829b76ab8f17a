//! What can go wrong: each error names the file and what to do.

use std::io;
use std::path::{Path, PathBuf};

/// This crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a file could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{path}: cannot {action}: {source}{}", remedy(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, as a verb with its object.
        action: &'static str,
        /// The system's own words.
        source: io::Error,
    },
    /// The output is there already and [`Options::overwrite`](crate::Options::overwrite) is not set.
    #[error("{path}: exists already; choose another name, or allow overwriting (--force)")]
    Exists {
        /// The file or folder that exists.
        path: PathBuf,
    },
    /// A file of that name appeared while this one was written.
    #[error("{path}: appeared while the clip was written; the finished clip was kept as {kept}")]
    Appeared {
        /// The name that was asked for.
        path: PathBuf,
        /// Where the finished clip lies.
        kept: PathBuf,
    },
    /// What was asked for cannot be written under that name.
    #[error("{path}: {problem}; {remedy}")]
    Unsupported {
        /// The output.
        path: PathBuf,
        /// What does not fit.
        problem: String,
        /// What would.
        remedy: String,
    },
    /// A frame's size is not that of the clip, or its samples are too few or too many.
    #[error(
        "{path}: frame {index} is {width}x{height} with {samples} samples, \
         the clip is {expected_width}x{expected_height} with 3 samples a pixel"
    )]
    FrameSize {
        /// The output.
        path: PathBuf,
        /// Number of the frame, from 0.
        index: usize,
        /// The frame's width in pixels.
        width: usize,
        /// The frame's height in pixels.
        height: usize,
        /// Number of samples in the frame.
        samples: usize,
        /// The clip's width in pixels.
        expected_width: usize,
        /// The clip's height in pixels.
        expected_height: usize,
    },
    /// An encoder failed by itself.
    #[error("{path}: the {encoder} encoder failed: {message}")]
    Encoder {
        /// The output.
        path: PathBuf,
        /// The encoder.
        encoder: &'static str,
        /// Its words.
        message: String,
    },
    /// There is no ffmpeg to run.
    #[error(
        "{path}: {codec} needs ffmpeg, and `{program}` could not be started ({source}); \
         install ffmpeg and have it on the PATH, or leave the codec out to get AV1"
    )]
    FfmpegMissing {
        /// The output.
        path: PathBuf,
        /// The codec asked for.
        codec: &'static str,
        /// The program that was tried.
        program: String,
        /// The system's own words.
        source: io::Error,
    },
    /// ffmpeg ran and failed.
    #[error("{path}: ffmpeg failed ({status}); its last words:\n{stderr}")]
    Ffmpeg {
        /// The output.
        path: PathBuf,
        /// Its exit status.
        status: String,
        /// The last lines that it printed.
        stderr: String,
    },
    /// A file that is read is not what its name says, or is damaged.
    #[error("{path}: {problem}; the file may be damaged, cut off or of another kind")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A sink was asked to go on after a failure, or to finish without a frame.
    #[error("{path}: {problem}, so nothing was kept under that name")]
    Incomplete {
        /// The output.
        path: PathBuf,
        /// Why there is nothing to finish.
        problem: &'static str,
    },
}

impl Error {
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_owned(),
            action,
            source,
        }
    }

    pub(crate) fn unsupported(path: &Path, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Unsupported {
            path: path.to_owned(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    pub(crate) fn corrupt(path: &Path, problem: impl ToString) -> Self {
        Self::Corrupt {
            path: path.to_owned(),
            problem: problem.to_string(),
        }
    }
}

/// What a person can do about an error of the system.
fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space or write to another disk",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; choose a folder that you may write to"
        }
        io::ErrorKind::NotFound => "; check the name, or make the folder first",
        io::ErrorKind::NotADirectory => "; a part of the name is a file, not a folder",
        _ => "",
    }
}
