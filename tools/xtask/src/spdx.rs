//! Licence expressions: enough of SPDX for the manifests of crates.

use anyhow::{Result, bail};

/// Whether the terms of `expression` can be met with licences that are `allowed` alone.
///
/// The old `MIT/Apache-2.0` means OR. An exception (`WITH`) only adds permissions, so its licence decides.
pub(crate) fn satisfied(expression: &str, allowed: impl Fn(&str) -> bool) -> Result<bool> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser {
        words: &words,
        allowed: &allowed,
    };
    let result = parser.any()?;
    if let Some(word) = parser.words.first() {
        bail!("`{expression}`: `{word}` is out of place");
    }
    Ok(result)
}

struct Parser<'a> {
    words: &'a [&'a str],
    allowed: &'a dyn Fn(&str) -> bool,
}

impl Parser<'_> {
    fn take(&mut self, word: &str) -> bool {
        let found = self.words.first() == Some(&word);
        if found {
            self.words = &self.words[1..];
        }
        found
    }

    fn any(&mut self) -> Result<bool> {
        let mut result = self.all()?;
        while self.take("OR") {
            result |= self.all()?;
        }
        Ok(result)
    }

    fn all(&mut self) -> Result<bool> {
        let mut result = self.one()?;
        while self.take("AND") {
            result &= self.one()?;
        }
        Ok(result)
    }

    fn one(&mut self) -> Result<bool> {
        if self.take("(") {
            let result = self.any()?;
            if !self.take(")") {
                bail!("a parenthesis is not closed");
            }
            return Ok(result);
        }
        match self.words {
            [] | ["OR" | "AND" | "WITH" | ")", ..] => bail!("a licence is missing"),
            [licence, "WITH", _, rest @ ..] | [licence, rest @ ..] => {
                self.words = rest;
                Ok((self.allowed)(licence))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::satisfied;

    #[test]
    fn expressions() {
        let check = |expression| satisfied(expression, |licence| ["MIT", "Zlib", "Apache-2.0"].contains(&licence));
        for good in [
            "MIT",
            "MIT/GPL-3.0",
            "GPL-3.0 OR MIT",
            "(GPL-3.0 OR MIT) AND Zlib",
            "Apache-2.0 WITH LLVM-exception",
            "GPL-3.0 AND X OR MIT",
        ] {
            assert!(check(good).unwrap(), "{good}");
        }
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Zlib) AND X"] {
            assert!(!check(bad).unwrap(), "{bad}");
        }
        for broken in ["", "MIT OR", "(MIT", "MIT Zlib", "MIT)", "WITH x"] {
            assert!(check(broken).is_err(), "{broken}");
        }
    }
}
