//! Process groups: every child is started as the leader of its own group, signalled as a group, and waited for
//! as a group. A child that gives its own children groups of their own, as a debugger does, leads a session
//! instead. The leader stays unreaped until its owner says that the group is done with; until then the system
//! cannot give its id to another process, and afterwards nothing is signalled any more.
//!
//! What leaves its group (a daemon) still counts on Linux, if [`crate::guard`] has made this process the one that
//! adopts it: it is found among the children by the mark in its environment.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, kill, killpg, sigprocmask};
use nix::unistd::{Pid, getpgid, getsid, setsid};

use crate::pty::Terminal;
pub use nix::sys::signal::Signal;

pub(crate) mod book;
#[cfg(target_os = "linux")]
#[path = "process/linux.rs"]
pub(crate) mod os;
#[cfg(target_os = "macos")]
#[path = "process/macos.rs"]
pub(crate) mod os;

#[cfg(target_os = "linux")]
pub(crate) use os::{pids, program};

/// A process group, or a session of several, whose leader is a child of ours.
#[derive(Debug)]
pub struct Group {
    members: Members,
    /// Its number in the book.
    number: u32,
    /// `None` once it has been reaped.
    leader: Mutex<Option<Child>>,
    /// Whether SIGKILL was sent.
    killed: AtomicBool,
}

/// All processes with the same leader, whose id this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Members {
    pub(crate) id: i32,
    pub(crate) span: Span,
}

/// What counts as belonging together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// A process group.
    Group,
    /// All process groups of a session.
    Session,
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
    /// What it writes to its terminal, if it has one of its own. Closing it hangs up.
    pub terminal: Option<File>,
}

/// Starts `command` as the leader of a new process group, with no signal blocked: whoever waits for signals as
/// [`crate::signal`] does blocks them in every thread, and children inherit that. A command can be started once.
///
/// # Errors
/// Those of [`Command::spawn`]: the program is missing or may not be run, or a limit is reached.
pub fn spawn(command: &mut Command) -> io::Result<Started> {
    spawn_leading(command, Span::Group, false)
}

/// Hands `listener` to what `command` will start, as file descriptor 3, and says so in its environment, as
/// sd_listen_fds(3) has it. `listener` has to outlive the command, and [`reserve_descriptors`] to have been called.
pub fn hand_over(command: &Command, listener: &TcpListener) -> Command {
    // Only a shell can name its own process, which is that of the program then.
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "LISTEN_PID=$$; export LISTEN_PID; exec \"$0\" \"$@\""]);
    shell.arg(command.get_program()).args(command.get_args()).env("LISTEN_FDS", "1");
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        shell.current_dir(dir);
    }
    let fd = listener.as_raw_fd();
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe calls are allowed; dup2 is
    // (signal-safety(7)), and nothing is allocated. Descriptor 3 was reserved, so nothing lies there that the start
    // needs.
    unsafe {
        shell.pre_exec(move || {
            if libc::dup2(fd, FIRST_HANDED) < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
        });
    }
    shell
}

/// The first descriptor that is handed over.
const FIRST_HANDED: i32 = 3;

/// Lets what `command` will start have `end` open, and returns its number there, which is to be told to it. The
/// command holds it as well, so the other end sees no end of the conversation before the command is dropped. To be
/// called on what [`hand_over`] returns, not before.
pub fn pass_on(command: &mut Command, end: OwnedFd) -> i32 {
    let number = end.as_raw_fd();
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe calls are allowed; fcntl is
    // (signal-safety(7)), and nothing is allocated. The closure owns the descriptor, so it is open.
    unsafe {
        command.pre_exec(move || {
            let result = libc::fcntl(end.as_raw_fd(), libc::F_SETFD, 0);
            if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
        });
    }
    number
}

/// Keeps the descriptor that is handed over from being used for anything else; to be called first of all.
///
/// # Errors
/// No descriptor is left.
pub fn reserve_descriptors() -> io::Result<()> {
    // The lowest that is free.
    let mut last = File::open("/dev/null")?;
    while last.as_raw_fd() < FIRST_HANDED {
        std::mem::forget(last);
        last = File::open("/dev/null")?;
    }
    if last.as_raw_fd() == FIRST_HANDED {
        std::mem::forget(last);
    }
    Ok(())
}

