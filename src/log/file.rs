//! A log file per service. Its path is predictable and its directory may be everybody's, so it is opened
//! without following links, must be a regular file of this user with a single name, and is emptied only after
//! that is known.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg, OFlag};

use super::json::write_out;
use super::{Problem, View, words};
use crate::name::Name;
use crate::record::{Event, Record};

/// Why a log file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It is a symbolic link.
    #[error("the log file `{}` is a symbolic link; remove it, or set another `log_dir`", .0.display())]
    Link(PathBuf),
    /// It has more than one name, so emptying it would empty something else.
    #[error("the log file `{}` has several hard links; remove it, or set another `log_dir`", .0.display())]
    HardLinks(PathBuf),
    /// It is a directory, a pipe or a device.
    #[error("the log file `{}` is no regular file; remove it, or set another `log_dir`", .0.display())]
    NoFile(PathBuf),
    /// It belongs to somebody else.
    #[error("the log file `{}` belongs to another user (uid {owner}); set another `log_dir`", path.display())]
    Foreign { path: PathBuf, owner: u32 },
    /// Another hotwatch writes to it.
    #[error("the log file `{}` is in use by another hotwatch; rename the service, or set another `log_dir`", .0.display())]
    InUse(PathBuf),
    /// The operating system says no.
    #[error("the log file `{}` cannot be opened: {error}; set another `log_dir`", path.display())]
    Io { path: PathBuf, error: io::Error },
}

/// Where `service` logs to.
pub fn path(log_dir: &Path, service: &Name) -> PathBuf {
    log_dir.join(format!("{service}.log"))
}

/// Opens a log file for appending, made if need be and readable by nobody else. Nothing in it is touched.
pub fn open(path: &Path) -> Result<Flock<File>, LogError> {
    let io = |error| LogError::Io { path: path.to_owned(), error };
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let options =
        OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags.bits()).to_owned();
    let file = options.open(path).map_err(|error| match path.symlink_metadata() {
        Ok(meta) if meta.is_symlink() => LogError::Link(path.to_owned()),
        Ok(meta) if !meta.is_file() => LogError::NoFile(path.to_owned()),
        Ok(meta) if meta.uid() != nix::unistd::geteuid().as_raw() => {
            LogError::Foreign { path: path.to_owned(), owner: meta.uid() }
        }
        _ => io(error),
    })?;
    let meta = file.metadata().map_err(io)?;
    if !meta.is_file() {
        return Err(LogError::NoFile(path.to_owned()));
    }
    if meta.uid() != nix::unistd::geteuid().as_raw() {
        return Err(LogError::Foreign { path: path.to_owned(), owner: meta.uid() });
    }
    if meta.nlink() != 1 {
        return Err(LogError::HardLinks(path.to_owned()));
    }
    // Two backends may have a service of one name.
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| LogError::InUse(path.to_owned()))
}

/// Writes what concerns one service to its file: its lines as they are, hotwatch's own behind a mark.
pub struct LogFile {
    service: Name,
    path: PathBuf,
    file: Flock<File>,
    buffer: Vec<u8>,
    broken: bool,
}

impl LogFile {
    /// Empties `file`, which was opened from `path`, and writes to it.
    pub fn new(service: Name, path: PathBuf, file: Flock<File>) -> Result<LogFile, LogError> {
        file.set_len(0).map_err(|error| LogError::Io { path: path.clone(), error })?;
        Ok(LogFile { service, path, file, buffer: Vec::new(), broken: false })
    }
}

impl View for LogFile {
    fn show(&mut self, record: &Record) {
        if record.service.as_ref() != Some(&self.service) {
            return;
        }
        if let Event::Log { line, .. } = &record.event {
            self.buffer.extend_from_slice(line);
            self.buffer.push(b'\n');
        } else if let Some((_, text)) = words(&record.event) {
            let at = humantime::format_rfc3339_millis(record.at);
            self.buffer.extend_from_slice(format!("[hotwatch {at}] {}\n", text.trim_end()).as_bytes());
        }
    }

    fn flush(&mut self) -> Result<(), Problem> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let name = format!("`{}`", self.path.display());
        match write_out(&mut *self.file, &mut self.buffer, &mut self.broken, &name) {
            // A log file is never a pipe, so this is no reason to end.
            Err(Problem::Closed) => {
                Err(Problem::Broken(format!("cannot write to {name}: {}", ErrorKind::BrokenPipe)))
            }
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_new_file_is_private_and_an_old_one_is_emptied() {
        let dir = tempfile::tempdir().unwrap();
        let name = Name::parse("api").unwrap();
        let path = path(dir.path(), &name);
        fs::write(&path, "yesterday").unwrap();
        let mut view = LogFile::new(name.clone(), path.clone(), open(&path).unwrap()).unwrap();
        let event = Event::Started { pid: 7 };
        view.show(&Record { at: std::time::UNIX_EPOCH, event, service: Some(name) });
        view.flush().unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "[hotwatch 1970-01-01T00:00:00.000Z] started, PID 7\n"
        );

        let other = dir.path().join("new.log");
        let held = open(&other).unwrap();
        assert!(matches!(open(&other), Err(LogError::InUse(_))));
        drop(held);
        assert_eq!(other.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn planted_files_are_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("precious"), "precious").unwrap();
        symlink(at("precious"), at("link.log")).unwrap();
        fs::hard_link(at("precious"), at("hard.log")).unwrap();
        fs::create_dir(at("dir.log")).unwrap();
        nix::unistd::mkfifo(&at("fifo.log"), nix::sys::stat::Mode::S_IRWXU).unwrap();

        assert!(matches!(open(&at("link.log")), Err(LogError::Link(_))));
        assert!(matches!(open(&at("hard.log")), Err(LogError::HardLinks(_))));
        assert!(matches!(open(&at("dir.log")), Err(LogError::NoFile(_))));
        assert!(matches!(open(&at("fifo.log")), Err(LogError::NoFile(_))));
        assert!(matches!(open(&at("no/such.log")), Err(LogError::Io { .. })));
        assert_eq!(fs::read_to_string(at("precious")).unwrap(), "precious");
        if nix::unistd::geteuid().is_root() {
            fs::write(at("foreign.log"), "theirs").unwrap();
            std::os::unix::fs::chown(at("foreign.log"), Some(65534), None).unwrap();
            assert!(matches!(open(&at("foreign.log")), Err(LogError::Foreign { owner: 65534, .. })));
        } else {
            eprintln!("NOT CHECKED: only root can make a file of another user");
        }
    }
}
