//! The keys of the console that `up` runs in: what they mean is decided in `keys`, here it is done.

use std::io::{self, IsTerminal, Write};
use std::time::SystemTime;

use crossbeam_channel::Sender;
use hotwatch_platform::signal::Termination;
use hotwatch_platform::terminal::{Keyboard, Listener};

use super::supervisor::Event;
use super::{colored, remote};
use crate::cli::{Color, Global};
use crate::control::{Command, Hub};
use crate::keys::{Action, Keys};
use crate::log::terminal::Filter;
use crate::name::Name;
use crate::service::Ask;
use crate::snapshot;

/// The keyboard, if somebody sits at it and sees what it does.
pub fn keyboard(global: &Global) -> io::Result<Option<Keyboard>> {
    let somebody = !global.json && io::stdin().is_terminal() && io::stdout().is_terminal();
    somebody.then(Keyboard::new).transpose()
}

/// Does what keys ask for until the handle is dropped.
pub fn start(
    keyboard: &Keyboard,
    color: Color,
    hub: &Hub,
    filter: Filter,
    events: &Sender<Event>,
) -> io::Result<Listener> {
    say("press ? to see what keys do\n");
    let mut keys = Keys::default();
    let console = Console { color, hub: hub.clone(), filter, events: events.clone() };
    keyboard.listen(move |key| {
        let services: Vec<Name> = console.hub.look(|known| known.names().flat_map(Name::parse).collect());
        keys.press(key, &services).into_iter().for_each(|action| console.act(action));
    })
}

struct Console {
    color: Color,
    hub: Hub,
    filter: Filter,
    events: Sender<Event>,
}

impl Console {
    fn act(&self, action: Action) {
        match action {
            Action::Restart(services) => self.send(Event::Control(Command::Ask(Ask::Restart, services))),
            Action::Build(services) => self.send(Event::Control(Command::Ask(Ask::Build, services))),
            Action::Pause => {
                let paused = self.hub.look(|known| known.paused);
                self.send(Event::Control(if paused { Command::Resume } else { Command::Pause }));
            }
            Action::Quit => self.send(Event::Signal(Termination::Interrupt)),
            Action::Filter(service) => {
                match &service {
                    Some(name) => say(&format!("only lines of {name} from here on; `l` and Enter for all\n")),
                    None => say("lines of all services from here on\n"),
                }
                self.filter.set(service);
            }
            Action::Status => {
                let (_, services) = self.hub.status(|_| true);
                let colored = colored(self.color, &io::stdout());
                say(&snapshot::services(&services, SystemTime::now(), colored, remote::width()));
            }
            Action::Say(text) => say(&text),
        }
    }

    fn send(&self, event: Event) {
        // A loop that has ended does nothing more.
        let _ = self.events.send(event);
    }
}

/// Writes whole lines between those of the log.
fn say(text: &str) {
    // A console that cannot be written to is noticed by what writes the log.
    let _ = io::stdout().write_all(text.as_bytes());
}
