//! The console: every line with the name of its service in front, in the service's own colour; hot-reload
//! lines in cyan. Lines are written whole, whoever writes at the same time; one that has not ended stays open as long
//! as nobody else writes. Services may set colours here, and nothing else of the terminal.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use anstyle::{AnsiColor, Color, Style};

use super::json::write_out;
use super::seam::{Piece, Seam};
use super::{Remark, Tone, View, words};
use crate::ansi::{self, Keep};
use crate::name::Name;
use crate::record::{Event, Failure, Record, Stream};

/// Colours of services, in turn. Cyan is that of reloads, red that of errors.
const COLORS: [AnsiColor; 8] = [
    AnsiColor::Green,
    AnsiColor::Yellow,
    AnsiColor::Blue,
    AnsiColor::Magenta,
    AnsiColor::BrightGreen,
    AnsiColor::BrightYellow,
    AnsiColor::BrightBlue,
    AnsiColor::BrightMagenta,
];

/// Which services' lines are shown; what hotwatch says itself always is. Cheap to clone, all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Filter(Arc<Mutex<Option<Name>>>);

impl Filter {
    /// From now on shows lines of `service` only, or all.
    pub fn set(&self, service: Option<Name>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = service;
    }

    fn shows(&self, service: Option<&Name>) -> bool {
        let only = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        only.as_ref().is_none_or(|only| service == Some(only))
    }
}

/// Writes records for people.
pub struct Terminal<W> {
    out: W,
    buffer: Vec<u8>,
    broken: bool,
    colored: bool,
    names: Vec<Name>,
    width: usize,
    filter: Filter,
    /// The services whose last build failed, and why.
    failures: BTreeMap<Name, Failure>,
    seam: Seam<(Name, Stream)>,
    /// What is left of the escape sequences of each.
    filters: BTreeMap<(Name, Stream), ansi::Filter>,
}

/// Sets back all colours.
const PLAIN: &[u8] = b"\x1b[0m";

/// Empties the line to the right of the cursor.
const ERASE: &[u8] = b"\x1b[K";

impl<W: Write + Send> Terminal<W> {
    /// Writes to `out` about the services `names`.
    pub fn new(out: W, colored: bool, names: Vec<Name>) -> Terminal<W> {
        let width = names.iter().map(|name| name.as_str().len()).max().unwrap_or(0);
        Terminal {
            out,
            buffer: Vec::new(),
            broken: false,
            colored,
            names,
            width,
            filter: Filter::default(),
            failures: BTreeMap::new(),
            seam: Seam::new(),
            filters: BTreeMap::new(),
        }
    }

    /// Shows only lines that `filter` lets through.
    pub fn filtered(self, filter: Filter) -> Terminal<W> {
        Terminal { filter, ..self }
    }

    /// Writes a piece of a line of a service.
    fn piece(&mut self, service: &Name, stream: Stream, text: &[u8], partial: bool) {
        let writer = (service.clone(), stream);
        match self.seam.piece(&writer, partial, text.is_empty()) {
            Piece::Nothing => return,
            Piece::Continues => {}
            Piece::Begins => {
                self.close();
                self.prefix(service, "|");
            }
        }
        let keep = if self.colored { Keep::Colors } else { Keep::Text };
        let filter = self.filters.entry(writer.clone()).or_insert_with(|| ansi::Filter::new(keep));
        let mut shown = Vec::with_capacity(text.len());
        filter.pass(text, &mut shown);
        let dyed = filter.is_colored();
        if !partial {
            filter.end_line();
        }
        for (index, part) in shown.split(|&byte| byte == b'\r').enumerate() {
            // Whoever goes back to the beginning of the line means that of its own text.
            if index > 0 {
                self.buffer.push(b'\r');
                if self.colored {
                    self.buffer.extend_from_slice(ERASE);
                }
                self.prefix(service, "|");
            }
            self.buffer.extend_from_slice(part);
        }
        if partial {
            return self.seam.leave_open(&writer);
        }
        self.end_line(dyed);
    }

    /// Ends the line that is open, if there is one.
    fn close(&mut self) {
        if self.seam.close() {
            self.end_line(true);
        }
    }

    fn end_line(&mut self, dyed: bool) {
        // A service that forgets to end its colours would dye all lines after it.
        if self.colored && dyed {
            self.buffer.extend_from_slice(PLAIN);
        }
        self.buffer.push(b'\n');
    }

