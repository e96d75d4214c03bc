//! Which directories lie on file systems that deliver no change events for what other machines do: network and
//! shared mounts. Such directories are polled.

use std::path::{Path, PathBuf};

/// A mount that needs polling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silent {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// The file system's name, for messages.
    pub kind: String,
}

/// File systems whose changes may be made elsewhere, where no event reaches this kernel. WSL mounts Windows
/// drives as `9p` (and formerly as `drvfs`); virtual machines share directories by `virtiofs`, `vboxsf` or
/// `9p`; macOS names its own `smbfs`, `webdav` and `afpfs`.
fn delivers_no_events(kind: &str) -> bool {
    const SILENT: &[&str] = &[
        "9p",
        "afpfs",
        "afs",
        "ceph",
        "cifs",
        "drvfs",
        "gfs2",
        "glusterfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "prl_fs",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
        "vmhgfs",
        "webdav",
        "wslfs",
    ];
    SILENT.contains(&kind) || kind == "fuse" || kind.starts_with("fuse.") || kind.starts_with("macfuse")
}

/// The silent mounts at or below `root`, and the one that holds `root` if it is silent itself.
#[cfg(target_os = "linux")]
pub fn silent(root: &Path) -> Vec<Silent> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    silent_in(&parse_mountinfo(&table), root)
}

/// The silent mount that holds `root`. (A network mount below a watched root is not looked for here: FSEvents
/// reports mounts as they happen, and a root on one is what occurs.)
#[cfg(target_os = "macos")]
pub fn silent(root: &Path) -> Vec<Silent> {
    match nix::sys::statfs::statfs(root) {
        Ok(stat) if delivers_no_events(stat.filesystem_type_name()) => {
            vec![Silent { mount: root.to_owned(), kind: stat.filesystem_type_name().to_owned() }]
        }
        _ => Vec::new(),
    }
}

/// Mount points and file system names of `/proc/self/mountinfo`, whose format is in proc_pid_mountinfo(5): the
/// fifth field is the mount point, the first after ` - ` the file system's type.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux has the file; tested everywhere"))]
fn parse_mountinfo(table: &str) -> Vec<Silent> {
    let parse = |line: &str| {
        let (fields, rest) = line.split_once(" - ")?;
        let mount = unescape(fields.split(' ').nth(4)?);
        Some(Silent { mount: mount.into(), kind: rest.split(' ').next()?.to_owned() })
    };
    table.lines().filter_map(parse).collect()
}

#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux has the file; tested everywhere"))]
fn silent_in(mounts: &[Silent], root: &Path) -> Vec<Silent> {
    // The last mount on the longest matching path is the one that is visible.
    let holder = mounts
        .iter()
        .filter(|mount| root.starts_with(&mount.mount))
        .max_by_key(|mount| mount.mount.as_os_str().len());
    let below = mounts.iter().filter(|mount| mount.mount.starts_with(root) && mount.mount != root);
    holder.into_iter().chain(below).filter(|mount| delivers_no_events(&mount.kind)).cloned().collect()
}

/// Mount points write space, tab, newline and backslash as `\` and three octal digits.
fn unescape(field: &str) -> String {
    let octal = |digits: &str| u8::from_str_radix(digits, 8).ok();
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        match rest.get(at + 1..at + 4).and_then(octal) {
            Some(byte) => {
                out.push(byte);
                rest = &rest[at + 4..];
            }
            None => {
                out.push(b'\\');
                rest = &rest[at + 1..];
            }
        }
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:30 / /mnt/c rw,relatime - 9p C: rw
31 22 0:31 / /home/me/my\\040share rw,relatime shared:9 - fuse.sshfs host:/ rw
32 22 0:32 / /home/me/code rw,relatime shared:9 - ext4 /dev/vdb rw
";

    fn kinds(root: &str) -> Vec<String> {
        silent_in(&parse_mountinfo(TABLE), Path::new(root)).into_iter().map(|mount| mount.kind).collect()
    }

    #[test]
    fn silent_mounts_at_and_below_a_root() {
        assert_eq!(kinds("/home/me/code/api"), [""; 0]);
        assert_eq!(kinds("/mnt/c/work"), ["9p"]);
        assert_eq!(kinds("/home/me"), ["fuse.sshfs"]);
        assert_eq!(kinds("/home/me/my share/x"), ["fuse.sshfs"]);
        assert_eq!(kinds("/"), ["9p", "fuse.sshfs"]);
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unescape(r"/a\040b\134c\x"), r"/a b\c\x");
    }
}
