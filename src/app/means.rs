//! What services and listings are started with; kept for those that an edit of the configuration adds.

use std::path::PathBuf;

use crossbeam_channel::Sender;

use super::debug::{self, Debugged};
use super::lister::Lister;
use super::supervisor::Event;
use crate::config::Config;
use crate::control::Hub;
use crate::go::slots::Slots;
use crate::record::{Level, Tell};
use crate::service::{Service, Surroundings};

/// What they need beside the configuration.
pub struct Means {
    /// Where binaries go, a directory per service.
    pub cache: PathBuf,
    /// Shared by all builds.
    pub slots: Slots,
    /// Shared by all that is compiled while nobody waits for it.
    pub background: Slots,
    /// The flags of the go command that the environment sets.
    pub goflags: String,
    /// Where it is kept what both sides of a sync have agreed on.
    pub sync_state: PathBuf,
    /// The services that run under a debugger.
    pub debugged: Debugged,
    /// Where facts go.
    pub tell: Tell,
    /// Where it is known how the services are.
    pub hub: Hub,
    /// Where reports go.
    pub events: Sender<Event>,
}

impl Means {
    /// Starts the service number `index` of `config`; `round` tells it from one of the same name before.
    pub fn service(&self, config: &Config, index: usize, round: u64) -> Service {
        let service = &config.services[index];
        let debugger = self.debugged.get(&service.name).copied();
        if let Some(advice) = debugger.and_then(|_| debug::advice(service)) {
            self.tell.notice(Some(&service.name), Level::Info, advice);
        }
        let surroundings = Surroundings {
            cache: self.cache.join(service.name.as_str()),
            cooldown: config.cooldown,
            slots: self.slots.clone(),
            background: self.background.clone(),
            rank: index,
            debugger,
            round,
            goflags: self.goflags.clone(),
            sync_state: self.sync_state.clone(),
            quiet: config.quiet,
            tell: self.tell.clone(),
        };
        let (events, name) = (self.events.clone(), service.name.clone());
        // The loop outlives its services.
        let report = move |report| drop(events.send(Event::Service(name.clone(), round, report)));
        Service::start(service.clone(), surroundings, report)
    }

    /// Lets it be known which services there are.
    pub fn introduce(&self, config: &Config) {
        self.hub.configure(config.services.iter().map(|service| (&service.name, service.port)));
    }

    /// Starts what lists the packages of `config`; `round` tells its answers from those of one before.
    pub fn lister(&self, config: &Config, round: u64) -> Lister {
        let events = self.events.clone();
        Lister::start(&config.services, move |listed| drop(events.send(Event::Listed(round, listed))))
    }
}
