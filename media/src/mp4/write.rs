//! The file around the boxes.

use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};

use super::boxes::{Index, boxed};
use crate::av1::{Muxer, Unit, configuration};
use crate::options::{Options, Rational};
use crate::temp::TempFile;

/// Writes samples as they come.
///
/// `moov` is known only at the end. If the number of frames was announced, room for it was left
/// in front of the samples, and a player on a web page can start before it has the whole file; no
/// second copy of the file is made, as the usual "fast start" rewriting does. Otherwise, or if
/// more frames came than announced, it stands behind the samples.
pub(crate) struct Mp4Muxer<W = TempFile> {
    out: W,
    width: u16,
    height: u16,
    fps: Rational,
    metadata: BTreeMap<String, String>,
    /// Where the room for `moov` starts, and its size.
    room: (u64, u64),
    /// Where the head of `mdat` starts.
    mdat: u64,
    configuration: Vec<u8>,
    sizes: Vec<u32>,
    keys: Vec<u32>,
    written: u64,
}

/// Size of `mdat`'s head with its 64-bit size.
const MDAT_HEAD: u64 = 16;
/// An `av1C` record and a `free` box's head never need more.
const SLACK: u64 = 256;

fn io_error(text: &'static str) -> io::Error {
    io::Error::other(text)
}

impl<W: Write + Seek + Send> Mp4Muxer<W> {
    /// Writes everything that stands before the samples.
    pub(crate) fn new(mut out: W, options: &Options) -> io::Result<Self> {
        let brands: [&[u8]; 6] = [b"isom", &[0, 0, 2, 0], b"isom", b"iso6", b"av01", b"mp41"];
        let ftyp = boxed(b"ftyp", &brands);
        out.write_all(&ftyp)?;
        let mut muxer = Self {
            out,
            width: options.width as u16,
            height: options.height as u16,
            fps: options.fps,
            metadata: options.metadata.clone(),
            room: (ftyp.len() as u64, 0),
            mdat: 0,
            configuration: Vec::new(),
            sizes: Vec::new(),
            keys: Vec::new(),
            written: 0,
        };
        if let Some(frames) = options.frames.filter(|&n| n < 1 << 24) {
            // A size and a place among the key frames for each.
            let size = muxer.moov(0).len() as u64 + 8 * frames as u64 + SLACK;
            muxer.free(size)?;
            muxer.room.1 = size;
        }
        muxer.mdat = muxer.room.0 + muxer.room.1;
        let mut head = [0u8; MDAT_HEAD as usize];
        head[..8].copy_from_slice(b"\0\0\0\x01mdat");
        muxer.out.write_all(&head)?;
        Ok(muxer)
    }

    fn moov(&self, offset: u32) -> Vec<u8> {
        Index {
            width: self.width,
            height: self.height,
            fps: self.fps,
            configuration: &self.configuration,
            sizes: &self.sizes,
            keys: &self.keys,
            offset,
            metadata: &self.metadata,
        }
        .moov()
    }

    /// An empty box of that size, its head included.
    fn free(&mut self, size: u64) -> io::Result<()> {
        let size = u32::try_from(size).map_err(|_| io_error("the index passes 4 GiB"))?;
        self.out.write_all(&size.to_be_bytes())?;
        self.out.write_all(b"free")?;
        io::copy(&mut io::Read::take(io::repeat(0), u64::from(size) - 8), &mut self.out)?;
        Ok(())
    }

    fn add(&mut self, unit: &Unit) -> io::Result<()> {
        if self.sizes.is_empty() {
            self.configuration =
                configuration(&unit.data).ok_or_else(|| io_error("the first frame has no AV1 sequence header"))?;
        }
        let size = u32::try_from(unit.data.len()).map_err(|_| io_error("a frame passes 4 GiB"))?;
        self.out.write_all(&unit.data)?;
        self.written += u64::from(size);
        self.sizes.push(size);
        if unit.key {
            self.keys.push(self.sizes.len() as u32);
        }
        Ok(())
    }

