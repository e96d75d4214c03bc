//! The helpers that were brought to targets, written down for as long as they lie there: what a hotwatch that was killed
//! has left, or one whose target was away in the end, the next one takes out.

use std::fs;
use std::path::PathBuf;

use super::connect::leave;
use super::ending::Ending;
use super::transport::{Instance, Transport};

/// What lies where: the name of an instance, and the path of a helper in it.
#[derive(Debug)]
pub struct Pushed {
    file: PathBuf,
    all: Vec<(String, String)>,
}

impl Pushed {
    /// What the file says.
    pub fn load(file: PathBuf) -> Pushed {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let line = |line: &str| line.split_once('\t').map(|(name, path)| (name.to_owned(), path.to_owned()));
        Pushed { all: text.lines().filter_map(line).collect(), file }
    }

    /// Where a helper lies in `instance`, if one does.
    pub fn at(&self, instance: &Instance) -> Option<String> {
        self.all.iter().find(|(name, _)| *name == instance.name).map(|(_, path)| path.clone())
    }

    /// Takes note that `helper` lies in `instance`, where it is the only one then.
    pub fn add(&mut self, transport: &dyn Transport, instance: &Instance, helper: &str, ending: &Ending) {
        self.all.retain(|(name, path)| {
            let is_old = *name == instance.name && path != helper;
            if is_old {
                leave(transport, instance, path, ending);
            }
            !is_old
        });
        let new = (instance.name.clone(), helper.to_owned());
        if !self.all.contains(&new) {
            self.all.push(new);
            self.write();
        }
    }

    /// Takes note that what lay in `instance` is gone.
    pub fn remove(&mut self, instance: &Instance) {
        self.all.retain(|(name, _)| *name != instance.name);
        self.write();
    }

    /// Takes out what lies in any of `instances`, all that are there.
    pub fn leave(&mut self, transport: &dyn Transport, instances: &[Instance], ending: &Ending) {
        self.all.retain(|(name, path)| match instances.iter().find(|instance| instance.name == *name) {
            Some(instance) => instance.stands || !leave(transport, instance, path, ending),
            // Where others are there, it is one that is gone for good.
            None => instances.is_empty(),
        });
        self.write();
    }

    fn write(&self) {
        let line = |(name, path): &(String, String)| format!("{name}\t{path}\n");
        let text: String = self.all.iter().map(line).collect();
        // What cannot be written down is only tidied up less well.
        let written = match self.file.parent() {
            _ if text.is_empty() => fs::remove_file(&self.file),
            Some(dir) => fs::create_dir_all(dir).and_then(|()| fs::write(&self.file, text)),
            None => Ok(()),
        };
        drop(written);
    }
}
