//! Looks through folders for files of known names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kinora_models::wan::Variant;
use kinora_models::wan::files::{Name, recognise};

use super::roots::{Kind, Root};

/// Folders below a root that are entered.
const MAX_DEPTH: usize = 6;

/// Entries of a root that are looked at: a root that was named by mistake (`/`) must not take minutes.
const MAX_ENTRIES: usize = 200_000;

/// A file, or a diffusers folder, on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes; 0 for a folder, which is not measured.
    pub bytes: u64,
    /// What it is.
    pub content: Content,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// One part of a model.
    Part(Name),
    /// A whole model.
    Folder(Variant),
}

/// Everything in `roots` whose name says that it belongs to a known model, in the order of the roots and of names.
/// What cannot be read is passed over: it cannot be used either.
pub fn scan(roots: &[Root]) -> Vec<Found> {
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    for root in roots {
        let mut walk = Walk {
            entries: 0,
            found: Vec::new(),
        };
        match root.kind {
            Kind::Tree => walk.folder(&root.path, 0),
            Kind::HubCache => walk.hub(&root.path),
        }
        if walk.entries >= MAX_ENTRIES {
            tracing::warn!(
                "{}: only the first {MAX_ENTRIES} entries were looked at; name a folder that holds models",
                root.path.display()
            );
        }
        // A root inside another, and links, lead to the same files twice.
        let new = |file: &Found| seen.insert(file.path.canonicalize().unwrap_or_else(|_| file.path.clone()));
        found.extend(walk.found.into_iter().filter(new));
    }
    found
}

struct Walk {
    entries: usize,
    found: Vec<Found>,
}

impl Walk {
    fn list(&mut self, folder: &Path) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return Vec::new();
        };
        let room = MAX_ENTRIES - self.entries;
        let mut paths: Vec<PathBuf> = entries.flatten().take(room).map(|entry| entry.path()).collect();
        self.entries += paths.len();
        paths.sort();
        paths
    }

    fn folder(&mut self, folder: &Path, depth: usize) {
        for path in self.list(folder) {
            let name = name(&path);
            // Files whose name begins with a dot are half-written.
            if name.starts_with('.') {
                continue;
            }
            let Ok(meta) = std::fs::metadata(&path) else { continue };
            if meta.is_file() {
                if let Some(known) = recognise(&name) {
                    self.found.push(Found {
                        path,
                        bytes: meta.len(),
                        content: Content::Part(known),
                    });
                }
            } else if let Some(variant) = diffusers(&path, &name) {
                self.found.push(Found {
                    path,
                    bytes: 0,
                    content: Content::Folder(variant),
                });
            } else if depth < MAX_DEPTH {
                self.folder(&path, depth + 1);
            }
        }
    }

    fn hub(&mut self, cache: &Path) {
        for repo in self.list(cache) {
            let name = name(&repo);
            let Some(name) = name.strip_prefix("models--") else {
                continue;
            };
            let snapshots = repo.join("snapshots");
            let current = std::fs::read_to_string(repo.join("refs/main")).ok();
            let current = current.filter(|revision| revision.trim().chars().all(|c| c.is_ascii_hexdigit()));
            let snapshots = match current.map(|revision| snapshots.join(revision.trim())) {
                Some(current) if current.is_dir() => vec![current],
                _ => self.list(&snapshots),
            };
            let model = name.rsplit("--").next().unwrap_or(name);
            for snapshot in snapshots {
                match diffusers(&snapshot, model) {
                    Some(variant) => self.found.push(Found {
                        path: snapshot,
                        bytes: 0,
                        content: Content::Folder(variant),
                    }),
                    None => self.folder(&snapshot, 1),
                }
            }
        }
    }
}

/// The variant of the diffusers folder at `path` that is called `name` ("Wan2.2-TI2V-5B-Diffusers").
fn diffusers(path: &Path, name: &str) -> Option<Variant> {
    let lower = name.to_lowercase();
    let model = lower.strip_suffix("-diffusers")?;
    let model = model
        .strip_suffix("-480p")
        .or(model.strip_suffix("-720p"))
        .unwrap_or(model);
    let (_, variant) = Variant::ALL.into_iter().find(|(known, _)| *known == model)?;
    path.join("model_index.json").is_file().then_some(variant)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