    /// Writes `moov`, and `mdat`'s size.
    pub(super) fn complete(mut self) -> io::Result<W> {
        let first = u32::try_from(self.mdat + MDAT_HEAD).map_err(|_| io_error("the index passes 4 GiB"))?;
        let moov = self.moov(first);
        let (start, room) = self.room;
        // What is left over must be nothing, or hold the head of a `free` box.
        if moov.len() as u64 + 8 <= room {
            self.out.seek(SeekFrom::Start(start))?;
            self.out.write_all(&moov)?;
            self.free(room - moov.len() as u64)?;
        } else {
            self.out.seek(SeekFrom::End(0))?;
            self.out.write_all(&moov)?;
        }
        self.out.seek(SeekFrom::Start(self.mdat + 8))?;
        self.out.write_all(&(self.written + MDAT_HEAD).to_be_bytes())?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl Muxer for Mp4Muxer {
    fn unit(&mut self, unit: &Unit) -> io::Result<()> {
        self.add(unit)
    }

    fn end(self: Box<Self>) -> io::Result<TempFile> {
        self.complete()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::mp4::read::tests::find;

    /// A unit with a sequence header of level 31 and some bytes.
    fn unit(index: u64) -> Unit {
        let mut data = vec![0x0a, 4, 0, 0, 0, 0xfc];
        data.extend([index as u8; 40]);
        Unit {
            data,
            key: index == 0,
            index,
        }
    }

    fn options(frames: Option<usize>) -> Options {
        let mut options = Options::new(64, 48, Rational::new(16, 1).unwrap());
        options.frames = frames;
        options
    }

    fn write(announced: Option<usize>, frames: u64) -> Vec<u8> {
        let mut muxer = Mp4Muxer::new(Cursor::new(Vec::new()), &options(announced)).unwrap();
        for index in 0..frames {
            muxer.add(&unit(index)).unwrap();
        }
        muxer.complete().unwrap().into_inner()
    }

    #[test]
    fn the_index_stands_in_front_if_the_length_was_announced() {
        for (announced, frames, in_front) in [
            (Some(9), 9, true),
            (Some(9), 3, true),
            (Some(1), 200, false),
            (None, 9, false),
        ] {
            let file = write(announced, frames);
            let moov = find(&file, &[b"moov"]).unwrap();
            let mdat = find(&file, &[b"mdat"]).unwrap();
            assert_eq!(moov.0 < mdat.0, in_front);
            let path: [&[u8; 4]; 6] = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stco"];
            let stco = find(&file, &path).unwrap().1;
            let offset = u32::from_be_bytes(stco[8..12].try_into().unwrap()) as usize;
            assert_eq!(file[offset..offset + 2], [0x0a, 4]);
            assert_eq!(mdat.1.len() as u64, 8 + 46 * frames);
        }
    }

    /// A disk with room for so many bytes.
    struct Small(Cursor<Vec<u8>>, usize);

    impl Write for Small {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            if self.0.position() as usize + buf.len() > self.1 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0.write(buf)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Small {
        fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
            self.0.seek(pos)
        }
    }

    #[test]
    fn a_full_disk_is_an_error_wherever_it_strikes() {
        let whole = write(None, 9).len();
        for room in (0..=whole).step_by(13).chain([whole]) {
            let small = Small(Cursor::new(Vec::new()), room);
            let result = Mp4Muxer::new(small, &options(None)).and_then(|mut muxer| {
                (0..9).try_for_each(|index| muxer.add(&unit(index)))?;
                muxer.complete().map(|_| ())
            });
            match result {
                Ok(()) => assert_eq!(room, whole),
                Err(e) => {
                    assert!(room < whole);
                    let e = crate::Error::io("clip.mp4".as_ref(), "write the frames")(e);
                    assert!(e.to_string().contains("free some space"), "{e}");
                }
            }
        }
    }
}
