//! What a driver writes to the standard error stream: the only way in which ACO gives its estimates away.

use anyhow::Result;

/// Runs `work`; its result, and what was written to the stream meanwhile. No other thread may write there.
///
/// # Errors
/// If the stream cannot be redirected.
#[cfg(unix)]
pub(crate) fn captured<T>(work: impl FnOnce() -> T) -> Result<(T, String)> {
    use std::io::{Error, Read, Seek};
    use std::os::fd::AsRawFd;

    let mut file = tempfile::tempfile()?;
    // SAFETY: the descriptors are open, and the copy is closed once.
    let (result, restored) = unsafe {
        let before = libc::dup(libc::STDERR_FILENO);
        if before < 0 || libc::dup2(file.as_raw_fd(), libc::STDERR_FILENO) < 0 {
            return Err(Error::last_os_error().into());
        }
        let result = work();
        let restored = libc::dup2(before, libc::STDERR_FILENO);
        libc::close(before);
        (result, restored)
    };
    if restored < 0 {
        return Err(Error::last_os_error().into());
    }
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok((result, String::from_utf8_lossy(&bytes).into_owned()))
}

/// Runs `work`; Mesa's drivers for other cards than this machine's are for Linux only.
#[cfg(not(unix))]
pub(crate) fn captured<T>(work: impl FnOnce() -> T) -> Result<(T, String)> {
    Ok((work(), String::new()))
}
