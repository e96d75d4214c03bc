//! The programs of a start script: which of them start or build a service, which are needed before, and which say
//! nothing.

use std::collections::BTreeMap;

use super::super::shell::Word;
use super::super::{Built, Fact, Program, Start, go_command, last};
use super::Follower;
use super::expand::{is_known, shown};

/// Programs that run what is written in another language.
const INTERPRETERS: [&str; 14] = [
    "node", "npm", "npx", "yarn", "pnpm", "bun", "deno", "python", "python3", "ruby", "bundle", "java",
    "php", "uvicorn",
];

/// Commands without which the services do not run; whoever uses hotwatch goes on running them.
const PREPARATIONS: [&str; 12] = [
    "docker",
    "docker-compose",
    "podman",
    "podman-compose",
    "make",
    "task",
    "just",
    "protoc",
    "buf",
    "sqlc",
    "migrate",
    "goose",
];

impl Follower<'_> {
    pub(super) fn go(
        &mut self,
        words: &[String],
        line: usize,
        own: BTreeMap<String, Fact<String>>,
        log: Option<&Word>,
    ) {
        let Some(command) = go_command::parse(words, &self.scope.cwd) else {
            if words.get(1).is_some_and(|verb| verb == "generate") {
                self.leave_out(words, line, "is not a service; run it yourself before");
            }
            return;
        };
        if self.lost || !is_known(&command.package) {
            return self.leave_out(words, line, "was left out: which directory it means is not known");
        }
        let (flags, unknown): (Vec<String>, Vec<String>) =
            command.flags.into_iter().partition(|flag| is_known(flag));
        for flag in unknown {
            self.leave_out(&[flag], line, "was left out of the build: what it refers to is not known");
        }
        if command.verb == "run" {
            let mut start = self.start(Program::Package(command.package), line, own, log);
            start.build_flags = flags;
            self.push(start, &command.args);
            return;
        }
        let out = match command.out {
            Some(out) if out.ends_with('/') => format!("{out}{}", last(&command.package)),
            Some(out) => out,
            None => last(&command.package).to_owned(),
        };
        let out = self.scope.path(&out).unwrap_or(out);
        self.found.builds.insert(out, Built { package: command.package, flags });
    }

    pub(super) fn program(
        &mut self,
        words: Vec<String>,
        line: usize,
        own: BTreeMap<String, Fact<String>>,
        log: Option<&Word>,
    ) {
        let name = words[0].clone();
        let path = self.scope.path(&name).unwrap_or_else(|| name.clone());
        let mut flags = Vec::new();
        let program = if let Some(built) = self.found.builds.get(&path) {
            flags.clone_from(&built.flags);
            Program::Package(built.package.clone())
        } else if name == "air" && !self.lost {
            Program::Package(self.scope.cwd.clone())
        } else if INTERPRETERS.contains(&name.as_str())
            && self.background
            && words.iter().all(|w| is_known(w))
        {
            let start = self.start(Program::Command(words), line, own, log);
            return self.push(start, &[]);
        } else if name.contains('/') && !name.starts_with('/') && !self.lost && is_known(&path) {
            Program::Binary(path)
        } else {
            if PREPARATIONS.contains(&name.as_str()) {
                self.leave_out(&words, line, "is not a service; run it yourself before");
            }
            return;
        };
        let arguments = if name == "air" { &[] } else { &words[1..] };
        let mut start = self.start(program, line, own, log);
        start.build_flags = flags;
        self.push(start, arguments);
    }

    fn leave_out(&mut self, words: &[String], line: usize, why: &str) {
        let words = shown(&words.join(" "));
        self.found.notes.push(format!("{}: `{words}` {why}", self.at(line)));
    }

    fn start(
        &self,
        program: Program,
        line: usize,
        own: BTreeMap<String, Fact<String>>,
        log: Option<&Word>,
    ) -> Start {
        let mut start = Start::new(self.at(line), Some(self.scope.cwd.clone()), program);
        start.env = self.exported.clone();
        start.env.extend(own);
        start.env.remove("PATH");
        let unknown = |fact: &Fact<String>| !is_known(&fact.value);
        for (name, fact) in start.env.iter().filter(|(_, fact)| unknown(fact)) {
            start.notes.push(format!("{} sets {name} to `{}`", fact.from, shown(&fact.value)));
        }
        start.env.retain(|_, fact| !unknown(fact));
        let log = log.map(|log| self.scope.one(log)).filter(|log| is_known(log));
        start.log = log.and_then(|log| last(&log).strip_suffix(".log").map(str::to_owned));
        start
    }

    fn push(&mut self, mut start: Start, arguments: &[String]) {
        if let Some(unknown) = arguments.iter().find(|word| !is_known(word)) {
            start.notes.push(format!(
                "the arguments in {} refer to `{}` and are left out: {}",
                start.from,
                shown(unknown),
                shown(&arguments.join(" "))
            ));
        } else {
            start.args = arguments.to_vec();
        }
        let same = |known: &Start| {
            let values =
                |start: &Start| start.env.values().map(|fact| fact.value.clone()).collect::<Vec<_>>();
            (&known.program, &known.args, &known.dir) == (&start.program, &start.args, &start.dir)
                && values(known) == values(&start)
        };
        if !self.found.starts.iter().any(same) {
            self.found.starts.push(start);
        }
    }
}
