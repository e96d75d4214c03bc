//! Processes as `libproc` tells of them, and their end by kqueue(2).

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use nix::libc::{time_t, timespec};
use nix::sys::event::{EvFlags, EventFilter, FilterFlag, KEvent, Kqueue};
use nix::unistd::{Pid, getpgid, getsid};

use super::{Span, Usage};

/// The processes of a group or session, and possibly others.
pub(super) fn members(id: i32, span: Span) -> Vec<i32> {
    let mut pids = vec![0i32; 16 * 1024];
    let bytes = i32::try_from(size_of_val(pids.as_slice())).expect("64 KiB");
    // SAFETY: the buffer is valid for writes of `bytes` bytes; the calls return how many ids they wrote.
    let count = unsafe {
        match span {
            Span::Group => libc::proc_listpgrppids(id, pids.as_mut_ptr().cast(), bytes),
            Span::Session => libc::proc_listallpids(pids.as_mut_ptr().cast(), bytes),
        }
    };
    pids.truncate(usize::try_from(count).unwrap_or(0));
    pids.retain(|&pid| pid > 0);
    pids
}

/// Whether `pid` is there and no zombie.
pub(super) fn runs(pid: i32) -> bool {
    info(pid).is_some_and(|info| info.pbi_status != libc::SZOMB)
}

/// When `pid` was started, in microseconds since 1970; two processes with one id differ in it.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    info(pid).map(|info| info.pbi_start_tvsec * 1_000_000 + info.pbi_start_tvusec)
}

fn info(pid: i32) -> Option<libc::proc_bsdinfo> {
    let mut info = std::mem::MaybeUninit::<libc::proc_bsdinfo>::zeroed();
    let size = i32::try_from(size_of::<libc::proc_bsdinfo>()).expect("a small struct");
    // SAFETY: the buffer is valid for writes of `size` bytes, and a zeroed proc_bsdinfo is a valid one. A
    // process that is gone, or a zombie, is answered with fewer bytes.
    unsafe {
        let wrote = libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, 0, info.as_mut_ptr().cast(), size);
        (wrote == size).then(|| info.assume_init())
    }
}

/// None: launchd adopts what daemonises.
pub(super) fn adopted() -> Vec<i32> {
    Vec::new()
}

/// None that could be told from the members of its group.
pub(crate) fn below(_: i32) -> BTreeSet<i32> {
    BTreeSet::new()
}

/// False: environments of other processes are not told reliably.
pub(crate) fn is_marked(_: i32, _: &dyn Fn(&str) -> bool) -> bool {
    false
}

/// None, for the same reason.
pub(crate) fn marked(_: &dyn Fn(&str) -> bool) -> BTreeSet<i32> {
    BTreeSet::new()
}

/// Does nothing: only launchd adopts.
pub(crate) fn adopt() -> nix::Result<()> {
    Ok(())
}

/// Does nothing, since nothing is adopted.
pub(crate) fn reap_adopted() {}

/// None.
pub(crate) fn running_adopted() -> BTreeSet<i32> {
    BTreeSet::new()
}

/// The program that runs here.
pub(crate) fn own_program() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

/// Does nothing: the name is that of the program's file.
pub(crate) fn set_name(_: &std::ffi::CStr) {}

/// The group, the session and the usage of every process, as far as they can be read.
pub(super) fn usages() -> impl Iterator<Item = (i32, i32, Usage)> {
    let scale = timebase();
    members(0, Span::Session).into_iter().filter_map(move |pid| {
        let group = getpgid(Some(Pid::from_raw(pid))).ok()?.as_raw();
        let session = getsid(Some(Pid::from_raw(pid))).map_or(0, Pid::as_raw);
        let mut info = std::mem::MaybeUninit::<libc::proc_taskinfo>::zeroed();
        let size = i32::try_from(size_of::<libc::proc_taskinfo>()).expect("a small struct");
        // SAFETY: the buffer is valid for writes of `size` bytes, and a zeroed proc_taskinfo is a valid one. A
        // process that is gone, or another user's, is answered with fewer bytes.
        let info = unsafe {
            let wrote = libc::proc_pidinfo(pid, libc::PROC_PIDTASKINFO, 0, info.as_mut_ptr().cast(), size);
            (wrote == size).then(|| info.assume_init())?
        };
        let cpu = Duration::from_nanos(scale(info.pti_total_user + info.pti_total_system));
        Some((group, session, Usage { rss: info.pti_resident_size, cpu }))
    })
}

/// From the units of the kernel's clock, in which processor times are told, to nanoseconds.
#[allow(deprecated, reason = "the crate that libc names instead binds the same function")]
fn timebase() -> impl Fn(u64) -> u64 {
    let mut base = libc::mach_timebase_info { numer: 1, denom: 1 };
    // SAFETY: the struct is valid for writes; the call fills it in and does nothing else.
    unsafe { libc::mach_timebase_info(&raw mut base) };
    move |units| {
        let nanoseconds = u128::from(units) * u128::from(base.numer) / u128::from(base.denom.max(1));
        u64::try_from(nanoseconds).unwrap_or(u64::MAX)
    }
}

/// Waits for the end of `pid`, at most for `longest`. `is_it` says whether the process of this id is still the
/// one that is meant.
pub(super) fn wait_end(pid: i32, longest: Option<Duration>, is_it: &dyn Fn() -> bool) -> bool {
    let id = usize::try_from(pid).expect("process ids are positive");
    let event = |filter, flags| KEvent::new(id, EventFilter::EVFILT_PROC, flags, filter, 0, 0);
    let ends = event(FilterFlag::NOTE_EXIT, EvFlags::EV_ADD | EvFlags::EV_ONESHOT);
    let Ok(queue) = Kqueue::new() else { return true };
    // It fails for a process that has ended.
    if queue.kevent(&[ends], &mut [], None).is_err() || !is_it() || !runs(pid) {
        return true;
    }
    let timeout = longest.map(|longest| timespec {
        tv_sec: time_t::try_from(longest.as_secs()).unwrap_or(time_t::MAX),
        tv_nsec: longest.subsec_nanos().into(),
    });
    let mut told = [ends];
    loop {
        match queue.kevent(&[], &mut told, timeout) {
            Ok(count) => return count > 0,
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return true,
        }
    }
}
