//! Where the operating system's users expect programs to keep what can be made again, and what ends with them.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use nix::unistd::geteuid;

/// The user's cache directory: `$XDG_CACHE_HOME` or `~/.cache` (XDG Base Directory Specification), on macOS
/// `~/Library/Caches`; the temporary directory for a user without a home.
pub fn cache() -> PathBuf {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let in_home = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(in_home)))
        .unwrap_or_else(std::env::temp_dir)
}

/// Directories of this user's own in which hotwatch may keep its sockets, best first; made by whoever uses them.
/// `$XDG_RUNTIME_DIR/hotwatch` if the former belongs to this user, as the XDG Base Directory Specification demands
/// (after `su` it does not); and one in `/tmp`, since a socket's path may not be long.
pub fn runtime() -> Vec<PathBuf> {
    let uid = geteuid().as_raw();
    let own = |dir: &PathBuf| dir.is_absolute() && dir.metadata().is_ok_and(|meta| meta.uid() == uid);
    let session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(own);
    let session = session.map(|dir| dir.join("hotwatch"));
    session.into_iter().chain([PathBuf::from(format!("/tmp/hotwatch-{uid}"))]).collect()
}
