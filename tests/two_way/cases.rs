//! Cases of sync that need no container: conflicts, what has halted, single files, what comes back, many files.

use super::*;

#[test]
fn a_conflict_is_listed_until_it_is_resolved() {
    let both = Both::new("two-way-safe", "");
    fs::write(both.here.join("a"), "0").unwrap();
    fs::write(both.here.join("b"), "0").unwrap();
    let mut up = both.up();
    up.until_event("synced", "web");
    let conflict = |name: &str| {
        both.at_once(|| {
            fs::write(both.here.join(name), "here").unwrap();
            fs::write(both.there.join(name), "there").unwrap();
        });
        both.settle();
        let names =
            fs::read_dir(&both.here).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut copies = names.filter(|other| other.starts_with(&format!("{name}.conflict-box-")));
        copies.next().unwrap()
    };
    let status = || String::from_utf8(both.command(&["sync", "status"]).output().unwrap().stdout).unwrap();
    let resolve = |path: &str, side: &str| {
        let path = both.here.join(path);
        let output = both.command(&["sync", "resolve", path.to_str().unwrap(), side]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        both.settle();
    };
    let copy = conflict("a");
    assert_eq!(fs::read_to_string(both.there.join("a")).unwrap(), "here");
    assert_eq!(fs::read_to_string(both.there.join(&copy)).unwrap(), "there");
    assert!(status().contains(&format!("conflict: `a`; what the target had is in `{copy}`")), "{}", status());
    resolve("a", "--theirs");
    assert_eq!(fs::read_to_string(both.there.join("a")).unwrap(), "there");
    assert!(!both.here.join(&copy).exists() && !both.there.join(&copy).exists());
    assert!(!status().contains("conflict"), "{}", status());

    let copy = conflict("b");
    resolve(&copy, "--ours");
    assert_eq!(fs::read_to_string(both.there.join("b")).unwrap(), "here");
    assert!(!both.there.join(&copy).exists() && !status().contains("conflict"));
    drop(up);
}

#[test]
fn a_side_that_has_lost_everything_is_not_followed_before_somebody_says_so() {
    let both = Both::new("two-way-safe", "");
    for name in ["a", "b", "c"] {
        fs::write(both.here.join(name), name).unwrap();
    }
    let mut up = both.up();
    up.until_event("synced", "web");
    both.at_once(|| {
        fs::rename(&both.there, both.project.beside("gone")).unwrap();
        // It is these that are looked at first, not the root.
        for name in ["a", "b", "c"] {
            fs::write(both.here.join(name), "1").unwrap();
        }
    });
    let notice = up.until_notice("has halted");
    assert!(notice["message"].as_str().unwrap().contains("is gone"), "{notice}");
    assert!(both.here.join("a").exists());
    let status = both.command(&["sync", "status"]).output().unwrap();
    assert!(String::from_utf8_lossy(&status.stdout).contains("halted: "));
    let output = both.command(&["sync", "resolve", both.here.to_str().unwrap(), "--ours"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    until("all is there again", || both.there.join("c").exists().then_some(()));
    both.settle();

    // Another directory in its place, as of a volume that was mounted anew.
    fs::rename(&both.there, both.project.beside("unmounted")).unwrap();
    fs::create_dir(&both.there).unwrap();
    up.until_notice("is suddenly empty");
    assert!(both.here.join("a").exists());
    fs::remove_dir(&both.there).unwrap();
    fs::rename(both.project.beside("unmounted"), &both.there).unwrap();
    until("it goes on by itself", || {
        let status = both.command(&["sync", "status"]).output().unwrap();
        (!String::from_utf8_lossy(&status.stdout).contains("halted")).then_some(())
    });
    both.settle();

    // One that has lost all its files, but not itself.
    for name in ["a", "b", "c"] {
        fs::remove_file(both.here.join(name)).unwrap();
    }
    up.until_notice("here` is suddenly empty");
    assert!(both.there.join("a").exists());
    let output = both.command(&["sync", "resolve", both.here.to_str().unwrap(), "--ours"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    until("it is followed", || (!both.there.join("a").exists()).then_some(()));
    drop(up);
}

#[test]
fn what_changed_while_nobody_looked_is_found_out() {
    let both = Both::new("two-way-safe", "");
    for name in ["same", "edited-here", "edited-there", "gone-here", "gone-there"] {
        fs::write(both.here.join(name), "0").unwrap();
    }
    let mut up = both.up();
    up.until_event("synced", "web");
    both.settle();
    assert!(up.stop().0.success());
    assert_eq!(fs::read_dir(both.project.beside("helper")).unwrap().count(), 0, "the helper has left");
    fs::write(both.here.join("edited-here"), "1").unwrap();
    fs::write(both.there.join("edited-there"), "1").unwrap();
    fs::remove_file(both.here.join("gone-here")).unwrap();
    fs::remove_file(both.there.join("gone-there")).unwrap();
    // Without a hotwatch that runs.
    let output = both.command(&["sync", "once"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let expected = ["edited-here 1", "edited-there 1", "same 0"].map(str::to_owned);
    for side in [&both.here, &both.there] {
        let found: Vec<String> = tree(side)
            .into_iter()
            .map(|(path, text)| format!("{} {}", path.display(), text.trim_end_matches(" false")))
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn one_file_that_both_sides_have_changed() {
    let both = Both::new("two-way-safe", "source = \"one.txt\"");
    let here = both.here.join("one.txt");
    fs::write(&here, "0").unwrap();
    let mut up = both.up();
    up.until_event("synced", "web");
    assert_eq!(fs::read_to_string(&both.there).unwrap(), "0");
    both.at_once(|| {
        fs::write(&here, "here").unwrap();
        fs::write(&both.there, "there").unwrap();
    });
    both.settle();
    assert_eq!(fs::read_to_string(&both.there).unwrap(), "here");
    let output = both.command(&["sync", "resolve", here.to_str().unwrap(), "--theirs"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    until("the target's is taken", || (fs::read_to_string(&both.there).unwrap() == "there").then_some(()));
    assert_eq!(fs::read_to_string(&here).unwrap(), "there");
    drop(up);
}

#[test]
fn what_loses_takes_part_where_only_some_files_do() {
    let both = Both::new("two-way-safe", "include = [\"*.html\"]");
    fs::write(both.here.join("a.html"), "0").unwrap();
    fs::write(both.here.join("b.txt"), "0").unwrap();
    let mut up = both.up();
    up.until_event("synced", "web");
    both.at_once(|| {
        fs::write(both.here.join("a.html"), "here").unwrap();
        fs::write(both.there.join("a.html"), "there").unwrap();
    });
    both.settle();
    let copies = tree(&both.here)
        .into_iter()
        .filter(|(path, _)| path.to_str().unwrap().contains("html.conflict-box-"));
    assert_eq!(copies.map(|(_, text)| text).collect::<Vec<_>>(), ["there false"]);
    assert!(!both.there.join("b.txt").exists());
    drop(up);
}

#[test]
fn a_conflict_does_not_decide_what_has_halted() {
    let both = Both::new("two-way-safe", "");
    for name in ["a", "b", "c"] {
        fs::write(both.here.join(name), name).unwrap();
    }
    let mut up = both.up();
    up.until_event("synced", "web");
    for name in ["a", "b", "c"] {
        fs::remove_file(both.there.join(name)).unwrap();
    }
    up.until_notice("has halted");
    let inner = both.here.join("a");
    let output = both.command(&["sync", "resolve", inner.to_str().unwrap(), "--theirs"]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("has halted, which comes first"));
    assert!(inner.exists());
    drop(up);
}

#[test]
fn fifty_thousand_files() {
    let both = Both::new("one-way", "");
    for number in 0..50_000 {
        let dir = both.here.join(format!("d{}", number / 100));
        if number % 100 == 0 {
            fs::create_dir(&dir).unwrap();
        }
        fs::write(dir.join(number.to_string()), number.to_string()).unwrap();
    }
    let mut up = both.up();
    let synced = up.until_event("synced", "web");
    assert_eq!(synced["files"], 50_000);
    assert_eq!(fs::read_to_string(both.there.join("d499/49999")).unwrap(), "49999");
    up.until_watching();
    fs::write(both.here.join("d250/25000"), "edited").unwrap();
    let synced = up.until_event("synced", "web");
    assert_eq!((&synced["files"], &synced["bytes"]), (&1.into(), &6.into()));
    assert_eq!(fs::read_to_string(both.there.join("d250/25000")).unwrap(), "edited");
    drop(up);
}

#[test]
fn artifacts_come_back() {
    let both = Both::new("one-way-replica-reverse", "source = \"out\"");
    fs::create_dir_all(both.there.join("deep")).unwrap();
    fs::write(both.there.join("deep/report"), "1").unwrap();
    let mut up = both.up();
    up.until_event("synced", "web");
    let report = both.here.join("out/deep/report");
    assert_eq!(fs::read_to_string(&report).unwrap(), "1");
    fs::write(both.there.join("deep/report"), "2").unwrap();
    until("it comes back", || (fs::read_to_string(&report).unwrap() == "2").then_some(()));
    fs::write(both.there.join("other"), "3").unwrap();
    until("another comes", || both.here.join("out/other").exists().then_some(()));
    fs::remove_file(both.there.join("other")).unwrap();
    until("and goes", || (!both.here.join("out/other").exists()).then_some(()));
    drop(up);
}

#[test]
fn one_file_that_only_the_target_has() {
    let both = Both::new("two-way-safe", "source = \"deep/one.txt\"");
    let here = both.here.join("deep/one.txt");
    fs::write(&both.there, "0").unwrap();
    let up = both.up();
    let reads = |path: &Path, text: &str| {
        until(text, || (fs::read_to_string(path).is_ok_and(|found| found == text)).then_some(()));
    };
    reads(&here, "0");
    fs::write(&here, "1").unwrap();
    reads(&both.there, "1");
    fs::write(&both.there, "2").unwrap();
    reads(&here, "2");
    drop(up);
}

#[test]
fn what_loses_is_kept_as_it_was() {
    let both = Both::new("two-way-resolved", "");
    for name in ["link", "tool"] {
        fs::write(both.here.join(name), "0").unwrap();
    }
    let mut up = both.up();
    up.until_event("synced", "web");
    both.at_once(|| {
        fs::remove_file(both.there.join("link")).unwrap();
        symlink("nowhere", both.there.join("link")).unwrap();
        fs::write(both.there.join("tool"), "there").unwrap();
        fs::set_permissions(both.there.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["link", "tool"] {
            fs::write(both.here.join(name), "here").unwrap();
        }
    });
    both.settle();
    for name in ["link", "tool"] {
        assert_eq!(fs::read_to_string(both.there.join(name)).unwrap(), "here");
        let path = both.here.join(name);
        let output = both.command(&["sync", "resolve", path.to_str().unwrap(), "--theirs"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    both.settle();
    for side in [&both.here, &both.there] {
        assert_eq!(fs::read_link(side.join("link")).unwrap(), Path::new("nowhere"));
        assert_eq!(fs::read_to_string(side.join("tool")).unwrap(), "there");
        assert_eq!(fs::metadata(side.join("tool")).unwrap().permissions().mode() & 0o777, 0o755);
    }
    drop(up);
}
