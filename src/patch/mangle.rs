//! The names that the Go linker gives to symbols: of types, which may be long (`typeSymbolMangle` in
//! `cmd/link/internal/ld/lib.go`), and of packages (`PathToPrefix` in `cmd/internal/objabi/path.go`). Pure.

use sha2::{Digest, Sha256};

/// Up to this length, in bytes, names stay as they are.
const SHORT: usize = 14;

/// The name under which a linker of Go 1.`minor` knows the symbol `name`.
pub fn mangled(name: &str, minor: u32) -> String {
    let is_type = name.starts_with("type:");
    let versioned = name.contains('@');
    let plain = (!is_type && !versioned)
        || name.starts_with("type:runtime.")
        || name.starts_with("go:string.")
        || (name.len() <= SHORT && !versioned);
    if plain {
        return name.to_owned();
    }
    if is_type {
        let prefix = if name[5..].starts_with('.') { "type:." } else { "type:" };
        return format!("{prefix}{}", digest(&name[5..], minor));
    }
    // Of an instance, only what is between the brackets.
    let Some(open) = name.find('[') else { return name.to_owned() };
    let close = name.rfind(']').filter(|&close| close > open).unwrap_or(name.len());
    format!("{}{}{}", &name[..=open], digest(&name[open + 1..close], minor), &name[close..])
}

/// The path of the package that the function, variable or type `name` is part of; `None` if it is nothing like that.
pub fn package_of(name: &str) -> Option<String> {
    let name = name.strip_prefix("type:").map_or(name, |name| name.trim_start_matches(['*', '[', ']']));
    let end = name.find('[').unwrap_or(name.len());
    let start = name[..end].rfind('/').map_or(0, |at| at + 1);
    let escaped = &name[..start + name[start..end].find('.')?];
    let is_path = !escaped.starts_with('.') && !escaped.is_empty() && !escaped.contains([':', ' ', '(']);
    is_path.then(|| unescaped(escaped)).flatten()
}

/// The path in which `%2e` stands for a dot, and so on.
fn unescaped(path: &str) -> Option<String> {
    let mut parts = path.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

/// Six bytes of a hash, in base 64. The hash is made different from SHA-256 on purpose, in one of three ways.
fn digest(text: &str, minor: u32) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut hash = Sha256::digest(text);
    let part = match minor {
        // `Sum256` of `cmd/internal/notsha256`.
        ..=23 => {
            hash.iter_mut().for_each(|byte| *byte ^= 0xff);
            &hash[..6]
        }
        // `Sum20` of `cmd/internal/hash`.
        24 => &hash[4..10],
        // `Sum32` there.
        25.. => {
            hash[0] ^= 0xff;
            &hash[..6]
        }
    };
    let number = part.iter().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
    (0..8).rev().map(|digit| char::from(DIGITS[(number >> (6 * digit) & 63) as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_package() {
        let table = [
            ("fmt.Sscanln", Some("fmt")),
            ("net/http.(*Client).Do", Some("net/http")),
            ("gopkg.in/yaml%2ev3.Marshal", Some("gopkg.in/yaml.v3")),
            ("slices.Max[go.shape.[]example.com/a.T]", Some("slices")),
            ("type:.eq.net/url.URL", None),
            ("type:*net/url.URL", Some("net/url")),
            ("type:func(io.Reader) error", None),
            ("_cgo_init", None),
        ];
        for (name, expected) in table {
            assert_eq!(package_of(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn only_long_names_of_types_change() {
        for name in ["main.main", "type:int", "type:[]string", "type:runtime.moduledata", "go:string.a@b"] {
            assert_eq!(mangled(name, 26), name);
        }
        assert_eq!(mangled("type:*strings.Builder", 26).len(), "type:".len() + 8);
        assert!(mangled("type:.namedata.Builder-", 26).starts_with("type:."));
        let instance = mangled("p.F[example.com/a@v1.T].func1", 26);
        assert!(instance.starts_with("p.F[") && instance.ends_with("].func1"), "{instance}");
    }
}
