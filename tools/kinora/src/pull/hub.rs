//! The public hub's layout of addresses, and the token.

use std::ffi::OsString;
use std::path::Path;

use ureq::http::Uri;

use super::Error;

/// Where files come from.
#[derive(Clone)]
pub struct Hub {
    endpoint: String,
    token: Option<String>,
}

impl std::fmt::Debug for Hub {
    /// Without the token: debug output lands in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubFile {
    /// `organisation/name`.
    pub repo: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// Path in the repository.
    pub path: String,
}

impl HubFile {
    /// A file of the main branch.
    pub fn of_main(repo: &str, path: &str) -> Self {
        Self {
            repo: repo.to_owned(),
            revision: "main".to_owned(),
            path: path.to_owned(),
        }
    }

    /// Reads `ORGANISATION/REPOSITORY[@REVISION]/PATH`.
    ///
    /// # Errors
    /// [`Error::Name`] for what is no such path, or could lead out of it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Name(text.to_owned());
        let pieces: Vec<&str> = text.split('/').collect();
        let odd = |piece: &&str| {
            piece.is_empty()
                || piece.starts_with('.')
                || piece.contains(['\\', ':'])
                || piece.chars().any(char::is_control)
        };
        let [organisation, repo, path @ ..] = pieces.as_slice() else {
            return Err(wrong());
        };
        if path.is_empty() || pieces.iter().any(odd) {
            return Err(wrong());
        }
        let (repo, revision) = repo.split_once('@').unwrap_or((repo, "main"));
        if repo.is_empty() || revision.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            repo: format!("{organisation}/{repo}"),
            revision: revision.to_owned(),
            path: path.join("/"),
        })
    }

    /// Name of the file.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

impl Hub {
    /// The hub at `endpoint`, with a token for it.
    ///
    /// # Errors
    /// [`Error::Endpoint`] for what is no http or https address.
    pub fn new(endpoint: &str, token: Option<String>) -> Result<Self, Error> {
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        if origin(&endpoint).is_none() {
            return Err(Error::Endpoint(endpoint));
        }
        Ok(Self {
            endpoint,
            token: token
                .map(|token| token.trim().to_owned())
                .filter(|token| !token.is_empty()),
        })
    }

    /// The hub that the usual variables name: `HF_ENDPOINT`; the token of `HF_TOKEN`, else the one that the hub's own
    /// tools saved (`HF_TOKEN_PATH`, `HF_HOME/token`, `~/.cache/huggingface/token`).
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn from_env(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let endpoint = set("HF_ENDPOINT").map(|value| value.to_string_lossy().into_owned());
        let saved = || {
            let below = |name: &str, path: &str| Some(Path::new(&set(name)?).join(path));
            let path = below("HF_TOKEN_PATH", "")
                .or_else(|| below("HF_HOME", "token"))
                .or_else(|| below("XDG_CACHE_HOME", "huggingface/token"))
                .or_else(|| below("HOME", ".cache/huggingface/token"))
                .or_else(|| below("USERPROFILE", ".cache/huggingface/token"))?;
            std::fs::read_to_string(path).ok()
        };
        let token = set("HF_TOKEN")
            .map(|value| value.to_string_lossy().into_owned())
            .or_else(saved);
        Self::new(endpoint.as_deref().unwrap_or("https://huggingface.co"), token)
    }

    /// Address of `file`.
    pub fn url(&self, file: &HubFile) -> String {
        let HubFile { repo, revision, path } = file;
        format!(
            "{}/{}/resolve/{}/{}",
            self.endpoint,
            quoted(repo),
            quoted(&revision.replace('/', "%2F")),
            quoted(path)
        )
    }

    /// The token, where `url` is on the hub's own host: nobody else ever sees it.
    pub(super) fn token_for(&self, url: &str) -> Option<&str> {
        let own = origin(url).is_some() && origin(url) == origin(&self.endpoint);
        self.token.as_deref().filter(|_| own)
    }

    /// Whether `url` is on the hub's own host.
    pub(super) fn owns(&self, url: &str) -> bool {
        origin(url).is_some() && origin(url) == origin(&self.endpoint)
    }
}

