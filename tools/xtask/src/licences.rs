//! Licences of everything that is built into Kinora or builds it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::metadata::{Kind, Metadata, Package};
use crate::{process, spdx};

/// Licences that ask for no more than their text to be passed on.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Other licences, for one crate each: crate, licence, reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "webpki-roots",
    "CDLA-Permissive-2.0",
    "data, the certificates of authorities; asks for no more than its text to be passed on",
)];

/// Checks all packages; the result says what was found.
pub(crate) fn run() -> Result<String> {
    let metadata = Metadata::load()?;
    let members: Vec<&str> = metadata.members.iter().map(String::as_str).collect();
    let reached = metadata.reach(&members, &[Kind::Normal, Kind::Build]);
    let packages: Vec<&Package> = reached.iter().filter_map(|id| metadata.packages.get(*id)).collect();
    let wrong: Vec<String> = packages.iter().filter_map(|package| objection(package)).collect();
    if !wrong.is_empty() {
        bail!(
            "licences that are not allowed (tools/xtask/src/licences.rs):\n  {}",
            wrong.join("\n  ")
        );
    }
    let kinds: BTreeSet<&str> = packages.iter().filter_map(|p| p.licence.as_deref()).collect();
    let advisories = advisories()?;
    Ok(format!(
        "{} packages under {} allowed licence expressions; advisories: {advisories}",
        packages.len(),
        kinds.len()
    ))
}

fn objection(package: &Package) -> Option<String> {
    let Package { name, version, .. } = package;
    let Some(licence) = &package.licence else {
        return Some(format!("{name} {version}: the manifest names none"));
    };
    let allowed = |id: &str| {
        let excepted = |(of, licence, _): &(&str, &str, &str)| of == name && *licence == id;
        ALLOWED.contains(&id) || EXCEPTIONS.iter().any(excepted)
    };
    match spdx::satisfied(licence, allowed) {
        Ok(true) => None,
        Ok(false) => Some(format!("{name} {version}: {licence}")),
        Err(error) => Some(format!("{name} {version}: {error:#}")),
    }
}

/// Looks for known vulnerabilities, where a tool and its data are there already.
fn advisories() -> Result<&'static str> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))
        .unwrap_or_default();
    let has = |tool: &str, data: &str| {
        home.join(data).is_dir() && process::succeeds(&mut process::cargo(&[tool, "--version"]))
    };
    if has("deny", "advisory-dbs") {
        process::run(&mut process::cargo(&["deny", "--offline", "check", "advisories"]))?;
        return Ok("none by cargo-deny");
    }
    if has("audit", "advisory-db") {
        process::run(&mut process::cargo(&["audit", "--no-fetch"]))?;
        return Ok("none by cargo-audit");
    }
    Ok("skipped (neither cargo-deny nor cargo-audit with a database is here)")
}
