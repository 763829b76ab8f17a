//! Plans and runs on whatever adapter there is. Without one, the tests that need one say so and pass, unless
//! `KINORA_REQUIRE_GPU=1`.

mod budgets;
mod graphs;
mod kernels;
mod large;
mod loading;
mod parts;
mod plans;
mod references;
mod replay;
mod runs;
mod splits;
mod tuning;
mod zoo;

use std::sync::{Arc, OnceLock};

use kinora_runtime::Device;

/// The device that all tests share; `None` where there is no adapter.
fn device() -> Option<Arc<Device>> {
    static DEVICE: OnceLock<Option<Arc<Device>>> = OnceLock::new();
    let device = DEVICE.get_or_init(|| match Device::open(None) {
        Ok(device) => Some(device),
        Err(error) if std::env::var_os("KINORA_REQUIRE_GPU").is_none_or(|v| v != "1") => {
            println!("skipped: {error}");
            None
        }
        Err(error) => panic!("KINORA_REQUIRE_GPU is set: {error}"),
    });
    device.clone()
}
