//! What FSEvents flags mean. Flags are coalesced and sticky: one event may say created, modified and removed
//! at once, of which the file system alone knows what is true now. So the flags decide only what kind of
//! question an event is, and a look at the path decides the answer. Pure, hence tested on every system. Values
//! are from `FSEvents.h`; which of them an action sets is in xnu's `bsd/vfs`, as far as the kernel decides it.

use super::Kind;

/// `kFSEventStreamEventFlagMustScanSubDirs`: events below the path were merged into this one.
pub const MUST_SCAN: u32 = 0x1;
/// `kFSEventStreamEventFlagUserDropped`: the reader was too slow.
pub const USER_DROPPED: u32 = 0x2;
/// `kFSEventStreamEventFlagKernelDropped`: the kernel's own queue was full.
pub const KERNEL_DROPPED: u32 = 0x4;
/// `kFSEventStreamEventFlagEventIdsWrapped`.
pub const EVENT_IDS_WRAPPED: u32 = 0x8;
/// `kFSEventStreamEventFlagHistoryDone`.
pub const HISTORY_DONE: u32 = 0x10;
/// `kFSEventStreamEventFlagRootChanged`.
pub const ROOT_CHANGED: u32 = 0x20;
/// `kFSEventStreamEventFlagMount` and `Unmount`.
pub const MOUNTS: u32 = 0x40 | 0x80;
/// `kFSEventStreamEventFlagItemCreated`.
pub const CREATED: u32 = 0x100;
/// `kFSEventStreamEventFlagItemRemoved`.
pub const REMOVED: u32 = 0x200;
/// `kFSEventStreamEventFlagItemInodeMetaMod`: times, flags or links, but also the size.
pub const INODE_META: u32 = 0x400;
/// `kFSEventStreamEventFlagItemRenamed`; set on the old path and on the new one.
pub const RENAMED: u32 = 0x800;
/// `kFSEventStreamEventFlagItemModified`; set when a file that was written is closed.
pub const MODIFIED: u32 = 0x1000;
/// `kFSEventStreamEventFlagItemFinderInfoMod`.
pub const FINDER_INFO: u32 = 0x2000;
/// `kFSEventStreamEventFlagItemChangeOwner`: owner, group, mode or access list.
pub const OWNER: u32 = 0x4000;
/// `kFSEventStreamEventFlagItemXattrMod`.
pub const XATTR: u32 = 0x8000;
/// `kFSEventStreamEventFlagItemIsFile`.
pub const IS_FILE: u32 = 0x10000;
/// `kFSEventStreamEventFlagItemIsDir`.
pub const IS_DIR: u32 = 0x20000;
/// `kFSEventStreamEventFlagItemIsSymlink`.
pub const IS_SYMLINK: u32 = 0x40000;
/// `kFSEventStreamEventFlagOwnEvent`.
pub const OWN_EVENT: u32 = 0x80000;
/// `kFSEventStreamEventFlagItemIsHardlink` and `IsLastHardlink`.
pub const HARD_LINKS: u32 = 0x100000 | 0x200000;
/// `kFSEventStreamEventFlagItemCloned`; set on the source, and on the copy together with [`CREATED`].
pub const CLONED: u32 = 0x400000;

/// What says something of the item, but not that anything happened to it.
const TYPES: u32 = IS_FILE | IS_DIR | IS_SYMLINK | OWN_EVENT | HARD_LINKS;
/// What can happen without any content being another one.
const HARMLESS: u32 = EVENT_IDS_WRAPPED | HISTORY_DONE | FINDER_INFO | OWNER | XATTR;

/// What an FSEvents event asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing that concerns content: metadata, or the end of history.
    Nothing,
    /// Events below the path were lost, a volume came or went there, or nothing says what happened: compare
    /// everything.
    Rescan,
    /// The root itself, or a directory above it, was moved, deleted or made again.
    RootChanged,
    /// The path may have changed; see [`decide`].
    Item,
}

/// What an event with these flags asks for. Only flags that are known to be harmless are passed over. The
/// change of an inode is not: a file that is emptied shows nothing else
/// (<https://github.com/syncthing/syncthing/pull/7756>), nor does a directory in which a hard link was made
/// (<https://github.com/emcrisostomo/fswatch/issues/271>).
pub fn meaning(flags: u32) -> Meaning {
    let happened = flags & !TYPES;
    if happened & ROOT_CHANGED != 0 {
        Meaning::RootChanged
    } else if happened == 0 || happened & (MUST_SCAN | USER_DROPPED | KERNEL_DROPPED | MOUNTS) != 0 {
        Meaning::Rescan
    } else if happened & !HARMLESS == 0 {
        Meaning::Nothing
    } else {
        Meaning::Item
    }
}

