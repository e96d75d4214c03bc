//! Pseudo-terminals, for programs that behave otherwise when they do not write to a terminal.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;
use nix::pty::{PtyMaster, Winsize, grantpt, posix_openpt, unlockpt};

/// What every terminal was once, and what programs take for granted when they are told nothing.
const SIZE: Winsize = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };

/// A new terminal. Neither end is inherited by what is started meanwhile, and it controls nobody yet.
pub(crate) struct Terminal {
    /// The end from which is read what is written to the other.
    pub(crate) ours: File,
    /// The end that a program gets.
    pub(crate) theirs: File,
}

impl Terminal {
    /// A terminal as large as the one on standard output; 80 by 24 if there is none.
    ///
    /// # Errors
    /// There are no more (pty(7)), or no more files may be open.
    pub(crate) fn open() -> io::Result<Terminal> {
        let ours = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let flags = OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let theirs =
            OpenOptions::new().read(true).write(true).custom_flags(flags.bits()).open(os::name(&ours)?)?;
        // Set on their end: on macOS ours has no size before the other has been opened.
        set_size(&theirs, size_of_output().unwrap_or(SIZE))?;
        // Duplicated, since a `PtyMaster` does not give away what it holds.
        Ok(Terminal { ours: ours.as_fd().try_clone_to_owned()?.into(), theirs })
    }
}

/// The size of the terminal on standard output; `None` if it is none, or has no size.
fn size_of_output() -> Option<Winsize> {
    let mut size = SIZE;
    // SAFETY: TIOCGWINSZ writes a `winsize` (ioctl_tty(2)), for which `size` is valid.
    let result = unsafe { libc::ioctl(io::stdout().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (result == 0 && size.ws_col > 0 && size.ws_row > 0).then_some(size)
}

fn set_size(terminal: &File, size: Winsize) -> io::Result<()> {
    // SAFETY: TIOCSWINSZ reads a `winsize` (ioctl_tty(2)), for which `size` is valid.
    match unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(target_os = "linux")]
mod os {
    use super::{PtyMaster, io};

    /// The path of the other end.
    pub(super) fn name(ours: &PtyMaster) -> io::Result<String> {
        Ok(nix::pty::ptsname_r(ours)?)
    }
}

#[cfg(target_os = "macos")]
mod os {
    use std::os::fd::AsRawFd;

    use super::{PtyMaster, io};

    /// The path of the other end. What ptsname(3) does, which is not for several threads.
    pub(super) fn name(ours: &PtyMaster) -> io::Result<String> {
        let mut name = [0u8; 128];
        // SAFETY: TIOCPTYGNAME writes a path with its NUL into 128 bytes (sys/ttycom.h), for which `name` is valid.
        let result = unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCPTYGNAME.into(), name.as_mut_ptr()) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        let name = std::ffi::CStr::from_bytes_until_nul(&name).map_err(io::Error::other)?;
        name.to_str().map(str::to_owned).map_err(io::Error::other)
    }
}
