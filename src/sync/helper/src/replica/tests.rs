use super::*;
use crate::filter::Rules;
use std::io::{Cursor, Read};
use std::os::unix::fs::PermissionsExt;

impl Replica {
    /// Writes all of `from` to `path`.
    fn put(
        &mut self,
        path: &Rel,
        expect: Expect,
        want: &Entry,
        mode: u32,
        from: &mut dyn Read,
    ) -> Result<(), Refusal> {
        let Entry::File { content, executable, .. } = want else {
            return self.make(path, &expect, want, mode);
        };
        let mut writing = self.begin(path, expect, *executable, mode)?;
        io::copy(from, &mut writing)?;
        self.finish(writing, *content)
    }
}

struct Place {
    dir: tempfile::TempDir,
    replica: Replica,
}

fn rel(path: &str) -> Rel {
    Rel::new(Path::new(path)).unwrap()
}

fn file(text: &str) -> Entry {
    Entry::File { content: Content::of(text.as_bytes()), size: text.len() as u64, executable: false }
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let replica =
        Replica::new(dir.path().join("root"), Arc::new(Filter::new(Rules::default())), Options::default());
    let mut place = Place { dir, replica };
    place.replica.make(&Rel::root(), &Expect::Anything, &Entry::Dir, 0o755).unwrap();
    place
}

