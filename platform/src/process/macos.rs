//! Processes as `libproc` tells of them, and their end by kqueue(2).

use std::time::Duration;

use nix::libc::{time_t, timespec};
use nix::sys::event::{EvFlags, EventFilter, FilterFlag, KEvent, Kqueue};
use nix::unistd::Pid;

use super::Span;

/// The processes of a group or session, and possibly others.
pub(super) fn members(id: Pid, span: Span) -> Vec<i32> {
    let mut pids = vec![0i32; 16 * 1024];
    let bytes = i32::try_from(size_of_val(pids.as_slice())).expect("64 KiB");
    // SAFETY: the buffer is valid for writes of `bytes` bytes; the calls return how many ids they wrote.
    let count = unsafe {
        match span {
            Span::Group => libc::proc_listpgrppids(id.as_raw(), pids.as_mut_ptr().cast(), bytes),
            Span::Session => libc::proc_listallpids(pids.as_mut_ptr().cast(), bytes),
        }
    };
    pids.truncate(usize::try_from(count).unwrap_or(0));
    pids.retain(|&pid| pid > 0);
    pids
}

/// Whether `pid` is there and no zombie.
pub(super) fn runs(pid: i32) -> bool {
    let mut info = std::mem::MaybeUninit::<libc::proc_bsdinfo>::zeroed();
    let size = i32::try_from(size_of::<libc::proc_bsdinfo>()).expect("a small struct");
    // SAFETY: the buffer is valid for writes of `size` bytes, and a zeroed proc_bsdinfo is a valid one. A
    // process that is gone, or a zombie, is answered with fewer bytes.
    unsafe {
        let wrote = libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, 0, info.as_mut_ptr().cast(), size);
        wrote == size && info.assume_init().pbi_status != libc::SZOMB
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
