//! A graphics driver for this machine: found, or installed where that can be done without asking.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;

/// What an apt system needs to run Vulkan on the processor, or on the graphics cards that Mesa knows.
const PACKAGES: [&str; 2] = ["mesa-vulkan-drivers", "libvulkan1"];

/// What to do by hand.
pub(crate) const REMEDY: &str = if cfg!(target_os = "linux") {
    "install a Vulkan driver (Debian, Ubuntu: `sudo apt-get install mesa-vulkan-drivers libvulkan1`; Fedora: \
     `sudo dnf install mesa-vulkan-drivers vulkan-loader`; Arch: your card's `vulkan-*` package and `vulkan-icd-loader`)"
} else {
    "install the graphics card maker's current driver"
};

/// The adapters that `kinora`, the program at that path, can use, after an attempt to install a driver if there is
/// none. Empty if there is nothing to be done.
pub(crate) fn ensure(kinora: &Path) -> Result<Vec<String>> {
    let found = adapters(kinora)?;
    if !found.is_empty() {
        return Ok(found);
    }
    if !can_install() {
        return Ok(found);
    }
    println!(
        "There is no graphics driver: installing {} with apt-get.",
        PACKAGES.join(" and ")
    );
    if let Err(error) = install() {
        println!("That did not work: {error:#}");
    }
    adapters(kinora)
}

/// Names of the adapters, as `kinora devices` lists them.
fn adapters(kinora: &Path) -> Result<Vec<String>> {
    let mut command = Command::new(kinora);
    let output = command
        .args(["devices", "--json"])
        .output()
        .context("cannot start kinora")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    parse(&text).with_context(|| format!("`kinora devices --json` ({}): {text}{errors}", output.status))
}

fn parse(json: &str) -> Result<Vec<String>> {
    let list: Vec<Value> = serde_json::from_str(json)?;
    let adapters = list.iter().filter(|device| {
        device["backend"]
            .as_str()
            .is_some_and(|b| !b.eq_ignore_ascii_case("cpu"))
    });
    let shown = adapters.map(|device| {
        let name = device["name"].as_str().unwrap_or("unnamed");
        format!("{name} ({})", device["backend"].as_str().unwrap_or_default())
    });
    Ok(shown.collect())
}

/// Whether this is an apt system where this user may install.
fn can_install() -> bool {
    let root = || {
        let id = Command::new("id").arg("-u").output();
        id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
    };
    cfg!(target_os = "linux") && process::succeeds(Command::new("apt-get").arg("--version")) && root()
}

fn install() -> Result<()> {
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        process::run(&mut command)
    };
    apt(&["-qq", "update"])?;
    apt(&[&["-qq", "install", "-y", "--no-install-recommends"], &PACKAGES[..]].concat())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_processor_is_no_adapter() {
        let json =
            r#"[{"name": "llvmpipe", "backend": "Vulkan", "type": "software"}, {"name": "x", "backend": "CPU"}]"#;
        assert_eq!(super::parse(json).unwrap(), ["llvmpipe (Vulkan)"]);
        assert!(super::parse("[]").unwrap().is_empty());
        assert!(super::parse("no JSON").is_err());
    }
}