/// Starts `command` like [`spawn`], but as the leader of a new session (setsid(2)): processes to which it gives
/// groups of their own still belong to it.
///
/// # Errors
/// Those of [`spawn`].
pub fn spawn_session(command: &mut Command) -> io::Result<Started> {
    spawn_leading(command, Span::Session, false)
}

/// Starts `command` like [`spawn_session`], with a terminal of its own as its standard input, output and error, on
/// which nothing is ever typed. It is as large as the one that this process writes to.
///
/// # Errors
/// Those of [`spawn`]; there are no more terminals.
pub fn spawn_on_terminal(command: &mut Command) -> io::Result<Started> {
    let Terminal { ours, theirs } = Terminal::open()?;
    command.stdin(theirs.try_clone()?).stdout(theirs.try_clone()?).stderr(theirs);
    let started = spawn_leading(command, Span::Session, true);
    // The command holds the other end, which would never be closed.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    started.map(|started| Started { terminal: Some(ours), ..started })
}

fn spawn_leading(command: &mut Command, span: Span, on_terminal: bool) -> io::Result<Started> {
    if span == Span::Group {
        command.process_group(0);
    }
    let beginning = book::begin();
    let number = beginning.number;
    command.env(book::MARK, book::mark(number));
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe calls are allowed;
    // sigprocmask and setsid are (signal-safety(7)), those of `tell_from_leader` too, ioctl is a system call, and
    // nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            if span == Span::Session {
                setsid()?;
            }
            // Its type is not the same on every system, nor with every C library.
            if on_terminal && libc::ioctl(libc::STDIN_FILENO, libc::TIOCSCTTY as _, 0) < 0 {
                return Err(io::Error::last_os_error());
            }
            book::tell_from_leader(number, span)?;
            Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
        });
    }
    let mut leader = match command.spawn() {
        Ok(leader) => leader,
        Err(error) => {
            beginning.failed();
            return Err(error);
        }
    };
    let members = Members { id: i32::try_from(leader.id()).expect("process ids fit in pid_t"), span };
    beginning.done(members);
    let (stdout, stderr) = (leader.stdout.take(), leader.stderr.take());
    let (leader, killed) = (Mutex::new(Some(leader)), AtomicBool::new(false));
    Ok(Started { group: Group { members, number, leader, killed }, stdout, stderr, terminal: None })
}

/// Gives this process a name of its own in the lists of processes, where the system allows that: what means the program
/// by its name does not mean this process then.
pub fn set_name(name: &std::ffi::CStr) {
    os::set_name(name);
}

/// Whether the process `pid` is there and no zombie.
pub fn runs(pid: i32) -> bool {
    os::runs(pid)
}

