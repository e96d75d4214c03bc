//! The console: every line with the name of its service in front, in the service's own colour; hot-reload
//! lines in cyan. Lines are written whole, whoever writes at the same time.

use std::io::Write;

use anstyle::{AnsiColor, Color, Style};

use super::json::write_out;
use super::{Problem, Tone, View, words};
use crate::name::Name;
use crate::record::{Event, Record};

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

/// Writes records for people.
pub struct Terminal<W> {
    out: W,
    buffer: Vec<u8>,
    broken: bool,
    colored: bool,
    names: Vec<Name>,
    width: usize,
}

impl<W: Write + Send> Terminal<W> {
    /// Writes to `out` about the services `names`.
    pub fn new(out: W, colored: bool, names: Vec<Name>) -> Terminal<W> {
        let width = names.iter().map(|name| name.as_str().len()).max().unwrap_or(0);
        Terminal { out, buffer: Vec::new(), broken: false, colored, names, width }
    }

    /// Writes one line: the service's name, a mark, the text.
    fn line(&mut self, service: Option<&Name>, mark: &str, style: Style, text: &[u8]) {
        if let Some(name) = service {
            let index = self.names.iter().position(|known| known == name).unwrap_or(0);
            let color = Style::new().fg_color(Some(Color::Ansi(COLORS[index % COLORS.len()])));
            let width = self.width;
            self.styled(color, format!("{name:<width$} {mark} ").as_bytes());
        }
        self.styled(style, text);
        // A service that forgets to end its colours would dye all lines after it.
        if self.colored && text.contains(&0x1b) {
            self.buffer.extend_from_slice(b"\x1b[0m");
        }
        self.buffer.push(b'\n');
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
        if let Event::Log { line, .. } = &record.event {
            return self.line(service, "|", Style::new(), line);
        }
        let Some((tone, text)) = words(&record.event) else { return };
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

    fn flush(&mut self) -> Result<(), Problem> {
        write_out(&mut self.out, &mut self.buffer, &mut self.broken, "standard output")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Rung, Stream};
    use std::time::SystemTime;

    fn shown(colored: bool, events: Vec<(&str, Event)>) -> String {
        let names: Vec<Name> = ["api", "gateway"].map(|name| Name::parse(name).unwrap()).to_vec();
        let mut out = Vec::new();
        let mut terminal = Terminal::new(&mut out, colored, names);
        for (service, event) in events {
            let service = Name::parse(service).ok();
            terminal.show(&Record { at: SystemTime::now(), event, service });
        }
        terminal.flush().unwrap();
        String::from_utf8(out).unwrap()
    }

    fn log(line: &str) -> Event {
        Event::Log { stream: Stream::Stdout, line: line.as_bytes().to_vec() }
    }

    #[test]
    fn plain_lines_are_prefixed() {
        let verdict = Event::Verdict { rung: Rung::Restart, reason: "main.go changed".to_owned() };
        let failed = Event::Build { ok: false, ms: 1234, output: "x.go:1: no\ny.go:2: no".to_owned() };
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
api     > build failed after 1.2 s
api     | x.go:1: no
api     | y.go:2: no
";
        assert_eq!(shown(false, events), expected);
    }

    #[test]
    fn reloads_are_cyan_and_a_services_own_colours_end_with_their_line() {
        let restarted = Event::Restarted { old_pid: Some(1), pid: 2, ms: 30 };
        let text = shown(true, vec![("api", restarted), ("api", log("\x1b[31mred"))]);
        assert!(text.contains("\x1b[36mrestarted in 30 ms, PID 1 -> 2\x1b[0m"), "{text:?}");
        assert!(text.contains("\x1b[31mred\x1b[0m\n"), "{text:?}");
    }
}
