//! Which file it was, in a line of text.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::header::{LENGTH_BYTES, MAX_HEADER};
use super::open::{Source, resolve};
use super::sharded::read_index;
use crate::{Error, Result};

/// Number and length of the samples.
const BLOCKS: u64 = 64;
const BLOCK: u64 = 64 * 1024;

/// Identifies the weights at `path` (whatever [`open`](super::open()) takes) for the metadata of a clip:
/// `sampled-sha256:` and 64 hexadecimal digits.
///
/// Hashing 28 GB takes minutes, so this is a sample: SHA-256 over the length (u64, little-endian), the safetensors
/// header with its length (nothing for another format), and 64 evenly spaced blocks of 64 KiB, the first and last
/// of which touch the ends (of a file of up to 4 MiB: all of it, once). For a sharded checkpoint, SHA-256 over a
/// line for each shard, sorted: its name, a space, its fingerprint, a line feed. Different releases and types of
/// a model differ in it; two files that differ in a few weights may not. It is no protection against forgery.
///
/// # Errors
/// [`Error::Io`], and those of [`resolve`].
pub fn fingerprint(path: impl AsRef<Path>) -> Result<String> {
    match resolve(path.as_ref())? {
        Source::File(path) => hash_file(&path),
        Source::Index(path) => {
            let shards: BTreeSet<_> = read_index(&path)?.into_values().collect();
            let mut hash = Sha256::new();
            for name in shards {
                let shard = hash_file(&path.with_file_name(&name))?;
                hash.update(format!("{name} {shard}\n"));
            }
            Ok(line(hash))
        }
    }
}

fn hash_file(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::io(path, "open it"))?;
    sample(&mut file).map_err(Error::io(path, "read it"))
}

fn sample(file: &mut File) -> std::io::Result<String> {
    let length = file.metadata()?.len();
    let mut hash = Sha256::new();
    hash.update(length.to_le_bytes());
    if length <= BLOCKS * BLOCK {
        hash_run(file, 0, length, &mut hash)?;
        return Ok(line(hash));
    }
    let mut start = [0; 9];
    file.read_exact(&mut start)?;
    let [header @ .., bracket] = start;
    let header = u64::from_le_bytes(header);
    if bracket == b'{' && header <= MAX_HEADER {
        hash_run(file, 0, (LENGTH_BYTES + header).min(length), &mut hash)?;
    }
    for i in 0..BLOCKS {
        // In 128 bits, because a sparse file may have any length.
        let position = u128::from(length - BLOCK) * u128::from(i) / u128::from(BLOCKS - 1);
        hash_run(file, position as u64, BLOCK, &mut hash)?;
    }
    Ok(line(hash))
}

fn hash_run(file: &mut File, position: u64, length: u64, hash: &mut Sha256) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(position))?;
    let mut left = length;
    let mut buffer = vec![0; BLOCK as usize];
    while left > 0 {
        let run = &mut buffer[..left.min(BLOCK) as usize];
        file.read_exact(run)?;
        hash.update(&*run);
        left -= run.len() as u64;
    }
    Ok(())
}

fn line(hash: Sha256) -> String {
    let digits: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    format!("sampled-sha256:{digits}")
}
