//! Process groups: every child is started as the leader of its own group, signalled as a group, and waited for
//! as a group. The leader stays unreaped until its owner says that the group is done with; until then the
//! system cannot give its id to another process, and afterwards nothing is signalled any more.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus};
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, killpg, sigprocmask};
use nix::unistd::{Pid, getpgid};

pub use nix::sys::signal::Signal;

/// A process group whose leader is a child of ours.
#[derive(Debug)]
pub struct Group {
    id: Pid,
    /// `None` once it has been reaped.
    leader: Mutex<Option<Child>>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit code {code}"),
            Exit::Signal(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "{signal}"),
                Err(_) => write!(f, "signal {number}"),
            },
        }
    }
}

/// A group that was just started, and what it writes to pipes if the command asked for pipes.
#[derive(Debug)]
pub struct Started {
    /// The group.
    pub group: Group,
    /// Standard output.
    pub stdout: Option<ChildStdout>,
    /// Standard error.
    pub stderr: Option<ChildStderr>,
}

/// Starts `command` as the leader of a new process group, with no signal blocked: whoever waits for signals as
/// [`crate::signal`] does blocks them in every thread, and children inherit that.
///
/// # Errors
/// Those of [`Command::spawn`]: the program is missing or may not be run, or a limit is reached.
pub fn spawn(command: &mut Command) -> io::Result<Started> {
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe calls are allowed;
    // sigprocmask is one (signal-safety(7)), and nothing is allocated.
    unsafe {
        command.pre_exec(|| Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?));
    }
    let mut leader = command.process_group(0).spawn()?;
    let id = Pid::from_raw(i32::try_from(leader.id()).expect("process ids fit in pid_t"));
    let (stdout, stderr) = (leader.stdout.take(), leader.stderr.take());
    Ok(Started { group: Group { id, leader: Mutex::new(Some(leader)) }, stdout, stderr })
}

impl Group {
    /// The process id of the leader, which is the id of the group.
    pub fn id(&self) -> i32 {
        self.id.as_raw()
    }

