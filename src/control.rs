//! Other processes of the same user ask a running hotwatch for things, over a Unix socket: what it knows, what it
//! tells, and that it does something. Whoever asks has a thread of his own here, so a client that is slow or stuck
//! keeps nobody waiting.

mod awaited;
mod client;
mod hub;
mod place;
mod protocol;
mod recent;
mod server;

use crate::name::Name;
use crate::service::{Ask, Preview, Reached, Reply, SyncAsk};

pub use client::{Client, ClientError};
pub use hub::Hub;
pub use place::Place;
pub use protocol::{Answer, Request, Verb};
pub use server::Server;

/// What hotwatch is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Something with each of these services.
    Ask(Ask, Vec<Name>),
    /// To find out what a save of all that is on disk would lead to for each of these services, and to tell it.
    Weigh(Vec<Name>, Reply<Preview>),
    /// Something of the sync of these services.
    Sync(Vec<Name>, SyncAsk),
    /// To tell how this service is reached.
    Reach(Name, Reply<Reached>),
    /// To hold back what is saved from now on.
    Pause,
    /// To take in what was saved meanwhile.
    Resume,
    /// To stop everything and to end.
    End,
}
