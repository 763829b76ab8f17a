//! Names of frames.

use std::path::{Path, PathBuf};

/// A name with a place for the frame's number: `%d`, or `%05d` for at least five digits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pattern {
    folder: PathBuf,
    head: String,
    digits: usize,
    tail: String,
}

impl Pattern {
    /// The pattern that the last part of a path is, if it is one of `.png` or `.exr`.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        if !matches!(crate::sink::extension(path).as_str(), "png" | "exr") {
            return None;
        }
        let name = path.file_name()?.to_str()?;
        name.match_indices('%').find_map(|(at, _)| {
            let rest = &name[at + 1..];
            let (digits, tail) = rest.split_once('d')?;
            let digits = match digits.strip_prefix('0') {
                _ if digits.is_empty() => 1,
                Some(n) if n.len() == 1 => n.parse().ok()?,
                _ => return None,
            };
            Some(Self {
                folder: path.parent()?.to_owned(),
                head: name[..at].to_owned(),
                digits,
                tail: tail.to_owned(),
            })
        })
    }

    /// The file of a frame. Numbers start at 1.
    pub(crate) fn file(&self, number: usize) -> PathBuf {
        let (head, tail, digits) = (&self.head, &self.tail, self.digits);
        self.folder.join(format!("{head}{number:0digits$}{tail}"))
    }
}

/// Whether a path asks for a folder: a slash at its end, or a folder that exists.
pub(crate) fn is_folder(path: &Path) -> bool {
    ends_with_separator(path) || path.is_dir()
}

pub(crate) fn ends_with_separator(path: &Path) -> bool {
    path.as_os_str()
        .as_encoded_bytes()
        .last()
        .is_some_and(|&byte| std::path::is_separator(byte.into()))
}

/// The name of a frame in a folder.
pub(super) fn frame_name(number: usize, extension: &str) -> String {
    format!("frame_{number:05}.{extension}")
}

/// The number in such a name.
pub(super) fn frame_number(file: &Path, extension: &str) -> Option<usize> {
    let name = file.file_name()?.to_str()?;
    let number = name
        .strip_prefix("frame_")?
        .strip_suffix(extension)?
        .strip_suffix('.')?
        .parse()
        .ok()?;
    // Only what we would have called so.
    (frame_name(number, extension) == name).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let file = |path: &str, n| Pattern::of(path.as_ref()).map(|p| p.file(n));
        assert_eq!(file("a/clip_%05d.png", 7), Some("a/clip_00007.png".into()));
        assert_eq!(file("%d.exr", 123), Some("123.exr".into()));
        assert_eq!(file("100%/50%_%02d.png", 3), Some("100%/50%_03.png".into()));
        for none in [
            "clip.png",
            "a%05d/clip.png",
            "%5d.png",
            "%0d.png",
            "%05d.mp4",
            "50%.png",
        ] {
            assert_eq!(file(none, 1), None, "{none}");
        }
    }

    #[test]
    fn frame_names() {
        assert_eq!(frame_number("x/frame_00012.png".as_ref(), "png"), Some(12));
        for other in ["frame_12.png", "frame_00012.exr", "frame_+0012.png", "notes.png"] {
            assert_eq!(frame_number(other.as_ref(), "png"), None, "{other}");
        }
    }
}
