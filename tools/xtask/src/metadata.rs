//! The dependency graph, from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;

/// Why one package depends on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

/// A package of the graph.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// SPDX expression.
    pub(crate) licence: Option<String>,
    /// Other packages by id, once for each kind.
    pub(crate) dependencies: Vec<(String, Kind)>,
}

/// All packages that the workspace needs on this machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata {
    /// By id.
    pub(crate) packages: BTreeMap<String, Package>,
    /// Ids of the workspace's own packages.
    pub(crate) members: BTreeSet<String>,
}

impl Metadata {
    /// Asks cargo; the network is used only if something was never downloaded.
    pub(crate) fn load() -> Result<Self> {
        // Packages for other systems are in the lock file, but were never downloaded.
        let host = host()?;
        let arguments = ["metadata", "--format-version", "1", "--filter-platform", &host];
        let mut offline = process::cargo(&arguments);
        let output = match offline.arg("--offline").output() {
            Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
            _ => process::output(&mut process::cargo(&arguments))?,
        };
        Self::parse(&output).context("cargo metadata")
    }

    fn parse(json: &str) -> Result<Self> {
        let json: Value = serde_json::from_str(json)?;
        let text = |value: &Value, key: &str| -> Result<String> {
            let text = value[key].as_str().with_context(|| format!("no `{key}`"))?;
            Ok(text.to_owned())
        };
        let list = |value: &Value, key: &str| -> Result<Vec<Value>> {
            Ok(value[key].as_array().with_context(|| format!("no `{key}`"))?.clone())
        };
        let mut metadata = Self::default();
        for package in list(&json, "packages")? {
            let parsed = Package {
                name: text(&package, "name")?,
                version: text(&package, "version")?,
                licence: package["license"].as_str().map(str::to_owned),
                dependencies: Vec::new(),
            };
            metadata.packages.insert(text(&package, "id")?, parsed);
        }
        for node in list(&json["resolve"], "nodes")? {
            let mut dependencies = Vec::new();
            for dependency in list(&node, "deps")? {
                for kind in list(&dependency, "dep_kinds")? {
                    let kind = match kind["kind"].as_str() {
                        Some("build") => Kind::Build,
                        Some("dev") => Kind::Dev,
                        _ => Kind::Normal,
                    };
                    dependencies.push((text(&dependency, "pkg")?, kind));
                }
            }
            let id = text(&node, "id")?;
            metadata
                .packages
                .get_mut(&id)
                .with_context(|| format!("no package {id}"))?
                .dependencies = dependencies;
        }
        for member in list(&json, "workspace_members")? {
            metadata
                .members
                .insert(member.as_str().context("a member without an id")?.to_owned());
        }
        Ok(metadata)
    }

    /// Ids of everything that `from` needs through dependencies of these kinds; `from` itself is left out.
    pub(crate) fn reach<'a>(&'a self, from: &[&'a str], kinds: &[Kind]) -> BTreeSet<&'a str> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = from.to_vec();
        while let Some(id) = open.pop() {
            for (next, kind) in self.packages.get(id).map_or(&[][..], |p| &p.dependencies) {
                if kinds.contains(kind) && seen.insert(next.as_str()) {
                    open.push(next);
                }
            }
        }
        seen
    }

    /// Names of the packages on a shortest way from one id to another by normal dependencies.
    pub(crate) fn path(&self, from: &str, to: &str) -> Vec<&str> {
        let mut paths = VecDeque::from([vec![from]]);
        let mut seen = BTreeSet::new();
        while let Some(path) = paths.pop_front() {
            let last = *path.last().expect("paths have a start");
            if last == to {
                return path.iter().map(|id| self.packages[*id].name.as_str()).collect();
            }
            for (next, kind) in &self.packages[last].dependencies {
                if *kind == Kind::Normal && seen.insert(next.as_str()) {
                    paths.push_back([path.as_slice(), &[next.as_str()]].concat());
                }
            }
        }
        Vec::new()
    }
}

/// The triple that rustc builds for here.
pub(crate) fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let text = process::output(std::process::Command::new(rustc).arg("-vV"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc does not say for what it builds")?.to_owned())
}
