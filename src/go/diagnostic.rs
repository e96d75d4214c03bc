//! What a failed build said, as located findings: the lines of Go's compiler, loader, `vet`, assembler and linker,
//! those of the C compiler behind cgo, and of any tool that writes `file:line: message`. What only repeats or
//! frames something else is left out; every line that is not understood is kept as it is.

use std::collections::HashSet;
use std::hash::Hash;
use std::path::{Component, Path, PathBuf};

use crate::record::Diagnostic;

/// What a build said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parsed {
    /// What has a place, as printed, each once.
    pub diagnostics: Vec<Diagnostic>,
    /// What has none, as printed, each once: errors of the linker, import cycles, `too many errors`, anything
    /// unknown. Indented lines belong to the one before them, without their indentation.
    pub rest: Vec<String>,
}

/// Takes apart what a build in `dir` wrote. `dir` is the directory as the system names it, without symbolic links,
/// because Go's relative paths are relative to that one.
///
/// C compilers name the files of a package without its directory, and Go does not add it: such a file is taken to
/// lie in `dir`, which is wrong for a C file of another package. Warnings of C compilers count only if there is
/// nothing else.
pub fn parse(output: &str, dir: &Path) -> Parsed {
    let mut reading = Reading::default();
    for line in output.lines() {
        reading.line(line.trim_end());
    }
    let failed = reading.entries.iter().any(|entry| !entry.warning);
    let mut parsed = Parsed::default();
    for Entry { place, text, .. } in reading.entries.into_iter().filter(|entry| !(failed && entry.warning)) {
        match place {
            Some(Place { path, line, column }) => {
                let path = normalised(&dir.join(path));
                parsed.diagnostics.push(Diagnostic { path, line, column, message: text });
            }
            None => parsed.rest.push(text),
        }
    }
    keep_first(&mut parsed.diagnostics);
    keep_first(&mut parsed.rest);
    parsed
}

/// One line for all of it, such as `undefined: x (handlers.go:12:5)` or `3 errors in main.go and money/money.go`.
/// Paths are relative to `base` where they lie in it.
pub fn summary(parsed: &Parsed, base: &Path) -> String {
    let name = |path: &Path| path.strip_prefix(base).unwrap_or(path).display().to_string();
    let [first, others @ ..] = &*parsed.diagnostics else {
        return parsed.rest.iter().find(|text| !is_frame(text)).or(parsed.rest.first()).map_or_else(
            || "the build failed and said nothing".to_owned(),
            // The import stack of a package ends with what is wrong with it.
            |text| if text.starts_with("package ") { last_line(text) } else { headline(text) },
        );
    };
    if others.is_empty() {
        let column = first.column.map(|column| format!(":{column}")).unwrap_or_default();
        return format!("{} ({}:{}{column})", headline(&first.message), name(&first.path), first.line);
    }
    let mut files: Vec<_> = parsed.diagnostics.iter().map(|diagnostic| name(&diagnostic.path)).collect();
    keep_first(&mut files);
    let files = match &*files {
        [file] => file.clone(),
        [one, two] => format!("{one} and {two}"),
        [one, two, more @ ..] => format!("{one}, {two} and {} more", more.len()),
        [] => String::new(),
    };
    let or_more = if parsed.rest.iter().any(|text| text == TOO_MANY) { " or more" } else { "" };
    format!("{}{or_more} errors in {files}", parsed.diagnostics.len())
}

/// Where Go's compiler gives up; the place that it names means nothing.
const TOO_MANY: &str = "too many errors";

#[derive(Debug, Default)]
struct Reading {
    entries: Vec<Entry>,
    /// Whether the last entry may go on.
    open: bool,
    /// Whether the C linker speaks: it names temporary files, and lines of them.
    linking: bool,
}

#[derive(Debug)]
struct Entry {
    place: Option<Place>,
    text: String,
    warning: bool,
}

#[derive(Debug)]
struct Place {
    path: PathBuf,
    line: u32,
    column: Option<u32>,
}

