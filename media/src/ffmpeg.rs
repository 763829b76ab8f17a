//! H.264, H.265 and ProRes by an ffmpeg on the PATH, fed with raw frames.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::JoinHandle;

use crate::error::{Error, Result};
use crate::frame::{Frame, to_u16};
use crate::metadata::read_metadata;
use crate::options::{Codec, Options};
use crate::sink::{Sink, Written};
use crate::temp::TempFile;

/// Lines of ffmpeg's words that are kept for an error.
const LAST_LINES: usize = 20;

/// The program: `KINORA_FFMPEG`, or `ffmpeg` on the PATH.
pub(crate) fn program() -> OsString {
    std::env::var_os("KINORA_FFMPEG").unwrap_or_else(|| "ffmpeg".into())
}

/// Frames to ffmpeg's standard input. ffmpeg writes the temporary file.
pub(crate) struct FfmpegSink {
    // In the order of dropping: ffmpeg is ended before its files are removed.
    process: Process,
    file: TempFile,
    _texts: Texts,
    path: PathBuf,
    deep: bool,
    bytes: Vec<u8>,
}

/// A running ffmpeg, ended when dropped.
struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    words: Option<JoinHandle<VecDeque<String>>>,
}

/// A file with the metadata, removed when dropped. (On the command line they would have to be
/// short, and everybody could read them.)
struct Texts(PathBuf);

impl Drop for Texts {
    fn drop(&mut self) {
        // Nobody is left to hear of a failure here.
        let _ = fs::remove_file(&self.0);
    }
}

/// What the codecs need.
struct Recipe {
    name: &'static str,
    encoder: &'static [&'static str],
    pixels: &'static str,
    /// Where chroma samples sit vertically, in 256ths of a luma row; horizontally always on the
    /// left, as players take it. (ffmpeg's own default is the middle.)
    chroma_row: i32,
    /// Both sides must be even (4:2:0); for 4:2:2 the width only.
    even: (bool, bool),
}

fn recipe(codec: Codec) -> Option<Recipe> {
    Some(match codec {
        Codec::Av1 => return None,
        Codec::H264 => Recipe {
            name: "H.264",
            encoder: &["libx264", "-preset", "medium"],
            pixels: "yuv420p",
            chroma_row: 128,
            even: (true, true),
        },
        Codec::H265 => Recipe {
            name: "H.265",
            // hvc1: Apple's players refuse ffmpeg's default, hev1.
            encoder: &["libx265", "-preset", "medium", "-x265-params", "log-level=error"],
            pixels: "yuv420p",
            chroma_row: 128,
            even: (true, true),
        },
        Codec::ProRes => Recipe {
            name: "ProRes",
            encoder: &["prores_ks", "-vendor", "apl0"],
            pixels: "yuv422p10le",
            chroma_row: 0,
            even: (true, false),
        },
    })
}

/// The rate of an encoder for a quality of 0 to 100.
fn rate(codec: Codec, quality: u8) -> [String; 2] {
    let worse = f64::from(100 - quality);
    match codec {
        // 90 is 14 (visually without loss), 60 about the encoder's default.
        Codec::H265 => ["-crf".into(), format!("{:.1}", 12.0 + worse * 0.39)],
        Codec::ProRes => {
            let profile = match quality {
                90.. => "hq",
                70.. => "standard",
                40.. => "lt",
                _ => "proxy",
            };
            ["-profile:v".into(), profile.into()]
        }
        _ => ["-crf".into(), format!("{:.1}", 10.0 + worse * 0.41)],
    }
}

