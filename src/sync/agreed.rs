//! What the two sides of a pair have agreed on, and the conflicts between them, kept on disk so that it survives
//! hotwatch: a file of records, each of which says what has changed. What breaks off at the end was not agreed on.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use hotwatch_helper::entry::{Entry, Rel};
use hotwatch_helper::tree::Tree;
use hotwatch_helper::wire::{receive, send};
use serde::{Deserialize, Serialize};

/// Raised whenever a record means something else than before.
const VERSION: u32 = 1;

/// How many records there are at most before they are summed up.
const RECORDS: usize = 500;

/// A conflict: both sides have changed a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Conflict {
    /// The path, where ours stands.
    pub path: Rel,
    /// Where theirs was kept: beside it in the tree, or, as an absolute path, out of it on this side.
    pub copy: Copy,
}

/// Where the one that lost a conflict is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Copy {
    /// In the tree, on both sides.
    Beside(Rel),
    /// On this side, out of the tree.
    Kept(PathBuf),
}

#[derive(Debug, Serialize, Deserialize)]
enum Record {
    /// The first: what this is about.
    About {
        version: u32,
        place: String,
    },
    /// These paths have become so.
    Agreed(Vec<(Rel, Option<Entry>)>),
    Conflict(Conflict),
    Solved(Conflict),
}

/// What was agreed on.
#[derive(Debug)]
pub struct Agreed {
    path: PathBuf,
    place: String,
    file: Option<BufWriter<File>>,
    records: usize,
    tree: Tree,
    conflicts: Vec<Conflict>,
}

impl Agreed {
    /// What the file `path` says of `place`; nothing if it is about another.
    pub fn load(path: PathBuf, place: &str) -> Agreed {
        let (mut tree, mut conflicts) = (Tree::default(), Vec::new());
        let mut about = false;
        if let Ok(file) = File::open(&path) {
            let (mut from, mut content) = (BufReader::new(file), Vec::new());
            while let Ok(Some(record)) = receive::<Record>(&mut from, &mut content) {
                match record {
                    Record::About { version, place: of } => about = version == VERSION && of == place,
                    _ if !about => break,
                    Record::Agreed(paths) => {
                        paths.into_iter().for_each(|(path, entry)| tree.set(path, entry));
                    }
                    Record::Conflict(conflict) => conflicts.push(conflict),
                    Record::Solved(conflict) => conflicts.retain(|other| *other != conflict),
                }
            }
        }
        Agreed { path, place: place.to_owned(), file: None, records: RECORDS, tree, conflicts }
    }

    /// The tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The conflicts, oldest first.
    pub fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    /// Forgets everything: what stands on the sides counts as new.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn forget(&mut self) -> io::Result<()> {
        (self.tree, self.conflicts) = (Tree::default(), Vec::new());
        self.sum_up()
    }

    /// Takes note that both sides have this at these paths.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn agree(&mut self, paths: Vec<(Rel, Option<Entry>)>) -> io::Result<()> {
        let new: Vec<_> =
            paths.into_iter().filter(|(path, entry)| self.tree.get(path) != entry.as_ref()).collect();
        if new.is_empty() {
            return Ok(());
        }
        new.iter().cloned().for_each(|(path, entry)| self.tree.set(path, entry));
        self.write(&Record::Agreed(new))
    }

    /// Takes note of a conflict.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn conflict(&mut self, conflict: Conflict) -> io::Result<()> {
        if self.conflicts.contains(&conflict) {
            return Ok(());
        }
        self.conflicts.push(conflict.clone());
        self.write(&Record::Conflict(conflict))
    }

    /// Takes note that there is no such conflict any more.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn solved(&mut self, conflict: &Conflict) -> io::Result<()> {
        self.conflicts.retain(|other| other != conflict);
        self.write(&Record::Solved(conflict.clone()))
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        let Some(file) = self.file.as_mut().filter(|_| self.records < RECORDS) else { return self.sum_up() };
        self.records += 1;
        send(file, record, &[])?;
        file.flush()
    }

    /// Writes everything anew, and has it take the place of what was written.
    fn sum_up(&mut self) -> io::Result<()> {
        fs::create_dir_all(self.path.parent().unwrap_or(Path::new("/")))?;
        let new = self.path.with_extension("new");
        let mut file = BufWriter::new(File::create(&new)?);
        send(&mut file, &Record::About { version: VERSION, place: self.place.clone() }, &[])?;
        let entries =
            self.tree.iter().map(|(path, entry)| (path.clone(), Some(entry.clone()))).collect::<Vec<_>>();
        for some in entries.chunks(10_000) {
            send(&mut file, &Record::Agreed(some.to_vec()), &[])?;
        }
        for conflict in &self.conflicts {
            send(&mut file, &Record::Conflict(conflict.clone()), &[])?;
        }
        file.flush()?;
        fs::rename(&new, &self.path)?;
        (self.file, self.records) = (Some(file), 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rel(path: &str) -> Rel {
        Rel::new(Path::new(path)).unwrap()
    }

    #[test]
    fn it_is_remembered_as_far_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/x.agreed");
        let mut agreed = Agreed::load(path.clone(), "here");
        let conflict = Conflict { path: rel("a"), copy: Copy::Beside(rel("a.conflict")) };
        for number in 0..RECORDS + 100 {
            agreed.agree(vec![(rel(&format!("f{number}")), Some(Entry::Dir))]).unwrap();
        }
        agreed.agree(vec![(rel("f0"), None)]).unwrap();
        agreed.conflict(conflict.clone()).unwrap();
        let length = path.metadata().unwrap().len();
        agreed.agree(vec![(rel("last"), Some(Entry::Dir))]).unwrap();

        let again = Agreed::load(path.clone(), "here");
        assert_eq!(again.tree(), agreed.tree());
        assert_eq!(again.conflicts(), std::slice::from_ref(&conflict));
        assert!(Agreed::load(path.clone(), "elsewhere").tree().is_bare());

        // It was killed while it wrote.
        File::options().write(true).open(&path).unwrap().set_len(length + 5).unwrap();
        let mut broken = Agreed::load(path.clone(), "here");
        assert_eq!(broken.tree().get(&rel("last")), None);
        assert_eq!(broken.tree().files() + broken.tree().iter().count(), RECORDS + 99);
        broken.solved(&conflict).unwrap();
        assert_eq!(Agreed::load(path, "here").conflicts(), []);
    }
}
