//! The timeline as one page that needs nothing else: a row per service, a bar per reload, the split of each under
//! the pointer or the focus. Long stretches in which nothing happens are drawn short.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use super::{Outcome, Reload};
use crate::log::duration;

/// The line by which a page of ours is known; the file may be written over then.
pub const MARK: &str = "<!doctype html><!-- hotwatch timeline -->";

const STYLE: &str = include_str!("page.css");

/// Times are in the reader's own zone where scripts may run, and in UTC where they may not.
const SCRIPT: &str = "for (const time of document.querySelectorAll('time')) \
time.textContent = new Date(time.dateTime).toLocaleTimeString();";

/// Bars are so high in pixels at most.
const HIGHEST: u64 = 60;

/// The distance between two bars is at least this, in pixels.
const NEAR: u64 = 14;

/// However long nothing happens, it is not more than this.
const FAR: u64 = 70;

/// Reloads that begin within this time of each other stand one above the other: they come from one save.
const TOGETHER: Duration = Duration::from_millis(50);

/// The page about `reloads` of the services `names`, as HTML.
pub fn page(project: &str, names: &[String], reloads: &[Reload], now: SystemTime) -> String {
    let mut reloads: Vec<&Reload> = reloads.iter().collect();
    reloads.sort_by_key(|reload| reload.event());
    let highest = reloads.iter().map(|reload| reload.ms).max().unwrap_or(0).max(1);
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    for reload in &reloads {
        if !names.contains(&reload.service.as_str()) {
            names.push(&reload.service);
        }
    }
    let longest = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let places = places(&reloads, 30 + 8 * u64::try_from(longest).unwrap_or(0));
    let width = places.last().map_or(0, |place| place + FAR) + 100;
    let mut rows = String::new();
    for name in names {
        let bars = reloads.iter().zip(&places).filter(|(reload, _)| reload.service == name);
        let bars: String = bars.map(|(reload, place)| bar(reload, *place, highest)).collect();
        rows +=
            &format!("<div class=row style=\"min-width:{width}px\"><b>{}</b>{bars}</div>\n", escape(name));
    }
    let table: String = reloads.iter().rev().map(|reload| line(reload)).collect();
    let key: String = ["gather", "build", "stop", "start", "ready", "unchanged", "failed"]
        .map(|part| format!("<i class={part}></i>{part}"))
        .concat();
    let count = reloads.len();
    let project = escape(project);
    let (axis, made) = (axis(&reloads, &places), time(now));
    format!(
        "{MARK}\n<html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>hotwatch timeline: {project}</title><style>\n{STYLE}</style>\n\
         <h1>{project}</h1><p>{count} reloads up to {made}. A bar is as high as its reload took, {longest} at the \
         most; stretches without one are drawn short. Point at a bar, or move to it with Tab, for its split.</p>\
         <p class=key>{key}</p>\n<main><div class=chart tabindex=0 role=region aria-label=\"reloads per service\">\n\
         {rows}<div class=axis style=\"min-width:{width}px\">{axis}</div></div>\n<table><thead><tr><th>event<th>service\
         <th>result<th>total<th>gather<th>build<th>stop<th>start<th>ready<th>why</thead>\n{table}</table></main>\n\
         <script>{SCRIPT}</script></html>\n",
        longest = duration(highest),
    )
}

/// Where each of `reloads`, in the order of their events, stands on the axis, in pixels; the first stands
/// at `start`.
fn places(reloads: &[&Reload], start: u64) -> Vec<u64> {
    let mut places = vec![start; reloads.len().min(1)];
    for pair in reloads.windows(2) {
        let gap = pair[1].event().duration_since(pair[0].event()).unwrap_or_default();
        let step = if gap < TOGETHER && pair[0].service != pair[1].service {
            0
        } else {
            (NEAR + gap.as_secs()).min(FAR)
        };
        places.push(places.last().map_or(0, |last| last + step));
    }
    places
}

/// A label wherever there is room for one.
fn axis(reloads: &[&Reload], places: &[u64]) -> String {
    let mut labels = String::new();
    let mut free = 0;
    for (reload, &place) in reloads.iter().zip(places) {
        if place >= free {
            let _ = write!(labels, "<span style=\"left:{place}px\">{}</span>", time(reload.event()));
            free = place + 110;
        }
    }
    labels
}

fn bar(reload: &Reload, place: u64, highest: u64) -> String {
    let height = |ms: u64| (ms * HIGHEST).div_ceil(highest);
    let mut segments = String::new();
    if let Outcome::Restarted { .. } = reload.outcome {
        for (part, ms) in reload.parts().iter().filter(|(_, ms)| *ms > 0) {
            let _ = write!(segments, "<i class={part} style=\"height:{}px\"></i>", height(*ms));
        }
    } else {
        let height = height(reload.ms).max(4);
        let _ = write!(segments, "<i class={} style=\"height:{height}px\"></i>", reload.word());
    }
    let words = words(reload);
    format!(
        "<button class=bar style=\"left:{place}px\" aria-label=\"{}\">{segments}<span>{}\n{}</span></button>",
        escape(&words.replace('\n', ", ")),
        time(reload.event()),
        escape(&words),
    )
}

/// All that is known of a reload.
fn words(reload: &Reload) -> String {
    let mut words = format!("{}: {} after {}", reload.service, reload.word(), duration(reload.ms));
    if !reload.reason.is_empty() {
        words += &format!("\n{}", reload.reason);
    }
    let parts = reload.parts().map(|(part, ms)| format!("{part} {}", duration(ms))).join(", ");
    match &reload.outcome {
        Outcome::Restarted { old_pid, pid, .. } => {
            let old = old_pid.map(|old| format!("{old} -> ")).unwrap_or_default();
            words += &format!("\n{parts}\nPID {old}{pid}");
        }
        Outcome::RolledBack { error, .. } => words += &format!("\n{parts}\n{error}"),
        Outcome::Failed { error } => words += &format!("\n{error}"),
        Outcome::Patched { generation, functions } => {
            words += &format!("\ngeneration {generation}: {}", functions.join(", "));
        }
        Outcome::Unchanged | Outcome::Cancelled => {}
    }
    words
}

fn line(reload: &Reload) -> String {
    let word = reload.word();
    let mut line =
        format!("<tr><td>{}<td>{}<td class={word}>{word}", time(reload.event()), escape(&reload.service));
    let _ = write!(line, "<td>{}", duration(reload.ms));
    for (_, ms) in reload.parts() {
        let _ = write!(line, "<td>{}", duration(ms));
    }
    let why = match &reload.outcome {
        Outcome::Failed { .. } | Outcome::RolledBack { .. } => reload.words(),
        _ => reload.reason.clone(),
    };
    let _ = writeln!(line, "<td>{}</tr>", escape(&why));
    line
}

fn time(at: SystemTime) -> String {
    let full = humantime::format_rfc3339_millis(at).to_string();
    format!("<time datetime=\"{full}\">{}</time>", &full[11..])
}

/// `text` as text of a page or value of an attribute in quotes.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c => out.push(c),
        }
    }
    out
}