/// What happened to something other than a directory, given whether it is `there` now and whether it is
/// `known` to have been there at an earlier look. A new file that was also written is both created and
/// modified, as on Linux.
pub fn decide(flags: u32, there: bool, known: bool) -> &'static [Kind] {
    if !there {
        &[Kind::Removed]
    } else if known || flags & (CREATED | RENAMED) == 0 {
        &[Kind::Modified]
    } else if flags & MODIFIED != 0 {
        &[Kind::Created, Kind::Modified]
    } else {
        &[Kind::Created]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use Kind::{Created, Modified, Removed};

    const GONE: bool = false;
    const THERE: bool = true;

    /// Flag sets of single files as they were seen on real systems, what was there afterwards, and what they
    /// come to when nothing is known of the path.
    const SEEN: &[(&str, u32, bool, &[Kind])] = &[
        // https://github.com/fsevents/fsevents/issues/409: written three times within two seconds; the number.
        ("written soon after it was made", 103_680, THERE, &[Created, Modified]),
        // https://github.com/SpartanJ/efsw/issues/186: the two events of one write.
        ("truncated to be written", INODE_META | IS_FILE, THERE, &[Modified]),
        ("written", INODE_META | MODIFIED | IS_FILE, THERE, &[Modified]),
        // https://github.com/syncthing/syncthing/pull/7756: an editor saved an empty file.
        ("emptied", INODE_META | IS_FILE, THERE, &[Modified]),
        // https://github.com/emcrisostomo/fswatch/issues/243: `touch`, on macOS 10.15.4. The same flags as above.
        ("touched", INODE_META | IS_FILE, THERE, &[Modified]),
        ("made by touch", CREATED | IS_FILE, THERE, &[Created]),
        // https://github.com/emcrisostomo/fswatch/issues/111: `mv before.txt after.txt`. The new path says removed.
        ("old path of a rename", CREATED | RENAMED | IS_FILE, GONE, &[Removed]),
        ("new path of a rename", REMOVED | RENAMED | IS_FILE, THERE, &[Created]),
        // https://github.com/gradle/native-platform/pull/52: the same; here the old path says created.
        ("new path of a rename, plain", RENAMED | IS_FILE, THERE, &[Created]),
        // https://github.com/rastersize/CDEvents/issues/28: the number, for a rename and for a move to the Trash.
        ("moved to the Trash", 67_584, GONE, &[Removed]),
        // https://github.com/emcrisostomo/fswatch/issues/144: the same set for `cp` and then for `rm`.
        (
            "cp",
            CREATED | REMOVED | INODE_META | MODIFIED | OWNER | XATTR | IS_FILE,
            THERE,
            &[Created, Modified],
        ),
        ("rm", CREATED | REMOVED | INODE_META | MODIFIED | OWNER | XATTR | IS_FILE, GONE, &[Removed]),
        // https://github.com/njdehoog/Witness/issues/9: the numbers; a save in vim, and `echo text > file` later on.
        ("saved in vim", 4_282_624, THERE, &[Created, Modified]),
        ("written by a shell", 4_264_960, THERE, &[Modified]),
        // xnu, `bsd/vfs/vfs_syscalls.c`, `clonefile_internal`: three events, of which the last two may be one.
        ("source of cp -c", CLONED | IS_FILE, THERE, &[Modified]),
        ("copy of cp -c", CLONED | CREATED | IS_FILE, THERE, &[Created]),
        // https://github.com/gradle/native-platform/pull/314: a linked file was written; macOS 12 also names a path
        // that does not exist.
        ("written through another link", MODIFIED | IS_FILE | 0x100000, THERE, &[Modified]),
        ("a link elsewhere, misnamed", MODIFIED | IS_FILE | 0x100000, GONE, &[Removed]),
        // xnu, `bsd/vfs/vfs_syscalls.c`, `linkat_internal`.
        ("a new hard link", CREATED | IS_FILE | 0x100000, THERE, &[Created]),
        ("a new symbolic link", CREATED | IS_SYMLINK, THERE, &[Created]),
    ];

    #[test]
    fn a_look_decides_what_a_set_of_flags_comes_to() {
        for &(what, flags, there, expected) in SEEN {
            assert_eq!(meaning(flags), Meaning::Item, "{what}");
            assert_eq!(decide(flags, there, false), expected, "{what}");
        }
    }

    #[test]
    fn what_is_known_to_have_been_there_is_not_created_again() {
        for &(what, flags, there, _) in SEEN {
            assert_eq!(decide(flags, there, true), if there { [Modified] } else { [Removed] }, "{what}");
        }
    }

    #[test]
    fn what_leaves_content_alone_means_nothing() {
        for (what, flags) in [
            // xnu, `bsd/vfs/kpi_vfs.c`, `vnode_setattr`: mode and owner are one kind of event.
            ("chmod", OWNER | IS_FILE),
            ("chown of a directory", OWNER | IS_DIR),
            // https://github.com/fsevents/fsevents/issues/285: the number.
            ("xattr", 98_304),
            ("colour label", FINDER_INFO | XATTR | IS_FILE),
            ("end of history", HISTORY_DONE),
            ("event ids wrapped", EVENT_IDS_WRAPPED),
        ] {
            assert_eq!(meaning(flags), Meaning::Nothing, "{what}");
        }
    }

    #[test]
    fn what_was_lost_has_to_be_looked_for() {
        for (what, flags, expected) in [
            ("merged", MUST_SCAN, Meaning::Rescan),
            // https://github.com/paulmillr/chokidar/issues/1196: the number.
            ("the reader was slow", 3, Meaning::Rescan),
            ("the kernel was full", MUST_SCAN | KERNEL_DROPPED, Meaning::Rescan),
            // https://github.com/gorakhargosh/watchdog/issues/124: alone, in spite of the documentation.
            ("the reader was slow, alone", USER_DROPPED, Meaning::Rescan),
            ("merged below a new directory", MUST_SCAN | CREATED | IS_DIR, Meaning::Rescan),
            ("mounted", 0x40, Meaning::Rescan),
            ("unmounted", 0x80, Meaning::Rescan),
            ("root moved", ROOT_CHANGED, Meaning::RootChanged),
            ("root moved while events were lost", ROOT_CHANGED | MUST_SCAN, Meaning::RootChanged),
            // FSEvents.h: "there was some change in the directory at the specific path".
            ("no flag at all", 0, Meaning::Rescan),
            ("a flag of a later system", 0x800000 | IS_FILE, Meaning::Item),
        ] {
            assert_eq!(meaning(flags), expected, "{what}");
        }
    }
}
