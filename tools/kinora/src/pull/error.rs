//! What can go wrong with a download.

use std::path::PathBuf;

/// An error of a download: says what, where, why and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name of a file cannot be one.
    #[error("`{0}` is no file of a hub; write ORGANISATION/REPOSITORY/PATH, or a name that `kinora models` lists")]
    Name(String),
    /// The hub's address is no address.
    #[error("HF_ENDPOINT is `{0}`, which is no http or https address")]
    Endpoint(String),
    /// The server wants to know who asks, or does not let them.
    #[error(
        "{url}: the server answers {status}: {}",
        if *.token { "the token may not read this repository; accept its terms on its page, or use another token" }
        else { "the repository is private, gated or misspelt; accept its terms on its page and set HF_TOKEN to a token of yours" }
    )]
    Refused {
        /// Address of the file.
        url: String,
        /// HTTP status.
        status: u16,
        /// Whether a token was sent.
        token: bool,
    },
    /// There is no such file.
    #[error("{url}: there is no such file; check the spelling of repository and path (capitals count)")]
    NotFound {
        /// Address of the file.
        url: String,
    },
    /// The server answers what makes no sense here.
    #[error("{url}: {why}")]
    Answer {
        /// Address that was asked.
        url: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// The connection failed again and again.
    #[error(
        "{url}: {why}; gave up after {attempts} attempts without progress (the same command goes on from {done} bytes)"
    )]
    GaveUp {
        /// Address of the file.
        url: String,
        /// The last failure.
        why: String,
        /// Attempts in a row.
        attempts: u32,
        /// Bytes that are on the disk.
        done: u64,
    },
    /// The bytes are not those that were promised.
    #[error(
        "{url}: the SHA-256 of what arrived is {got}, the hub says {expected}; the download was thrown away. \
         Try again, over another network if it happens twice"
    )]
    Hash {
        /// Address of the file.
        url: String,
        /// What the hub says.
        expected: String,
        /// What arrived.
        got: String,
    },
    /// A file is in the way.
    #[error("{}: it is there already with {found} bytes, the hub's has {expected}; move it away", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// The hub's.
        expected: u64,
    },
    /// The disk is too small.
    #[error("{}: {needed} bytes are needed and {free} are free", path.display())]
    Space {
        /// The file.
        path: PathBuf,
        /// Bytes still to come.
        needed: u64,
        /// Free bytes.
        free: u64,
    },
    /// The same download is running.
    #[error("{}: another process is downloading it", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The disk refused something.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The user stopped it.
    #[error("stopped after {done} bytes, which are kept: the same command goes on from there")]
    Cancelled {
        /// Bytes that are on the disk.
        done: u64,
    },
}
