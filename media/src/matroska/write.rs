//! The muxer.

use std::io::{self, Seek, SeekFrom, Write};

use super::ebml::*;
use crate::av1::{Muxer, Unit, configuration};
use crate::options::Options;
use crate::temp::TempFile;

/// Writes clusters as they fill: memory holds one, of five seconds or four megabytes at most
/// beside a single frame. Sizes, the duration and the table of contents are filled in at the end.
pub(crate) struct MatroskaMuxer<W = TempFile> {
    out: W,
    options: Options,
    webm: bool,
    /// Where the segment's body starts: places in the file are counted from there.
    segment: u64,
    /// Where the duration's eight bytes lie.
    duration: u64,
    /// Numbers and places of the parts, for the table of contents.
    parts: Vec<(u32, u64)>,
    cluster: Option<Cluster>,
    /// Time (ms) and place of each cluster that starts with a key frame.
    cues: Vec<(u64, u64)>,
    frames: u64,
}

struct Cluster {
    start: u64,
    key: bool,
    blocks: Vec<u8>,
}

/// Milliseconds in a cluster. A block's time is 16 bits relative to it.
const CLUSTER_MS: u64 = 5000;
/// Bytes in a cluster.
const CLUSTER_BYTES: usize = 4 << 20;
/// Room for the table of contents: four entries of at most 21 bytes and its head.
const TOC: usize = 100;

impl<W: Write + Seek + Send> MatroskaMuxer<W> {
    /// A muxer that writes nothing before the first unit, from which it takes the decoder's
    /// configuration.
    pub(crate) fn new(out: W, options: &Options, webm: bool) -> Self {
        Self {
            out,
            options: options.clone(),
            webm,
            segment: 0,
            duration: 0,
            parts: Vec::new(),
            cluster: None,
            cues: Vec::new(),
            frames: 0,
        }
    }

    /// Start of frame `index` in milliseconds.
    fn time(&self, index: u64) -> u64 {
        self.options.fps.start(index, 1000)
    }

    fn place(&mut self) -> io::Result<u64> {
        Ok(self.out.stream_position()? - self.segment)
    }

    fn part(&mut self, number: u32, whole: &[u8]) -> io::Result<()> {
        let place = self.place()?;
        self.parts.push((number, place));
        self.out.write_all(whole)
    }

    fn head(&mut self, configuration: &[u8]) -> io::Result<()> {
        let kind = if self.webm { "webm" } else { "matroska" };
        self.out.write_all(&master(
            EBML,
            &[
                uint(0x4286, 1), // EBMLVersion
                uint(0x42F7, 1), // EBMLReadVersion
                uint(0x42F2, 4), // EBMLMaxIDLength
                uint(0x42F3, 8), // EBMLMaxSizeLength
                string(0x4282, kind),
                uint(0x4287, 4), // DocTypeVersion
                uint(0x4285, 2), // DocTypeReadVersion
            ],
        ))?;
        let mut segment = Vec::new();
        id(&mut segment, SEGMENT);
        segment.extend([1, 255, 255, 255, 255, 255, 255, 255]); // unknown until the end
        self.out.write_all(&segment)?;
        self.segment = self.out.stream_position()?;
        self.out.write_all(&element(VOID, &[0; TOC - 2]))?;

        let program = concat!("Kinora ", env!("CARGO_PKG_VERSION"));
        let info = master(
            INFO,
            &[
                uint(0x2AD7B1, 1_000_000), // TimestampScale: milliseconds
                string(0x4D80, program),   // MuxingApp
                string(0x5741, program),   // WritingApp
                element(DURATION, &0f64.to_be_bytes()),
            ],
        );
        self.part(INFO, &info)?;
        self.duration = self.out.stream_position()? - 8;
        let tracks = master(TRACKS, &[self.track(configuration)]);
        self.part(TRACKS, &tracks)?;
        if !self.options.metadata.is_empty() {
            let mut tag = vec![element(TARGETS, &[])]; // of the whole file
            tag.extend(self.options.metadata.iter().map(|(key, value)| {
                // Matroska's names are in capitals.
                let name = string(TAG_NAME, &key.to_ascii_uppercase());
                master(SIMPLE_TAG, &[name, string(TAG_STRING, value)])
            }));
            let tags = master(TAGS, &[master(TAG, &tag)]);
            self.part(TAGS, &tags)?;
        }
        Ok(())
    }

    fn track(&self, configuration: &[u8]) -> Vec<u8> {
        let fps = self.options.fps;
        let nanoseconds = 1_000_000_000 * u64::from(fps.den()) / u64::from(fps.num());
        let colour = master(
            0x55B0,
            &[
                uint(0x55B1, 1), // MatrixCoefficients: BT.709
                uint(0x55B7, 1), // ChromaSitingHorz: left
                uint(0x55B8, 2), // ChromaSitingVert: half
                uint(0x55B9, 1), // Range: limited
                uint(0x55BA, 1), // TransferCharacteristics: BT.709
                uint(0x55BB, 1), // Primaries: BT.709
            ],
        );
        let video = master(
            0xE0,
            &[
                uint(0x9A, 2), // FlagInterlaced: progressive
                uint(0xB0, self.options.width as u64),
                uint(0xBA, self.options.height as u64),
                colour,
            ],
        );
        master(
            0xAE,
            &[
                uint(0xD7, 1),   // TrackNumber
                uint(0x73C5, 1), // TrackUID
                uint(0x83, 1),   // TrackType: video
                uint(0x9C, 0),   // FlagLacing
                string(0x86, "V_AV1"),
                element(0x63A2, configuration), // CodecPrivate
                uint(0x23E383, nanoseconds),    // DefaultDuration
                video,
            ],
        )
    }

