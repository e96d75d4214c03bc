//! What became of each commit, and the tables of it.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter, Write};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use serde_json::Value;

use super::Repository;
use super::history::Commit;

/// How a commit reached the process.
pub enum Fate {
    Patched {
        link: String,
        functions: usize,
        /// How many of them had run the new code two seconds later.
        entered: usize,
        /// From the first file event to the new code.
        ms: u64,
    },
    Restarted,
    Nothing,
    /// It does not build, and was left out.
    Broken,
}

/// A commit.
pub struct Row {
    commit: String,
    pub fate: Fate,
    reason: String,
    /// Whether Go code of the program differs, and not only something beside it.
    is_code: bool,
    /// Of how many requests the answers were compared.
    pub asked: usize,
    /// The answers that differ.
    pub unequal: Vec<String>,
}

impl Row {
    pub fn new(commit: &Commit, fate: Fate, reason: &str) -> Row {
        let subject: String = commit.subject.chars().take(60).collect();
        let commit = format!("`{}` {} {}", &commit.id[..7], commit.date, subject.replace('|', "/"));
        let reason = reason.replace('|', "/").replace('\n', " ");
        Row { commit, fate, reason, is_code: true, asked: 0, unequal: Vec::new() }
    }

    /// The same of a commit in which no Go code of the program differs.
    pub fn beside(self) -> Row {
        Row { is_code: false, ..self }
    }

    /// Takes in what was told two seconds after the patch.
    pub fn effects(&mut self, told: &Value) {
        if told["event"] == "exited" {
            self.unequal.push(format!("the process ended: {told}"));
        }
        let functions = told["functions"].as_array().into_iter().flatten();
        let counted = functions.filter(|function| function["entered"].as_u64() > Some(0)).count();
        if let Fate::Patched { entered, .. } = &mut self.fate {
            *entered = counted;
        }
    }

    fn fate(&self) -> &'static str {
        match self.fate {
            Fate::Patched { .. } => "patched",
            Fate::Restarted => "restarted",
            Fate::Nothing => "nothing",
            Fate::Broken => "does not build",
        }
    }

    fn is_entered(&self) -> bool {
        matches!(self.fate, Fate::Patched { entered: 1.., .. }) && self.is_code
    }
}

impl Display for Row {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let what = match &self.fate {
            Fate::Patched { link, functions, entered, ms } => {
                format!("{link}, {ms} ms; {functions} functions, {entered} entered")
            }
            _ => self.reason.clone(),
        };
        let equal = self.asked - self.unequal.len().min(self.asked);
        write!(f, "| {} | {} | {what} | {equal} / {} |", self.commit, self.fate(), self.asked)?;
        self.unequal.iter().try_for_each(|answer| write!(f, "\n{answer}"))
    }
}

/// All of it.
pub struct Report {
    text: String,
    unequal: usize,
    entered: usize,
}

impl Report {
    pub fn new() -> Report {
        let go = Command::new("go").arg("version").output().unwrap();
        let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let text = format!(
            "# Commits as saves\n\nWritten by `make test-real` on {} with {}.\n\n\
             The commits of public repositories, each after its parents, written one after the other into the tree of a\n\
             program that runs under `hotwatch up` with `reload = \"patch\"`. After each, the answers to a fixed list of requests\n\
             (status, all headers, body) are compared with those of a usual `go build` of the same commit, of which values that\n\
             depend on time or chance are replaced where they have the form that they should have. *Functions* are those that a\n\
             patch switches, *entered* those of them whose new code was counted to have run within two seconds. Commits that\n\
             change no Go code of the program are left out.\n",
            &date[..10],
            String::from_utf8_lossy(&go.stdout).trim().trim_start_matches("go version "),
        );
        Report { text, unequal: 0, entered: 0 }
    }

    /// How many answers differed.
    pub fn unequal(&self) -> usize {
        self.unequal
    }

    /// Of how many commits that were patched in new code was entered.
    pub fn entered(&self) -> usize {
        self.entered
    }

    /// Adds what became of the commits of a repository.
    pub fn add(&mut self, repository: &Repository, rows: Vec<Row>) {
        self.unequal += rows.iter().map(|row| row.unequal.len()).sum::<usize>();
        let (rows, beside): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.is_code);
        let count = |is: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| is(row)).count();
        let entered = count(&Row::is_entered);
        self.entered += entered;
        let applied = count(&|row| !matches!(row.fate, Fate::Broken));
        let share = |count: usize| format!("{count} ({} %)", (count * 100 + applied / 2) / applied.max(1));
        let (first, last) = (repository.commits[0], repository.commits[repository.commits.len() - 1]);
        let all =
            |row: &Row| matches!(row.fate, Fate::Patched { functions, entered, .. } if functions == entered);
        let is_unsound = |row: &&Row| !row.unequal.is_empty() && !matches!(row.fate, Fate::Restarted);
        let unsound = rows.iter().chain(&beside).filter(is_unsound).count();
        let restarted_unequal =
            rows.iter().chain(&beside).filter(|row| !row.unequal.is_empty()).count() - unsound;
        let text = &mut self.text;
        let _ = write!(
            text,
            "\n## `{}`, `{first}` to `{last}`\n\n\
             | commits | patched | of these entered | all functions entered | restarted | nothing | unsound | answers compared |\n\
             |---|---|---|---|---|---|---|---|\n\
             | {applied} | {} | {entered} | {} | {} | {} | {unsound} | {} |\n\n\
             {} more do not build and were passed over; {} change only something beside the Go code of the program, were\n\
             saved and compared as well, and are not counted. Answers after a restart differed {restarted_unequal} times.\n",
            repository.name,
            share(count(&|row| matches!(row.fate, Fate::Patched { .. }))),
            count(&all),
            share(count(&|row| matches!(row.fate, Fate::Restarted))),
            share(count(&|row| matches!(row.fate, Fate::Nothing))),
            rows.iter().chain(&beside).map(|row| row.asked).sum::<usize>(),
            rows.len() - applied,
            beside.len(),
        );
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for row in rows.iter().filter(|row| matches!(row.fate, Fate::Restarted)) {
            *reasons.entry(kind(&row.reason)).or_default() += 1;
        }
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        *text += "\n| restarts | reason (names as `…`) |\n|---|---|\n";
        reasons.iter().for_each(|(reason, count)| *text += &format!("| {count} | {reason} |\n"));
        *text += "\n| commit | outcome | | equal answers |\n|---|---|---|---|\n";
        rows.iter()
            .for_each(|row| *text += &format!("{}\n", row.to_string().lines().next().unwrap_or_default()));
        for row in rows.iter().chain(&beside).filter(|row| !row.unequal.is_empty()) {
            *text += &format!("\nUnequal after {}:\n\n", row.commit);
            row.unequal.iter().for_each(|answer| *text += &format!("    {answer}\n"));
        }
    }

    /// Writes it to where the last results are.
    pub fn write(&self) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/COMMITS.md");
        fs::write(path, &self.text).unwrap();
    }
}

/// A reason without its names.
fn kind(reason: &str) -> String {
    let parts = reason.split('`').enumerate();
    parts.map(|(place, part)| if place % 2 == 1 { "`…`" } else { part }).collect()
}
