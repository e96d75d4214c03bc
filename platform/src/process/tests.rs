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

#[test]
fn a_descriptor_is_passed_on_and_closed_here_with_the_command() {
    use std::os::unix::net::UnixStream;
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    // Dash knows descriptors of one digit only.
    let mut command = Command::new("bash");
    let number = pass_on(&mut command, theirs.into());
    command.arg("-c").arg(format!("echo hello >&{number}"));
    let group = spawn(&mut command).unwrap().group;
    drop(command);
    let mut said = String::new();
    ours.read_to_string(&mut said).unwrap();
    assert_eq!(said, "hello\n");
    group.wait_leader().unwrap();
    group.reap().unwrap();
}

#[test]
fn usage_is_that_of_the_whole_group() {
    let Started { group, stdout, .. } = shell("sleep 600 & echo; i=0; while :; do i=$((i+1)); done");
    BufReader::new(stdout.unwrap()).read_line(&mut String::new()).unwrap();
    let alone = usage(&[group.id()])[0];
    while usage(&[group.id()])[0].cpu <= alone.cpu {
        std::thread::yield_now();
    }
    // A shell and a sleep: more than a page each, and less than a gigabyte.
    assert!((2 * 4096..1 << 30).contains(&alone.rss), "{alone:?}");
    group.signal(Signal::SIGKILL).unwrap();
    group.reap().unwrap();
    assert_eq!(usage(&[i32::MAX]), [Usage::default()]);
}

/// A session whose leader has given `script` a group of its own, and the id of that.
fn session(script: &str) -> (Started, i32) {
    // With job control a shell does what a debugger does; dash has that on terminals only.
    let script = format!("set -m; bash -c '{script}' & echo $!; wait");
    let mut command = Command::new("bash");
    let command =
        command.arg("-c").arg(script).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut started = spawn_session(command).unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(started.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    (started, line.trim().parse().unwrap())
}

#[test]
fn a_session_reaches_groups_of_their_own_and_can_leave_the_leader_alone() {
    let (Started { group, .. }, inner) = session("exec sleep 600");
    assert!(group.contains(inner) && group.alive().contains(&inner));
    assert_eq!(group.inner(), BTreeSet::from([inner]));
    assert!(!group.wait_end(inner, Some(Duration::ZERO)));
    assert!(group.signal_inner(Signal::SIGTERM));
    assert!(group.wait_end(inner, None));
    // `wait` has seen it end, and nobody has signalled the shell.
    assert_eq!(group.wait_leader().unwrap(), Exit::Code(0));
    assert!(!group.signal_inner(Signal::SIGTERM));
    group.reap().unwrap();
}

#[test]
fn a_killed_session_leaves_nothing() {
    let (Started { group, .. }, inner) = session("trap : TERM; sleep 600; sleep 600");
    group.signal(Signal::SIGKILL).unwrap();
    assert_eq!(group.wait_leader().unwrap(), Exit::Signal(libc::SIGKILL));
    assert!(group.wait_end(inner, None));
    while !group.alive().is_empty() {
        std::thread::yield_now();
    }
    group.reap().unwrap();
}

#[test]
fn a_terminal_of_its_own_ends_with_the_last_that_holds_it() {
    let script = "test -t 0 && test -t 1 && test -t 2 && stty size; sleep 600 & echo $!; exit 0";
    let started = spawn_on_terminal(Command::new("sh").arg("-c").arg(script)).unwrap();
    let mut output = BufReader::new(started.terminal.unwrap());
    let mut line = || {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    };
    assert_eq!(line().split(' ').count(), 2);
    let grandchild: i32 = line().parse().unwrap();
    let group = started.group;
    assert_eq!(group.wait_leader().unwrap(), Exit::Code(0));
    // The end of the leader hangs up on those that are left; whoever does not mind is killed.
    group.signal(Signal::SIGKILL).unwrap();
    assert!(group.wait_end(grandchild, None));
    // Linux says that the other end is gone, macOS that there is nothing more.
    let rest = output.read_to_end(&mut Vec::new());
    assert!(rest.is_ok() || rest.is_err_and(|error| error.raw_os_error() == Some(libc::EIO)));
    group.reap().unwrap();
}