    fn add(&mut self, unit: &Unit) -> io::Result<()> {
        if self.frames == 0 {
            let configuration = configuration(&unit.data)
                .ok_or_else(|| io::Error::other("the first frame has no AV1 sequence header"))?;
            self.head(&configuration)?;
        }
        self.frames += 1;
        let time = self.time(unit.index);
        let full = self.cluster.as_ref().is_some_and(|cluster| {
            unit.key || time - cluster.start >= CLUSTER_MS || cluster.blocks.len() + unit.data.len() > CLUSTER_BYTES
        });
        if full {
            self.write_cluster()?;
        }
        let cluster = self.cluster.get_or_insert_with(|| Cluster {
            start: time,
            key: unit.key,
            blocks: Vec::new(),
        });
        let relative = (time - cluster.start) as u16; // below CLUSTER_MS
        let mut block = vec![0x81]; // track 1
        block.extend(relative.to_be_bytes());
        block.push(if unit.key { 0x80 } else { 0 });
        block.extend_from_slice(&unit.data);
        cluster.blocks.extend(element(0xA3, &block)); // SimpleBlock
        Ok(())
    }

    fn write_cluster(&mut self) -> io::Result<()> {
        let Some(cluster) = self.cluster.take() else {
            return Ok(());
        };
        if cluster.key {
            let place = self.place()?;
            self.cues.push((cluster.start, place));
        }
        let time = uint(0xE7, cluster.start);
        self.out.write_all(&master(CLUSTER, &[time, cluster.blocks]))
    }

    fn complete(mut self) -> io::Result<W> {
        self.write_cluster()?;
        let cues: Vec<Vec<u8>> = self
            .cues
            .iter()
            .map(|&(time, place)| {
                let track = master(0xB7, &[uint(0xF7, 1), uint(0xF1, place)]);
                master(0xBB, &[uint(0xB3, time), track])
            })
            .collect();
        self.part(CUES, &master(CUES, &cues))?;
        let end = self.place()?;

        self.out.seek(SeekFrom::Start(self.segment - 8))?;
        self.out.write_all(&long_size(end))?;
        let entries: Vec<Vec<u8>> = self
            .parts
            .iter()
            .map(|&(number, place)| {
                let mut name = Vec::new();
                id(&mut name, number);
                master(0x4DBB, &[element(0x53AB, &name), uint(0x53AC, place)])
            })
            .collect();
        let toc = master(SEEK_HEAD, &entries);
        self.out.write_all(&toc)?;
        self.out.write_all(&element(VOID, &vec![0; TOC - toc.len() - 2]))?;
        self.out.seek(SeekFrom::Start(self.duration))?;
        let fps = self.options.fps.as_f64();
        let milliseconds = self.frames as f64 * 1000.0 / fps;
        self.out.write_all(&milliseconds.to_be_bytes())?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl Muxer for MatroskaMuxer {
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
    use crate::options::Rational;

    #[test]
    fn clusters_start_at_key_frames_and_places_are_true() {
        let mut options = Options::new(64, 48, Rational::new(16, 1).unwrap());
        options.metadata.insert("prompt".into(), "a fox".into());
        let mut muxer = MatroskaMuxer::new(Cursor::new(Vec::new()), &options, true);
        for index in 0..200 {
            let mut data = vec![0x0a, 4, 0, 0, 0, 0xf8];
            data.extend([index as u8; 300]);
            let key = index % 60 == 0;
            muxer.add(&Unit { data, key, index }).unwrap();
        }
        let file = muxer.complete().unwrap().into_inner();

        let parts: Vec<_> = elements(&file).collect();
        assert_eq!(parts[0].0, EBML);
        assert_eq!(parts[1].0, SEGMENT);
        let segment = parts[1].1;
        let ids: Vec<u32> = elements(segment).map(|(number, _)| number).collect();
        assert_eq!(ids[..5], [SEEK_HEAD, VOID, INFO, TRACKS, TAGS]);
        assert_eq!(ids[5..9], [CLUSTER; 4]);
        assert_eq!(ids[9..], [CUES]);

        // Every place in the table of contents and in the cues is the start of such an element.
        let value = |data: &[u8]| data.iter().fold(0, |all, &b| all << 8 | usize::from(b));
        let toc = elements(segment).next().unwrap().1;
        for (_, seek) in elements(toc) {
            let fields: Vec<_> = elements(seek).collect();
            let (wanted, place) = (value(fields[0].1) as u32, value(fields[1].1));
            assert_eq!(head(&segment[place..]).unwrap().0, wanted);
        }
        let cues = elements(segment).last().unwrap().1;
        let mut times = Vec::new();
        for (_, cue) in elements(cues) {
            let fields: Vec<_> = elements(cue).collect();
            times.push(value(fields[0].1));
            let place = value(elements(fields[1].1).nth(1).unwrap().1);
            assert_eq!(head(&segment[place..]).unwrap().0, CLUSTER);
        }
        assert_eq!(times, [0, 3750, 7500, 11250]);
    }
}