/// Scheme, host and port of an http or https address.
pub(super) fn origin(url: &str) -> Option<(String, String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let port = match scheme.as_str() {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    Some((scheme, uri.host()?.to_ascii_lowercase(), uri.port_u16().unwrap_or(port)))
}

/// The address that a redirect from `from` to `location` leads to; `None` where that is no http or https address, or
/// would give up encryption.
pub(super) fn redirected(from: &str, location: &str) -> Option<String> {
    let (scheme, ..) = origin(from)?;
    let authority = from.parse::<Uri>().ok()?.authority()?.to_string();
    let target = if location.contains("://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = from.split(['?', '#']).next()?.rsplit_once('/')?.0;
        format!("{folder}/{location}")
    };
    let target = target.split('#').next()?.to_owned();
    let (to, ..) = origin(&target)?;
    (scheme == "http" || to == "https").then_some(target)
}

/// Percent-encodes what cannot stand in a path; slashes and escapes stay.
fn quoted(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/%".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        let file = HubFile::parse("Comfy-Org/Wan@v1/split_files/vae/a b.safetensors").unwrap();
        assert_eq!(
            (file.repo.as_str(), file.revision.as_str(), file.name()),
            ("Comfy-Org/Wan", "v1", "a b.safetensors")
        );
        let hub = Hub::new("https://hub.example/", None).unwrap();
        assert_eq!(
            hub.url(&file),
            "https://hub.example/Comfy-Org/Wan/resolve/v1/split_files/vae/a%20b.safetensors"
        );
        for bad in [
            "",
            "a",
            "a/b",
            "a/b/",
            "a/b/../c",
            "a/b/.hidden",
            "/a/b/c",
            "a//b/c",
            "a/b/c\\d",
            "a/@/c",
            "a/b/c:d",
            "a/b/\u{7}",
        ] {
            assert!(HubFile::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_token_goes_to_the_hub_alone() {
        let hub = Hub::new("https://hub.example", Some(" secret\n".into())).unwrap();
        assert_eq!(hub.token_for("https://HUB.example/x"), Some("secret"));
        assert_eq!(hub.token_for("https://hub.example:443/x"), Some("secret"));
        for other in [
            "http://hub.example/x",
            "https://hub.example:8443/x",
            "https://hub.example.evil/x",
            "https://evil/hub.example",
            "https://hub.example@evil/x",
            "nonsense",
        ] {
            assert_eq!(hub.token_for(other), None, "{other}");
        }
        assert!(!format!("{hub:?}").contains("secret"));
        for bad in ["ftp://hub", "hub.example", ""] {
            assert!(Hub::new(bad, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn redirects_lead_where_they_say_and_stay_encrypted() {
        let from = "https://hub.example:8443/a/b?x=1";
        for (location, to) in [
            ("https://cdn/y?z#f", Some("https://cdn/y?z")),
            ("/y", Some("https://hub.example:8443/y")),
            ("//cdn/y", Some("https://cdn/y")),
            ("c", Some("https://hub.example:8443/a/c")),
            ("http://hub.example/y", None),
            ("ftp://cdn/y", None),
            ("file:///etc/passwd", None),
        ] {
            assert_eq!(redirected(from, location).as_deref(), to, "{location}");
        }
        assert_eq!(redirected("http://a/b", "http://c/d").as_deref(), Some("http://c/d"));
    }

    #[test]
    fn variables_name_hub_and_token() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "saved\n").unwrap();
        let hub = |set: &[(&str, &str)]| {
            let set: Vec<(String, OsString)> = set.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
            Hub::from_env(|name| set.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone())).unwrap()
        };
        let home = folder.path().to_str().unwrap();
        assert_eq!(hub(&[("HF_HOME", home)]).token.as_deref(), Some("saved"));
        assert_eq!(
            hub(&[("HF_HOME", home), ("HF_TOKEN", "given")]).token.as_deref(),
            Some("given")
        );
        assert_eq!(hub(&[]).endpoint, "https://huggingface.co");
        assert_eq!(
            hub(&[("HF_ENDPOINT", "http://mirror/hf/")]).endpoint,
            "http://mirror/hf"
        );
    }
}
