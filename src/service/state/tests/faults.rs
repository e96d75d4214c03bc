//! What ends by itself, and what takes its place.

use super::*;

/// Process 2, started for the save `a`, whose predecessor 1 was good; not ready yet.
fn replaced() -> Bench {
    let mut bench = Bench::running();
    bench.save(1000, "a");
    bench.give(1100, Input::Built(Ok(Made::New)));
    let effects = bench.machine.step(bench.now(), Input::Gone { pid: 1 });
    assert!(effects.contains(&Effect::Start(Launch::New { keep: true })), "{effects:?}");
    bench.give(1101, Input::Started { pid: 2 });
    bench
}

#[test]
fn who_starts_badly_gives_way_once_to_what_ran_before() {
    let exited = |pid, code| Input::Exited { pid, exit: Exit::Code(code) };
    for ready in [false, true] {
        let mut bench = replaced();
        let mut told = "exited:2 report:Failed Terminate";
        if ready {
            bench.give(1110, Input::Ready { pid: 2 });
            told = "exited:2 Terminate";
        }
        assert_eq!(bench.give(1200, exited(2, 1)), told);
        assert_eq!(bench.give(1201, Input::Gone { pid: 2 }), "Start:Back");
        bench.give(1202, Input::Started { pid: 3 });
        assert_eq!(bench.give(1210, Input::Ready { pid: 3 }), "ready:8 back:3 report:Ready");
        assert_eq!(bench.tick(1710), "good:3");
        // The same source saved again is another attempt, and what runs now is good.
        let since = bench.start + Duration::from_millis(2000);
        assert_eq!(bench.give(2000, touched(since)), "Build");
        assert_eq!(bench.give(2100, Input::Built(Ok(Made::New))), "built:true Terminate");
        assert_eq!(bench.give(2110, Input::Gone { pid: 3 }), "stopped:3 Start");
        bench.give(2111, Input::Started { pid: 4 });
        bench.give(2112, Input::Ready { pid: 4 });
        assert_eq!(bench.tick(2612), "good:4 Keep");
        // Now it is good, so its end is a crash.
        assert_eq!(bench.give(3000, exited(4, 1)), "exited:4 Terminate notice:Warning");
        assert_eq!(bench.give(3001, Input::Gone { pid: 4 }), "");
        assert_eq!(bench.tick(3100), "Start:Again");
    }
}

/// What was told of going back: how long it took, and where that went, in order.
fn spent(effects: &[Effect]) -> Option<(u64, [u64; 5])> {
    effects.iter().find_map(|effect| match effect {
        Effect::Tell(Event::RolledBack { ms, split, .. }) => {
            let Split { wait_ms, build_ms, stop_ms, start_ms, ready_ms } = *split;
            Some((*ms, [wait_ms, build_ms, stop_ms, start_ms, ready_ms]))
        }
        _ => None,
    })
}

#[test]
fn going_back_says_where_the_time_of_the_attempt_went() {
    for (held, ready) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut bench = Bench::running();
        let drain = held.then_some(Duration::from_secs(10));
        bench.machine.retime(Timing { drain, ..bench.machine.timing });
        bench.save(1000, "a");
        bench.give(1010, Input::Building);
        bench.give(1100, Input::Built(Ok(Made::New)));
        if !held {
            bench.give(1105, Input::Gone { pid: 1 });
        }
        bench.give(1106, Input::Started { pid: 2 });
        if ready {
            bench.give(1110, Input::Ready { pid: 2 });
        }
        bench.at = 1200;
        let exited = Input::Exited { pid: 2, exit: Exit::Code(1) };
        let effects = bench.machine.step(bench.now(), exited);
        if held {
            assert_eq!(spent(&effects), Some((200, [10, 90, 0, 6, 94])));
            continue;
        }
        bench.give(1201, Input::Gone { pid: 2 });
        bench.give(1202, Input::Started { pid: 3 });
        bench.at = 1210;
        let effects = bench.machine.step(bench.now(), Input::Ready { pid: 3 });
        assert_eq!(spent(&effects), Some((210, [10, 90, 5, 1, 104])));
    }
}

#[test]
fn who_never_becomes_ready_gives_way_too() {
    let mut bench = replaced();
    assert_eq!(bench.tick(61_101), "TellLate:true report:Failed Terminate");
    assert_eq!(bench.give(61_110, Input::Gone { pid: 2 }), "stopped:2 Start:Back");
}

#[test]
fn what_cannot_be_started_gives_way_too() {
    let mut bench = Bench::running();
    bench.save(1000, "a");
    bench.give(1100, Input::Built(Ok(Made::New)));
    bench.give(1110, Input::Gone { pid: 1 });
    let reason = "cannot run".to_owned();
    assert_eq!(bench.give(1111, Input::NotStarted(reason)), "report:Failed notice:Error Start:Back");
}

#[test]
fn a_newer_binary_takes_the_place_of_a_bad_one_and_what_was_good_stays_aside() {
    let mut bench = replaced();
    bench.save(1200, "b");
    assert_eq!(bench.tick(1401), "Build");
    bench.give(1450, Input::Exited { pid: 2, exit: Exit::Code(1) });
    // What ran before does so while the build goes on.
    assert_eq!(bench.give(1460, Input::Gone { pid: 2 }), "Start:Back");
    bench.give(1461, Input::Started { pid: 3 });
    bench.give(1462, Input::Ready { pid: 3 });
    assert_eq!(bench.give(1500, Input::Built(Ok(Made::New))), "built:true Terminate");
    assert_eq!(bench.give(1501, Input::Gone { pid: 3 }), "stopped:3 Start");
    bench.give(1502, Input::Started { pid: 4 });
    bench.give(1503, Input::Exited { pid: 4, exit: Exit::Code(1) });
    assert_eq!(bench.give(1504, Input::Gone { pid: 4 }), "Start:Back");
}

#[test]
fn after_five_ends_within_a_minute_nothing_starts_but_for_a_save() {
    let mut bench = Bench::running();
    let mut at = 1000;
    for (number, pause) in [100, 500, 2000, 5000].into_iter().enumerate() {
        let pid = i32::try_from(number).unwrap() + 1;
        let told = bench.give(at, Input::Exited { pid, exit: Exit::Signal(9) });
        assert!(told.contains("notice:Warning"), "{told}");
        bench.give(at, Input::Gone { pid });
        at += pause;
        assert_eq!(bench.tick(at), "Start:Again");
        bench.give(at, Input::Started { pid: pid + 1 });
    }
    assert!(bench.give(at, Input::Exited { pid: 5, exit: Exit::Signal(9) }).contains("held"));
    assert_eq!(bench.give(at, Input::Gone { pid: 5 }), "");
    assert_eq!(bench.machine.deadline(), None);
    let since = bench.start + Duration::from_millis(at);
    assert_eq!(bench.give(at, touched(since)), "Start");
}
