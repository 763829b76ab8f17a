//! The table on the disk: a file for each device, which holds for one version of its driver and of our kernels.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use kinora_shaders::linear::{self, Arithmetic};
use kinora_shaders::{Factors, WeightType};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Operation, Table, Tile};

/// Version of the layout, and of what classes mean.
const VERSION: u32 = 2;

/// Most bytes of a file that are looked at.
const MOST: u64 = 4 << 20;

/// What the entries of a file hold for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Validity {
    version: u32,
    kinora: String,
    /// Hash of the kernels' texts.
    kernels: String,
    device: String,
}

/// A file.
#[derive(Serialize, Deserialize)]
struct Contents {
    valid: Validity,
    tiles: BTreeMap<String, String>,
}

/// Where a device's table is kept.
pub(super) struct Store {
    path: PathBuf,
    valid: Validity,
    warned: AtomicBool,
}

impl Store {
    pub(super) fn new(device: &wgpu::AdapterInfo, folder: &Path) -> Self {
        let wgpu::AdapterInfo {
            name,
            vendor,
            device,
            driver,
            driver_info,
            backend,
            ..
        } = device;
        let model = format!("{name} {vendor:04x}:{device:04x} {backend}");
        Self {
            path: folder.join(format!("{}.json", &digest([model.as_str()])[..16])),
            valid: Validity {
                version: VERSION,
                kinora: env!("CARGO_PKG_VERSION").to_owned(),
                kernels: kernels().to_owned(),
                device: format!("{model} {driver} {driver_info}"),
            },
            warned: AtomicBool::new(false),
        }
    }

    /// What is kept; nothing where the file is absent, damaged, or of another driver or version.
    pub(super) fn read(&self) -> Option<Table> {
        let mut bytes = Vec::new();
        let file = fs::File::open(&self.path).ok()?;
        file.take(MOST).read_to_end(&mut bytes).ok()?;
        let contents: Contents = serde_json::from_slice(&bytes).ok()?;
        (contents.valid == self.valid).then(|| Table::from_words(contents.tiles))
    }

    /// Adds `found` to what is kept, which another process may have written meanwhile. The first failure is told.
    pub(super) fn add(&self, found: &Table) {
        let mut table = self.read().unwrap_or_default();
        table.extend(found);
        if let Err(error) = self.write(&table)
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            let path = self.path.display();
            tracing::warn!("what was measured of this device cannot be kept in {path}, and is measured again: {error}");
        }
    }

    fn write(&self, table: &Table) -> io::Result<()> {
        let contents = Contents {
            valid: self.valid.clone(),
            tiles: table.words().clone(),
        };
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let temporary = self.path.with_extension(format!("{}.part", std::process::id()));
        fs::write(&temporary, serde_json::to_vec_pretty(&contents)?)?;
        fs::rename(&temporary, &self.path)
    }
}

/// Hash of the texts of all that is measured: each tile with each way to hold the factors, each format.
fn kernels() -> &'static str {
    static DIGEST: OnceLock<String> = OnceLock::new();
    DIGEST.get_or_init(|| {
        let linear = |weight, factors| Operation::Linear(Arithmetic::Float { weight, factors });
        let conv3d = |factors, by_fours| Operation::Conv3d {
            weight: WeightType::F32,
            factors,
            by_fours,
        };
        let attention = |factors| [64, 128, 256].map(|head_dim| Operation::Attention { head_dim, factors });
        let square = [Tile::Product(linear::Tile::Square)];
        let formats = WeightType::all().map(|weight| (linear(weight, Factors::F32), square.to_vec()));
        let float = Factors::ALL.into_iter().flat_map(|factors| {
            let products = [
                linear(WeightType::F32, factors),
                conv3d(factors, true),
                conv3d(factors, false),
            ];
            let in_registers = factors == factors.in_registers();
            let exists = move |tile: &Tile| in_registers || *tile != Tile::Product(linear::Tile::Lanes);
            let all = products.into_iter().chain(attention(factors));
            all.map(move |op| (op, op.tiles().into_iter().filter(exists).collect()))
        });
        let int8 = Operation::Linear(Arithmetic::Int8);
        let bytes = linear::Tile::MANY.map(Tile::Product);
        let all = formats.chain(float).chain([(int8, bytes.to_vec())]);
        digest(
            all.flat_map(|(op, tiles): (Operation, Vec<Tile>)| {
                tiles.into_iter().map(move |tile| op.shader(tile).source)
            }),
        )
    })
}

fn digest<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.as_ref().len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
