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

/// Names the control socket, in the directory.
const CONTROL: &str = "control";

/// What the directory of a project says about who runs it.
#[derive(Debug)]
pub enum Running {
    /// Nobody does.
    Nobody,
    /// A hotwatch does, which listens at this socket.
    At(PathBuf),
    /// A hotwatch does that has no socket; its process, if that is known.
    Mute(Option<i32>),
}

/// The directory for the project at `root`, whether it is there or not.
pub fn dir(root: &Path) -> PathBuf {
    let id = xxh3_64(root.as_os_str().as_encoded_bytes());
    dirs::cache().join("hotwatch").join(format!("{id:016x}"))
}

/// Who runs the project whose directory is `dir`. What was left behind by one that was killed is nobody.
pub fn running(dir: &Path) -> Running {
    let path = dir.join("lock");
    let Ok(file) = File::open(&path) else { return Running::Nobody };
    // Shared, so that two who look at once do not take each other for it.
    if Flock::lock(file, FlockArg::LockSharedNonblock).is_ok() {
        return Running::Nobody;
    }
    match fs::read_to_string(dir.join(CONTROL)) {
        Ok(socket) => Running::At(socket.into()),
        Err(_) => Running::Mute(fs::read_to_string(&path).ok().and_then(|pid| pid.trim().parse().ok())),
    }
}

/// Waits until the one who runs the project whose directory is `dir` now has ended. What is returned must be asked
/// before that one is told to.
pub fn end(dir: &Path) -> impl FnOnce() + Send + 'static {
    let file = File::open(dir.join("lock"));
    move || drop(file.map(|file| Flock::lock(file, FlockArg::LockShared)))
}

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
        let dir = dir(root);
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
                // One that was killed has left it behind.
                drop(fs::remove_file(dir.join(CONTROL)));
                return Ok(Cache { dir, _lock: lock });
            }
        }
    }

    /// A file name for this hotwatch's socket, in a directory that is not only for it.
    pub fn socket_name(&self) -> String {
        format!("{:016x}.sock", xxh3_64(self.dir.as_os_str().as_encoded_bytes()))
    }

    /// Lets [`running`] know where the control socket is.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn announce(&self, socket: &Path) -> std::io::Result<()> {
        fs::write(self.dir.join(CONTROL), socket.as_os_str().as_encoded_bytes())
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.dir));
    }
}
