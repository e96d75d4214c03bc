//! What hotwatch needs from the operating system, and nothing else. An operating system must provide:
//!
//! | need | Linux | macOS | portable part |
//! |---|---|---|---|
//! | [`watch::native`]: told of every change below a directory | `watch/linux.rs` (inotify) | `watch/macos.rs` (FSEvents) | [`watch::Watcher`], `watch/poll.rs`, `watch/fsevents.rs`, `watch/flags.rs` |
//! | [`watch::mounts`]: which directories deliver no events | `/proc/self/mountinfo` | `statfs` | |
//! | [`process`]: members of a process group or session, their states and ends | `/proc/PID/stat`, pidfd | `libproc`, kqueue | spawning, signalling, reaping |
//! | [`guard`]: what is left when hotwatch is killed | also what has daemonised: PR_SET_CHILD_SUBREAPER, `/proc/PID/environ`, `/proc/PID/task/TID/children` | process groups and sessions | the guard's process and its line |
//! | [`port`]: who listens on a TCP port | sock_diag, `/proc/PID/fd` | `lsof` | parsing of either |
//! | `pty`: a new pseudo-terminal | `ptsname_r` | `TIOCPTYGNAME` | opening, its size |
//! | [`clock`]: the time of day | | | `localtime_r` |
//! | [`process::usage`]: memory and processor time of groups | `/proc/PID/stat` | `libproc` | |
//! | [`peer`]: whose process is at the other end of a Unix socket | SO_PEERCRED | `getpeereid` | |
//! | [`dirs`]: the cache directory, the directory of sockets | `~/.cache` | `~/Library/Caches` | `XDG_CACHE_HOME`, `XDG_RUNTIME_DIR` |
//! | [`exchange`]: two paths change places in one step | `renameat2` | `renamex_np` | |
//! | [`terminal`]: single keys | | | termios(3) |
//! | [`signal`]: termination signals as values | | | `sigwait` on a thread |
//!
//! This is the only crate of the workspace with `unsafe`; each block says why it is sound. Every
//! `cfg(target_os)` of the workspace is in this crate too.

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
compile_error!("hotwatch runs on Linux and macOS");

pub mod clock;
pub mod dirs;
pub mod exchange;
pub mod guard;
pub mod peer;
pub mod port;
pub mod process;
mod pty;
pub mod signal;
pub mod terminal;
pub mod watch;

/// The operating system's name as users know it, for messages.
pub const OS: &str = if cfg!(target_os = "macos") { "macOS" } else { "Linux" };

/// What packages are installed with here: the identifiers of the system's distribution and of those it is like,
/// most specific first (os-release(5)); `macos` on macOS.
pub fn distribution() -> Vec<String> {
    if cfg!(target_os = "macos") {
        return vec!["macos".to_owned()];
    }
    parse_os_release(&std::fs::read_to_string("/etc/os-release").unwrap_or_default())
}

fn parse_os_release(text: &str) -> Vec<String> {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
    };
    let ids = format!("{} {}", value("ID"), value("ID_LIKE"));
    ids.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_os_release() {
        let ubuntu = "NAME=\"Ubuntu\"\nVERSION_ID=\"24.04\"\nID=ubuntu\nID_LIKE=debian\n";
        assert_eq!(super::parse_os_release(ubuntu), ["ubuntu", "debian"]);
        assert_eq!(super::parse_os_release("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n").len(), 4);
        assert!(super::parse_os_release("").is_empty());
    }
}
