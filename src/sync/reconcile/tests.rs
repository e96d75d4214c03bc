use super::*;
use hotwatch_helper::entry::Content;
use std::path::Path;

fn rel(path: &str) -> Rel {
    Rel::new(Path::new(path)).unwrap()
}

fn file(text: &str) -> Entry {
    Entry::File { content: Content::of(text.as_bytes()), size: text.len() as u64, executable: false }
}

/// `a=1 d/ d/f=2`: files with their contents, and directories. `!p` is left alone.
fn tree(text: &str) -> Tree {
    let entry = |word: &str| match (word.split_once('='), word.strip_suffix('/'), word.strip_prefix('!')) {
        (Some((path, text)), ..) => (rel(path), file(text)),
        (_, Some(dir), _) => (rel(dir), Entry::Dir),
        (_, _, Some(path)) => (rel(path), Entry::Opaque("odd".to_owned())),
        _ => panic!("{word}"),
    };
    text.split_whitespace().map(entry).chain([(Rel::root(), Entry::Dir)]).collect()
}

fn shown(plan: &Plan) -> String {
    let side = |side: &Side| if *side == Side::Ours { "<" } else { ">" };
    let step = |step: &Step| match step {
        Step::Aside { path, .. } => format!("aside:{path}"),
        Step::Keep { path, .. } => format!("keep:{path}"),
        Step::Remove { side: at, path, .. } => format!("{}-{path}", side(at)),
        Step::Put { side: at, path, entry, .. } => {
            format!("{}{path}{}", side(at), if entry.is_dir() { "/" } else { "" })
        }
    };
    let agreed = plan.agreed.iter().map(|(path, _)| format!("={path}"));
    let opaque = plan.opaque.iter().map(|(path, _)| format!("!{path}"));
    let words: Vec<String> = plan.steps.iter().map(step).chain(agreed).chain(opaque).collect();
    words.join(" ")
}

fn check(flow: Flow, base: &str, ours: &str, theirs: &str, expected: &str) {
    let (base, ours, theirs) = (tree(base), tree(ours), tree(theirs));
    let trees = Trees { base: &base, ours: &ours, theirs: &theirs };
    let plan = plan(flow, trees, &BTreeSet::from([Rel::root()]));
    assert_eq!(shown(&plan), expected, "{base:?} {ours:?} {theirs:?}");
}

#[test]
fn both_ways() {
    let table = [
        // base, ours, theirs, steps
        ("a=1", "a=1", "a=1", ""),
        ("a=1", "a=2", "a=1", ">a"),
        ("a=1", "a=1", "a=2", "<a"),
        ("a=1", "", "a=1", ">-a"),
        ("a=1", "a=1", "", "<-a"),
        ("a=1", "", "", "=a"),
        ("", "a=1", "a=1", "=a"),
        ("", "a=1", "b=2", ">a <b"),
        // Both have changed it.
        ("a=1", "a=2", "a=3", "aside:a"),
        ("", "a=2", "a=3", "aside:a"),
        ("a=1", "", "a=2", "<a"),
        ("a=1", "a=2", "", ">a"),
        // Directories.
        ("", "d/ d/f=1", "", ">d/ >d/f"),
        ("d/ d/f=1", "", "d/ d/f=1", ">-d/f >-d"),
        ("d/ d/f=1", "", "d/ d/f=2", "<d/ <d/f"),
        ("d/ d/f=1 d/g=1", "", "d/ d/f=1 d/g=1 d/h=1", ">-d/g >-d/f <d/ <d/h"),
        ("d/ d/f=1", "d=2", "d/ d/f=1", ">-d/f >d"),
        ("d/ d/f=1", "d=2", "d/ d/f=1 d/g=1", "aside:d"),
        ("d/ d/f=1", "d/ d/f=1 d/g=1", "d=2", "aside:d"),
        ("d=1", "d=2", "d/ d/f=1", "aside:d"),
        ("d=1", "d/ d/f=1", "d=2", "aside:d"),
        ("d=1", "d/ d/f=1", "d/ d/g=1", ">d/f <d/g =d"),
        // What is left alone.
        ("a=1", "!a", "a=1", "!a"),
        ("d/ d/f=1", "!d", "d/ d/f=2", "!d"),
        ("", "d/ d/f=1", "!d", "!d"),
    ];
    for (base, ours, theirs, expected) in table {
        check(Flow::TwoWay { resolved: false }, base, ours, theirs, expected);
    }
}

