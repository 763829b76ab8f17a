//! Which tile a product or attention takes is measured on the device, once, and kept on the disk.
//!
//! - `key`: what is measured: an operation, its format and arithmetic, a class of shapes
//! - `table`: what was measured: data, from which plans are made
//! - `sample`: operands of a class
//! - `measure`: candidates on the clock
//! - `store`: the file
//!
//! Tiles of products change no bit: there are those of one way to hold the factors, each of which sums along K in order,
//! and the device must show it. Attention's tiles sum in orders of their own, and matrices round probabilities to f16
//! besides: where half precision is asked for anyway, they are measured before all else, and bits are the same as long as
//! the table is. Full precision and attention with a bias or a mask, which text encoders have, are left to rules, as are
//! few rows and the tier: no encoded prompt depends on the table.

mod key;
mod measure;
mod sample;
mod store;
mod table;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use kinora_graph::{Control, Error, Result};

use crate::device::Device;
pub use key::{Key, Operation, Tile};
use store::Store;
pub use table::{Choice, Table};

/// What tuning takes at most before a render begins; what is left then is measured at the next one.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was measured on a device, and the way to measure more.
pub struct Tuner {
    device: Arc<Device>,
    store: Store,
    table: Mutex<Table>,
}

impl Tuner {
    /// Reads what `folder` has of this device, its driver and these kernels. A file of others, or a damaged one, is as
    /// good as none.
    pub fn open(device: Arc<Device>, folder: &Path) -> Self {
        let store = Store::new(&device.raw().adapter_info(), folder);
        Self {
            table: Mutex::new(store.read().unwrap_or_default()),
            store,
            device,
        }
    }

    /// What is known now.
    pub fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("no panic while it is held")
    }

    /// Measures `choices` that are not in the table, within `memory` bytes of the device's, and keeps the results on the
    /// disk; those too where it ends early.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; as those of an executor where the device fails. What does not fit is left out, and where
    /// nothing can be written a warning says so.
    pub(crate) fn tune(&self, choices: &[Choice], memory: Option<u64>, control: &mut dyn Control) -> Result<()> {
        let began = Instant::now();
        control.progress(0.0);
        let mut found = Table::default();
        let mut result = Ok(());
        for (index, choice) in choices.iter().enumerate() {
            if control.cancelled() {
                result = Err(Error::Cancelled);
                break;
            }
            if began.elapsed() > PATIENCE {
                let left = choices.len() - index;
                tracing::info!("{left} classes of shapes are left to be measured next time");
                break;
            }
            match measure::fastest(&self.device, choice, memory) {
                Ok(Some(tile)) => found.insert(choice.key, tile),
                Ok(None) | Err(Error::OutOfMemory { .. }) => {}
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
            control.progress((index + 1) as f64 / choices.len() as f64);
        }
        if !found.is_empty() {
            self.table().extend(&found);
            self.store.add(&found);
        }
        result
    }
}
