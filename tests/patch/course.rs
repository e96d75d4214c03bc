//! A row of edits on one running service. After each, what it answers is compared with the answer of a fresh build of
//! the same files, and its process and memory with what the row expects.

use std::fs;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::edits::{Edit, Expected};
use super::{get, patchable, project};
use crate::support::{Project, Up, free_ports, is, until};

pub struct Course {
    project: Project,
    up: Up,
}

/// A fresh build of the same files.
struct Fresh {
    child: Child,
    port: u16,
}

impl Fresh {
    fn start(project: &Project) -> Fresh {
        let binary = project.beside("fresh");
        let built = Command::new("go")
            .args(["build", "-o", binary.to_str().unwrap(), "."])
            .current_dir(project.path("shop"))
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let port = free_ports(1)[0];
        let mut command = Command::new(&binary);
        let child = command.env("PORT", port.to_string()).stderr(Stdio::null()).spawn().unwrap();
        until("the fresh build to answer", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Fresh { child, port }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Course {
    /// Makes one edit after the other. Each that restarts begins with a process that takes patches again.
    pub fn run(edits: &[Edit]) {
        let project = project("");
        let up = patchable(&project);
        let mut course = Course { project, up };
        course.up.until_notice("its dependencies are compiled for patches as well");
        let mut faults = Vec::new();
        for edit in edits {
            if let Err(fault) = course.step(edit) {
                faults.push(format!("{edit:?}\n    {fault}"));
            }
        }
        course.up.stop();
        assert!(faults.is_empty(), "{} of {} edits:\n{}", faults.len(), edits.len(), faults.join("\n"));
    }

    fn step(&mut self, edit: &Edit) -> Result<(), String> {
        let port = self.project.port("shop");
        let count = || -> (i64, i64) {
            let answer = get(port, "/count");
            let (pid, hits) = answer.split_once(' ').unwrap();
            (pid.parse().unwrap(), hits.parse().unwrap())
        };
        let (pid, hits) = count();
        edit.make(&self.project);
        let mut seen = self.outcome();
        // Files that are saved together may have been looked at in between.
        while edit.also.is_some() && is(&seen, "build", "shop") {
            seen = self.outcome();
        }
        let (now, later) = count();
        let kept = now == pid && later == hits + 1;
        let answers = [get(port, edit.path), get(port, edit.path)];
        let fresh = Fresh::start(&self.project);
        let expected = [get(fresh.port, edit.path), get(fresh.port, edit.path)];
        drop(fresh);
        let event = seen["event"].as_str().unwrap_or_default();
        if event == "restarted" {
            // The next edit is for a process that takes patches.
            self.up.until_notice("takes patches");
        }
        let told = match (event, &edit.expected) {
            ("patched", Expected::Patched) if seen["link"] == "direct" => Ok(()),
            ("patched", Expected::Extended) if seen["link"] == "plugin" => Ok(()),
            ("restarted", Expected::Restarted("")) => Ok(()),
            ("verdict", Expected::Nothing) => Ok(()),
            ("restarted", Expected::Restarted(reason)) if self.reason().contains(reason) => Ok(()),
            _ => Err(format!("told {seen}, {}", self.reason())),
        };
        told?;
        if answers != expected {
            return Err(format!("answers {answers:?} instead of {expected:?}"));
        }
        if (event == "restarted") == kept {
            return Err(format!("was process {pid} with {hits} hits, is process {now} with {later}"));
        }
        Ok(())
    }

    /// What becomes of the save.
    fn outcome(&mut self) -> Value {
        self.up.until("what becomes of the save", |seen| {
            is(seen, "patched", "shop")
                || is(seen, "restarted", "shop")
                || (is(seen, "verdict", "shop") && seen["rung"] == "nothing")
                || (is(seen, "build", "shop") && seen["ok"] == false)
        })
    }

    /// The last reason that was told.
    fn reason(&self) -> String {
        let told = self.up.seen.iter().rev().find(|seen| is(seen, "verdict", "shop"));
        told.map_or_else(String::new, |seen| seen["reason"].as_str().unwrap_or_default().to_owned())
    }
}

impl Edit {
    /// Saves it; a file of which nothing is left is removed.
    pub fn make(&self, project: &Project) {
        // Read and changed before any of them is written, so that they are one save.
        let files = [(self.file, self.change)].into_iter().chain(self.also);
        let texts: Vec<_> = files.map(|(file, change)| changed(project, file, change)).collect();
        texts.iter().for_each(|(name, text)| save(project, name, text));
    }
}

/// The file's name in the project, and its text with the changes made.
fn changed(project: &Project, file: &str, change: &[(&str, &str)]) -> (String, String) {
    let name = format!("shop/{file}");
    let mut text = fs::read_to_string(project.path(&name)).unwrap_or_default();
    for (from, to) in change {
        assert!(text.contains(from), "no `{from}` in {name}");
        text = text.replacen(from, to, 1);
    }
    (name, text)
}

fn save(project: &Project, name: &str, text: &str) {
    if text.is_empty() {
        fs::remove_file(project.path(name)).unwrap();
    } else {
        project.write(name, text);
    }
}
