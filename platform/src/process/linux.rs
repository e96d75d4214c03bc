//! Processes as `/proc` shows them, and their end by pidfd_open(2).

use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{Pid, SysconfVar, sysconf};

use super::{Span, Usage};

/// Where pidfd_open is missing (before Linux 5.3), how often to look whether a process has ended.
const LOOK: Duration = Duration::from_millis(100);

/// The name of the program that `pid` runs, as far as it can be told.
pub(crate) fn program(pid: i32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// Every process id of the system.
pub(crate) fn pids() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The processes of a group or session, and possibly others.
pub(super) fn members(_: Pid, _: Span) -> Vec<i32> {
    pids().collect()
}

/// Whether `pid` is there and no zombie. The state follows the command name, which is in parentheses and may
/// itself hold parentheses (proc_pid_stat(5)).
pub(super) fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// The group, the session and the usage of every process, as far as they can be read.
pub(super) fn usages() -> impl Iterator<Item = (i32, i32, Usage)> {
    let constant = |name| sysconf(name).ok().flatten().and_then(|value| u64::try_from(value).ok());
    let page = constant(SysconfVar::PAGE_SIZE).unwrap_or(4096);
    let ticks = constant(SysconfVar::CLK_TCK).unwrap_or(100);
    let of = move |pid| usage(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?, page, ticks);
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
