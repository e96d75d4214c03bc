use super::*;
use crate::record::{Failure, PatchSplit, Rung, Split};
use std::time::{Duration, UNIX_EPOCH};

fn at(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + ms)
}

fn name() -> Name {
    Name::parse("api").unwrap()
}

/// What is known after these events, which come 100 ms after each other.
fn after(events: impl IntoIterator<Item = Event>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.configure([(&name(), Some(80))], at(0));
    for (event, ms) in events.into_iter().zip((0..).step_by(100)) {
        snapshot.take(&Record { at: at(ms), event, service: Some(name()) });
    }
    snapshot
}

fn built(ok: bool) -> Event {
    let summary = if ok { "" } else { "undefined: <x>" };
    Event::Build { ok, ms: 90, failure: Failure { summary: summary.to_owned(), ..Failure::default() } }
}

fn verdict(rung: Rung, reason: &str) -> Event {
    Event::Verdict { rung, reason: reason.to_owned() }
}

fn started() -> Vec<Event> {
    vec![
        Event::Building,
        built(true),
        Event::Started { pid: 7 },
        Event::Ready { pid: 7, ms: 5 },
        Event::Settled,
    ]
}

fn restarted() -> Event {
    let split = Split { wait_ms: 10, build_ms: 90, stop_ms: 5, start_ms: 1, ready_ms: 20 };
    Event::Restarted { old_pid: Some(7), pid: 8, ms: 126, split }
}

#[test]
fn states_follow_events() {
    let changed = || verdict(Rung::Restart, "main.go changed");
    let exited = Event::Exited { pid: 7, code: Some(3), signal: None };
    let could_not = Event::Notice { level: Level::Error, message: "no such file".to_owned() };
    let mut table = vec![
        (vec![], State::Waiting, None, None),
        (vec![Event::Building], State::Waiting, None, None),
        (vec![Event::Building, built(false)], State::Failed, None, Some("undefined: <x>")),
        (vec![Event::Building, built(true), Event::Started { pid: 7 }], State::Starting, Some(7), None),
        (vec![Event::Building, built(true), could_not], State::Failed, None, Some("no such file")),
    ];
    let running: Vec<(Vec<Event>, _, _, _)> = vec![
        (vec![], State::Ready, Some(7), None),
        (vec![changed(), Event::Building, built(false)], State::Ready, Some(7), Some("undefined: <x>")),
        (vec![exited], State::Crashed, None, Some("exited with code 3")),
        (vec![Event::Stopped { pid: 7 }], State::Stopped, None, None),
        (vec![Event::Stopped { pid: 7 }, Event::Started { pid: 8 }], State::Starting, Some(8), None),
    ];
    table.extend(
        running
            .into_iter()
            .map(|(more, state, pid, failure)| ([started(), more].concat(), state, pid, failure)),
    );
    for (events, state, pid, failure) in table {
        let shown = format!("{events:?}");
        let snapshot = after(events);
        let service = &snapshot.services[0];
        assert_eq!(
            (service.state, service.pid, service.failure.as_deref()),
            (state, pid, failure),
            "{shown}"
        );
    }
}

#[test]
fn restarts_are_counted_from_the_second_process_on() {
    let again = [Event::Stopped { pid: 7 }, Event::Started { pid: 8 }, Event::Ready { pid: 8, ms: 1 }];
    let mut events = vec![Event::Building, built(false)];
    events.extend(started());
    assert_eq!(after(events.clone()).services[0].restarts, 0);
    events.extend(again);
    assert_eq!(after(events).services[0].restarts, 1);
}

#[test]
fn the_timeline_says_what_became_of_each_save() {
    let changed = |file: &str| Event::Change { paths: vec![file.to_owned()] };
    let events = [
        started(),
        vec![changed("a.go"), Event::Building, built(false)],
        vec![changed("b.go"), Event::Building, Event::Cancelled { reason: "newer".to_owned() }],
        vec![changed("c.go"), Event::Building, built(true)],
        vec![verdict(Rung::Nothing, "the same program"), Event::Settled],
        vec![changed("x.go"), verdict(Rung::Nothing, "a comment")],
        vec![changed("d.go"), Event::Building, built(true), Event::Stopped { pid: 7 }],
        vec![Event::Started { pid: 8 }, Event::Ready { pid: 8, ms: 1 }, restarted(), Event::Settled],
    ];
    let snapshot = after(events.concat());
    let told: Vec<_> =
        snapshot.reloads.iter().map(|reload| (reload.word(), reload.reason.as_str(), reload.ms)).collect();
    let expected = [
        ("failed", "a.go changed", 90),
        ("cancelled", "b.go changed", 100),
        ("unchanged", "b.go and c.go changed", 90),
        ("restarted", "d.go changed", 126),
    ];
    assert_eq!(told, expected);
}

#[test]
fn the_timeline_is_bounded() {
    let many = (0..RELOADS + 5).flat_map(|_| [Event::Building, built(false)]);
    assert_eq!(after(many).reloads.len(), RELOADS);
}

