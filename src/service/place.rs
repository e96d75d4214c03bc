//! Where a service's binaries lie, and which of them runs with which settings. All run at one path, since macOS asks
//! about the firewall once per path. What was good stays beside it until its successor is, too.

use std::fs;
use std::path::{Path, PathBuf};

use super::protocol::Launch;
use crate::config::Service;

/// The binaries of one service.
#[derive(Debug)]
pub struct Place {
    /// A directory for them alone.
    dir: PathBuf,
    name: String,
    /// How many builds there have been.
    builds: u64,
    /// The binary that was built last and has not been started.
    fresh: Option<PathBuf>,
    /// The settings with which the binary in place was started last.
    launched: Option<Service>,
    /// What ran before and is kept until what runs now counts as good.
    aside: Option<Aside>,
}

/// A start that can be repeated.
#[derive(Debug)]
struct Aside {
    settings: Service,
    /// Whether its binary was moved out of the way. Before that it lies where it ran.
    moved: bool,
}

impl Place {
    /// Nothing has been built yet for the service called `name`.
    pub fn new(dir: PathBuf, name: String) -> Place {
        Place { dir, name, builds: 0, fresh: None, launched: None, aside: None }
    }

    /// Where the binary that runs lies.
    pub fn binary(&self) -> PathBuf {
        self.dir.join(&self.name)
    }

    /// Where a binary is kept that may have to run again; no service's name holds this.
    fn kept(&self) -> PathBuf {
        self.dir.join(format!("{}~good", self.name))
    }

    /// Where the current build puts its binary, and where its temporary files go.
    pub fn build_paths(&self) -> (PathBuf, PathBuf) {
        (self.dir.join(format!("build-{}", self.builds)), self.dir.join(format!("tmp-{}", self.builds)))
    }

    /// The same for what is compiled in the background.
    pub fn background_paths(&self) -> (PathBuf, PathBuf) {
        (self.dir.join("background"), self.dir.join("tmp-background"))
    }

    /// Goes on to the next build.
    pub fn next_build(&mut self) {
        self.builds += 1;
    }

    /// Takes in what the current build made, or removes it if it is not `wanted`.
    pub fn built(&mut self, wanted: bool) {
        let (fresh, _) = self.build_paths();
        let older = if wanted && fresh.is_file() { self.fresh.replace(fresh) } else { Some(fresh) };
        older.into_iter().for_each(|older| drop(fs::remove_file(older)));
    }

    /// Puts in place what `launch` means, a new one with `settings`; returns the settings to start it with.
    ///
    /// # Errors
    /// The binary cannot be moved, in words.
    pub fn prepare(&mut self, launch: Launch, settings: &Service) -> Result<&Service, String> {
        match launch {
            Launch::New { keep } => {
                if let Some(settings) = self.launched.take().filter(|_| keep) {
                    self.aside = Some(Aside { settings, moved: false });
                }
                if let Some(fresh) = self.fresh.take() {
                    let (binary, kept) = (self.binary(), self.kept());
                    if let Some(aside) = self.aside.as_mut().filter(|aside| !aside.moved) {
                        aside.moved = fs::rename(&binary, kept).is_ok();
                    }
                    install(&fresh, &binary)?;
                }
            }
            Launch::Again => {}
            Launch::Back => self.restore()?,
        }
        Ok(self.launched.get_or_insert_with(|| settings.clone()))
    }

    /// Puts back what was kept.
    ///
    /// # Errors
    /// The binary cannot be moved, in words.
    pub fn restore(&mut self) -> Result<(), String> {
        if let Some(aside) = self.aside.take() {
            if aside.moved {
                install(&self.kept(), &self.binary())?;
            }
            self.launched = Some(aside.settings);
        }
        Ok(())
    }

    /// What runs now is good: what was kept is needed no longer.
    pub fn forget_aside(&mut self) {
        if self.aside.take().is_some_and(|aside| aside.moved) {
            discard(&self.kept(), &self.binary());
        }
    }

    /// Removes all of it.
    pub fn remove(self) {
        drop(fs::remove_dir_all(self.dir));
    }
}

/// Moves the binary `fresh` to `stable`. What was there goes aside and is removed in the background: giving back the
/// blocks of a file that was written a moment ago takes several milliseconds, in which the service would be down.
fn install(fresh: &Path, stable: &Path) -> Result<(), String> {
    discard(stable, stable);
    fs::rename(fresh, stable)
        .map_err(|error| format!("cannot move the new binary to `{}`: {error}", stable.display()))
}

/// Has `path` removed in the background, from beside `stable`: its own name may be taken anew before that is done.
fn discard(path: &Path, stable: &Path) {
    let mut aside = stable.as_os_str().to_owned();
    aside.push("~");
    if fs::rename(path, &aside).is_ok() {
        // Not joined: nobody waits for it, and whatever is left goes with the directory.
        std::thread::spawn(move || fs::remove_file(aside));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn what_is_kept_next_is_not_removed_with_what_was_kept_before() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let text = "[[service]]\nname = \"a\"\n";
        let config = config::parse(text, "hotwatch.toml".as_ref(), &root, &|_| None).unwrap();
        let settings = &config.services[0];
        let mut place = Place::new(root, "a".to_owned());
        let start = |place: &mut Place, text: &str| {
            place.next_build();
            fs::write(place.build_paths().0, text).unwrap();
            place.built(true);
            place.prepare(Launch::New { keep: true }, settings).unwrap();
        };
        start(&mut place, "0");
        for round in 1..200 {
            start(&mut place, &round.to_string());
            place.forget_aside();
            start(&mut place, "bad");
            place.restore().unwrap();
            assert_eq!(fs::read_to_string(place.binary()).unwrap(), round.to_string());
        }
    }
}
