//! The directory in the user's cache where a project's binaries are made and run. Locked, so that there is one
//! hotwatch per project, and removed at the end. The guard holds the lock as well, so that the project is free only
//! when nothing is left of a hotwatch that was killed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hotwatch_platform::{clock, dirs, process};
use nix::fcntl::{Flock, FlockArg};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::Error;

/// The name of the lock file.
const LOCK: &str = "lock";

/// How long the guard of a hotwatch that was killed may take to kill what is left of it.
const CLEANING: Duration = Duration::from_secs(10);

/// How often to look whether it is done.
const LOOK: Duration = Duration::from_millis(5);

/// Names the control socket, in the directory.
const CONTROL: &str = "control";

/// What the directory of a project says about who runs it.
#[derive(Debug)]
pub enum Running {
    /// Nobody does.
    Nobody,
    /// A hotwatch does, which listens at this socket.
    At(PathBuf),
    /// A hotwatch does that has no socket; who it is, if that is known.
    Mute(Option<Holder>),
}

/// The directory for the project at `root`, whether it is there or not.
pub fn dir(root: &Path) -> PathBuf {
    let id = xxh3_64(root.as_os_str().as_encoded_bytes());
    dirs::cache().join("hotwatch").join(format!("{id:016x}"))
}

/// Where it is kept for the project at `root` what both sides of a sync have agreed on, from one run to the next.
pub fn sync_state(root: &Path) -> PathBuf {
    let id = xxh3_64(root.as_os_str().as_encoded_bytes());
    dirs::cache().join("hotwatch").join("sync").join(format!("{id:016x}"))
}

/// Who runs the project whose directory is `dir`. What was left behind by one that was killed is nobody, also while
/// its guard is still at work.
pub fn running(dir: &Path) -> Running {
    let path = dir.join(LOCK);
    let Ok(file) = File::open(&path) else { return Running::Nobody };
    // Shared, so that two who look at once do not take each other for it.
    if Flock::lock(file, FlockArg::LockSharedNonblock).is_ok() {
        return Running::Nobody;
    }
    let holder = Holder::read(&path);
    if holder.is_some_and(|holder| !process::runs(holder.pid)) {
        return Running::Nobody;
    }
    match fs::read_to_string(dir.join(CONTROL)) {
        Ok(socket) => Running::At(socket.into()),
        Err(_) => Running::Mute(holder),
    }
}

/// Waits until the one who runs the project whose directory is `dir` now has ended. What is returned must be asked
/// before that one is told to.
pub fn end(dir: &Path) -> impl FnOnce() + Send + 'static {
    let file = File::open(dir.join(LOCK));
    move || drop(file.map(|file| Flock::lock(file, FlockArg::LockShared)))
}

/// A project's directory, as long as this lives.
#[derive(Debug)]
pub struct Cache {
    /// The directory.
    pub dir: PathBuf,
    /// The open lock file.
    pub lock: Flock<File>,
}

/// Who has a project, as its lock file says: the process id, and on a second line the seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: i32,
    /// When it was started.
    pub since: SystemTime,
}

impl Cache {
    /// Takes the directory for the project at `root`, and removes what a hotwatch that was killed has left there.
    ///
    /// # Errors
    /// Another hotwatch has it, or it cannot be written.
    pub fn take(root: &Path) -> Result<Cache, Error> {
        let dir = dir(root);
        let path = dir.join(LOCK);
        let failed = || Error::io(format!("write to `{}`", dir.display()));
        let deadline = Instant::now() + CLEANING;
        loop {
            fs::create_dir_all(&dir).map_err(failed())?;
            let options = File::options().create(true).read(true).write(true).truncate(false).to_owned();
            let file = options.open(&path).map_err(failed())?;
            let Ok(mut lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
                let holder = Holder::read(&path);
                let (project, is_late) = (root.to_owned(), Instant::now() > deadline);
                match holder {
                    Some(Holder { pid, .. }) if !process::runs(pid) => {
                        if is_late {
                            return Err(Error::NotCleaned { project, pid });
                        }
                    }
                    None if !is_late => {}
                    _ => return Err(Error::Taken { project, holder }),
                }
                // Its guard is at work; or it has not written yet who it is.
                sleep(LOOK);
                continue;
            };
            // Whoever held it before may have removed it between the two steps.
            if is_in(&dir, &lock) {
                empty(&dir).map_err(failed())?;
                lock.set_len(0)
                    .and_then(|()| lock.write_all(Holder::here().text().as_bytes()))
                    .map_err(failed())?;
                return Ok(Cache { dir, lock });
            }
        }
    }

    /// A directory for what runs for a while beside the hotwatch that has the project at `root`, if one has.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn beside(root: &Path) -> Result<Cache, Error> {
        let mut dir = dir(root).into_os_string();
        dir.push(format!("-{}", std::process::id()));
        let dir = PathBuf::from(dir);
        let made = || -> io::Result<Cache> {
            fs::create_dir_all(&dir)?;
            let file = File::create(dir.join(LOCK))?;
            let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
            Ok(Cache { dir: dir.clone(), lock })
        };
        made().map_err(Error::io(format!("write to `{}`", dir.display())))
    }

    /// A file name for this hotwatch's socket, in a directory that is not only for it.
    pub fn socket_name(&self) -> String {
        format!("{:016x}.sock", xxh3_64(self.dir.as_os_str().as_encoded_bytes()))
    }

    /// Lets [`running`] know where the control socket is.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn announce(&self, socket: &Path) -> io::Result<()> {
        fs::write(self.dir.join(CONTROL), socket.as_os_str().as_encoded_bytes())
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        remove(&self.dir, &self.lock);
    }
}