impl FfmpegSink {
    /// Starts `program`.
    pub(crate) fn new(path: &Path, options: &Options, extension: &str, program: &OsStr) -> Result<Self> {
        // Only .mov comes here without a codec.
        let codec = options.codec.unwrap_or(Codec::ProRes);
        let Some(recipe) = recipe(codec) else {
            return Err(Error::unsupported(
                path,
                "AV1 is not written into QuickTime files",
                "write .mp4, .webm or .mkv, or choose ProRes",
            ));
        };
        if codec == Codec::ProRes && matches!(extension, "mp4" | "m4v") {
            return Err(Error::unsupported(path, "MP4 cannot hold ProRes", "write .mov or .mkv"));
        }
        let deep = codec == Codec::ProRes;
        options.bits_of(path, 8, if deep { &[8, 16] } else { &[8] })?;
        let odd = |side: usize, even: bool| even && side % 2 == 1;
        if odd(options.width, recipe.even.0) || odd(options.height, recipe.even.1) {
            return Err(Error::unsupported(
                path,
                format!("a clip of {}x{} pixels", options.width, options.height),
                format!(
                    "{} needs even sides; .webp, .gif, .png and .exr take odd ones",
                    recipe.name
                ),
            ));
        }

        let mut file = TempFile::create(path, options.overwrite)?;
        file.hand_over();
        let texts = Texts(file.temp_path().with_extension("ffmetadata"));
        fs::write(&texts.0, metadata(options)).map_err(Error::io(&texts.0, "write the metadata for ffmpeg"))?;

        let mut command = Command::new(program);
        command
            .args(["-hide_banner", "-nostdin", "-nostats", "-loglevel", "error", "-y"])
            // Otherwise a full disk is a success to it.
            .arg("-xerror")
            .args(["-f", "rawvideo", "-pixel_format"])
            .arg(if deep { "rgb48le" } else { "rgb24" })
            .arg("-video_size")
            .arg(format!("{}x{}", options.width, options.height))
            .args(["-framerate", &options.fps.to_string(), "-i", "pipe:0"])
            .args(["-f", "ffmetadata", "-i"])
            .arg(&texts.0)
            .args(["-map", "0:v", "-map_metadata", "1", "-vf"])
            .arg(format!(
                "scale=in_range=pc:out_range=tv:out_color_matrix=bt709:\
                 out_h_chr_pos=0:out_v_chr_pos={}:\
                 flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp,format={},\
                 setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709",
                recipe.chroma_row, recipe.pixels
            ))
            .arg("-c:v")
            .args(recipe.encoder)
            .args(rate(codec, options.quality))
            .args(["-color_range", "tv", "-colorspace", "bt709"])
            .args(["-color_primaries", "bt709", "-color_trc", "bt709"]);
        if codec == Codec::H265 && extension != "mkv" {
            command.args(["-tag:v", "hvc1"]);
        }
        let muxer = match extension {
            "mkv" => "matroska",
            "mov" => "mov",
            _ => "mp4",
        };
        if muxer != "matroska" {
            command.args(["-movflags", "+faststart+write_colr+use_metadata_tags"]);
        }
        command.args(["-f", muxer]).arg(file.temp_path());
        let process = Process::start(command).map_err(|source| Error::FfmpegMissing {
            path: path.to_owned(),
            codec: recipe.name,
            program: program.to_string_lossy().into_owned(),
            source,
        })?;
        Ok(Self {
            process,
            file,
            _texts: texts,
            path: path.to_owned(),
            deep,
            bytes: Vec::new(),
        })
    }
}

/// The metadata in ffmpeg's own text format.
fn metadata(options: &Options) -> String {
    let mut out = String::from(";FFMETADATA1\n");
    for (key, value) in &options.metadata {
        out.push_str(key);
        out.push('=');
        for c in value.chars() {
            if matches!(c, '=' | ';' | '#' | '\\' | '\n') {
                out.push('\\');
            }
            out.push(c);
        }
        out.push('\n');
    }
    out
}

