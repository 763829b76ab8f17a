//! Which crate may depend on which: the arrows of ARCHITECTURE.md, and their check.

use anyhow::{Result, bail};

use crate::metadata::{Kind, Metadata};

/// A crate's place in the house.
struct Rule {
    name: &'static str,
    /// The workspace's crates that it may need, through others too.
    may: &'static [&'static str],
    /// Graphics libraries that it may need.
    graphics: &'static [&'static str],
}

/// Every crate of the workspace has its line.
const RULES: &[Rule] = &[
    plain("kinora-quant", &[]),
    plain("kinora-media", &[]),
    plain("kinora-demo-model", &[]),
    // What reads and checks WGSL, but nothing that knows a device.
    Rule {
        name: "kinora-shaders",
        may: &["kinora-quant"],
        graphics: &["naga"],
    },
    plain("kinora-graph", &["kinora-quant"]),
    plain("kinora-cpu", &["kinora-graph", "kinora-quant"]),
    graphics("kinora-runtime", &["kinora-graph", "kinora-shaders", "kinora-quant"]),
    plain("kinora-models", &["kinora-graph", "kinora-quant"]),
    graphics("kinora", HOUSE),
    graphics("kinora-tests", HOUSE),
    graphics("kinora-isa", &["kinora-shaders", "kinora-quant"]),
    plain("xtask", &[]),
];

/// What the command and whole-system tests may need.
const HOUSE: &[&str] = &[
    "kinora",
    "kinora-models",
    "kinora-runtime",
    "kinora-cpu",
    "kinora-graph",
    "kinora-shaders",
    "kinora-quant",
    "kinora-media",
    "kinora-demo-model",
];

const fn plain(name: &'static str, may: &'static [&'static str]) -> Rule {
    let graphics = &[];
    Rule { name, may, graphics }
}

const fn graphics(name: &'static str, may: &'static [&'static str]) -> Rule {
    let graphics = GRAPHICS;
    Rule { name, may, graphics }
}

/// The libraries that only the runtime and tools may know.
const GRAPHICS: &[&str] = &["wgpu", "wgpu-core", "wgpu-hal", "naga"];

/// Checks the workspace; the result says what was found.
pub(crate) fn run() -> Result<String> {
    let metadata = Metadata::load()?;
    let wrong = violations(&metadata);
    if !wrong.is_empty() {
        bail!(
            "these dependencies run against the arrows (tools/xtask/src/arrows.rs):\n  {}",
            wrong.join("\n  ")
        );
    }
    Ok(format!("{} crates keep to the arrows", metadata.members.len()))
}

fn violations(metadata: &Metadata) -> Vec<String> {
    let mut wrong = Vec::new();
    for id in &metadata.members {
        let name = &metadata.packages[id].name;
        let Some(rule) = RULES.iter().find(|rule| rule.name == name) else {
            wrong.push(format!("{name} has no line in the table"));
            continue;
        };
        for reached in metadata.reach(&[id], &[Kind::Normal]) {
            let Some(package) = metadata.packages.get(reached) else {
                continue;
            };
            let other = package.name.as_str();
            let allowed = if metadata.members.contains(reached) {
                rule.may.contains(&other)
            } else {
                rule.graphics.contains(&other) || !GRAPHICS.contains(&other)
            };
            if !allowed {
                wrong.push(metadata.path(id, reached).join(" → "));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Package;

    /// Members are those with "kinora" in their names.
    fn graph(edges: &[(&str, &[(&str, Kind)])]) -> Metadata {
        let mut metadata = Metadata::default();
        for (name, dependencies) in edges {
            let package = Package {
                name: (*name).into(),
                version: "1.0.0".into(),
                licence: None,
                dependencies: dependencies.iter().map(|(d, kind)| ((*d).to_owned(), *kind)).collect(),
            };
            metadata.packages.insert((*name).into(), package);
            if name.starts_with("kinora") {
                metadata.members.insert((*name).into());
            }
        }
        metadata
    }

    #[test]
    fn the_workspace_keeps_to_the_arrows() {
        run().unwrap();
    }

    #[test]
    fn arrows_are_followed_through_others() {
        let metadata = graph(&[
            ("kinora-models", &[("helper", Kind::Normal), ("kinora-cpu", Kind::Dev)]),
            ("helper", &[("naga", Kind::Normal)]),
            ("naga", &[]),
            ("kinora-cpu", &[("kinora-graph", Kind::Normal)]),
            ("kinora-graph", &[]),
        ]);
        assert_eq!(violations(&metadata), ["kinora-models → helper → naga"]);
    }

    #[test]
    fn other_crates_of_the_house_must_be_named() {
        let metadata = graph(&[("kinora-quant", &[("kinora-new", Kind::Normal)]), ("kinora-new", &[])]);
        assert_eq!(
            violations(&metadata),
            ["kinora-new has no line in the table", "kinora-quant → kinora-new"]
        );
    }
}