impl Holder {
    fn here() -> Holder {
        Holder { pid: i32::try_from(std::process::id()).unwrap_or_default(), since: SystemTime::now() }
    }

    fn text(&self) -> String {
        format!("{}\n{}\n", self.pid, self.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
    }

    fn read(lock: &Path) -> Option<Holder> {
        Holder::parse(&fs::read_to_string(lock).ok()?)
    }

    fn parse(text: &str) -> Option<Holder> {
        let mut lines = text.lines();
        let pid = lines.next()?.parse().ok().filter(|&pid| pid > 0)?;
        let since = UNIX_EPOCH.checked_add(Duration::from_secs(lines.next()?.parse().ok()?))?;
        Some(Holder { pid, since })
    }

    /// In words, at the time `now`.
    pub fn described(&self, now: SystemTime) -> String {
        let seconds = now.duration_since(self.since).unwrap_or_default().as_secs();
        let count = |count: u64, unit: &str| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
        let ago = match seconds {
            0..60 => "less than a minute".to_owned(),
            60..3600 => count(seconds / 60, "minute"),
            3600..86400 => count(seconds / 3600, "hour"),
            _ => count(seconds / 86400, "day"),
        };
        let clock = clock::time_of_day(self.since).filter(|_| seconds < 86400);
        let clock = clock.map(|(hour, minute)| format!("{hour:02}:{minute:02}, ")).unwrap_or_default();
        format!("PID {}, since {clock}{ago} ago", self.pid)
    }
}

/// Removes the directory in which a guard works, whose standard output is the lock.
pub fn clear_after_duty() {
    let lock = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    if let (Ok(dir), Ok(lock)) = (std::env::current_dir(), lock) {
        remove(&dir, &lock);
    }
}

/// Removes `dir` if it is still that of the holder of `lock`; the lock last, since the next hotwatch begins with it.
fn remove(dir: &Path, lock: &File) {
    if is_in(dir, lock) && empty(dir).is_ok() {
        drop(fs::remove_file(dir.join(LOCK)));
        // Only if nobody has begun anew.
        drop(fs::remove_dir(dir));
    }
}

/// Whether the open file `lock` is the one in `dir`.
fn is_in(dir: &Path, lock: &File) -> bool {
    let ours = lock.metadata().map(|meta| (meta.dev(), meta.ino()));
    let there = fs::metadata(dir.join(LOCK)).map(|meta| (meta.dev(), meta.ino()));
    matches!((ours, there), (Ok(ours), Ok(there)) if ours == there)
}

/// Removes everything in `dir` but the lock.
fn empty(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name() == LOCK {
            continue;
        }
        let is_dir = entry.file_type()?.is_dir();
        if is_dir { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) }?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_read_as_it_was_written() {
        let holder = Holder { pid: 4711, since: UNIX_EPOCH + Duration::from_secs(1_700_000_000) };
        assert_eq!(Holder::parse(&holder.text()), Some(holder));
        for text in ["", "4711", "4711\n", "x\n1\n", "0\n1\n", "-1\n1\n", "1\n-1\n"] {
            assert_eq!(Holder::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn says_since_when_it_is_held() {
        let holder = Holder { pid: 7, since: UNIX_EPOCH + Duration::from_secs(1_700_000_000) };
        let words = |seconds| holder.described(holder.since + Duration::from_secs(seconds));
        let (hour, minute) = clock::time_of_day(holder.since).unwrap();
        let clock = format!("PID 7, since {hour:02}:{minute:02}, ");
        assert_eq!(words(59), format!("{clock}less than a minute ago"));
        assert_eq!(words(60), format!("{clock}1 minute ago"));
        assert_eq!(words(7300), format!("{clock}2 hours ago"));
        assert_eq!(words(3 * 86400), "PID 7, since 3 days ago");
    }

    #[test]
    fn a_lock_that_only_a_guard_holds_is_nobody_s() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(CONTROL), "/run/x.sock").unwrap();
        let file = File::create(dir.path().join(LOCK)).unwrap();
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap();
        let held_by = |pid| {
            let holder = Holder { pid, ..Holder::here() };
            fs::write(dir.path().join(LOCK), holder.text()).unwrap();
            running(dir.path())
        };
        assert!(matches!(held_by(Holder::here().pid), Running::At(_)));
        // The system gives no process this id: it is above what pid_max may be.
        assert!(matches!(held_by(i32::MAX), Running::Nobody));
        drop(lock);
        assert!(matches!(held_by(Holder::here().pid), Running::Nobody));
    }

    #[test]
    fn what_a_killed_hotwatch_has_left_is_removed_but_not_what_is_another_s() {
        let dir = tempfile::tempdir().unwrap();
        let open = || File::create(dir.path().join(LOCK)).unwrap();
        let lock = open();
        fs::create_dir_all(dir.path().join("services/api/tmp-1")).unwrap();
        fs::write(dir.path().join("socket"), "").unwrap();
        fs::remove_file(dir.path().join(LOCK)).unwrap();
        let others = open();
        remove(dir.path(), &lock);
        assert!(dir.path().join("services").exists());
        empty(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        remove(dir.path(), &others);
        assert!(!dir.path().exists());
    }
}