impl Process {
    fn start(mut command: Command) -> std::io::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take();
        // Read all the time: ffmpeg would stop at a full pipe.
        let words = std::thread::spawn(move || {
            let mut last = VecDeque::new();
            let lines = stderr.map(|stderr| BufReader::new(stderr).split(b'\n'));
            for line in lines.into_iter().flatten().map_while(|line| line.ok()) {
                if last.len() == LAST_LINES {
                    last.pop_front();
                }
                last.push_back(String::from_utf8_lossy(&line).into_owned());
            }
            last
        });
        Ok(Self {
            stdin: child.stdin.take(),
            child,
            words: Some(words),
        })
    }

    /// Closes ffmpeg's input and waits for its end.
    fn end(&mut self, path: &Path) -> Result<()> {
        self.stdin = None;
        let status = self.child.wait().map_err(Error::io(path, "wait for ffmpeg"))?;
        let words = self.words.take().and_then(|words| words.join().ok());
        if status.success() {
            return Ok(());
        }
        let words = Vec::from(words.unwrap_or_default()).join("\n");
        Err(Error::Ffmpeg {
            path: path.to_owned(),
            status: status.to_string(),
            stderr: if words.is_empty() {
                "(it said nothing)".into()
            } else {
                words
            },
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stdin = None;
        // Of an unfinished clip nothing is wanted; both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sink for FfmpegSink {
    fn write(&mut self, frame: &Frame) -> Result<()> {
        if self.deep {
            self.bytes.clear();
            let samples = frame.rgb.iter().flat_map(|&v| to_u16(v).to_le_bytes());
            self.bytes.extend(samples);
        } else {
            frame.bytes_into(&mut self.bytes);
        }
        let Some(stdin) = self.process.stdin.as_mut() else {
            return Err(Error::Incomplete {
                path: self.path.clone(),
                problem: "ffmpeg has ended",
            });
        };
        stdin.write_all(&self.bytes).map_err(|e| {
            // A broken pipe only tells that ffmpeg is gone; its own words tell why.
            match self.process.end(&self.path) {
                Err(why) => why,
                Ok(()) => Error::io(&self.path, "pass frames to ffmpeg")(e),
            }
        })
    }

    fn finish(mut self: Box<Self>) -> Result<Written> {
        self.process.end(&self.path)?;
        // Its word is not enough: see that the file is closed.
        let temp = self.file.temp_path();
        if let Err(Error::Corrupt { problem, .. }) = read_metadata(temp) {
            return Err(Error::Encoder {
                path: self.path.clone(),
                encoder: "ffmpeg",
                message: format!("it reported success, but of its file {problem}"),
            });
        }
        Ok(Written::file(self.path, self.file.commit()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Rational;

    fn options(codec: Codec) -> Options {
        let mut options = Options::new(64, 48, Rational::new(16, 1).unwrap());
        options.codec = Some(codec);
        options
    }

    #[test]
    fn a_missing_ffmpeg_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mp4");
        let error = FfmpegSink::new(&path, &options(Codec::H264), "mp4", "no-such-ffmpeg".as_ref())
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("no-such-ffmpeg") && error.contains("install ffmpeg"),
            "{error}"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_failing_ffmpeg_is_quoted() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("ffmpeg");
        let text = "#!/bin/sh\nexec 0<&-\ni=0\nwhile [ $i -lt 30 ]; do echo line $i >&2; \
                    i=$((i+1)); done\nexit 3\n";
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let path = folder.path().join("clip.mp4");
        let sink = FfmpegSink::new(&path, &options(Codec::H264), "mp4", script.as_ref()).unwrap();
        let mut sink: Box<dyn Sink> = Box::new(sink);
        let rgb = vec![0.5; 64 * 48 * 3];
        let frame = Frame {
            width: 64,
            height: 48,
            rgb: &rgb,
        };
        let error = (0..100)
            .try_for_each(|_| sink.write(&frame))
            .and_then(|()| sink.finish().map(|_| ()))
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 29") && error.contains("line 10\n"), "{error}");
        assert!(!error.contains("line 9\n") && error.contains('3'), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1); // the script
    }

    #[cfg(unix)]
    #[test]
    fn a_success_without_a_file_is_none() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("ffmpeg");
        fs::write(&script, "#!/bin/sh\nexec cat >/dev/null\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let path = folder.path().join("clip.mp4");
        let sink = FfmpegSink::new(&path, &options(Codec::H264), "mp4", script.as_ref()).unwrap();
        let mut sink: Box<dyn Sink> = Box::new(sink);
        let rgb = vec![0.5; 64 * 48 * 3];
        let frame = Frame {
            width: 64,
            height: 48,
            rgb: &rgb,
        };
        sink.write(&frame).unwrap();
        let error = sink.finish().unwrap_err().to_string();
        assert!(error.contains("reported success"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1); // the script
    }

    #[test]
    fn what_does_not_fit_is_refused_before_ffmpeg_starts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mov");
        for (codec, extension, width, height) in [
            (Codec::Av1, "mov", 64, 48),
            (Codec::ProRes, "mp4", 64, 48),
            (Codec::H264, "mp4", 64, 47),
            (Codec::ProRes, "mov", 63, 48),
        ] {
            let mut options = options(codec);
            (options.width, options.height) = (width, height);
            let refused = FfmpegSink::new(&path, &options, extension, "no-such-ffmpeg".as_ref());
            assert!(matches!(refused, Err(Error::Unsupported { .. })));
        }
    }

    #[test]
    fn metadata_are_escaped() {
        let mut options = options(Codec::H264);
        options.metadata.insert("prompt".into(), "a=b;\n#c\\".into());
        assert_eq!(metadata(&options), ";FFMETADATA1\nprompt=a\\=b\\;\\\n\\#c\\\\\n");
    }
}