impl Members {
    /// Sends `signal` to each of them. That none is left is no error.
    pub(crate) fn signal(self, signal: Signal) -> io::Result<()> {
        // The leader's first: once that is killed it starts no more.
        let result = killpg(Pid::from_raw(self.id), signal);
        self.signal_below(signal);
        match result {
            // macOS answers EPERM when only zombies are left.
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(Errno::EPERM) if self.alive().is_empty() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// As long as the leader is not reaped the session's id stays its own, and so do those of its groups while
    /// they have members: only one that ends between the two system calls could be mistaken for another.
    fn signal_below(self, signal: Signal) -> bool {
        let mut signalled = BTreeSet::new();
        // Again, for those that were made meanwhile.
        while let Some(&group) = self.inner().difference(&signalled).next() {
            // What cannot be signalled has ended.
            let _ = killpg(Pid::from_raw(group), signal);
            signalled.insert(group);
        }
        !signalled.is_empty()
    }

    /// The ids of the session's groups but for the leader's; none where the leader leads a group only.
    fn inner(self) -> BTreeSet<i32> {
        if self.span == Span::Group {
            return BTreeSet::new();
        }
        let group = |pid| getpgid(Some(Pid::from_raw(pid))).ok().map(Pid::as_raw);
        self.alive().into_iter().filter_map(group).filter(|&group| group != self.id).collect()
    }

    /// Those that still run.
    pub(crate) fn alive(self) -> Vec<i32> {
        let mut pids = os::members(self.id, self.span);
        pids.retain(|&pid| self.contain(pid) && os::runs(pid));
        pids
    }

    fn contain(self, pid: i32) -> bool {
        let pid = Some(Pid::from_raw(pid));
        let leader = match self.span {
            Span::Group => getpgid(pid),
            Span::Session => getsid(pid),
        };
        leader.is_ok_and(|leader| leader.as_raw() == self.id)
    }
}

impl Group {
    /// The process id of the leader, which is the id of the group.
    pub fn id(&self) -> i32 {
        self.members.id
    }

    /// Sends `signal` to every process of the group, and to what has left it. A group that is gone is no error.
    ///
    /// # Errors
    /// The group holds only processes that may not be signalled (another user's).
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let leader = self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        if leader.is_none() {
            return Ok(());
        }
        self.killed.fetch_or(signal == Signal::SIGKILL, Ordering::AcqRel);
        // Before: what a leader that ends leaves behind is harder to find.
        let mut strays = self.strays();
        let result = self.members.signal(signal);
        strays.extend(self.strays());
        signal_each(&strays, signal);
        result
    }

    /// Sends `signal` to every process of the group, and leaves it to them to pass it on to what they have started
    /// elsewhere.
    ///
    /// # Errors
    /// As for [`Group::signal`].
    pub fn signal_members(&self, signal: Signal) -> io::Result<()> {
        let leader = self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        if leader.is_some() { self.members.signal(signal) } else { Ok(()) }
    }

    /// Sends `signal` to what the leader of a session has put into groups of their own: to what a debugger runs,
    /// not to the debugger. False if there is no such group.
    pub fn signal_inner(&self, signal: Signal) -> bool {
        let leader = self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        leader.is_some() && self.members.signal_below(signal)
    }

    /// The ids of the session's groups but for the leader's; none where the leader leads a group only.
    pub fn inner(&self) -> BTreeSet<i32> {
        self.members.inner()
    }

    /// What was started in the group, has left it and still runs.
    fn strays(&self) -> BTreeSet<i32> {
        let mut strays = os::below(self.id());
        for root in os::adopted() {
            if os::is_marked(root, &|mark| mark == book::mark(self.number)) {
                strays.extend(os::below(root));
                strays.insert(root);
            }
        }
        strays.retain(|&pid| !self.members.contain(pid) && os::runs(pid));
        strays
    }

    /// Blocks until the process `pid` of the group, which need not be our child, has ended, at most for
    /// `longest`; says whether it has.
    pub fn wait_end(&self, pid: i32, longest: Option<Duration>) -> bool {
        os::wait_end(pid, longest, &|| self.contains(pid))
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

    /// The group's processes that still run, and those that have left it. Zombies do not count: under a PID 1
    /// that never reaps they would keep the group alive for ever. What has appeared since the group was killed is
    /// killed here.
    pub fn alive(&self) -> Vec<i32> {
        let mut pids = self.members.alive();
        // Later than the members: one that leaves meanwhile is among these.
        let strays = self.strays();
        if self.killed.load(Ordering::Acquire) {
            signal_each(&strays, Signal::SIGKILL);
        }
        pids.extend(strays);
        pids
    }

    /// Whether `pid` belongs to the group.
    pub fn contains(&self, pid: i32) -> bool {
        self.members.contain(pid)
    }

    /// Collects the leader once it has ended, after which the group's id may be used again by the system and
    /// nothing is signalled any more.
    ///
    /// # Errors
    /// It was reaped before.
    pub fn reap(&self) -> io::Result<Exit> {
        let leader = self.leader.lock().unwrap_or_else(PoisonError::into_inner).take();
        match leader {
            Some(mut leader) => {
                book::over(self.number);
                Ok(leader.wait()?.into())
            }
            None => Err(Errno::ECHILD.into()),
        }
    }
}

/// Sends `signal` to each of `pids`; who has ended meanwhile needs none.
pub(crate) fn signal_each(pids: &BTreeSet<i32>, signal: Signal) {
    for &pid in pids {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// What processes use of the machine, summed up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory in bytes; pages that they share count once for each.
    pub rss: u64,
    /// Processor time since their starts, in user and system mode.
    pub cpu: Duration,
}

/// What the groups and sessions with these leaders use now, in their order.
pub fn usage(leaders: &[i32]) -> Vec<Usage> {
    let mut sums = vec![Usage::default(); leaders.len()];
    for (group, session, usage) in os::usages() {
        if let Some(index) = leaders.iter().position(|&leader| leader == group || leader == session) {
            sums[index].rss += usage.rss;
            sums[index].cpu += usage.cpu;
        }
    }
    sums
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Exit {
        match status.code() {
            Some(code) => Exit::Code(code),
            None => Exit::Signal(status.signal().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests;
