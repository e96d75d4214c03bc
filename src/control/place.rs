//! Where the socket lies: in a directory that belongs to this user and that nobody else may enter. Its path can be
//! foretold, so whatever somebody else has put there is refused, not followed.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Somebody has put a link, a file or something else there.
    #[error("`{}` is no directory but a {what}; remove it", dir.display())]
    NoDirectory { dir: PathBuf, what: &'static str },
    /// It belongs to somebody else.
    #[error("`{}` belongs to another user (uid {owner})", dir.display())]
    Foreign { dir: PathBuf, owner: u32 },
    /// Others may enter it.
    #[error("others may enter `{}` (mode {mode:o}); remove it, or take that from them with `chmod 700`", dir.display())]
    Open { dir: PathBuf, mode: u32 },
    /// Something that is no socket is where the socket should be.
    #[error("`{}` is no socket but a {what}; remove it", path.display())]
    NoSocket { path: PathBuf, what: &'static str },
    /// The operating system says no.
    #[error("the socket `{}` cannot be made: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
}

/// A socket that listens; removed on drop.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    listener: UnixListener,
}

impl Place {
    /// Makes the socket called `name` in the first of `dirs` whose path is short enough. One that is there already is
    /// taken for left behind: the caller knows that nobody listens.
    ///
    /// # Errors
    /// The directory is not this user's alone, or something else is where the socket should be.
    pub fn take(dirs: &[PathBuf], name: &str) -> Result<Place, PlaceError> {
        // What a sockaddr_un can hold is another number on each system.
        let fits = |dir: &&PathBuf| SocketAddr::from_pathname(dir.join(name)).is_ok();
        let dir = dirs.iter().find(fits).or(dirs.last());
        let dir = dir.map_or_else(PathBuf::new, Clone::clone);
        let path = dir.join(name);
        let failed = |error| PlaceError::Io { path: path.clone(), error };
        match DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        check(&dir)?;
        match path.symlink_metadata() {
            Ok(meta) if meta.file_type().is_socket() => fs::remove_file(&path).map_err(failed)?,
            Ok(meta) => return Err(PlaceError::NoSocket { what: kind(&meta), path }),
            Err(_) => {}
        }
        let listener = UnixListener::bind(&path).map_err(failed)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Place { path, listener })
    }

    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The socket.
    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
    }
}

/// Finds out whether `dir` is a directory that only this user may enter; links are not followed. Once it is, nobody
/// else can replace it: the directories above are this user's own, or sticky as `/tmp` is.
pub fn check(dir: &Path) -> Result<(), PlaceError> {
    let meta = dir.symlink_metadata().map_err(|error| PlaceError::Io { path: dir.to_owned(), error })?;
    if !meta.is_dir() {
        return Err(PlaceError::NoDirectory { dir: dir.to_owned(), what: kind(&meta) });
    }
    if meta.uid() != geteuid().as_raw() {
        return Err(PlaceError::Foreign { dir: dir.to_owned(), owner: meta.uid() });
    }
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(PlaceError::Open { dir: dir.to_owned(), mode });
    }
    Ok(())
}

fn kind(meta: &fs::Metadata) -> &'static str {
    match meta.file_type() {
        kind if kind.is_symlink() => "symbolic link",
        kind if kind.is_dir() => "directory",
        kind if kind.is_file() => "file",
        _ => "special file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixStream;

    fn taken(dir: &Path) -> Result<Place, String> {
        Place::take(&[dir.to_owned()], "x.sock").map_err(|error| error.to_string())
    }

    #[test]
    fn the_directory_is_private_and_a_socket_that_was_left_behind_is_replaced() {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("run");
        let left = taken(&dir).unwrap();
        assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let path = left.path().to_owned();
        // As after SIGKILL.
        let Place { listener, .. } = &left;
        drop(listener.try_clone().unwrap());
        std::mem::forget(left);
        let place = taken(&dir).unwrap();
        UnixStream::connect(&path).unwrap();
        drop(place);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_planted_is_refused_and_left_alone() {
        let top = tempfile::tempdir().unwrap();
        let (dir, elsewhere) = (top.path().join("run"), top.path().join("elsewhere"));
        fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, &dir).unwrap();
        assert!(taken(&dir).unwrap_err().ends_with("is no directory but a symbolic link; remove it"));
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);

        fs::remove_file(&dir).unwrap();
        fs::write(&dir, "").unwrap();
        assert!(taken(&dir).unwrap_err().contains("but a file"));

        fs::remove_file(&dir).unwrap();
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        assert!(taken(&dir).unwrap_err().contains("others may enter"));

        fs::set_permissions(&dir, Permissions::from_mode(0o700)).unwrap();
        fs::write(top.path().join("precious"), "precious").unwrap();
        symlink(top.path().join("precious"), dir.join("x.sock")).unwrap();
        assert!(taken(&dir).unwrap_err().contains("is no socket but a symbolic link"));
        assert_eq!(fs::read_to_string(top.path().join("precious")).unwrap(), "precious");

        if geteuid().is_root() {
            fs::remove_file(dir.join("x.sock")).unwrap();
            std::os::unix::fs::chown(&dir, Some(65_534), None).unwrap();
            assert!(taken(&dir).unwrap_err().contains("belongs to another user (uid 65534)"));
        } else {
            eprintln!("NOT CHECKED: a directory of another user, which only root can make");
        }
    }

    #[test]
    fn a_path_that_is_too_long_gives_way_to_the_next() {
        let top = tempfile::tempdir().unwrap();
        let long = top.path().join("x".repeat(100));
        let place = Place::take(&[long.clone(), top.path().join("run")], "x.sock").unwrap();
        assert!(place.path().starts_with(top.path().join("run")));
        assert!(!long.exists());
        drop(place);
        let refused = Place::take(std::slice::from_ref(&long), "x.sock").unwrap_err().to_string();
        assert!(refused.contains("cannot be made"), "{refused}");
    }
}
