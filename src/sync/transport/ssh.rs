//! Hosts that ssh leads to. The commands it is given are words of a shell there.

use super::{Instance, Transport, User, words};
use crate::sync::ending::Ending;
use crate::sync::tool::ask;

/// A host, as ssh calls it.
#[derive(Debug)]
pub struct Host(pub String);

impl Host {
    fn words(&self) -> Vec<String> {
        // A connection that is dead is found out in time, and nobody is asked for a password.
        let quiet = ["BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3"];
        let mut all = words(["ssh"]);
        quiet.iter().for_each(|option| all.extend(words(["-o", option])));
        all.extend(words(["-T"]));
        all.extend(words(["--", &self.0]));
        all
    }
}

impl Transport for Host {
    fn describe(&self) -> String {
        format!("the host `{}`", self.0)
    }

    fn find(&self, ending: &Ending) -> Result<Vec<Instance>, String> {
        let mut ask_for = self.words();
        ask_for.push("cat /proc/sys/kernel/random/boot_id 2>/dev/null || uname -n".to_owned());
        let identity = ask(&ask_for, ending)?;
        let (name, place) = (self.0.clone(), self.0.clone());
        Ok(vec![Instance { name, place, identity, stands: false }])
    }

    fn exec(&self, _: &Instance, words: &[String], _: User) -> Vec<String> {
        let mut all = self.words();
        all.push(words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "));
        all
    }

    fn private(&self, instance: &Instance, ending: &Ending) -> Option<Result<String, String>> {
        let script = "cd && umask 077 && mkdir -p .hotwatch && chmod 700 .hotwatch && cd .hotwatch && pwd";
        Some(ask(&self.exec(instance, &["sh", "-c", script].map(str::to_owned), User::Own), ending))
    }
}

/// `word` as a shell takes it for one word.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        for (word, expected) in
            [("/app/x", "/app/x"), ("", "''"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("$x", "'$x'")]
        {
            assert_eq!(quoted(word), expected);
        }
    }
}
