//! Reads directories by getdents64(2) into one buffer that is used again and again. The C library's `opendir`
//! adds five system calls and an allocation of 32 KB to each directory, which is felt when there are 50,000.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

/// `d_type` of `struct linux_dirent64`: unknown, a directory, a symbolic link (readdir(3)).
pub(super) const DT_UNKNOWN: u8 = libc::DT_UNKNOWN;
pub(super) const DT_DIR: u8 = libc::DT_DIR;
pub(super) const DT_LNK: u8 = libc::DT_LNK;

/// Opens the directory `name` in `parent`, or at its full path. A link is not followed below a root.
pub(super) fn open(parent: Option<BorrowedFd<'_>>, name: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(match parent {
        Some(parent) => openat(parent, name, flags | OFlag::O_NOFOLLOW, Mode::empty())?,
        None => openat(AT_FDCWD, name, flags, Mode::empty())?,
    })
}

/// Calls `each` with the name and `d_type` of every entry of `dir` but `.` and `..`.
pub(super) fn read(dir: impl AsFd, buffer: &mut [u8], mut each: impl FnMut(&OsStr, u8)) -> io::Result<()> {
    loop {
        let fd = dir.as_fd().as_raw_fd();
        // SAFETY: the descriptor is borrowed and thus open, and the buffer is valid for writes of its length.
        let read = unsafe { libc::syscall(libc::SYS_getdents64, fd, buffer.as_mut_ptr(), buffer.len()) };
        let mut rest = match usize::try_from(read) {
            Ok(0) => return Ok(()),
            Ok(length) => &buffer[..length],
            Err(_) => return Err(io::Error::last_os_error()),
        };
        while let Some((name, kind, next)) = split_entry(rest) {
            if name != "." && name != ".." {
                each(name, kind);
            }
            rest = next;
        }
    }
}

/// The first `struct linux_dirent64`, and what follows it: inode and offset of eight bytes each, the entry's
/// length of two, its type of one, and the name up to a zero byte.
fn split_entry(bytes: &[u8]) -> Option<(&OsStr, u8, &[u8])> {
    let length = usize::from(u16::from_ne_bytes(bytes.get(16..18)?.try_into().ok()?));
    let kind = *bytes.get(18)?;
    let name = bytes.get(19..length)?;
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    Some((OsStr::from_bytes(&name[..end]), kind, &bytes[length..]))
}
