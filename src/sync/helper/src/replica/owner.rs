//! Whom files belong to, by name or number.

use std::io;
use std::path::Path;

use nix::unistd::{Gid, Uid};

/// A user, and a group if one was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    uid: u32,
    gid: Option<u32>,
}

impl Owner {
    /// `USER` or `USER:GROUP`; names are looked up in the files that passwd(5) and group(5) describe, which is all that
    /// a small container has.
    ///
    /// # Errors
    /// A name that is not in them.
    pub fn parse(text: &str, passwd: &str, group: &str) -> Result<Owner, String> {
        let find = |name: &str, table: &str| {
            let mut lines = table.lines().map(|line| line.split(':').collect::<Vec<_>>());
            let line = lines.find(|line| line.first() == Some(&name))?;
            Some((line.get(2)?.parse().ok()?, line.get(3).and_then(|gid| gid.parse().ok())))
        };
        let (user, group_name) =
            text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let number = |name: &str| name.parse::<u32>().ok();
        let known = find(user, passwd);
        let uid = number(user)
            .or(known.map(|(uid, _)| uid))
            .ok_or_else(|| format!("there is no user `{user}` there"))?;
        let gid = match group_name {
            Some(name) => {
                let gid = number(name).or(find(name, group).map(|(gid, _)| gid));
                Some(gid.ok_or_else(|| format!("there is no group `{name}` there"))?)
            }
            None => known.and_then(|(_, gid)| gid),
        };
        Ok(Owner { uid, gid })
    }

    /// Has what stands at `path`, be it a link, belong to this owner.
    ///
    /// # Errors
    /// Whoever runs this may not do that.
    pub fn own(self, path: &Path) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), self.gid.map(Gid::from_raw));
        let flags = nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW;
        nix::unistd::fchownat(nix::fcntl::AT_FDCWD, path, Some(uid), gid, flags).map_err(io::Error::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_named_or_numbered() {
        let (passwd, group) = ("root:x:0:0::/:/bin/sh\nweb:x:33:44::/:/bin/sh\n", "www:x:55:\n");
        let table = [
            ("web", Ok((33, Some(44)))),
            ("web:www", Ok((33, Some(55)))),
            ("1000", Ok((1000, None))),
            ("1000:www", Ok((1000, Some(55)))),
            ("1000:1001", Ok((1000, Some(1001)))),
            ("nobody", Err("there is no user `nobody` there")),
            ("web:x", Err("there is no group `x` there")),
        ];
        for (text, expected) in table {
            let found = Owner::parse(text, passwd, group).map(|owner| (owner.uid, owner.gid));
            assert_eq!(found, expected.map_err(str::to_owned), "{text}");
        }
    }
}
