//! What FSEvents flags mean. Flags are coalesced and sticky: one event may say created, modified and removed
//! at once, of which the file system alone knows what is true now. So the flags decide only what kind of
//! question an event is, and a look at the path decides the answer. Pure, hence tested on every system. Values
//! are from `FSEvents.h`.

use super::Kind;

/// `kFSEventStreamEventFlagMustScanSubDirs` and its two causes, `UserDropped` and `KernelDropped`.
pub const MUST_SCAN: u32 = 0x1;
/// `kFSEventStreamEventFlagUserDropped`.
pub const USER_DROPPED: u32 = 0x2;
/// `kFSEventStreamEventFlagKernelDropped`.
pub const KERNEL_DROPPED: u32 = 0x4;
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
/// `kFSEventStreamEventFlagItemRenamed`.
pub const RENAMED: u32 = 0x800;
/// `kFSEventStreamEventFlagItemModified`.
pub const MODIFIED: u32 = 0x1000;
/// `kFSEventStreamEventFlagItemIsDir`.
pub const IS_DIR: u32 = 0x20000;
/// `kFSEventStreamEventFlagItemCloned`.
pub const CLONED: u32 = 0x400000;

/// What an FSEvents event asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing that concerns content: metadata, or the end of history.
    Nothing,
    /// Events below the path were lost: compare everything.
    Rescan,
    /// The root itself was moved, deleted or made again.
    RootChanged,
    /// The path may have changed; see [`decide`].
    Item,
}

/// What an event with these flags asks for.
pub fn meaning(flags: u32) -> Meaning {
    if flags & ROOT_CHANGED != 0 {
        Meaning::RootChanged
    } else if flags & (MUST_SCAN | USER_DROPPED | KERNEL_DROPPED | MOUNTS) != 0 {
        Meaning::Rescan
    } else if flags & (CREATED | REMOVED | RENAMED | MODIFIED | CLONED) != 0 {
        Meaning::Item
    } else {
        Meaning::Nothing
    }
}

/// What happened to an item, given what its path is now (`None`: not there, else whether it is a directory) and
/// whether it was there at the last look (`None`: not known).
pub fn decide(flags: u32, now: Option<bool>, before: Option<bool>) -> (Kind, bool) {
    match now {
        None => (Kind::Removed, flags & IS_DIR != 0),
        Some(dir) => {
            let appeared = match before {
                Some(before) => !before,
                None => flags & (CREATED | RENAMED | CLONED) != 0,
            };
            (if appeared { Kind::Created } else { Kind::Modified }, dir)
        }
    }
}
