//! What the guard does: it keeps a list of groups while hotwatch lives, and kills what is left of them afterwards.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use crate::process::book::{WORD, Word};
use crate::process::{Members, Signal, os, signal_each};

use super::NAME;

/// How long killed processes may take to end; those that hang in the kernel are left to it.
const LONGEST: Duration = Duration::from_secs(5);

/// How often to look whether they have ended, at first and at last.
const LOOK: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// A guard's duty.
#[derive(Debug)]
pub struct Duty {
    run: String,
}

/// The duty of this process, if it is a guard.
pub fn on_duty() -> Option<Duty> {
    let mut args = std::env::args();
    if args.next()? != NAME {
        return None;
    }
    Some(Duty { run: args.next()? })
}

impl Duty {
    /// Blocks until hotwatch has ended, and then until nothing is left of what it has started.
    pub fn serve(&self) {
        os::set_name(c"hw-guard");
        let mut groups = Groups::default();
        groups.hear(io::stdin().lock());
        let deadline = Instant::now() + LONGEST;
        let mut pause = LOOK.0;
        while self.kill(&mut groups) && Instant::now() < deadline {
            std::thread::sleep(pause);
            pause = (pause * 2).min(LOOK.1);
        }
    }

    /// Kills what is left; says whether something was.
    fn kill(&self, groups: &mut Groups) -> bool {
        let left = groups.kill();
        let marked = os::marked(&|mark| mark.rsplit_once('.').is_some_and(|(run, _)| run == self.run));
        signal_each(&marked, Signal::SIGKILL);
        left || !marked.is_empty()
    }
}

/// The groups that hotwatch has not reaped, with the time at which each leader was started.
#[derive(Debug, Default)]
struct Groups(BTreeMap<u32, (Members, Option<u64>)>);

impl Groups {
    /// Takes in what is told on `line`, to its end.
    fn hear(&mut self, mut line: impl Read) {
        let mut bytes = [0; WORD];
        while line.read_exact(&mut bytes).is_ok() {
            match Word::parse(bytes) {
                Some(Word::Begun(number, members)) => {
                    self.0.insert(number, (members, os::start_time(members.id)));
                }
                Some(Word::Over(number)) => drop(self.0.remove(&number)),
                None => {}
            }
        }
    }

    /// Kills what is left of them; says whether something was.
    fn kill(&mut self) -> bool {
        self.0.retain(|_, (members, started)| {
            // An id stays a group's own as long as the group has members. The leader's start tells whether it is
            // another's by now: a group without leader is the old one, since nobody can have led a new one.
            let now = os::start_time(members.id);
            let same = now.is_none() || now == *started;
            same && members.signal(Signal::SIGKILL).is_ok() && !members.alive().is_empty()
        });
        !self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Exit, Span, spawn};
    use std::process::Command;

    fn hear(words: &[Word]) -> Groups {
        let mut groups = Groups::default();
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.bytes()).collect();
        groups.hear(bytes.as_slice());
        groups
    }

    #[test]
    fn groups_that_are_not_over_are_killed() {
        let start = || spawn(Command::new("sh").args(["-c", "sleep 600 & sleep 600"])).unwrap().group;
        let [left, over, other] = [start(), start(), start()];
        let begun = |number, id| Word::Begun(number, Members { id, span: Span::Group });
        let mut groups =
            hear(&[begun(1, left.id()), begun(2, over.id()), begun(3, other.id()), Word::Over(2)]);
        // As if the id had been given to another process.
        groups.0.get_mut(&3).unwrap().1 = Some(1);
        while groups.kill() {
            std::thread::yield_now();
        }
        assert_eq!(left.wait_leader().unwrap(), Exit::Signal(9));
        assert!(left.alive().is_empty());
        for group in [over, other] {
            assert_eq!(group.alive().iter().filter(|&&pid| pid == group.id()).count(), 1);
            group.signal(Signal::SIGKILL).unwrap();
            group.reap().unwrap();
        }
        left.reap().unwrap();
    }

    #[test]
    fn what_was_cut_off_or_is_no_word_is_passed_over() {
        let mut groups = Groups::default();
        groups.hear([0; WORD + 3].as_slice());
        assert!(groups.0.is_empty() && !groups.kill());
    }
}