    fn prefix(&mut self, service: &Name, mark: &str) {
        let index = self.index(service);
        let color = Style::new().fg_color(Some(Color::Ansi(COLORS[index % COLORS.len()])));
        let width = self.width;
        self.styled(color, format!("{service:<width$} {mark} ").as_bytes());
    }

    /// Writes one line: the service's name, a mark, the text.
    fn line(&mut self, service: Option<&Name>, mark: &str, style: Style, text: &[u8]) {
        self.close();
        if let Some(name) = service {
            self.prefix(name, mark);
        }
        self.styled(style, text);
        self.end_line(text.contains(&0x1b));
    }

    /// Takes note of how a build of `service` ended. Returns another whose last build failed in just this way:
    /// they share what is broken.
    fn already_told(&mut self, service: &Name, ok: bool, failure: &Failure) -> Option<Name> {
        self.failures.remove(service);
        if ok {
            return None;
        }
        let same =
            |other: &Failure| (&other.diagnostics, &other.rest) == (&failure.diagnostics, &failure.rest);
        let told = self.failures.iter().find(|(_, other)| same(other)).map(|(name, _)| name.clone());
        self.failures.insert(service.clone(), failure.clone());
        told.filter(|_| !failure.diagnostics.is_empty())
    }

    /// Which of the services this is; new ones join at the end.
    fn index(&mut self, name: &Name) -> usize {
        self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.width = self.width.max(name.as_str().len());
            self.names.push(name.clone());
            self.names.len() - 1
        })
    }

    fn styled(&mut self, style: Style, text: &[u8]) {
        if self.colored && style != Style::new() {
            self.buffer.extend_from_slice(style.render().to_string().as_bytes());
            self.buffer.extend_from_slice(text);
            self.buffer.extend_from_slice(style.render_reset().to_string().as_bytes());
        } else {
            self.buffer.extend_from_slice(text);
        }
    }
}

impl<W: Write + Send> View for Terminal<W> {
    fn show(&mut self, record: &Record) {
        let service = record.service.as_ref();
        if let (Event::Log { stream, line, partial }, Some(name)) = (&record.event, service) {
            if self.filter.shows(service) {
                self.piece(name, *stream, line, *partial);
            }
            return;
        }
        let Some((tone, mut text)) = words(&record.event) else { return };
        if let (Some(name), Event::Build { ok, failure, .. }) = (service, &record.event)
            && let Some(other) = self.already_told(name, *ok, failure)
        {
            text.truncate(text.find('\n').unwrap_or(text.len()));
            text += &format!(", the same as `{other}`");
        }
        let color = |color| Style::new().fg_color(Some(Color::Ansi(color)));
        let style = match tone {
            Tone::Quiet => Style::new().dimmed(),
            Tone::Good => color(AnsiColor::Green),
            Tone::Reload => color(AnsiColor::Cyan),
            Tone::Warning => color(AnsiColor::Yellow),
            Tone::Bad => color(AnsiColor::Red),
        };
        let mut lines = text.lines();
        self.line(service, ">", style, lines.next().unwrap_or_default().as_bytes());
        // What follows is a tool's own output; it has its own colours or none.
        for line in lines {
            self.line(service, "|", Style::new(), line.as_bytes());
        }
    }

