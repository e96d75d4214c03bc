//! What keys on the console mean: single letters, some of which ask for a service next. Pure.

use crate::name::Name;

/// What `?` shows.
pub const HELP: &str = "\
keys: r restart   b build   s status   l only lines of one service   p pause or resume   q quit   ? this
";

/// The keys by which one of several services is chosen.
const LABELS: &str = "123456789abcdefghijklmnopqrstuvwxyz";

/// What a key leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Restart these.
    Restart(Vec<Name>),
    /// Build these.
    Build(Vec<Name>),
    /// Show only the lines of this service, or all.
    Filter(Option<Name>),
    /// Pause, or resume.
    Pause,
    /// Show how the services are.
    Status,
    /// Show this text.
    Say(String),
    /// End.
    Quit,
}

/// What was asked with the last key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Restart,
    Build,
    Filter,
}

/// The keys that were typed so far, as far as they matter.
#[derive(Debug, Default)]
pub struct Keys {
    asked: Option<Question>,
}

impl Keys {
    /// Takes in the byte `key`; `services` are those that can be chosen.
    pub fn press(&mut self, key: u8, services: &[Name]) -> Option<Action> {
        match self.asked.take() {
            Some(question) => Some(choose(question, key, services)),
            None => self.open(key, services),
        }
    }

    fn open(&mut self, key: u8, services: &[Name]) -> Option<Action> {
        let (question, word) = match key {
            b'r' => (Question::Restart, "restart"),
            b'b' => (Question::Build, "build"),
            b'l' => (Question::Filter, "show lines of"),
            b'p' => return Some(Action::Pause),
            b's' => return Some(Action::Status),
            b'q' => return Some(Action::Quit),
            // Space between what was before and what comes.
            b'\n' | b'\r' => return Some(Action::Say("\n".to_owned())),
            b'?' | b'h' => return Some(Action::Say(HELP.to_owned())),
            _ => return None,
        };
        // With one service there is nothing to choose.
        if services.len() == 1 && question != Question::Filter {
            return Some(choose(question, b'\n', services));
        }
        self.asked = Some(question);
        let named = LABELS.chars().zip(services).map(|(label, name)| format!("{label} {name}"));
        let named = named.collect::<Vec<_>>().join("  ");
        Some(Action::Say(format!("{word}: {named}  Enter all  (any other key: nothing)\n")))
    }
}

fn choose(question: Question, key: u8, services: &[Name]) -> Action {
    let all = matches!(key, b'\n' | b'\r');
    let chosen = LABELS.bytes().position(|label| label == key).and_then(|index| services.get(index));
    let names = || chosen.map_or_else(|| services.to_vec(), |name| vec![name.clone()]);
    match question {
        _ if !all && chosen.is_none() => Action::Say("nothing done\n".to_owned()),
        Question::Restart => Action::Restart(names()),
        Question::Build => Action::Build(names()),
        Question::Filter => Action::Filter(chosen.cloned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_to_actions() {
        let services: Vec<Name> = ["api", "web"].map(|name| Name::parse(name).unwrap()).to_vec();
        let web = || vec![services[1].clone()];
        let nothing = || Action::Say("nothing done\n".to_owned());
        let table = [
            (&b"r\n"[..], Some(Action::Restart(services.clone()))),
            (b"r2", Some(Action::Restart(web()))),
            (b"b2", Some(Action::Build(web()))),
            (b"r3", Some(nothing())),
            (b"r\x1b", Some(nothing())),
            (b"l2", Some(Action::Filter(Some(services[1].clone())))),
            (b"l\r", Some(Action::Filter(None))),
            (b"p", Some(Action::Pause)),
            (b"rxp", Some(Action::Pause)),
            (b"s", Some(Action::Status)),
            (b"q", Some(Action::Quit)),
            (b"?", Some(Action::Say(HELP.to_owned()))),
            (b"x", None),
            (b"\n", Some(Action::Say("\n".to_owned()))),
        ];
        for (typed, expected) in table {
            let mut keys = Keys::default();
            let actions: Vec<_> = typed.iter().map(|&key| keys.press(key, &services)).collect();
            assert_eq!(actions.last(), Some(&expected), "{}", typed.escape_ascii());
        }
        let mut keys = Keys::default();
        let asked = keys.press(b'r', &services);
        assert_eq!(
            asked,
            Some(Action::Say("restart: 1 api  2 web  Enter all  (any other key: nothing)\n".to_owned()))
        );
        assert_eq!(Keys::default().press(b'r', &services[1..]), Some(Action::Restart(web())));
    }
}
