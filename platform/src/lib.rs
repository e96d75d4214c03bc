//! What hotwatch needs from the operating system, and nothing else. An operating system must provide:
//!
//! | need | Linux | macOS | portable part |
//! |---|---|---|---|
//! | [`watch::native`]: told of every change below a directory | `watch/linux.rs` (inotify) | `watch/macos.rs` (FSEvents) | [`watch::Watcher`], `watch/poll.rs`, `watch/flags.rs` |
//! | [`watch::mounts`]: which directories deliver no events | `/proc/self/mountinfo` | `statfs` | |
//! | [`process`]: a process group's members and their states | `/proc/PID/stat` | `libproc` | spawning, signalling, reaping |
//! | [`port`]: who listens on a TCP port | `/proc/net/tcp{,6}` | `lsof` | parsing of either |
//! | [`signal`]: termination signals as values | | | `sigwait` on a thread |
//!
//! This is the only crate of the workspace with `unsafe`; each block says why it is sound. Every
//! `cfg(target_os)` of the workspace is in this crate too.

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
compile_error!("hotwatch runs on Linux and macOS");

pub mod port;
pub mod process;
pub mod signal;
pub mod watch;

/// The operating system's name as users know it, for messages.
pub const OS: &str = if cfg!(target_os = "macos") { "macOS" } else { "Linux" };