    /// Sends `signal` to every process of the group. A group that is gone is no error.
    ///
    /// # Errors
    /// The group holds only processes that may not be signalled (another user's).
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let leader = self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        if leader.is_none() {
            return Ok(());
        }
        match killpg(self.id, signal) {
            // macOS answers EPERM when only zombies are left.
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(Errno::EPERM) if self.alive().is_empty() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Blocks until the leader has ended, and leaves it unreaped.
    ///
    /// # Errors
    /// The leader is not, or no longer, a child of this process.
    pub fn wait_leader(&self) -> io::Result<Exit> {
        let id = libc::id_t::try_from(self.id()).expect("process ids are positive");
        loop {
            let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
            // SAFETY: `info` is valid for writes of a siginfo_t, and zeroed memory is a valid one.
            let (result, info) = unsafe {
                let flags = libc::WEXITED | libc::WNOWAIT;
                (libc::waitid(libc::P_PID, id, info.as_mut_ptr(), flags), info.assume_init())
            };
            if result == 0 {
                // SAFETY: after a successful waitid the info is that of SIGCHLD, which has a status.
                let status = unsafe { info.si_status() };
                return Ok(match info.si_code {
                    libc::CLD_EXITED => Exit::Code(status),
                    _ => Exit::Signal(status),
                });
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// The group's processes that still run. Zombies do not count: under a PID 1 that never reaps they would
    /// keep the group alive for ever.
    pub fn alive(&self) -> Vec<i32> {
        members(self.id)
    }

    /// Whether `pid` belongs to the group.
    pub fn contains(&self, pid: i32) -> bool {
        getpgid(Some(Pid::from_raw(pid))) == Ok(self.id)
    }

    /// Collects the leader once it has ended, after which the group's id may be used again by the system and
    /// nothing is signalled any more.
    ///
    /// # Errors
    /// It was reaped before.
    pub fn reap(&self) -> io::Result<Exit> {
        let leader = self.leader.lock().unwrap_or_else(PoisonError::into_inner).take();
        match leader {
            Some(mut leader) => Ok(leader.wait()?.into()),
            None => Err(Errno::ECHILD.into()),
        }
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Exit {
        match status.code() {
            Some(code) => Exit::Code(code),
            None => Exit::Signal(status.signal().unwrap_or_default()),
        }
    }
}

/// The name of the program that `pid` runs, as far as it can be told.
#[cfg(target_os = "linux")]
pub fn program(pid: i32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

#[cfg(target_os = "linux")]
fn members(group: Pid) -> Vec<i32> {
    pids().filter(|&pid| getpgid(Some(Pid::from_raw(pid))) == Ok(group) && runs(pid)).collect()
}

/// Every process id of the system.
#[cfg(target_os = "linux")]
pub(crate) fn pids() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whether `pid` is there and no zombie. The state follows the command name, which is in parentheses and may
/// itself hold parentheses (proc_pid_stat(5)).
#[cfg(target_os = "linux")]
fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

#[cfg(target_os = "macos")]
fn members(group: Pid) -> Vec<i32> {
    let mut pids = vec![0i32; 1024];
    let bytes = i32::try_from(size_of_val(pids.as_slice())).expect("4 KiB");
    // SAFETY: the buffer is valid for writes of `bytes` bytes; the call returns how many ids it wrote.
    let count = unsafe { libc::proc_listpgrppids(group.as_raw(), pids.as_mut_ptr().cast(), bytes) };
    pids.truncate(usize::try_from(count).unwrap_or(0));
    pids.retain(|&pid| pid > 0 && runs(pid));
    pids
}

#[cfg(target_os = "macos")]
fn runs(pid: i32) -> bool {
    let mut info = std::mem::MaybeUninit::<libc::proc_bsdinfo>::zeroed();
    let size = i32::try_from(size_of::<libc::proc_bsdinfo>()).expect("a small struct");
    // SAFETY: the buffer is valid for writes of `size` bytes, and a zeroed proc_bsdinfo is a valid one. A
    // process that is gone, or a zombie, is answered with fewer bytes.
    unsafe {
        let wrote = libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, 0, info.as_mut_ptr().cast(), size);
        wrote == size && info.assume_init().pbi_status != libc::SZOMB
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;

    fn shell(script: &str) -> Started {
        spawn(Command::new("sh").arg("-c").arg(script).stdout(Stdio::piped())).unwrap()
    }

    #[test]
    fn tells_exit_codes_from_signals() {
        let group = shell("exit 7").group;
        assert_eq!(group.wait_leader().unwrap(), Exit::Code(7));
        // Still unreaped: it can be asked again.
        assert_eq!(group.wait_leader().unwrap(), Exit::Code(7));
        assert_eq!(group.reap().unwrap(), Exit::Code(7));
        assert!(group.wait_leader().is_err());
        assert!(group.reap().is_err());

        let group = shell("kill -9 $$").group;
        assert_eq!(group.wait_leader().unwrap(), Exit::Signal(9));
        assert_eq!(group.reap().unwrap().to_string(), "SIGKILL");
    }

    #[test]
    fn children_can_be_terminated_although_we_block_the_signal() {
        let group = std::thread::spawn(|| {
            SigSet::from_iter([Signal::SIGTERM]).thread_block().unwrap();
            spawn(Command::new("sleep").arg("600")).unwrap().group
        });
        let group = group.join().unwrap();
        group.signal(Signal::SIGTERM).unwrap();
        assert_eq!(group.wait_leader().unwrap(), Exit::Signal(libc::SIGTERM));
        group.reap().unwrap();
    }

    #[test]
    fn a_group_lives_as_long_as_a_grandchild() {
        let Started { group, stdout, .. } = shell("sleep 600 & echo $!; exit 0");
        let mut output = BufReader::new(stdout.unwrap());
        let mut grandchild = String::new();
        output.read_line(&mut grandchild).unwrap();
        assert_eq!(group.wait_leader().unwrap(), Exit::Code(0));
        assert_eq!(group.alive(), [grandchild.trim().parse::<i32>().unwrap()]);
        assert!(group.contains(group.alive()[0]));

        group.signal(Signal::SIGKILL).unwrap();
        // The grandchild held the pipe, so its end is the pipe's end.
        output.read_to_end(&mut Vec::new()).unwrap();
        while !group.alive().is_empty() {
            std::thread::yield_now();
        }
        group.reap().unwrap();
        group.signal(Signal::SIGKILL).unwrap();
    }
}
