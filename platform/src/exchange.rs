//! Two paths that change places in one step, so that neither is missing or half-written at any moment, and what was
//! replaced can still be looked at.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Has what stands at `a` stand at `b`, and the other way round (renameat2(2) with RENAME_EXCHANGE; on macOS
/// renamex_np(2) with RENAME_SWAP).
///
/// # Errors
/// One of them is not there, they are not on one file system, or that cannot do it (EINVAL, ENOSYS, ENOTSUP).
pub fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    let c_string = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other);
    let (a, b) = (c_string(a)?, c_string(b)?);
    // SAFETY: both strings end with a zero and live during the call.
    #[cfg(target_os = "linux")]
    let result = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            libc::AT_FDCWD,
            a.as_ptr(),
            libc::AT_FDCWD,
            b.as_ptr(),
            libc::RENAME_EXCHANGE,
        )
    };
    // SAFETY: as above.
    #[cfg(target_os = "macos")]
    let result = unsafe { libc::renamex_np(a.as_ptr(), b.as_ptr(), libc::RENAME_SWAP) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn places_are_changed_or_nothing_is() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&a, "1").unwrap();
        assert!(exchange(&a, &b).is_err());
        fs::write(&b, "2").unwrap();
        exchange(&a, &b).unwrap();
        assert_eq!((fs::read(&a).unwrap(), fs::read(&b).unwrap()), (b"2".to_vec(), b"1".to_vec()));
    }
}