#[test]
fn reloads_survive_their_way_to_another_process() {
    let snapshot = after([started(), vec![restarted(), Event::Building, built(false)]].concat());
    for reload in &snapshot.reloads {
        let json = serde_json::to_string(reload).unwrap();
        assert_eq!(&serde_json::from_str::<Reload>(&json).unwrap(), reload, "{json}");
    }
    let json = serde_json::to_value(&snapshot.reloads[0]).unwrap();
    assert_eq!(
        (&json["outcome"], &json["wait_ms"], &json["at"]),
        (&"restarted".into(), &10.into(), &"2023-11-14T22:13:20.500000000Z".into())
    );
}

#[test]
fn tables_are_aligned_and_cut() {
    let snapshot = after([started(), vec![Event::Building, built(false)]].concat());
    let text = services(&snapshot.services, at(61_200), false, None);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "SERVICE  STATE             PID  PORT  UPTIME  RESTARTS  BUILD  RSS  CPU");
    assert_eq!(
        lines[1],
        "api      ready, old build  7    80    1m 1s   0         90 ms  -    -    undefined: <x>"
    );
    for width in [0, 1, 20, 40] {
        let cut = services(&snapshot.services, at(0), false, Some(width));
        assert!(cut.lines().all(|line| line.chars().count() <= width), "{cut}");
    }
    assert!(services(&snapshot.services, at(0), true, None).contains("\x1b[31mready, old build"));
    let text = timeline(&Vec::from(snapshot.reloads), at(60_000), false, None);
    assert!(text.contains("59s ago  api      failed  90 ms  0 ms    90 ms"), "{text}");
}

#[test]
fn the_page_escapes_everything_and_needs_no_network() {
    let nasty = Event::Change { paths: vec!["</span><script>alert('x')</script>\"&.go".to_owned()] };
    let events = [started(), vec![nasty, Event::Building, built(false), restarted()]].concat();
    let reloads = Vec::from(after(events).reloads);
    let page = page("/home/me/<shop>", &["api".to_owned(), "web".to_owned()], &reloads, at(60_000));
    assert!(page.starts_with(MARK));
    assert_eq!(page.matches("<script>").count(), 1, "{page}");
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;.go changed"), "{page}");
    assert!(page.contains("undefined: &lt;x&gt;") && page.contains("/home/me/&lt;shop&gt;"));
    assert_eq!((page.matches("<button class=bar").count(), page.matches("<div class=row").count()), (2, 2));
    assert!(page.contains("gather 10 ms, build 90 ms, stop 5 ms, start 1 ms, ready 20 ms"), "{page}");
    for outside in ["http:", "https:", "src=", "href=", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn services_that_leave_are_forgotten_and_those_that_stay_are_not() {
    let mut snapshot = after(started());
    let new = Name::parse("new").unwrap();
    snapshot.configure([(&new, None), (&name(), Some(81))], at(0));
    assert_eq!(snapshot.names().collect::<Vec<_>>(), ["new", "api"]);
    let service = &snapshot.services[1];
    assert_eq!((service.pid, service.port), (Some(7), Some(81)));
}

fn patched(generation: u32, functions: &[&str], stale_goroutines: u64) -> Event {
    let functions = functions.iter().map(|&name| name.to_owned()).collect();
    let memory_bytes = 56_000 * u64::from(generation);
    let split = PatchSplit::default();
    Event::Patched {
        pid: 7,
        generation,
        functions,
        link: "direct",
        stale_goroutines,
        memory_bytes,
        ms: 9,
        split,
    }
}

#[test]
fn patches_are_summed_up_until_the_process_is_another() {
    let twice = [started(), vec![patched(1, &["f"], 0), patched(2, &["f", "(*T).g"], 2)]].concat();
    let snapshot = after(twice.clone());
    let service = &snapshot.services[0];
    assert_eq!((service.generations, service.patched, service.patch_bytes), (2, 3, 112_000));
    let text = services(&snapshot.services, at(0), false, None);
    let expected = "\
api is patched: 2 generations, 3 functions, 112 KB (newest: `f` and `(*T).g`); 2 goroutines were still in older versions when the newest came
  `hotwatch restart api`, or the key `r`, gives it a fresh start
";
    assert!(text.ends_with(expected), "{text}");
    for width in [0, 10, 60] {
        let cut = services(&snapshot.services, at(0), false, Some(width));
        assert!(cut.lines().all(|line| line.chars().count() <= width), "{cut}");
    }
    for end in [Event::Stopped { pid: 7 }, Event::Started { pid: 8 }] {
        let snapshot = after([twice.clone(), vec![end]].concat());
        let service = &snapshot.services[0];
        assert_eq!((service.generations, service.patched, service.patch_bytes), (0, 0, 0));
        assert!(service.newest.is_empty() && service.stale_goroutines == 0);
        assert!(!services(&snapshot.services, at(0), false, None).contains("patched"));
    }
}
