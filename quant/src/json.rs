//! JSON from files that nobody vouches for: bounded depth, and every key once.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};

use crate::error::shown;
use crate::{Error, Result};

/// No file of ours nests deeper than 5.
const MAX_DEPTH: usize = 16;

/// Longest file that is read, in bytes (real ones take some 100 kB).
const MAX_FILE: u64 = 100_000_000;

/// Reads the file at `path`, called a `kind` in errors, and hands its bytes to `parse`.
pub(crate) fn read<T>(path: &Path, kind: &'static str, parse: impl Fn(&[u8]) -> Result<T, String>) -> Result<T> {
    let malformed = |reason| Error::Malformed {
        path: path.to_owned(),
        kind,
        reason,
    };
    // Asked before opening, because opening a pipe would wait for a writer.
    let meta = std::fs::metadata(path).map_err(Error::io(path, "find it"))?;
    if !meta.is_file() {
        return Err(malformed("it is not a regular file".to_owned()));
    }
    if meta.len() > MAX_FILE {
        return Err(malformed(format!(
            "it has {} bytes (the limit is {MAX_FILE})",
            meta.len()
        )));
    }
    let bytes = std::fs::read(path).map_err(Error::io(path, "read it"))?;
    parse(&bytes).map_err(malformed)
}

/// Parses `bytes`, or says in words what is wrong with them.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("its JSON is not UTF-8 text ({e})"))?;
    check_depth(bytes)?;
    serde_json::from_str(text).map_err(|e| format!("bad JSON: {}", shown(&e.to_string())))
}

/// Parsers recurse, and a nest of a million brackets would overflow their stack.
fn check_depth(bytes: &[u8]) -> Result<(), String> {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for b in bytes {
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(format!("its JSON nests deeper than {MAX_DEPTH} levels"));
        }
    }
    Ok(())
}

/// A map that refuses to hold a key twice (serde's own maps silently keep the last).
#[derive(Debug)]
pub(crate) struct UniqueMap<V>(pub(crate) BTreeMap<String, V>);

impl<'de, V: serde::Deserialize<'de>> serde::Deserialize<'de> for UniqueMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Unique<V>(PhantomData<V>);
        impl<'de, V: serde::Deserialize<'de>> Visitor<'de> for Unique<V> {
            type Value = UniqueMap<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut out = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    let value = map.next_value().map_err(|e| named(&key, e))?;
                    if out.contains_key(&key) {
                        return Err(A::Error::custom(format_args!(
                            "the name `{}` is there twice",
                            shown(&key)
                        )));
                    }
                    out.insert(key, value);
                }
                Ok(UniqueMap(out))
            }
        }
        deserializer.deserialize_map(Unique(PhantomData))
    }
}

/// Puts the key that an error is about in front of it.
pub(crate) fn named<E: serde::de::Error>(key: &str, error: E) -> E {
    E::custom(format_args!("`{}`: {error}", shown(key)))
}
