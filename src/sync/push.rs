//! The binary of a service, put in its place in the target in one moment.

use std::path::Path;

use hotwatch_helper::entry::{Entry, Rel};
use hotwatch_helper::filter::{Filter, Rules};
use hotwatch_helper::replica::{Expect, Options, Replica, open};

use super::actor::Actor;
use super::far::Far;
use super::link::wire;
use super::place;
use super::session::Lost;

/// The permissions of a program.
const PROGRAM: u32 = 0o755;

impl Actor {
    /// Puts `binary` in its place, at all links.
    pub(super) fn push(&mut self, binary: &Path) -> Result<(), String> {
        let Some(binary_place) = self.config.binary.clone() else { return Ok(()) };
        if self.links.is_empty() {
            return Err(self.out_of_reach());
        }
        let place = place(&self.config.to, &binary_place);
        for at in (0..self.links.len()).rev() {
            match self.push_to(at, binary, &place) {
                Ok(Ok(())) => {}
                Ok(Err(why)) => {
                    return Err(format!("`{}` cannot be put into the target: {why}", place.display()));
                }
                Err(why) => {
                    let words = why.0.clone();
                    self.lose(at, why);
                    // It runs in the first.
                    if at == 0 {
                        return Err(words);
                    }
                }
            }
        }
        Ok(())
    }

    fn push_to(&mut self, at: usize, binary: &Path, place: &Path) -> Result<Result<(), String>, Lost> {
        let dir = place.parent().unwrap_or(Path::new("/"));
        let name = place.file_name().and_then(|name| Rel::new(Path::new(name)));
        let Some(name) = name else { return Ok(Err("it has no name".to_owned())) };
        // It comes with no pair.
        let number = wire(self.pairs.len());
        let rules = Rules { ignored: true, ..Rules::default() };
        let mut here = Replica::new(binary.to_owned(), Filter::new(rules.clone()).into(), Options::default());
        let Some(Entry::File { content, size, .. }) = here.look(&Rel::root()) else {
            return Ok(Err(format!("`{}` is no file", binary.display())));
        };
        let entry = Entry::File { content, size, executable: true };
        let Ok((mut file, _)) = open(binary) else { return Ok(Err("it cannot be read".to_owned())) };
        let far = &mut self.links[at].far;
        let owner = self.config.pairs.first().and_then(|pair| pair.options.owner.clone());
        match far {
            Far::Helper(session) => {
                session.open(number, dir, &rules, &Options { owner, ..Options::default() })?;
                session.put(
                    number,
                    (&Rel::root(), Expect::Anything, &Entry::Dir),
                    PROGRAM,
                    &mut std::io::empty(),
                )?;
            }
            Far::Archive(archive) => archive.open(number, dir.display().to_string()),
        }
        far.put(number, (&name, Expect::Anything, &entry), PROGRAM, &mut file)?;
        let refusals = far.settle()?;
        Ok(refusals.into_iter().next().map_or(Ok(()), |(_, refusal)| Err(refusal.to_string())))
    }
}
