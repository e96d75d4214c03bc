//! Where the operating system's users expect programs to keep what can be made again.

use std::path::PathBuf;

/// The user's cache directory: `$XDG_CACHE_HOME` or `~/.cache` (XDG Base Directory Specification), on macOS
/// `~/Library/Caches`; the temporary directory for a user without a home.
pub fn cache() -> PathBuf {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let in_home = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(in_home)))
        .unwrap_or_else(std::env::temp_dir)
}
