//! The part of the loop that does what the user asks for, from the console or from another terminal.

use std::collections::BTreeSet;
use std::time::Instant;

use super::Supervisor;
use crate::control::Command;
use crate::name::Name;
use crate::record::{Event as Fact, Level};
use crate::service::{Ask, Input, Report};

impl Supervisor {
    /// Does what is asked of hotwatch as a whole, or passes it on.
    pub(super) fn control(&mut self, command: Command) {
        match command {
            Command::Ask(ask, names) => self.ask(ask, &names),
            Command::Weigh(names, reply) => {
                let asked = self.services.iter().filter(|service| names.contains(service.name()));
                asked.for_each(|service| service.send(Input::Weigh(reply.clone())));
            }
            Command::Sync(names, ask) => {
                let asked = self.services.iter().filter(|service| names.contains(service.name()));
                asked.for_each(|service| service.send(Input::Sync(ask.clone())));
            }
            Command::Reach(name, reply) => {
                let service = self.services.iter().find(|service| *service.name() == name);
                service.into_iter().for_each(|service| service.send(Input::Reach { reply: reply.clone() }));
            }
            Command::Pause => {
                self.saves.pause();
                self.tell.fact(None, Fact::Paused);
            }
            Command::Resume => {
                self.saves.resume(Instant::now());
                self.tell.fact(None, Fact::Resumed);
            }
            Command::End => {
                self.tell.notice(None, Level::Info, "stopping, as asked");
                self.stop();
            }
        }
    }

    /// Asks services for something. Those that are no longer there were so when the user asked.
    fn ask(&mut self, ask: Ask, names: &[Name]) {
        let index = |name| self.services.iter().position(|service| service.name() == name);
        let services: BTreeSet<usize> = names.iter().filter_map(index).collect();
        if ask != Ask::Stop {
            self.order
                .reload(&services)
                .into_iter()
                .for_each(|held| self.services[held].send(Input::Hold(true)));
        }
        let what = match ask {
            Ask::Restart => "restart",
            Ask::Stop => "stop",
            Ask::Start => "start",
            Ask::Build => "build",
        };
        for index in services {
            let service = &self.services[index];
            self.tell.fact(Some(service.name()), Fact::Asked { what });
            service.send(Input::Ask(ask));
            if ask == Ask::Stop {
                // Whoever waits for it does so no longer.
                self.order.report(index, Report::Failed);
            }
        }
        self.launch();
    }
}