    fn flush(&mut self) -> Vec<Remark> {
        write_out(&mut self.out, &mut self.buffer, &mut self.broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Diagnostic, Rung, Split, Stream};
    use std::time::SystemTime;

    fn shown(colored: bool, events: Vec<(&str, Event)>) -> String {
        let names: Vec<Name> = ["api", "gateway"].map(|name| Name::parse(name).unwrap()).to_vec();
        let mut out = Vec::new();
        let mut terminal = Terminal::new(&mut out, colored, names);
        for (service, event) in events {
            let service = Name::parse(service).ok();
            terminal.show(&Record { at: SystemTime::now(), event, service });
        }
        assert_eq!(terminal.flush(), []);
        String::from_utf8(out).unwrap()
    }

    fn failure() -> Failure {
        let complaint = |line, column, message: &str| Diagnostic {
            path: "/p/x.go".into(),
            line,
            column,
            message: message.to_owned(),
        };
        Failure {
            output: "as it was".to_owned(),
            summary: "2 errors in x.go".to_owned(),
            diagnostics: vec![complaint(1, Some(2), "no\nhave nothing"), complaint(7, None, "too bad")],
            rest: vec!["too many errors".to_owned()],
        }
    }

    #[test]
    fn what_one_service_complained_of_is_not_said_again_for_another() {
        let failed = |failure| Event::Build { ok: false, ms: 1, failure };
        let fine = Event::Build { ok: true, ms: 1, failure: Failure::default() };
        let events = vec![
            ("api", failed(failure())),
            ("gateway", failed(failure())),
            ("gateway", failed(Failure { rest: Vec::new(), ..failure() })),
            ("api", fine),
            ("gateway", failed(failure())),
        ];
        let text = shown(false, events);
        let heads: Vec<&str> = text.lines().filter(|line| line.contains('>')).collect();
        assert_eq!(heads[1], "gateway > build failed after 1 ms: 2 errors in x.go, the same as `api`");
        assert_eq!(text.matches("no\n").count(), 3, "{text}");
    }

    fn log(line: &str) -> Event {
        let (line, partial) = line.strip_suffix('+').map_or((line, false), |line| (line, true));
        Event::Log { stream: Stream::Stdout, line: line.as_bytes().to_vec(), partial }
    }

    #[test]
    fn plain_lines_are_prefixed() {
        let verdict = Event::Verdict { rung: Rung::Restart, reason: "main.go changed".to_owned() };
        let failed = Event::Build { ok: false, ms: 1234, failure: failure() };
        let events = vec![
            ("", Event::Watching { directories: 3 }),
            ("api", log("hello")),
            ("gateway", verdict),
            ("api", failed),
        ];
        let expected = "\
watching 3 directories
api     | hello
gateway > main.go changed
api     > build failed after 1.2 s: 2 errors in x.go
api     | /p/x.go:1:2: no
api     |     have nothing
api     | /p/x.go:7: too bad
api     | too many errors
";
        assert_eq!(shown(false, events), expected);
    }

    #[test]
    fn a_filter_hides_lines_of_others_and_nothing_else() {
        let filter = Filter::default();
        filter.set(Name::parse("api").ok());
        let mut out = Vec::new();
        let mut terminal = Terminal::new(&mut out, false, Vec::new()).filtered(filter.clone());
        let mut show = |service, event| {
            terminal.show(&Record { at: SystemTime::now(), event, service: Name::parse(service).ok() });
        };
        show("api", log("one"));
        show("web", log("two"));
        show("web", Event::Started { pid: 1 });
        filter.set(None);
        show("web", log("three"));
        assert!(terminal.flush().is_empty());
        assert_eq!(String::from_utf8(out).unwrap(), "api | one\nweb > started, PID 1\nweb | three\n");
    }

    #[test]
    fn reloads_are_cyan_and_a_services_own_colours_end_with_their_line() {
        let split = Split { build_ms: 20, ready_ms: 10, ..Split::default() };
        let restarted = Event::Restarted { old_pid: Some(1), pid: 2, ms: 30, split };
        let text = shown(true, vec![("api", restarted), ("api", log("\x1b[31mred"))]);
        assert!(
            text.contains("\x1b[36mrestarted in 30 ms, PID 1 -> 2 (build 20 ms, ready 10 ms)\x1b[0m"),
            "{text:?}"
        );
        assert!(text.contains("\x1b[31mred\x1b[0m\n"), "{text:?}");
    }

    #[test]
    fn a_line_stays_open_until_somebody_else_writes() {
        let events = vec![
            ("api", log("name? +")),
            ("api", log("Bob")),
            ("api", log("half+")),
            ("gateway", log("whole")),
            ("api", log(" done")),
            ("api", log("last+")),
            ("api", Event::Started { pid: 7 }),
        ];
        let expected = "\
api     | name? Bob
api     | half
gateway | whole
api     |  done
api     | last
api     > started, PID 7
";
        assert_eq!(shown(false, events), expected);
    }

    #[test]
    fn a_service_colours_its_own_lines_and_does_nothing_else_to_the_terminal() {
        let text = || log("\x1b[2J\x1b[31mred\x1b[1+");
        let events = || vec![("api", text()), ("api", log("A 10%\r20%"))];
        assert_eq!(shown(false, events()), "api     | red 10%\rapi     | 20%\n");
        let prefix = "\x1b[32mapi     | \x1b[0m";
        let expected = format!("{prefix}\x1b[31mred 10%\r\x1b[K{prefix}20%\x1b[0m\n");
        assert!(shown(true, vec![("api", text()), ("api", log("A 10%\r20%"))]) == expected);
    }
}
