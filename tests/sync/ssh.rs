//! A host that ssh leads to: this one, by an sshd of the test's own.

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};

use super::*;

/// Where it looks for nothing as root, and does not start without.
const EMPTY: &str = "/run/sshd";

/// An sshd on a free port, and an `ssh` that knows it as the host `there`.
struct Sshd {
    child: Option<Child>,
    config: PathBuf,
    log: PathBuf,
    /// The path on which that `ssh` is.
    path: String,
}

impl Sshd {
    /// One that is not started yet; `None` if there is none, which is said.
    fn new(project: &Project) -> Option<Sshd> {
        let sshd = Path::new("/usr/sbin/sshd");
        let ssh = Command::new("sh").args(["-c", "command -v ssh"]).output().unwrap();
        if !sshd.exists() || !ssh.status.success() {
            eprintln!("NOT CHECKED: NO SYNC BY SSH, for which there is no sshd here");
            return None;
        }
        let dir = project.beside("ssh");
        fs::create_dir(&dir).unwrap();
        for name in ["host", "user"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.join(name));
            assert!(keygen.status().unwrap().success());
        }
        let (port, dir_shown) = (free_ports(1)[0], dir.display());
        let config = dir.join("sshd_config");
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {dir_shown}/host\nAuthorizedKeysFile {dir_shown}/user.pub\n\
             PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
        );
        fs::write(&config, text).unwrap();
        let client = dir.join("ssh_config");
        let user = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name;
        let text = format!(
            "Host there\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n  IdentityFile {dir_shown}/user\n  \
             IdentitiesOnly yes\n  StrictHostKeyChecking no\n  UserKnownHostsFile {dir_shown}/known\n  LogLevel ERROR\n"
        );
        fs::write(&client, text).unwrap();
        let (bin, path) = bin(project);
        let ssh = String::from_utf8(ssh.stdout).unwrap();
        let script = format!("#!/bin/sh\nexec {} -F {} \"$@\"\n", ssh.trim(), client.display());
        fs::write(bin.join("ssh"), script).unwrap();
        fs::set_permissions(bin.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
        Some(Sshd { child: None, config, log: dir.join("log"), path })
    }

    fn start(&mut self) {
        if nix::unistd::getuid().is_root() {
            fs::create_dir_all(EMPTY).unwrap();
        }
        let mut command = Command::new("/usr/sbin/sshd");
        command.arg("-D").arg("-f").arg(&self.config).arg("-E").arg(&self.log);
        self.child = Some(command.stdin(Stdio::null()).spawn().unwrap());
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

#[test]
fn a_host_is_synced_by_ssh() {
    let project = Project::new();
    let Some(mut sshd) = Sshd::new(&project) else { return };
    let server = Server::new(&project);
    // What a shell would take for something else stays as it is.
    let there = project.beside("over there; $HOME's");
    let (pages, binary, helper) = (there.join("pages"), there.join("bin/server"), there.join("helper"));
    fs::create_dir_all(&helper).unwrap();
    project.write("web/a page's $1.html", "one");
    let port = server.port;
    let settings = format!("port = {port}\nargs = [\"{port}\"]\nready = {{ settle = \"300ms\" }}");
    let sync = format!(
        "to = {{ ssh = \"there\" }}\nbinary = {binary:?}\nhelper_dir = {helper:?}\n\
         post_sync = [\"sh\", \"-c\", \"echo $PWD\"]\n{}",
        pair(pages.to_str().unwrap(), "include = [\"*.html\"]")
    );
    configure(&project, &settings, &sync);
    let mut up = up_with(&project, &[("PATH", &sshd.path)]);
    let notice = up.until_notice("the host `there` is out of reach: ");
    assert!(notice["message"].as_str().unwrap().contains("Connection refused"), "{notice}");
    sshd.start();
    up.until_notice("the host `there` is reached with the helper");
    until_line(&mut up, pages.to_str().unwrap());
    server.until_answer("one");
    up.until_watching();
    let page = pages.join("a page's $1.html");
    let until_reads = |content: &str| {
        until(content, || fs::read_to_string(&page).ok().filter(|got| got == content));
    };
    until_reads("one");
    project.write("web/a page's $1.html", "two");
    until_reads("two");
    server.save(&project, "two", "");
    server.until_answer("two");
    server.save(&project, "bad", "os.Exit(3)");
    up.until_event("rolled_back", "web");
    server.until_answer("two");
    project.remove("web/a page's $1.html");
    until("removal", || (!page.exists()).then_some(()));
    let (exit, _) = up.stop();
    assert!(exit.success());
    assert_eq!(server.answer(), None);
    assert_eq!(fs::read_dir(&helper).unwrap().count(), 0);
}
