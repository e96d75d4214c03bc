//! When something that was asked for is over, and whether it has worked; told from the records that follow. Pure.

use std::collections::BTreeSet;

use crate::name::Name;
use crate::record::{Event, Level, Record};
use crate::service::Ask;

/// What is still waited for.
#[derive(Debug)]
pub struct Awaited {
    ask: Ask,
    /// The services of which the request was told, and those of them of which something was told since.
    asked: BTreeSet<Name>,
    stirred: BTreeSet<Name>,
    pending: BTreeSet<Name>,
    failed: BTreeSet<Name>,
}

impl Awaited {
    /// `ask` was, or will be, asked of these services.
    pub fn new(ask: Ask, services: impl IntoIterator<Item = Name>) -> Awaited {
        let pending = services.into_iter().collect();
        let none = BTreeSet::new;
        Awaited { ask, asked: none(), stirred: none(), pending, failed: none() }
    }

    /// Takes in what was told.
    pub fn take(&mut self, record: &Record) {
        let Some(name) = record.service.as_ref().filter(|name| self.pending.contains(*name)) else { return };
        match &record.event {
            Event::Asked { .. } => drop(self.asked.insert(name.clone())),
            _ if !self.asked.contains(name) => {}
            // A service that has nothing to stop says nothing; others were about to settle anyway.
            Event::Settled if self.ask == Ask::Stop || self.stirred.contains(name) => {
                self.pending.remove(name);
            }
            Event::Log { .. } | Event::Settled => {}
            event => {
                self.stirred.insert(name.clone());
                let failed = match event {
                    Event::Build { ok, .. } => Some(!ok),
                    Event::Ready { .. } => Some(false),
                    Event::Exited { .. } | Event::RolledBack { .. } | Event::Held { .. } => Some(true),
                    Event::Notice { level, .. } if self.ask != Ask::Stop => {
                        (*level != Level::Info).then_some(true)
                    }
                    _ => None,
                };
                match failed {
                    Some(true) => drop(self.failed.insert(name.clone())),
                    Some(false) => drop(self.failed.remove(name)),
                    None => {}
                }
            }
        }
    }

    /// Whether all of it has worked; `None` as long as it is not over.
    pub fn outcome(&self) -> Option<bool> {
        self.pending.is_empty().then_some(self.failed.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Failure;
    use std::time::SystemTime;

    fn outcome(ask: Ask, events: &[Event]) -> Option<bool> {
        let api = Name::parse("api").unwrap();
        let mut awaited = Awaited::new(ask, [api.clone()]);
        for event in events {
            assert_eq!(awaited.outcome(), None, "{event:?}");
            awaited.take(&Record { at: SystemTime::now(), event: event.clone(), service: Some(api.clone()) });
        }
        awaited.outcome()
    }

    #[test]
    fn ends() {
        let asked = || Event::Asked { what: "restart" };
        let build = |ok| Event::Build { ok, ms: 1, failure: Failure::default() };
        let (started, ready) = (Event::Started { pid: 2 }, Event::Ready { pid: 2, ms: 1 });
        let exited = Event::Exited { pid: 2, code: Some(1), signal: None };
        let stopped = Event::Stopped { pid: 1 };
        let info = Event::Notice { level: Level::Info, message: "PID 1 runs already".to_owned() };
        let late = Event::Notice { level: Level::Warning, message: "not ready after 1s".to_owned() };
        let table = [
            (
                Ask::Restart,
                vec![asked(), stopped.clone(), started.clone(), ready.clone(), Event::Settled],
                Some(true),
            ),
            (Ask::Restart, vec![Event::Settled, asked(), stopped.clone(), started.clone()], None),
            // One that was under way before.
            (Ask::Restart, vec![asked(), Event::Settled], None),
            (Ask::Restart, vec![asked(), started.clone(), exited, Event::Settled], Some(false)),
            (Ask::Restart, vec![asked(), started, late, Event::Settled], Some(false)),
            (Ask::Build, vec![asked(), Event::Building, build(false), Event::Settled], Some(false)),
            (Ask::Build, vec![asked(), Event::Building, build(true), Event::Settled], Some(true)),
            (Ask::Start, vec![asked(), info.clone(), Event::Settled], Some(true)),
            (Ask::Stop, vec![asked(), stopped, Event::Settled], Some(true)),
            (Ask::Stop, vec![asked(), Event::Settled], Some(true)),
        ];
        for (ask, events, expected) in table {
            assert_eq!(outcome(ask, &events), expected, "{ask:?} {events:?}");
        }
    }
}
