//! Processes as `/proc` shows them, and their end by pidfd_open(2).

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, SysconfVar, getpgid, getpgrp, getpid, sysconf};

use super::{Span, Usage, book};

/// Where pidfd_open is missing (before Linux 5.3), how often to look whether a process has ended.
const LOOK: Duration = Duration::from_millis(100);

/// The name of the program that `pid` runs, as far as it can be told.
pub(crate) fn program(pid: i32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// Every process id of the system.
pub(crate) fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The processes of a group or session, and possibly others.
pub(super) fn members(_: i32, _: Span) -> Vec<i32> {
    pids().collect()
}

/// Whether `pid` is there and no zombie.
pub(super) fn runs(pid: i32) -> bool {
    stat(pid, 0).is_some_and(|state| !matches!(state.as_str(), "Z" | "X"))
}

/// When `pid` was started, in ticks since the system was; two processes with one id differ in it.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    stat(pid, 19)?.parse().ok()
}

/// A field of `/proc/PID/stat`, counted from the state. That follows the command name, which is in parentheses and
/// may itself hold parentheses (proc_pid_stat(5)).
fn stat(pid: i32, field: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split_whitespace().nth(field).map(str::to_owned)
}

/// The children that other threads or processes have left to this process. All of them are children of its first
/// thread (`find_new_reaper` in the kernel's `exit.c`), as are those that it has started itself.
pub(super) fn adopted() -> Vec<i32> {
    let pid = getpid();
    children(Path::new(&format!("/proc/{pid}/task/{pid}/children")))
}

/// The children of a thread. A child that ends meanwhile may hide another (proc_tid_children(5)), so it is read until
/// it says the same twice. A kernel without `CONFIG_PROC_CHILDREN` tells of none.
fn children(of: &Path) -> Vec<i32> {
    let read = || fs::read_to_string(of).unwrap_or_default();
    let mut text = read();
    loop {
        let again = read();
        if again == text {
            return text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        }
        text = again;
    }
}

/// All that `pid` has started, and what that has started in turn, but for what was left behind by its parent.
pub(crate) fn below(pid: i32) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let mut todo = vec![pid];
    while let Some(pid) = todo.pop() {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let below = threads.flat_map(|thread| children(&thread.path().join("children")));
        todo.extend(below.filter(|&child| found.insert(child)));
    }
    found
}

/// Whether the mark in the environment of `pid` is one that `fits`. Other users' are not told.
pub(crate) fn is_marked(pid: i32, fits: &dyn Fn(&str) -> bool) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let value = |variable: &[u8]| {
        let value = variable.strip_prefix(book::MARK.as_bytes())?.strip_prefix(b"=")?;
        Some(fits(std::str::from_utf8(value).ok()?))
    };
    environment.split(|&byte| byte == 0).any(|variable| value(variable) == Some(true))
}

/// All processes of the system with such a mark, and what they have started.
pub(crate) fn marked(fits: &dyn Fn(&str) -> bool) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    for pid in pids().filter(|&pid| is_marked(pid, fits)) {
        found.extend(below(pid));
        found.insert(pid);
    }
    found
}

/// Makes this process the one that adopts what daemonises below it (PR_SET_CHILD_SUBREAPER, prctl(2)).
pub(crate) fn adopt() -> nix::Result<()> {
    nix::sys::prctl::set_child_subreaper(true)
}

/// Collects adopted children that have ended. Those that were started here are left to whoever waits for them: they
/// are in the book, or in this process's own group.
pub(crate) fn reap_adopted() {
    book::while_nothing_starts(|| {
        for pid in adopted().into_iter().filter(|&pid| is_adopted(pid) && !runs(pid)) {
            let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
        }
    });
}

/// What podman leaves beside every container that it starts, without any environment. It is the container's, and goes
/// with that.
const CONTAINER_MONITOR: &str = "conmon";

/// The adopted children that still run.
pub(crate) fn running_adopted() -> BTreeSet<i32> {
    let is_ours = |pid: &i32| {
        is_adopted(*pid) && runs(*pid) && program(*pid).is_none_or(|name| name != CONTAINER_MONITOR)
    };
    adopted().into_iter().filter(is_ours).collect()
}

fn is_adopted(pid: i32) -> bool {
    !book::knows(pid) && getpgid(Some(Pid::from_raw(pid))).is_ok_and(|group| group != getpgrp())
}

/// The program that runs here, even if its file was replaced.
pub(crate) fn own_program() -> std::io::Result<PathBuf> {
    Ok(PathBuf::from("/proc/self/exe"))
}

/// Gives this process a name of its own in the lists of processes.
pub(crate) fn set_name(name: &std::ffi::CStr) {
    // The name is only for people.
    let _ = nix::sys::prctl::set_name(name);
}

/// The group, the session and the usage of every process, as far as they can be read.
pub(super) fn usages() -> impl Iterator<Item = (i32, i32, Usage)> {
    let constant = |name| sysconf(name).ok().flatten().and_then(|value| u64::try_from(value).ok());
    let page = constant(SysconfVar::PAGE_SIZE).unwrap_or(4096);
    let ticks = constant(SysconfVar::CLK_TCK).unwrap_or(100);
    let of = move |pid| usage(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?, page, ticks);
    pids().filter_map(of)
}

/// Reads a line of proc_pid_stat(5). What follows the name begins with the third field, the state.
fn usage(stat: &str, page: u64, ticks: u64) -> Option<(i32, i32, Usage)> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let id = |field: usize| fields.get(field - 3)?.parse::<i32>().ok();
    let cpu = Duration::from_millis((number(14)? + number(15)?) * 1000 / ticks);
    Some((id(5)?, id(6)?, Usage { rss: number(24)? * page, cpu }))
}

/// Waits for the end of `pid`, at most for `longest`. `is_it` says whether the process of this id is still the
/// one that is meant.
pub(super) fn wait_end(pid: i32, longest: Option<Duration>, is_it: &dyn Fn() -> bool) -> bool {
    let deadline = longest.map(|longest| Instant::now() + longest);
    // SAFETY: the call takes no pointers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(fd).ok().filter(|&fd| fd >= 0);
    // SAFETY: the descriptor is new, so nobody else owns it.
    let fd = fd.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    // Only now: what the descriptor is of does not change any more.
    while is_it() && runs(pid) {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return false;
        }
        let Some(fd) = &fd else {
            std::thread::sleep(left.map_or(LOOK, |left| left.min(LOOK)));
            continue;
        };
        // Rounded up, so as not to wake before the time.
        let left = left.map(|left| left + Duration::from_millis(1));
        let timeout = left.map_or(PollTimeout::NONE, |left| left.try_into().unwrap_or(PollTimeout::MAX));
        if poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], timeout).is_ok_and(|ready| ready > 0) {
            break;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_usage_behind_a_name_with_parentheses() {
        let stat =
            "7 (a) b) R 1 40 41 0 -1 4194304 0 0 0 0 150 50 0 0 20 0 1 0 9 1000 3 18446744073709551615";
        let expected = Usage { rss: 3 * 4096, cpu: Duration::from_secs(2) };
        assert_eq!(usage(stat, 4096, 100), Some((40, 41, expected)));
        assert_eq!(usage("7 (cut", 4096, 100), None);
    }
}
