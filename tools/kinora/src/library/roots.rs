//! Folders that may hold model files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// How a folder is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Files in folders of any depth, as in ComfyUI's `models`.
    Tree,
    /// The hub's cache: `models--ORGANISATION--NAME/snapshots/REVISION`.
    HubCache,
}

/// A folder to look in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Root {
    /// The folder; it need not exist.
    pub path: PathBuf,
    /// Its layout.
    pub kind: Kind,
    /// Why it is looked in: a variable's name, or what is usual.
    pub because: &'static str,
}

/// The folders in the order in which they are preferred. `variable` looks up an environment variable.
pub fn roots(variable: impl Fn(&str) -> Option<OsString>) -> Vec<Root> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let home = set("HOME").or_else(|| set("USERPROFILE")).map(PathBuf::from);
    let mut found = Vec::new();
    let mut add = |path: PathBuf, kind, because| found.push(Root { path, kind, because });
    if let Some(paths) = set("KINORA_MODELS") {
        for path in std::env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()) {
            add(path, Kind::Tree, "KINORA_MODELS");
        }
    }
    if let Some(path) = set("COMFYUI_PATH") {
        add(Path::new(&path).join("models"), Kind::Tree, "COMFYUI_PATH");
    } else if let Some(home) = &home {
        add(home.join("ComfyUI/models"), Kind::Tree, "ComfyUI's usual place");
    }
    let hub = set("HF_HUB_CACHE")
        .map(|path| (PathBuf::from(path), "HF_HUB_CACHE"))
        .or_else(|| Some((Path::new(&set("HF_HOME")?).join("hub"), "HF_HOME")))
        .or_else(|| {
            let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
            let cache = cache.or_else(|| Some(home.as_ref()?.join(".cache")))?;
            Some((cache.join("huggingface/hub"), "the hub's usual cache"))
        });
    if let Some((path, because)) = hub {
        add(path, Kind::HubCache, because);
    }
    found
}

/// Where downloads go: the first tree, as long as a variable names it or it is there already.
pub fn download_folder(roots: &[Root]) -> Option<&Path> {
    roots
        .iter()
        .find(|root| root.kind == Kind::Tree && (root.because == "KINORA_MODELS" || root.path.is_dir()))
        .map(|root| root.path.as_path())
}