impl Place {
    fn put(&mut self, path: &str, expect: Expect, text: &str) -> Result<(), Refusal> {
        self.replica.put(&rel(path), expect, &file(text), 0o644, &mut Cursor::new(text))
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.path(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn a_step_does_nothing_where_something_else_stands() {
    let mut place = place();
    let exactly = |text: Option<&str>| Expect::Exactly(text.map(file));
    assert_eq!(place.put("a", exactly(None), "1"), Ok(()));
    assert_eq!(place.put("a", exactly(None), "2"), Err(Refusal::Differs));
    assert_eq!(place.put("a", exactly(Some("0")), "2"), Err(Refusal::Differs));
    assert_eq!(place.read("a"), "1");
    assert_eq!(place.put("a", exactly(Some("1")), "2"), Ok(()));
    assert_eq!(place.replica.remove(&rel("a"), &exactly(Some("1"))), Err(Refusal::Differs));
    assert_eq!(place.replica.rename(&rel("a"), &exactly(Some("1")), &rel("b")), Err(Refusal::Differs));
    assert_eq!(place.read("a"), "2");
    assert_eq!(place.replica.rename(&rel("a"), &exactly(Some("2")), &rel("b")), Ok(()));
    assert_eq!(place.put("a", Expect::Anything, "3"), Ok(()));
    assert_eq!(place.replica.rename(&rel("a"), &Expect::Anything, &rel("b")), Err(Refusal::Differs));
    assert_eq!(place.replica.remove(&rel("a"), &exactly(Some("3"))), Ok(()));
    assert_eq!(place.replica.remove(&rel("a"), &exactly(Some("3"))), Ok(()), "it is gone already");
    assert_eq!(place.names(), ["b"], "nothing is left behind");
}

#[test]
fn types_give_way_to_each_other() {
    let mut place = place();
    let link = Entry::Link(b"nowhere".to_vec());
    for (number, want) in
        [file("x"), Entry::Dir, link.clone(), file("y"), link, Entry::Dir, file("z")].iter().enumerate()
    {
        let before = place.replica.look(&rel("a"));
        let expect = if number % 2 == 0 { Expect::Anything } else { Expect::Exactly(before) };
        match want {
            Entry::File { .. } => {
                let text = ["x", "y", "z"].into_iter().find(|text| file(text) == *want).unwrap();
                place.put("a", expect, text).unwrap();
            }
            _ => place.replica.make(&rel("a"), &expect, want, 0o755).unwrap(),
        }
        assert_eq!(place.replica.look(&rel("a")).as_ref(), Some(want), "{number}");
    }
    place.put("d", Expect::Anything, "1").unwrap();
    place.replica.remove(&rel("d"), &Expect::Anything).unwrap();
    place.replica.make(&rel("d"), &Expect::Anything, &Entry::Dir, 0o755).unwrap();
    place.put("d/f", Expect::Anything, "1").unwrap();
    assert_eq!(place.replica.remove(&rel("d"), &Expect::Anything), Err(Refusal::NotEmpty));
    assert!(place.put("d", Expect::Anything, "1").is_err());
    assert_eq!(place.read("d/f"), "1");
}

#[test]
fn links_lead_nowhere() {
    let mut place = place();
    let outside = place.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, place.path("way")).unwrap();
    assert!(matches!(place.put("way/f", Expect::Anything, "1"), Err(Refusal::Failed(_))));
    assert_eq!(place.replica.scan(&rel("way")).len(), 1);
    assert_eq!(place.replica.scan(&rel("way/f")), []);
    assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
}

#[test]
fn permissions_are_those_of_the_source_or_as_configured() {
    let mut place = place();
    let mode =
        |place: &Place, name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o7777;
    place.replica.put(&rel("a"), Expect::Anything, &file("1"), 0o640, &mut Cursor::new("1")).unwrap();
    assert_eq!(mode(&place, "a"), 0o640);
    let before = Expect::Exactly(Some(file("1")));
    place.replica.set_executable(&rel("a"), &before, true).unwrap();
    assert_eq!(mode(&place, "a"), 0o750);
    assert_eq!(place.replica.set_executable(&rel("a"), &before, false), Err(Refusal::Differs));
    place.replica.options = Options { file_mode: Some(0o604), dir_mode: Some(0o711), owner: None };
    place.put("b", Expect::Anything, "1").unwrap();
    place.replica.make(&rel("d"), &Expect::Anything, &Entry::Dir, 0o755).unwrap();
    assert_eq!((mode(&place, "b"), mode(&place, "d")), (0o604, 0o711));
}

#[test]
fn what_is_neither_file_nor_directory_nor_link_is_left_alone() {
    let mut place = place();
    nix::unistd::mkfifo(&place.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(place.replica.look(&rel("pipe")).unwrap().is_opaque());
    let before = Expect::Exactly(Some(file("1")));
    assert!(place.replica.set_executable(&rel("pipe"), &before, true).is_err());
}

#[test]
fn content_that_was_not_announced_is_not_taken() {
    let mut place = place();
    let refused = place.replica.put(&rel("a"), Expect::Anything, &file("1"), 0o644, &mut Cursor::new("2"));
    assert_eq!(refused, Err(Refusal::Differs));
    assert_eq!(place.names(), Vec::<String>::new());
}

#[test]
fn a_file_may_be_the_root() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("deep/config.json");
    let mut replica = Replica::new(root.clone(), Arc::new(Filter::new(Rules::default())), Options::default());
    assert_eq!(replica.scan(&Rel::root()), []);
    replica.put(&Rel::root(), Expect::Exactly(None), &file("{}"), 0o644, &mut Cursor::new("{}")).unwrap();
    assert_eq!(replica.scan(&Rel::root()), [(Rel::root(), file("{}"))]);
    assert_eq!(fs::read_to_string(root).unwrap(), "{}");
}

#[test]
fn only_directories_are_there_that_are_needed_for_what_is_picked() {
    let mut place = place();
    for dir in ["a", "a/b", "c"] {
        place.replica.make(&rel(dir), &Expect::Anything, &Entry::Dir, 0o755).unwrap();
    }
    place.put("a/b/x.html", Expect::Anything, "1").unwrap();
    place.put("c/x.go", Expect::Anything, "1").unwrap();
    let rules = Rules { include: vec!["*.html".to_owned()], ..Rules::default() };
    place.replica.set_filter(Arc::new(Filter::new(rules)));
    let mut found: Vec<_> =
        place.replica.scan(&Rel::root()).into_iter().map(|(path, _)| path.to_string()).collect();
    found.sort();
    assert_eq!(found, [".", "a", "a/b", "a/b/x.html"]);
}

#[test]
fn what_was_left_behind_is_cleared_away_unless_somebody_may_want_it() {
    let mut place = place();
    let write = |path: &Path, mode: u32| {
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    write(&place.path(".hotwatch-tmp-1-1"), 0o200);
    write(&place.path(".hotwatch-tmp-1-2"), 0o644);
    place.replica.scan(&Rel::root());
    assert_eq!(place.names().len(), 2, "somebody may be at it");
    place.replica.patience = Duration::ZERO;
    place.replica.scan(&Rel::root());
    assert_eq!(place.names(), ["recovered-by-hotwatch-1-2"]);
}

#[test]
fn what_cannot_be_read_is_not_gone() {
    if nix::unistd::geteuid().is_root() {
        println!("NOT CHECKED: root may read everything");
        return;
    }
    let mut place = place();
    place.replica.make(&rel("d"), &Expect::Anything, &Entry::Dir, 0o755).unwrap();
    place.put("d/f", Expect::Anything, "1").unwrap();
    fs::set_permissions(place.path("d"), fs::Permissions::from_mode(0o600)).unwrap();
    let found = place.replica.scan(&Rel::root());
    fs::set_permissions(place.path("d"), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(found.iter().any(|(path, entry)| *path == rel("d/f") && entry.is_opaque()), "{found:?}");
}
