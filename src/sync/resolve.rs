//! What a user has decided: which side of a conflict is right, or what is to become of a pair that has halted.

use std::fs;
use std::path::Path;

use hotwatch_helper::entry::{Entry, Rel};
use hotwatch_helper::replica::{Expect, open};

use super::Winner;
use super::actor::Actor;
use super::agreed::{Conflict, Copy};
use super::link::Pending;
use super::reconcile::Side;
use super::telling::copy_name;

impl Actor {
    /// Does what `winner` means at `path`; says what was done, or `None` if that is nothing of this service's.
    pub(super) fn resolve(&mut self, path: &Path, winner: Winner) -> Option<Result<String, String>> {
        let of = |number: &usize| path.starts_with(&self.pairs[*number].config.source);
        let number = (0..self.pairs.len()).find(of)?;
        let rel = path.strip_prefix(&self.pairs[number].config.source).ok().and_then(Rel::new)?;
        let halted = self.links.iter().any(|link| link.halves[number].halted.is_some());
        if halted && rel.is_root() {
            return Some(self.go_on(number, winner));
        }
        if halted {
            let source = self.pairs[number].config.source.display();
            return Some(Err(format!(
                "its pair has halted, which comes first: `hotwatch sync status` says why, and `hotwatch sync resolve \
                 {source}` with `--ours` or `--theirs` ends that"
            )));
        }
        let concerns =
            |conflict: &Conflict| conflict.path == rel || conflict.copy == Copy::Beside(rel.clone());
        let mut done = None;
        for at in 0..self.links.len() {
            let conflicts = self.links[at].halves[number].agreed.conflicts();
            for conflict in conflicts.iter().filter(|it| concerns(it)).cloned().collect::<Vec<_>>() {
                match self.decide(number, &conflict, winner) {
                    Ok(()) => done = Some(conflict.path.clone()),
                    Err(why) => return Some(Err(why)),
                }
                let copy = match &conflict.copy {
                    Copy::Beside(copy) => Some(copy.clone()),
                    Copy::Kept(_) => None,
                };
                self.links[at].halves[number].pending.add(copy.into_iter().chain([conflict.path]));
            }
        }
        let whose = if winner == Winner::Ours { "this side" } else { "the target" };
        Some(match done {
            Some(path) => Ok(format!("`{path}` is as {whose} had it")),
            None => Err(format!(
                "there is no conflict at `{}`; `hotwatch sync status` lists them",
                path.display()
            )),
        })
    }

    /// Has the loser of `conflict` go, or take the path.
    fn decide(&mut self, number: usize, conflict: &Conflict, winner: Winner) -> Result<(), String> {
        let pair = &mut self.pairs[number];
        let place = match &conflict.copy {
            Copy::Beside(copy) => pair.near.place(copy).map_err(|error| error.to_string())?,
            Copy::Kept(copy) => copy.clone(),
        };
        let failed = |error: std::io::Error| format!("`{}`: {error}", copy_name(conflict));
        let is_dir = fs::symlink_metadata(&place).is_ok_and(|meta| meta.is_dir());
        if winner == Winner::Theirs {
            if is_dir {
                return Err(format!(
                    "`{}` is a directory; move what you want of it by hand",
                    copy_name(conflict)
                ));
            }
            let meta = fs::symlink_metadata(&place).map_err(failed)?;
            if meta.is_symlink() {
                let to = fs::read_link(&place).map_err(failed)?;
                let link = Entry::Link(to.into_os_string().into_encoded_bytes());
                pair.near
                    .make(&conflict.path, &Expect::Anything, &link, 0o755)
                    .map_err(|it| it.to_string())?;
            } else {
                let (mut file, meta) = open(&place).map_err(failed)?;
                let mode = hotwatch_helper::replica::mode(&meta);
                let executable = mode & 0o100 != 0;
                let mut writing = pair
                    .near
                    .begin(&conflict.path, Expect::Anything, executable, mode)
                    .map_err(|it| it.to_string())?;
                std::io::copy(&mut file, &mut writing).map_err(failed)?;
                let content = writing.content();
                pair.near.finish(writing, content).map_err(|it| it.to_string())?;
            }
        }
        let removed = if is_dir { fs::remove_dir_all(&place) } else { fs::remove_file(&place) };
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }

    /// Goes on with a pair that has halted.
    fn go_on(&mut self, number: usize, winner: Winner) -> Result<String, String> {
        let mut said = Err("the target is out of reach".to_owned());
        for link in &mut self.links {
            let half = &mut link.halves[number];
            let halt = match &half.halted {
                Some((Some(halt), _)) => *halt,
                Some((None, words)) => return Err(format!("that does not end it: {words}")),
                None => continue,
            };
            // Who has lost everything is right: everything is to go. Otherwise nothing was agreed on, and all of it is
            // new.
            if halt.side == Side::of(winner) {
                half.accepted = true;
                said = Ok("it goes on, and what is gone is deleted on the other side as well".to_owned());
            } else {
                half.agreed.forget().map_err(|error| error.to_string())?;
                said = Ok("it goes on, and nothing is deleted".to_owned());
            }
            half.pending = Pending::Everything;
        }
        said
    }
}
