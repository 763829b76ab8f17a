//! From `wan2.2-ti2v-5b:q4_k` to the files that it means.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::str::FromStr;

use kinora_models::wan::files::{Role, published, type_matches};
use kinora_models::wan::{Source, Variant};

use super::roots::Root;
use super::scan::{Content, Found};

/// The type that a diffusers folder counts as.
const DIFFUSERS: &str = "diffusers";

/// A variant, and the type of weights wanted of its transformers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The model.
    pub variant: Variant,
    /// The type, as the user wrote it; any where `None`.
    pub dtype: Option<String>,
}

impl FromStr for Request {
    type Err = kinora_models::Error;

    /// Reads `VARIANT` or `VARIANT:TYPE`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (variant, dtype) = match text.split_once(':') {
            Some((variant, dtype)) => (variant, Some(dtype.to_owned())),
            None => (text, None),
        };
        Ok(Self {
            variant: variant.parse()?,
            dtype: dtype.filter(|dtype| !dtype.is_empty()),
        })
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.dtype {
            Some(dtype) => write!(f, "{}:{dtype}", self.variant),
            None => write!(f, "{}", self.variant),
        }
    }
}

/// The files of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// A diffusers folder.
    Folder(PathBuf),
    /// A file for each role.
    Files(BTreeMap<Role, PathBuf>),
}

impl Resolved {
    /// The files as `Model::open` takes them.
    pub fn source(self, variant: Variant) -> Source {
        let mut source = Source::default();
        match self {
            Self::Folder(folder) => source.paths = vec![folder],
            Self::Files(mut files) => {
                source.high = files.remove(&Role::High).or_else(|| files.remove(&Role::Transformer));
                source.low = files.remove(&Role::Low);
                source.vae = files.remove(&Role::Vae);
                source.text_encoder = files.remove(&Role::TextEncoder);
                source.variant = Some(variant);
            }
        }
        source
    }
}

/// Why a name does not lead to one set of files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// A role has no file.
    #[error("{request}: there is no file for {}; looked for {} in {}; `kinora pull {request}` fetches what is missing", list(.roles), list(.names), places(.looked_in))]
    Missing {
        /// What was asked for, with the type of the transformers that are there.
        request: Request,
        /// What is missing.
        roles: Vec<Role>,
        /// File names that would do.
        names: Vec<String>,
        /// Where it was looked for.
        looked_in: Vec<PathBuf>,
    },
    /// Transformers of several types fit.
    #[error("{request}: there are files of several types; say which: {}", list(.choices))]
    Ambiguous {
        /// What was asked for.
        request: Request,
        /// The requests that would be clear.
        choices: Vec<String>,
    },
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn places(paths: &[PathBuf]) -> String {
    if paths.is_empty() {
        return "no folder (set KINORA_MODELS to the folder of your models)".to_owned();
    }
    list(&paths.iter().map(|path| path.display()).collect::<Vec<_>>())
}

/// The files in `found` that `request` means. Transformers have to be of the type asked for, or all of one type.
/// The other parts are taken in that type where there is one, else in the largest file: the most precise.
///
/// # Errors
/// [`Unresolved`].
pub fn resolve(request: &Request, found: &[Found], roots: &[Root]) -> Result<Resolved, Unresolved> {
    let variant = request.variant;
    let wanted = request.dtype.as_deref();
    let folder = found.iter().find(|file| file.content == Content::Folder(variant));
    let roles = Role::of(variant);
    let types = transformer_types(request, found);
    let choices: Vec<String> = types
        .iter()
        .map(String::as_str)
        .chain(folder.filter(|_| wanted.is_none()).map(|_| DIFFUSERS))
        .map(|dtype| format!("{variant}:{dtype}"))
        .collect();
    if wanted == Some(DIFFUSERS) || choices == [format!("{variant}:{DIFFUSERS}")] {
        if let Some(folder) = folder {
            return Ok(Resolved::Folder(folder.path.clone()));
        }
    } else if choices.len() > 1 {
        return Err(Unresolved::Ambiguous {
            request: request.clone(),
            choices,
        });
    }
    let dtype = types.first().map(String::as_str);
    let mut files = BTreeMap::new();
    let mut missing = Vec::new();
    for role in roles {
        match pick(*role, variant, dtype, found) {
            Some(file) => drop(files.insert(*role, file.path.clone())),
            None => missing.push(*role),
        }
    }
    if missing.is_empty() {
        return Ok(Resolved::Files(files));
    }
    let fits =
        |role: Role, dtype: &str| !role.is_transformer() || wanted.is_none_or(|wanted| type_matches(wanted, dtype));
    let names = published(variant)
        .into_iter()
        .filter(|file| missing.contains(&file.role) && fits(file.role, file.dtype))
        .map(|file| file.file_name().to_owned())
        .collect();
    let dtype = types.into_iter().next().or_else(|| request.dtype.clone());
    Err(Unresolved::Missing {
        request: Request { variant, dtype },
        roles: missing,
        names,
        looked_in: roots.iter().map(|root| root.path.clone()).collect(),
    })
}

/// The types of which there are all transformers (or, where there are none, some), the exact one alone if it is there.
fn transformer_types(request: &Request, found: &[Found]) -> Vec<String> {
    let mut roles_of: BTreeMap<&str, BTreeSet<Role>> = BTreeMap::new();
    for (_, name) in parts(request.variant, found).filter(|(_, name)| name.role.is_transformer()) {
        let wanted = request.dtype.as_deref();
        if wanted.is_none_or(|wanted| type_matches(wanted, &name.dtype)) {
            roles_of.entry(&name.dtype).or_default().insert(name.role);
        }
    }
    if let Some(exact) = request
        .dtype
        .as_ref()
        .map(|dtype| dtype.to_lowercase().replace('-', "_"))
        && roles_of.contains_key(exact.as_str())
    {
        return vec![exact];
    }
    let needed = Role::of(request.variant)
        .iter()
        .filter(|role| role.is_transformer())
        .count();
    let names = |keep: &dyn Fn(usize) -> bool| -> Vec<String> {
        let kept = roles_of.iter().filter(|(_, roles)| keep(roles.len()));
        kept.map(|(dtype, _)| (*dtype).to_owned()).collect()
    };
    let whole = names(&|roles| roles == needed);
    if whole.is_empty() { names(&|_| true) } else { whole }
}

fn parts(variant: Variant, found: &[Found]) -> impl Iterator<Item = (&Found, &kinora_models::wan::files::Name)> {
    found.iter().filter_map(move |file| match &file.content {
        Content::Part(name) if name.variants.contains(&variant) => Some((file, name)),
        _ => None,
    })
}

fn pick<'a>(role: Role, variant: Variant, dtype: Option<&str>, found: &'a [Found]) -> Option<&'a Found> {
    let of_role = || parts(variant, found).filter(move |(_, name)| name.role == role);
    let exact = of_role().find(|(_, name)| dtype == Some(name.dtype.as_str()));
    let largest = || of_role().reduce(|best, file| if file.0.bytes > best.0.bytes { file } else { best });
    let picked = if role.is_transformer() {
        exact
    } else {
        exact.or_else(largest)
    };
    picked.map(|(file, _)| file)
}
