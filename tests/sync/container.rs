//! Containers, each with an image of its own that holds as little as possible. Both are gone with the value.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Project, until};

/// Programs of the image with busybox.
const APPLETS: &str =
    "cat chmod dd env head id kill ls mkdir mv ps rm sh sleep stat tail tar test touch uname wc";

/// Containers without a network of their own, as they can be on machines that are containers themselves.
const LIMITS: [&str; 5] = ["--network=host", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"];

/// Whether containers can run on this machine, and hotwatch has its helper for them; says so if not.
pub fn is_possible() -> bool {
    static WHY_NOT: OnceLock<Option<String>> = OnceLock::new();
    let why_not = WHY_NOT.get_or_init(|| {
        let helper =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sync/helper/bin").join(std::env::consts::ARCH);
        if !helper.exists() {
            return Some(
                "hotwatch was built without its helper; `make helper` before the build adds it".to_owned(),
            );
        }
        if !busybox().exists() {
            return Some("there is no static busybox".to_owned());
        }
        let project = Project::new();
        Container::busybox(&project).started(&[]).err()
    });
    if let Some(why) = why_not {
        eprintln!("NOT CHECKED: NO SYNC WITH CONTAINERS, which cannot run on this machine: {why}");
    }
    why_not.is_none()
}

fn busybox() -> &'static Path {
    Path::new("/bin/busybox")
}

/// A podman command.
pub fn podman(args: &[&str]) -> Output {
    let mut command = Command::new("podman");
    command.args(["--runtime", "runc"]).args(args).stdin(Stdio::null());
    // Without podman that is what it says.
    command.output().unwrap_or_else(|error| {
        use std::os::unix::process::ExitStatusExt;
        let stderr = format!("podman: {error}").into_bytes();
        Output { status: std::process::ExitStatus::from_raw(127 << 8), stdout: Vec::new(), stderr }
    })
}

/// A container by its name, whether it is there or not.
pub struct Container {
    /// Its name.
    pub name: String,
    command: Vec<String>,
    root: PathBuf,
}

impl Container {
    /// One with busybox and nothing else, in which nothing runs but what is started there.
    pub fn busybox(project: &Project) -> Container {
        let root = project.beside("image");
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::copy(busybox(), root.join("bin/busybox")).unwrap();
        for name in APPLETS.split(' ') {
            symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        fs::create_dir(root.join("tmp")).unwrap();
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        Container::of(root, &["sleep", "1000000"])
    }

    /// Where the files of its image lie.
    pub fn root(&self) -> PathBuf {
        self.root.clone()
    }

    /// One that holds the files below `root`, and runs `command`.
    pub fn of(root: PathBuf, command: &[&str]) -> Container {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("hotwatch-test-{}-{number}", std::process::id());
        let container =
            Container { name, command: command.iter().map(|&word| word.to_owned()).collect(), root };
        container.import();
        container
    }

    fn import(&self) {
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(&self.root).args(["-c", "."]).stdout(Stdio::piped());
        let mut tar = tar.spawn().unwrap();
        let mut import = Command::new("podman");
        import.args(["import", "--quiet", "-", &self.name]).stdin(tar.stdout.take().unwrap());
        // Whoever cannot import cannot run anything either, and hears of it then.
        drop(import.output());
        drop(tar.wait());
    }

    /// Starts it with the settings `settings`.
    pub fn start(self, settings: &[&str]) -> Container {
        self.started(settings).unwrap();
        self
    }

    /// The same; otherwise why it does not start.
    pub fn started(&self, settings: &[&str]) -> Result<(), String> {
        let mut args = vec!["run", "-d", "--name", &self.name];
        args.extend(LIMITS);
        args.extend(settings);
        args.push(&self.name);
        args.extend(self.command.iter().map(String::as_str));
        let output = podman(&args);
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Starts it anew.
    pub fn restart(&self) {
        let output = podman(&["restart", "-t", "0", &self.name]);
        assert!(output.status.success(), "{output:?}");
    }

    /// Removes it, but not its image.
    pub fn remove(&self) {
        drop(podman(&["rm", "-f", "-i", "-t", "0", &self.name]));
    }

    /// Runs `words` in it, as root; what they write, if they succeed.
    pub fn run(&self, words: &[&str]) -> Option<String> {
        let output = podman(&[&["exec", "-u", "0:0", &self.name], words].concat());
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Waits until the file at `path` reads `content`.
    pub fn until_reads(&self, path: &str, content: &str) {
        until(&format!("`{content}` in {path}"), || self.run(&["cat", path]).filter(|got| got == content));
    }

    /// Waits until `words` succeed.
    pub fn until_true(&self, words: &[&str]) {
        until(&words.join(" "), || self.run(words));
    }

    /// Whether something, be it a link that leads nowhere, stands at `path`.
    pub fn has(&self, path: &str) -> bool {
        self.run(&["sh", "-c", "test -e \"$0\" || test -L \"$0\"", path]).is_some()
    }

    /// What hotwatch has left in it, by its names.
    pub fn left_behind(&self) -> String {
        let find = "for dir in / /tmp /app /data; do ls -a $dir 2>/dev/null | while read -r name; do case $name in \
                    .hotwatch-*) echo $dir/$name;; esac; done; done";
        self.run(&["sh", "-c", find]).unwrap()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.remove();
        drop(podman(&["rmi", "-f", &self.name]));
        // What podman's service keeps of commands that have ended, for five minutes.
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        for process in processes {
            let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let mut words = words.split(|&byte| byte == 0);
            let is_monitor = words.next().is_some_and(|program| program.ends_with(b"/conmon"));
            let pid = process.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(pid) = pid.filter(|_| is_monitor && words.any(|word| word == self.name.as_bytes())) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}
