//! The helpers that were built into this hotwatch, one per kind of machine.

/// Each with the machine it is for, as `uname -m` calls it.
const HELPERS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/helpers.rs"));

/// The helper for `machine`.
///
/// # Errors
/// There is none, in words.
pub fn helper(machine: &str) -> Result<&'static [u8], String> {
    let found = HELPERS.iter().find(|(name, _)| *name == machine);
    found.map(|(_, bytes)| *bytes).ok_or_else(|| match HELPERS {
        [] => {
            "this hotwatch was built without its helper (`make helper` before the build adds it)".to_owned()
        }
        _ => format!("this hotwatch has no helper for `{machine}`"),
    })
}
