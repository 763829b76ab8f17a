//! Typed reading of a scheduler's JSON configuration, in which nothing is ignored by accident.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::error::{Result, SamplerError};

/// A JSON object whose keys must all be read, one by one.
pub(super) struct Config<'a> {
    class: &'static str,
    map: Option<&'a Map<String, Value>>,
    read: BTreeSet<&'static str>,
}

impl<'a> Config<'a> {
    /// Wraps an object; `null` is an empty one.
    pub(super) fn new(class: &'static str, value: &'a Value) -> Result<Self> {
        if !(value.is_null() || value.is_object()) {
            return Err(error(class, "config", value, "an object"));
        }
        Ok(Self {
            class,
            map: value.as_object(),
            read: BTreeSet::new(),
        })
    }

    /// The value of `key`; absent and null are the same.
    pub(super) fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.read.insert(key);
        self.map.and_then(|map| map.get(key)).filter(|value| !value.is_null())
    }

    fn typed<T>(
        &mut self,
        key: &'static str,
        kind: &str,
        convert: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let class = self.class;
        self.value(key)
            .map(|value| convert(value).ok_or_else(|| error(class, key, value, kind)))
            .transpose()
    }

    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> Result<bool> {
        Ok(self.typed(key, "true or false", Value::as_bool)?.unwrap_or(default))
    }

    pub(super) fn number(&mut self, key: &'static str) -> Result<Option<f64>> {
        self.typed(key, "a number", Value::as_f64)
    }

    pub(super) fn integer(&mut self, key: &'static str) -> Result<Option<usize>> {
        self.typed(key, "a whole number", |value| {
            value.as_u64().and_then(|n| usize::try_from(n).ok())
        })
    }

    pub(super) fn text(&mut self, key: &'static str, default: &'a str) -> Result<&'a str> {
        Ok(self.typed(key, "a string", Value::as_str)?.unwrap_or(default))
    }

    pub(super) fn numbers(&mut self, key: &'static str) -> Result<Option<Vec<f64>>> {
        self.typed(key, "a list of numbers", |value| {
            value.as_array()?.iter().map(Value::as_f64).collect()
        })
    }

    pub(super) fn integers(&mut self, key: &'static str) -> Result<Option<Vec<usize>>> {
        self.typed(key, "a list of whole numbers", |value| {
            value
                .as_array()?
                .iter()
                .map(|n| n.as_u64().and_then(|n| usize::try_from(n).ok()))
                .collect()
        })
    }

    /// The number of training timesteps (default 1000).
    pub(super) fn train_steps(&mut self) -> Result<f64> {
        match self.integer("num_train_timesteps")? {
            None => Ok(1000.0),
            Some(n @ 1..=1_000_000) => Ok(n as f64),
            Some(n) => Err(error(self.class, "num_train_timesteps", &n.into(), "1 to 1000000")),
        }
    }

    /// Requires `key` (by default `default`) to be one of `allowed`.
    pub(super) fn require(&mut self, key: &'static str, default: &'a str, allowed: &[&str]) -> Result<&'a str> {
        let text = self.text(key, default)?;
        if allowed.contains(&text) {
            return Ok(text);
        }
        Err(error(
            self.class,
            key,
            &text.into(),
            &format!("supported: {}", allowed.join(", ")),
        ))
    }

    /// Requires the switch `key` (by default `default`) to be `wanted`.
    pub(super) fn require_switch(&mut self, key: &'static str, default: bool, wanted: bool) -> Result<()> {
        let value = self.boolean(key, default)?;
        if value == wanted {
            return Ok(());
        }
        Err(error(self.class, key, &value.into(), &format!("supported: {wanted}")))
    }

    /// Requires `keys` to be absent or null.
    pub(super) fn require_absent(&mut self, keys: &[&'static str]) -> Result<()> {
        for &key in keys {
            if let Some(value) = self.value(key) {
                return Err(error(self.class, key, value, "not implemented"));
            }
        }
        Ok(())
    }

    /// Accepts `keys` with any value: they have no effect under the settings required so far.
    pub(super) fn without_effect(&mut self, keys: &[&'static str]) {
        self.read.extend(keys);
    }

    /// Fails on the first key that was never read (keys starting with `_` and notes aside).
    pub(super) fn finish(self) -> Result<()> {
        for (key, value) in self.map.into_iter().flatten() {
            if !key.starts_with('_') && !self.read.contains(key.as_str()) {
                return Err(error(self.class, key, value, "unknown key"));
            }
        }
        Ok(())
    }
}

fn error(class: &'static str, key: &str, value: &Value, why: &str) -> SamplerError {
    let mut value = value.to_string();
    if let Some((end, _)) = value.char_indices().nth(80) {
        value.truncate(end);
        value.push('…');
    }
    SamplerError::Config {
        class,
        key: key.into(),
        value,
        why: why.into(),
    }
}
