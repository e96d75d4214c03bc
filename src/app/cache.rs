//! The directory in the user's cache where a project's binaries are made and run. Locked, so that there is one
//! hotwatch per project, and removed at the end.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hotwatch_platform::dirs;
use nix::fcntl::{Flock, FlockArg};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::Error;

/// A project's directory, as long as this lives.
#[derive(Debug)]
pub struct Cache {
    /// The directory.
    pub dir: PathBuf,
    _lock: Flock<File>,
}

impl Cache {
    /// Takes the directory for the project at `root`.
    pub fn take(root: &Path) -> Result<Cache, Error> {
        let id = xxh3_64(root.as_os_str().as_encoded_bytes());
        let dir = dirs::cache().join("hotwatch").join(format!("{id:016x}"));
        let path = dir.join("lock");
        let failed = || Error::io(format!("write to `{}`", dir.display()));
        loop {
            fs::create_dir_all(&dir).map_err(failed())?;
            let options = File::options().create(true).read(true).write(true).truncate(false).to_owned();
            let file = options.open(&path).map_err(failed())?;
            let Ok(mut lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
                let pid = fs::read_to_string(&path).ok().and_then(|pid| pid.trim().parse().ok());
                return Err(Error::Taken { project: root.to_owned(), pid });
            };
            // Whoever held it before may have removed it between the two steps.
            let ours = lock.metadata().map_err(failed())?.ino();
            if fs::metadata(&path).is_ok_and(|now| now.ino() == ours) {
                lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(failed())?;
                return Ok(Cache { dir, _lock: lock });
            }
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.dir));
    }
}
