//! What `why` and `graph` look at: the plan of a configuration with its package graph, found out once.

use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, unbounded};

use super::lister::Lister;
use crate::config::Config;
use crate::plan::Plan;

/// After this it is said what takes so long.
const LONG: Duration = Duration::from_secs(1);

/// The plan for `config`, with everything that the go command says. What it cannot say, and that it takes long, is
/// passed to `say`.
pub fn plan(config: &Config, say: impl Fn(&str)) -> Plan {
    let (answers, answered) = unbounded();
    let mut lister = Lister::start(&config.services, move |listed| drop(answers.send(listed)));
    let services = lister.services();
    let mut plan = Plan::new(config, &services);
    lister.ask(&services, std::time::SystemTime::now());
    let mut waiting = true;
    while !lister.is_idle() {
        let listed = match answered.recv_timeout(LONG) {
            Ok(listed) => listed,
            Err(RecvTimeoutError::Timeout) => {
                if std::mem::take(&mut waiting) {
                    say("the go command lists the packages");
                }
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        lister.answered(listed.query);
        let asked = lister.asked(listed.query);
        match listed.result {
            Ok(listing) => plan.list(listed.query, listing, asked),
            Err(unlistable) => {
                let words = unlistable.words;
                for &(service, _) in asked {
                    plan.go_by_directory(service);
                    let name = &config.services[service].name;
                    say(&format!("the packages of `{name}` cannot be listed: {words}"));
                }
            }
        }
    }
    plan
}
