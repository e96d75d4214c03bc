use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

fn rotating(dir: &Path, size: u64, keep: usize) -> Rotating {
    let mut log = Rotating::open(dir.join("api.log"), Limits { size, keep }).unwrap();
    log.empty().unwrap();
    log
}

fn files(dir: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut files: Vec<_> =
        entries.map(|path| (name(&path), fs::read_to_string(&path).unwrap_or_default())).collect();
    files.sort();
    files
}

#[test]
fn a_full_file_becomes_an_old_one_at_the_end_of_a_line() {
    let table: [(usize, &[(&str, &str)]); 3] = [
        (0, &[("api.log", "line 7\n")]),
        (1, &[("api.log", "line 7\n"), ("api.log.1", "line 4\nline 5\nline 6\n")]),
        (
            2,
            &[
                ("api.log", "line 7\n"),
                ("api.log.1", "line 4\nline 5\nline 6\n"),
                ("api.log.2", "line 1\nline 2\nline 3\n"),
            ],
        ),
    ];
    for (keep, expected) in table {
        let dir = tempfile::tempdir().unwrap();
        let mut log = rotating(dir.path(), 25, keep);
        for number in 1..=7 {
            log.append(format!("line {number}\n").as_bytes(), true);
            // Whether it is written at once or later.
            if number % 2 == 0 {
                assert_eq!(log.flush(), []);
            }
        }
        assert_eq!(log.flush(), []);
        let expected: Vec<_> =
            expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        assert_eq!(files(dir.path()), expected);
        for (name, _) in expected {
            assert_eq!(dir.path().join(name).metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        // It is still the only writer.
        assert!(matches!(file::open(&dir.path().join("api.log")), Err(LogError::InUse(_))));
        // A new run begins with nothing.
        drop(log);
        rotating(dir.path(), 25, keep);
        assert_eq!(files(dir.path()), [("api.log".to_owned(), String::new())]);
    }
}

#[test]
fn a_line_without_end_is_cut_when_it_must_be() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = rotating(dir.path(), 10, 1);
    log.append(b"begin ", true);
    log.append(b"of a long line", false);
    log.flush();
    assert_eq!(files(dir.path()).len(), 1);
    log.append(&vec![b'x'; 65 * 1024], false);
    log.append(b"\n", false);
    log.flush();
    assert_eq!(files(dir.path())[1].1, "begin of a long line\n");
    assert!(files(dir.path())[0].1.ends_with("xx\n"));
}

#[test]
fn what_is_planted_in_the_way_is_left_alone_and_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut log = rotating(dir.path(), 10, 2);
    fs::write(at("precious"), "precious").unwrap();
    for planted in ["api.log.1", "api.log.2", "api.log.new"] {
        symlink(at("precious"), at(planted)).unwrap();
        log.told = false;
        for _ in 0..5 {
            log.append(b"12345678\n", true);
        }
        let remarks = log.flush();
        let [Remark::Broken(message)] = &remarks[..] else { panic!("{remarks:?}") };
        assert!(message.contains("is a symbolic link; remove it") && message.contains(planted), "{message}");
        assert!(at(planted).is_symlink());
        assert_eq!(fs::read_to_string(at("precious")).unwrap(), "precious");
        assert_eq!(fs::read_to_string(at("api.log")).unwrap(), "12345678\n");
        fs::remove_file(at(planted)).unwrap();
        log.append(b"12345678\n", true);
        assert_eq!(log.flush(), []);
        assert_eq!(fs::read_to_string(at("api.log.1")).unwrap(), "12345678\n");
        fs::remove_file(at("api.log.1")).unwrap();
    }

    // A file that somebody has put in place of the log is not touched; one that was removed is made anew.
    fs::remove_file(at("api.log")).unwrap();
    fs::write(at("api.log"), "theirs").unwrap();
    log.told = false;
    log.append(b"12345678\n", true);
    assert!(matches!(&log.flush()[..], [Remark::Broken(message)] if message.contains("in use")));
    fs::remove_file(at("api.log")).unwrap();
    log.append(b"12345678\n", true);
    assert_eq!(log.flush(), []);
    assert_eq!(fs::read_to_string(at("api.log")).unwrap(), "12345678\n");
}