#[test]
fn this_side_is_right() {
    let table = [
        ("a=1", "a=2", "a=3", "keep:a >a"),
        ("a=1", "", "a=3", "keep:a >-a"),
        ("a=1", "a=2", "", ">a"),
        ("a=1", "a=1", "a=3", "<a"),
        ("d/ d/f=1", "d=2", "d/ d/f=1 d/g=1", "keep:d/g >-d/g >-d/f >d"),
        ("d/ d/f=1", "d/ d/f=1 d/g=1", "d=2", "keep:d <-d/f >d/ >d/g"),
    ];
    for (base, ours, theirs, expected) in table {
        check(Flow::TwoWay { resolved: true }, base, ours, theirs, expected);
    }
}

#[test]
fn one_way_and_back() {
    let table = [
        // base, ours, theirs, steps, steps for a replica
        ("", "a=1", "", ">a", ">a"),
        ("a=1", "a=2", "a=1", ">a", ">a"),
        ("a=1", "a=1", "a=2", ">a", ">a"),
        ("a=1", "", "a=2", ">-a", ">-a"),
        ("", "a=1", "a=1 b=1", "=a", ">-b =a"),
        ("", "d/ d/f=1", "d=1", ">d/ >d/f", ">d/ >d/f"),
        ("d/ d/f=1", "d=1", "d/ d/f=1", ">-d/f >d", ">-d/f >d"),
        ("d/ d/f=1", "", "d/ d/f=1 d/x=1", ">-d/f >-d", ">-d/x >-d/f >-d"),
    ];
    for (base, ours, theirs, plain, replica) in table {
        check(Flow::OneWay { replica: false }, base, ours, theirs, plain);
        check(Flow::OneWay { replica: true }, base, ours, theirs, replica);
        check(Flow::Reverse { replica: false }, base, theirs, ours, &plain.replace('>', "<"));
        check(Flow::Reverse { replica: true }, base, theirs, ours, &replica.replace('>', "<"));
    }
}

#[test]
fn only_what_is_asked_about_is_planned() {
    let (base, ours, theirs) = (tree(""), tree("d/ d/f=1 e=1 d/g=1"), tree(""));
    let trees = Trees { base: &base, ours: &ours, theirs: &theirs };
    let plan = plan(Flow::TwoWay { resolved: false }, trees, &BTreeSet::from([rel("d/f")]));
    assert_eq!(shown(&plan), ">d/ >d/f");
}

#[test]
fn a_side_that_has_lost_everything_is_not_followed() {
    let nothing = Tree::default();
    let (full, empty, one) = (tree("a=1 b=2"), tree(""), tree("a=1"));
    let both = Flow::TwoWay { resolved: false };
    let (one_way, replica) = (Flow::OneWay { replica: false }, Flow::OneWay { replica: true });
    let lost = |side, gone| Some(Halt { side, gone });
    let table = [
        (both, &full, &full, &empty, lost(Side::Theirs, false)),
        (both, &full, &nothing, &full, lost(Side::Ours, true)),
        (both, &full, &empty, &empty, None),
        (both, &empty, &full, &empty, None),
        (both, &nothing, &full, &nothing, None),
        (both, &one, &empty, &one, None),
        (one_way, &full, &full, &empty, None),
        (one_way, &full, &empty, &full, lost(Side::Ours, false)),
        (one_way, &nothing, &empty, &full, None),
        (one_way, &full, &tree("d/ d/e/"), &full, lost(Side::Ours, false)),
        (both, &full, &tree("!d"), &full, None),
        (replica, &nothing, &empty, &full, lost(Side::Ours, false)),
    ];
    for (flow, base, ours, theirs, expected) in table {
        assert_eq!(
            halt(flow, Trees { base, ours, theirs }),
            expected,
            "{flow:?} {base:?} {ours:?} {theirs:?}"
        );
    }
}
