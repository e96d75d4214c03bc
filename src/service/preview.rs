//! What a save of all that is on disk would lead to for one service, told to whoever asks; nothing comes of it. Pure.

use serde::{Deserialize, Serialize};

use crate::patch::patcher::Weighed;
use crate::plan;
use crate::record::Rung;

/// What it would lead to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// The service.
    pub service: String,
    /// Its process, if one runs.
    pub pid: Option<i32>,
    /// How the code on disk would reach it.
    pub rung: Rung,
    /// Why.
    pub reason: String,
    /// The functions that would be switched.
    pub functions: Vec<String>,
    /// Whether it compiles, as far as that was found out.
    pub compiles: bool,
}

/// How things stand with the service that is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// No process of it runs; what leads to one, in words.
    Idle(&'static str),
    /// This process runs; and why nothing is applied to it even if it could be, if that is so.
    Running { pid: i32, barred: Option<String> },
}

/// The preview of `service` of which no process runs; what leads to one is told by `why`.
pub fn idle(service: String, why: &str) -> Preview {
    let reason = format!("no process of it runs: {why}");
    Preview { service, pid: None, rung: Rung::Restart, reason, functions: Vec::new(), compiles: true }
}

/// The preview of `service`, whose process `pid` was compared with what is on disk.
pub fn preview(service: String, pid: i32, barred: Option<String>, weighed: Weighed) -> Preview {
    let compiles = !matches!(weighed, Weighed::Broken(_));
    let (rung, reason, functions) = match (weighed, barred) {
        (Weighed::Nothing, _) => (
            Rung::Nothing,
            format!("PID {pid} runs no function that differs from what is on disk"),
            Vec::new(),
        ),
        (Weighed::Broken(words), _) => {
            let first =
                words.lines().find(|line| !line.trim().is_empty()).unwrap_or("the compiler refuses it");
            let reason = format!("it does not compile, so PID {pid} runs on: {}", first.trim());
            (Rung::Nothing, reason, Vec::new())
        }
        (Weighed::Restart(reason), _) => (Rung::Restart, reason, Vec::new()),
        (Weighed::Patch(_), Some(barred)) => (Rung::Restart, barred, Vec::new()),
        (Weighed::Patch(functions), None) => {
            let named: Vec<String> = functions.iter().map(|name| format!("`{name}`")).collect();
            let named = plan::list(&named).replace("more files", "more");
            (Rung::Patch, format!("PID {pid} would be switched to the new {named}"), functions)
        }
    };
    Preview { service, pid: Some(pid), rung, reason, functions, compiles }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Reply;

    #[test]
    fn what_is_found_out_and_how_things_stand_make_the_preview() {
        let bar = || Some("it is replaced anyway".to_owned());
        let patch = || Weighed::Patch(vec!["f".to_owned()]);
        let table = [
            (Weighed::Nothing, bar(), Rung::Nothing, "PID 7 runs no function", 0),
            (patch(), None, Rung::Patch, "switched to the new `f`", 1),
            (patch(), bar(), Rung::Restart, "it is replaced anyway", 0),
            (Weighed::Restart("type `T` changed".to_owned()), bar(), Rung::Restart, "type `T` changed", 0),
            (
                Weighed::Broken("\na.go:1: bad\nmore".to_owned()),
                None,
                Rung::Nothing,
                "runs on: a.go:1: bad",
                0,
            ),
        ];
        for (weighed, barred, rung, reason, functions) in table {
            let broken = matches!(weighed, Weighed::Broken(_));
            let preview = preview("api".to_owned(), 7, barred, weighed);
            assert_eq!((preview.rung, preview.functions.len()), (rung, functions), "{preview:?}");
            assert!(preview.reason.contains(reason) && preview.compiles != broken, "{preview:?}");
        }
    }

    #[test]
    fn who_asks_learns_when_nothing_more_comes() {
        let (reply, received) = Reply::new();
        let other = reply.clone();
        assert_eq!(reply, other);
        other.send(idle("api".to_owned(), "it was stopped"));
        drop((reply, other));
        assert_eq!(received.iter().count(), 1);
    }
}
