//! Tables of services and reloads for people, aligned, and cut where the terminal ends.

use std::time::SystemTime;

use anstyle::{AnsiColor, Style};

use super::{Reload, Service, State, patches};
use crate::log::duration;

/// A cell and its colour.
type Cell = (String, Style);

/// The services as a table, and below it what those that are patched carry with them. Lines are cut after `width` characters, if it is given.
pub fn services(services: &[Service], now: SystemTime, colored: bool, width: Option<usize>) -> String {
    let head = ["SERVICE", "STATE", "PID", "PORT", "UPTIME", "RESTARTS", "BUILD", "RSS", "CPU", ""];
    let plain = |text: String| (text, Style::new());
    let or_dash = |text: Option<String>| plain(text.unwrap_or_else(|| "-".to_owned()));
    let row = |service: &Service| {
        let uptime = service.started.map(|since| ago(now, since));
        let cpu = service.cpu_percent.map(|percent| format!("{percent:.1}%"));
        let failure = (service.failure.clone().unwrap_or_default(), color(AnsiColor::Red));
        vec![
            plain(service.service.clone()),
            state(service),
            or_dash(service.pid.map(|pid| pid.to_string())),
            or_dash(service.port.map(|port| port.to_string())),
            or_dash(uptime),
            plain(service.restarts.to_string()),
            or_dash(service.last_build_ms.map(duration)),
            or_dash(service.rss_bytes.map(megabytes)),
            or_dash(cpu),
            failure,
        ]
    };
    let mut text = lay_out(&head, services.iter().map(row).collect(), colored, width);
    for line in services.iter().flat_map(patches::lines) {
        text.extend(line.chars().take(width.unwrap_or(usize::MAX)));
        text.push('\n');
    }
    text
}

/// Reloads as a table, oldest first.
pub fn timeline(reloads: &[Reload], now: SystemTime, colored: bool, width: Option<usize>) -> String {
    let head = ["WHEN", "SERVICE", "RESULT", "TOTAL", "GATHER", "BUILD", "STOP", "START", "READY", ""];
    let row = |reload: &Reload| {
        let result = match reload.word() {
            word @ ("restarted" | "patched") => (word, color(AnsiColor::Cyan)),
            word @ ("failed" | "rolled-back") => (word, color(AnsiColor::Red)),
            word => (word, Style::new().dimmed()),
        };
        let mut row = vec![
            (format!("{} ago", ago(now, reload.event())), Style::new()),
            (reload.service.clone(), Style::new()),
            (result.0.to_owned(), result.1),
            (duration(reload.ms), Style::new()),
        ];
        row.extend(reload.parts().map(|(_, ms)| (duration(ms), Style::new())));
        row.push((reload.words(), Style::new().dimmed()));
        row
    };
    lay_out(&head, reloads.iter().map(row).collect(), colored, width)
}

fn color(color: AnsiColor) -> Style {
    color.on_default()
}

fn state(service: &Service) -> Cell {
    let (word, style) = match service.state {
        State::Waiting => ("waiting", Style::new().dimmed()),
        State::Starting => ("starting", color(AnsiColor::Yellow)),
        State::Ready => ("ready", color(AnsiColor::Green)),
        State::Failed => ("failed", color(AnsiColor::Red)),
        State::Crashed => ("crashed", color(AnsiColor::Red)),
        State::Held => ("held", color(AnsiColor::Red)),
        State::Stopped => ("stopped", Style::new().dimmed()),
    };
    if service.building {
        return (format!("{word}, building"), color(AnsiColor::Yellow));
    }
    if service.pid.is_some() && service.last_build_ok == Some(false) {
        return (format!("{word}, old build"), color(AnsiColor::Red));
    }
    (word.to_owned(), style)
}

/// From `since` to `now` in its two largest units.
fn ago(now: SystemTime, since: SystemTime) -> String {
    let seconds = now.duration_since(since).unwrap_or_default().as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

fn lay_out(head: &[&str], rows: Vec<Vec<Cell>>, colored: bool, width: Option<usize>) -> String {
    let head = head.iter().map(|text| ((*text).to_owned(), Style::new().bold())).collect();
    let rows: Vec<Vec<Cell>> = std::iter::once(head).chain(rows).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |column: usize| rows.iter().map(|row| row[column].0.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(widest).collect();
    let mut out = String::new();
    for row in &rows {
        let mut left = width.unwrap_or(usize::MAX);
        let mut line = String::new();
        for ((text, style), &width) in row.iter().zip(&widths) {
            // What a tool has written goes on one line, and does nothing to the terminal.
            let clean = |c: char| if c.is_control() { ' ' } else { c };
            let shown: String = text.chars().map(clean).take(left).collect();
            let used = shown.chars().count();
            left -= used;
            match colored && !shown.is_empty() {
                true => line += &format!("{style}{shown}{style:#}"),
                false => line += &shown,
            }
            let gap = (width + 2 - used.min(width)).min(left);
            left -= gap;
            line += &" ".repeat(gap);
        }
        out += line.trim_end();
        out.push('\n');
    }
    out
}
