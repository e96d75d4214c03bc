//! Names of services. A name becomes a log file's name, a directory in the cache and a prefix on the console,
//! so it is checked once, here, and cheap to pass around afterwards.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A service's name: 1 to 64 letters, digits, `-`, `_` or `.`, starting with a letter or digit.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// The name `text`, if it is one; otherwise what is wrong with it.
    pub fn parse(text: &str) -> Result<Name, String> {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if text.is_empty() || text.len() > 64 {
            return Err(format!("a service's name has 1 to 64 characters, `{text}` has {}", text.len()));
        }
        if let Some(bad) = text.chars().find(|&c| !fine(c)) {
            return Err(format!(
                "`{text}` contains `{}`; a service's name has only letters, digits, `-`, `_` and `.`",
                bad.escape_default()
            ));
        }
        if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(format!("`{text}` does not start with a letter or digit"));
        }
        Ok(Name(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_is_safe_in_a_file_name() {
        for good in ["userService", "a", "api-v2", "x_1.2"] {
            assert_eq!(Name::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a/b", "..", "-x", "a b", "ü", &"x".repeat(65)] {
            assert!(Name::parse(bad).is_err(), "{bad}");
        }
    }
}
