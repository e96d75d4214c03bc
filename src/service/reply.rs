//! Where an answer goes to a question that passes through several threads. Nobody waits in them: who has asked waits
//! until it is there, or until nobody is left who could give it.

use crossbeam_channel::{Receiver, Sender, unbounded};

/// The sending end; equal to its copies only.
#[derive(Debug, Clone)]
pub struct Reply<T>(Sender<T>);

impl<T> Reply<T> {
    /// Both ends. The receiving one is disconnected once no copy of the other is left.
    pub fn new() -> (Reply<T>, Receiver<T>) {
        let (sender, receiver) = unbounded();
        (Reply(sender), receiver)
    }

    /// Gives an answer. Who has asked may have gone.
    pub fn send(&self, answer: T) {
        let _ = self.0.send(answer);
    }
}

impl<T> PartialEq for Reply<T> {
    fn eq(&self, other: &Reply<T>) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl<T> Eq for Reply<T> {}