impl Reading {
    fn line(&mut self, line: &str) {
        if line.starts_with("# ") {
            (self.open, self.linking) = (false, false);
        } else if line.is_empty() || is_quote(line) {
        } else if line.starts_with([' ', '\t']) {
            self.go_on(line);
        } else if line.contains("/link: running ") {
            self.linking = true;
            self.entry(None, line);
        } else if let Some((place, message)) = located(line).filter(|_| !self.linking) {
            if message.starts_with("note: ") {
                self.go_on(line);
            } else if message == TOO_MANY {
                self.entry(None, message);
            } else {
                self.entry(Some(place), message);
            }
        } else if !(is_noise(line) || self.linking && line.contains(" -o $WORK/")) {
            // The latter is the whole command line of the C linker.
            self.entry(None, line);
        }
    }

    fn entry(&mut self, place: Option<Place>, text: &str) {
        let warning = place.is_some() && text.starts_with("warning: ");
        self.entries.push(Entry { place, text: text.to_owned(), warning });
        self.open = true;
    }

    fn go_on(&mut self, line: &str) {
        match self.entries.last_mut().filter(|_| self.open) {
            Some(entry) => {
                entry.text.push('\n');
                entry.text.push_str(line.trim_start());
            }
            None => self.entry(None, line.trim_start()),
        }
    }
}

/// Whether `line` is how a C compiler shows the source below an error (` 3 | code`), or the path of inclusions above.
fn is_quote(line: &str) -> bool {
    let text = line.trim_start_matches(' ');
    let bar = text.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start().starts_with('|');
    line.starts_with(' ') && (bar || text.starts_with("from "))
}

/// Whether `line`, which has no place, only leads to others or ends them: progress, the functions that C compilers
/// name first, their last words.
fn is_noise(line: &str) -> bool {
    const STARTS: [&str; 4] =
        ["go: downloading ", "go: errors parsing ", "asm: assembly ", "In file included from "];
    STARTS.iter().any(|start| line.starts_with(start))
        || line == "compilation terminated."
        || (line.starts_with(|c: char| c.is_ascii_digit()) && line.ends_with(" generated."))
        || (line.ends_with(':') && (line.contains(": In ") || line.contains(": At top level")))
}

/// Whether `text` says that something went wrong rather than what.
fn is_frame(text: &str) -> bool {
    text == TOO_MANY || text.contains("/link: running ") || text.contains(": in function ")
}

/// The place that `line` names, and the message behind it.
fn located(line: &str) -> Option<(Place, &str)> {
    let line = ["vet: ", "go: "].iter().find_map(|tool| line.strip_prefix(tool)).unwrap_or(line);
    line.match_indices(':').find_map(|(colon, _)| {
        let path = &line[..colon];
        let (number, rest) = number(&line[colon + 1..])?;
        let (column, rest) = self::number(rest).map_or((None, rest), |(column, rest)| (Some(column), rest));
        let message = rest.strip_prefix(' ')?.trim_start();
        is_file(path).then(|| (Place { path: path.into(), line: number, column }, message))
    })
}

/// The number that `text` begins with, up to a colon, and what follows that.
fn number(text: &str) -> Option<(u32, &str)> {
    let (number, rest) = text.split_once(':')?;
    Some((number.parse().ok()?, rest))
}

/// Whether `path` looks like that of a source. One with spaces or colons has to begin as no sentence does, which is
/// how Go writes it: no import path has either. `$WORK` is a directory that is gone by now.
fn is_file(path: &str) -> bool {
    let rooted = ["/", "./", "../"].iter().any(|start| path.starts_with(start));
    let extension = Path::new(path).extension().and_then(|extension| extension.to_str());
    (rooted || !path.contains([' ', ':', '$']))
        && extension.is_some_and(|extension| extension.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// `path` without `.` and `..`; it is absolute.
fn normalised(path: &Path) -> PathBuf {
    let mut normalised = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(normalised.pop()),
            other => normalised.push(other),
        }
    }
    normalised
}

/// The first line, and the second one if the first leads to it.
fn headline(text: &str) -> String {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    match lines.next().filter(|_| first.ends_with(':')) {
        Some(second) => format!("{first} {second}"),
        None => first.to_owned(),
    }
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().to_owned()
}

/// Drops what was there before.
fn keep_first<T: Clone + Eq + Hash>(list: &mut Vec<T>) {
    let mut seen = HashSet::new();
    list.retain(|item| seen.insert(item.clone()));
}

#[cfg(test)]
mod tests;
