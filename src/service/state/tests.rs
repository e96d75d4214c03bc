mod faults;
mod held;
mod patching;
mod renewed;

use super::*;
use crate::change::Content;
use crate::service::protocol::{Ask, Changed, Launch};
use hotwatch_platform::process::Exit;

/// A machine with a clock of its own that counts milliseconds.
struct Bench {
    machine: Machine,
    start: Instant,
    at: u64,
}

fn digest(text: &str) -> Digest {
    let mut digest = Digest::default();
    digest.add("main.go".as_ref(), Content::of(text.as_bytes()));
    digest
}

/// A complete save.
fn whole(digest: Digest, since: Instant) -> Changed {
    Changed { digest, since, settled: true, restart: false }
}

impl Bench {
    fn new() -> Bench {
        let timing = Timing {
            cooldown: Duration::from_millis(300),
            ready_timeout: Duration::from_secs(60),
            settle: Duration::from_millis(500),
            grace: Duration::from_secs(5),
            drain: None,
        };
        Bench { machine: Machine::new(timing, false), start: Instant::now(), at: 0 }
    }

    /// A machine with a ready process 1 that was built from nothing.
    fn running() -> Bench {
        let mut bench = Bench::new();
        bench.give(0, Input::Tick);
        bench.give(0, Input::Launch);
        bench.give(100, Input::Built(Ok(Made::New)));
        bench.give(100, Input::Started { pid: 1 });
        bench.give(150, Input::Ready { pid: 0 });
        assert_eq!(bench.tick(650), "good:1");
        bench.at = 1000;
        bench
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.at)
    }

    /// Gives `input` at `at` milliseconds; returns the effects as short words. The process 0 stands for
    /// whichever is there.
    fn give(&mut self, at: u64, input: Input) -> String {
        self.at = at;
        let pid = match self.machine.process {
            Process::Running { pid, .. } | Process::Ending(Leaving { pid, .. }) => pid,
            Process::None | Process::Starting { .. } => 0,
        };
        let input = match input {
            Input::Ready { pid: 0 } => Input::Ready { pid },
            Input::Exited { pid: 0, exit } => Input::Exited { pid, exit },
            Input::Gone { pid: 0 } => Input::Gone { pid },
            input => input,
        };
        let effects = self.machine.step(self.now(), input);
        // Follows from the rest; it has a test of its own.
        let told = effects.iter().filter(|effect| {
            !matches!(effect, Effect::Report(Report::Settled) | Effect::Prepare | Effect::BuildAhead)
        });
        told.map(short).collect::<Vec<_>>().join(" ")
    }

    fn save(&mut self, at: u64, text: &str) -> String {
        self.at = at;
        let since = self.now();
        self.give(at, Input::Changed(whole(digest(text), since)))
    }

    /// Lets the deadline pass, which must lie at `at`.
    fn tick(&mut self, at: u64) -> String {
        let due = self.machine.deadline().map(|due| due.duration_since(self.start).as_millis());
        assert_eq!(due, Some(u128::from(at)));
        self.give(at, Input::Tick)
    }
}

fn short(effect: &Effect) -> String {
    match effect {
        Effect::Tell(Event::Started { pid }) => format!("started:{pid}"),
        Effect::Tell(Event::Ready { ms, .. }) => format!("ready:{ms}"),
        Effect::Tell(Event::Restarted { old_pid, pid, ms, .. }) => {
            format!("restarted:{old_pid:?}:{pid}:{ms}")
        }
        Effect::Tell(Event::Build { ok, .. }) => format!("built:{ok}"),
        Effect::Tell(Event::Building) => "building".to_owned(),
        Effect::Tell(Event::StillBuilding { ms }) => format!("still:{ms}"),
        Effect::Tell(Event::Cancelled { .. }) => "cancelled".to_owned(),
        Effect::Tell(Event::Exited { pid, .. }) => format!("exited:{pid}"),
        Effect::Tell(Event::Stopped { pid }) => format!("stopped:{pid}"),
        Effect::Tell(Event::Verdict { rung, .. }) => format!("verdict:{rung:?}"),
        Effect::Tell(Event::Notice { level, .. }) => format!("notice:{level:?}"),
        Effect::Tell(Event::RolledBack { pid, .. }) => format!("back:{pid}"),
        Effect::Tell(Event::Good { pid }) => format!("good:{pid}"),
        Effect::Tell(Event::Held { .. }) => "held".to_owned(),
        Effect::Start(Launch::New { .. }) => "Start".to_owned(),
        Effect::Start(launch) => format!("Start:{launch:?}"),
        Effect::Switch(None) => "switch:none".to_owned(),
        Effect::Switch(Some(pid)) => format!("switch:{pid}"),
        Effect::Retire { pid } => format!("retire:{pid}"),
        Effect::Terminate { .. } => "Terminate".to_owned(),
        Effect::Kill { .. } => "Kill".to_owned(),
        Effect::Abandon { .. } => "Abandon".to_owned(),
        Effect::TellLate { gives_up, .. } => format!("TellLate:{gives_up}"),
        Effect::Tell(other) => format!("{other:?}"),
        Effect::Report(report) => format!("report:{report:?}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn builds_at_once_and_starts_when_its_turn_comes() {
    let mut bench = Bench::new();
    assert_eq!(bench.give(0, Input::Tick), "Build");
    assert_eq!(bench.give(100, Input::Built(Ok(Made::New))), "built:true");
    assert_eq!(bench.give(200, Input::Launch), "Start");
    assert_eq!(bench.give(201, Input::Started { pid: 7 }), "started:7 report:Started");
    assert_eq!(bench.give(230, Input::Ready { pid: 0 }), "ready:29 report:Ready");
    assert_eq!(bench.tick(730), "good:7");
    assert_eq!(bench.machine.deadline(), None);
}

#[test]
fn a_save_builds_then_replaces_the_process() {
    let mut bench = Bench::running();
    assert_eq!(bench.save(1000, "a"), "Build");
    assert_eq!(bench.give(1300, Input::Built(Ok(Made::New))), "built:true Terminate");
    assert_eq!(bench.give(1310, Input::Exited { pid: 0, exit: Exit::Signal(15) }), "");
    assert_eq!(bench.give(1320, Input::Gone { pid: 0 }), "stopped:1 Start");
    assert_eq!(bench.give(1321, Input::Started { pid: 2 }), "started:2 report:Started");
    assert_eq!(bench.give(1340, Input::Ready { pid: 0 }), "ready:19 restarted:Some(1):2:340 report:Ready");
}

#[test]
fn a_failed_build_touches_nothing_and_the_fix_restarts_once() {
    let mut bench = Bench::running();
    bench.save(1000, "broken");
    assert_eq!(bench.give(1200, Input::Built(Err(Failure::default()))), "built:false verdict:Nothing");
    // Even a fix that restores what runs is built: the user waits for the word that it builds again.
    let back = Input::Changed(whole(Digest::default(), bench.now()));
    assert_eq!(bench.give(2000, back), "Build");
    assert_eq!(bench.give(2300, Input::Built(Ok(Made::New))), "built:true Terminate");
}

#[test]
fn a_first_build_that_fails_waits_for_the_next_save() {
    let mut bench = Bench::new();
    bench.give(0, Input::Tick);
    bench.give(0, Input::Launch);
    assert_eq!(
        bench.give(100, Input::Built(Err(Failure::default()))),
        "built:false report:Failed verdict:Nothing"
    );
    assert_eq!(bench.save(500, "fixed"), "Build");
    assert_eq!(bench.give(600, Input::Built(Ok(Made::New))), "built:true Start");
    bench.give(600, Input::Started { pid: 3 });
    assert_eq!(bench.give(610, Input::Ready { pid: 0 }), "ready:10 restarted:None:3:110 report:Ready");
}

#[test]
fn a_newer_save_cancels_a_build_three_times_in_a_row() {
    let mut bench = Bench::running();
    bench.save(1000, "0");
    for round in 1..=3u64 {
        assert_eq!(bench.save(1000 + round * 100, &round.to_string()), "CancelBuild cancelled");
        assert_eq!(bench.save(1001 + round * 100, &format!("{round}b")), "");
        let killed = Input::Built(Err(Failure::default()));
        assert_eq!(bench.give(1002 + round * 100, killed), "Build");
    }
    assert_eq!(bench.save(1400, "last"), "verdict:Restart");
    assert_eq!(bench.give(1500, Input::Built(Ok(Made::New))), "built:true Terminate Build");
    bench.give(1510, Input::Gone { pid: 0 });
    bench.give(1511, Input::Started { pid: 2 });
    // Counted from the first save, although its build and two more were cancelled.
    assert_eq!(bench.give(1520, Input::Ready { pid: 0 }), "ready:9 restarted:Some(1):2:520 report:Ready");
    // Its own restart still keeps the distance.
    assert_eq!(bench.give(1800, Input::Built(Ok(Made::New))), "built:true");
    assert_eq!(bench.tick(1811), "Terminate");
}

#[test]
fn a_save_that_the_build_has_read_does_not_cancel_it() {
    let mut bench = Bench::running();
    bench.save(1000, "a");
    assert_eq!(bench.save(1050, "a"), "");
}

#[test]
fn a_build_during_which_something_was_saved_is_followed_by_another() {
    // The content is what it was, but the build may have read what was there in between.
    let mut bench = Bench::running();
    bench.save(1000, "a");
    let since = bench.now();
    assert_eq!(bench.give(1050, touched(since)), "");
    assert_eq!(bench.give(1300, Input::Built(Ok(Made::New))), "built:true Terminate Build");
    bench.give(1310, Input::Gone { pid: 0 });
    bench.give(1311, Input::Started { pid: 2 });
    bench.give(1320, Input::Ready { pid: 2 });
    bench.give(1700, Input::Built(Ok(Made::New)));

    // The save may be noticed only after the build has ended; one that began later is no reason.
    bench.save(3000, "b");
    bench.give(3100, Input::Built(Ok(Made::New)));
    bench.give(3110, Input::Gone { pid: 0 });
    bench.give(3111, Input::Started { pid: 3 });
    let at = |ms| bench.start + Duration::from_millis(ms);
    let (during, later) = (at(3090), at(3400));
    assert_eq!(bench.give(3500, touched(later)), "");
    assert_eq!(bench.give(3501, touched(during)), "Build");
}

#[test]
fn a_build_that_writes_its_own_sources_again_does_not_go_round_in_circles() {
    for result in [Ok(Made::New), Err(Failure::default())] {
        let mut bench = Bench::running();
        bench.save(1000, "a");
        let mut builds = 1;
        for round in 1..10 {
            let at = 1000 + round * 1000;
            let since = bench.start + Duration::from_millis(at);
            bench.give(at, touched(since));
            let ended = bench.give(at + 5, Input::Built(result.clone()));
            // Its last write is noticed a moment after its end.
            let since = bench.start + Duration::from_millis(at + 10);
            let late = bench.give(at + 10, touched(since));
            builds += (ended + &late).matches("Build").count();
            if bench.machine.build.is_none() {
                break;
            }
        }
        assert_eq!(builds, 2, "{result:?}");
        assert!(bench.machine.build.is_none());
    }
}

fn touched(since: Instant) -> Input {
    Input::Touched { since, generated: false }
}

#[test]
fn what_a_generator_writes_again_is_its_own_work() {
    let mut bench = Bench::running();
    bench.save(1000, "a");
    let again = |bench: &Bench, at| Input::Touched {
        since: bench.start + Duration::from_millis(at),
        generated: true,
    };
    assert_eq!(bench.give(1050, again(&bench, 1050)), "");
    bench.give(1100, Input::Built(Ok(Made::Same)));
    assert_eq!(bench.give(1120, again(&bench, 1120)), "");
    assert!(bench.machine.build.is_none());
}

#[test]
fn what_is_not_built_in_builds_again_only_what_failed() {
    let mut bench = Bench::running();
    let beside = |bench: &Bench, at| Input::Beside { since: bench.start + Duration::from_millis(at) };
    assert_eq!(bench.give(900, beside(&bench, 900)), "");
    bench.save(1000, "a");
    assert_eq!(bench.give(1050, beside(&bench, 1050)), "");
    bench.give(1100, Input::Built(Err(Failure::default())));
    assert_eq!(bench.give(2000, beside(&bench, 2000)), "Build");
}

#[test]
fn a_save_without_a_change_builds_again_what_failed_and_starts_again_what_ended() {
    let mut bench = Bench::running();
    bench.save(1000, "a");
    bench.give(1100, Input::Built(Err(Failure::default())));
    let since = bench.start + Duration::from_millis(2000);
    assert_eq!(bench.give(2000, touched(since)), "Build");
    bench.give(2100, Input::Built(Ok(Made::New)));
    bench.give(2110, Input::Gone { pid: 0 });
    bench.give(2111, Input::Started { pid: 2 });
    bench.give(2200, Input::Ready { pid: 2 });
    bench.give(3000, Input::Exited { pid: 2, exit: Exit::Code(0) });
    bench.give(3001, Input::Gone { pid: 2 });
    let since = bench.start + Duration::from_millis(4000);
    assert_eq!(bench.give(4000, touched(since)), "Start");
}

#[test]
fn what_is_said_of_an_older_process_is_not_taken_for_the_newer_one() {
    let mut bench = Bench::running();
    for input in
        [Input::Gone { pid: 9 }, Input::Exited { pid: 9, exit: Exit::Code(0) }, Input::Ready { pid: 9 }]
    {
        assert_eq!(bench.give(1000, input), "");
    }
}

#[test]
fn there_and_back_again_during_a_build_ends_with_what_runs() {
    let mut bench = Bench::running();
    bench.save(1000, "a");
    let back = Input::Changed(whole(Digest::default(), bench.now()));
    assert_eq!(bench.give(1050, back), "CancelBuild cancelled");
    assert_eq!(bench.give(1060, Input::Built(Err(Failure::default()))), "verdict:Nothing");
    assert_eq!(bench.machine.deadline(), None);
}

#[test]
fn saves_after_a_restart_are_gathered_not_dropped() {
    let mut bench = Bench::running();
    bench.save(1000, "a");
    bench.give(1100, Input::Built(Ok(Made::New)));
    bench.give(1100, Input::Gone { pid: 0 });
    bench.give(1100, Input::Started { pid: 2 });
    bench.give(1110, Input::Ready { pid: 0 });
    assert_eq!(bench.save(1150, "b"), "verdict:Restart");
    assert_eq!(bench.save(1250, "c"), "verdict:Restart");
    assert_eq!(bench.tick(1400), "Build");
    bench.give(1500, Input::Built(Ok(Made::New)));
    bench.give(1500, Input::Gone { pid: 0 });
    bench.give(1500, Input::Started { pid: 3 });
    assert_eq!(bench.give(1510, Input::Ready { pid: 0 }), "ready:10 restarted:Some(2):3:360 report:Ready");
    // There and back again within the cooldown is nothing.
    assert_eq!(bench.save(1600, "d"), "verdict:Restart");
    assert_eq!(bench.save(1700, "c"), "verdict:Nothing");
    assert_eq!(bench.tick(2010), "good:3 Keep");
    assert_eq!(bench.machine.deadline(), None);
}

#[test]
fn a_process_that_does_not_stop_is_killed_and_in_the_end_abandoned() {
    let mut bench = Bench::running();
    assert_eq!(bench.give(1000, Input::Stop), "Terminate");
    assert_eq!(bench.tick(6000), "notice:Warning Kill");
    assert_eq!(bench.tick(11_000), "notice:Warning Abandon stopped:1 report:Stopped");
}

#[test]
fn kill_does_not_wait() {
    let mut bench = Bench::running();
    bench.give(1000, Input::Stop);
    assert_eq!(bench.give(1100, Input::Kill), "Kill");
    assert_eq!(bench.give(1101, Input::Gone { pid: 0 }), "stopped:1 report:Stopped");
}

#[test]
fn stopping_ends_the_build_too() {
    let mut bench = Bench::running();
    bench.save(1000, "a");
    assert_eq!(bench.give(1100, Input::Stop), "CancelBuild Terminate");
    assert_eq!(bench.give(1110, Input::Gone { pid: 0 }), "stopped:1");
    assert_eq!(bench.give(1120, Input::Built(Err(Failure::default()))), "report:Stopped");
}

#[test]
fn a_crash_is_told_what_it_leaves_is_ended_and_the_next_save_starts_again() {
    let mut bench = Bench::running();
    assert_eq!(
        bench.give(1000, Input::Exited { pid: 0, exit: Exit::Code(1) }),
        "exited:1 Terminate notice:Warning"
    );
    assert_eq!(bench.tick(6000), "Kill");
    assert_eq!(bench.give(6001, Input::Gone { pid: 0 }), "Start:Again");
    bench.give(6002, Input::Started { pid: 2 });
    bench.give(6003, Input::Ready { pid: 2 });
    assert_eq!(bench.save(7000, "a"), "Build");
    assert_eq!(bench.give(7100, Input::Built(Ok(Made::New))), "built:true Terminate");
}

#[test]
fn a_save_after_an_early_crash_is_not_forgotten() {
    let mut bench = Bench::new();
    bench.give(0, Input::Tick);
    bench.give(0, Input::Launch);
    bench.give(0, Input::Built(Ok(Made::New)));
    bench.give(0, Input::Started { pid: 1 });
    assert_eq!(
        bench.give(50, Input::Exited { pid: 0, exit: Exit::Code(2) }),
        "exited:1 report:Failed Terminate notice:Warning"
    );
    bench.give(51, Input::Gone { pid: 0 });
    assert_eq!(bench.save(100, "fixed"), "verdict:Restart");
    assert_eq!(bench.tick(150), "Start:Again");
    bench.give(151, Input::Started { pid: 2 });
    assert_eq!(bench.tick(300), "Build");
}

#[test]
fn a_save_during_the_stop_is_built_and_the_older_binary_starts_meanwhile() {
    let mut bench = Bench::running();
    bench.save(1000, "a");
    bench.give(1100, Input::Built(Ok(Made::New)));
    assert_eq!(bench.save(1150, "b"), "Build");
    assert_eq!(bench.give(1200, Input::Gone { pid: 0 }), "stopped:1 Start");
    assert_eq!(bench.give(1201, Input::Started { pid: 2 }), "started:2 report:Started");
    assert_eq!(bench.give(1300, Input::Built(Ok(Made::New))), "built:true");
    assert_eq!(bench.tick(1501), "Terminate");
}

#[test]
fn long_builds_are_mentioned_at_every_doubling() {
    let mut bench = Bench::new();
    bench.give(0, Input::Tick);
    // While it waits for other builds nothing is mentioned.
    assert_eq!(bench.machine.deadline(), None);
    assert_eq!(bench.give(0, Input::Building), "building");
    assert_eq!(bench.tick(2000), "still:2000");
    assert_eq!(bench.tick(4000), "still:4000");
    assert_eq!(bench.tick(8000), "still:8000");
    assert_eq!(bench.give(9000, Input::Stop), "CancelBuild");
    assert_eq!(bench.machine.deadline(), None);
}

#[test]
fn a_process_that_is_late_is_told_once_and_may_still_become_ready() {
    let mut bench = Bench::new();
    bench.give(0, Input::Tick);
    bench.give(0, Input::Launch);
    bench.give(0, Input::Built(Ok(Made::New)));
    bench.give(0, Input::Started { pid: 1 });
    assert_eq!(bench.tick(60_000), "TellLate:false report:Failed");
    assert_eq!(bench.give(61_000, Input::Ready { pid: 0 }), "ready:61000 report:Ready");
}

#[test]
fn a_build_on_a_chance_is_told_when_the_save_is_complete() {
    let mut bench = Bench::running();
    let begun =
        |bench: &Bench, text| Input::Changed(Changed { settled: false, ..whole(digest(text), bench.now()) });
    let early = begun(&bench, "a");
    assert_eq!(bench.give(1000, early), "Build");
    assert_eq!(bench.give(1001, Input::Building), "");
    assert_eq!(bench.save(1020, "a"), "building");
    assert_eq!(bench.give(1300, Input::Built(Ok(Made::New))), "built:true Terminate");

    // One that turns out to be outdated costs no patience.
    let mut bench = Bench::running();
    for round in 0..5 {
        let early = begun(&bench, "half");
        let at = 1000 + 100 * round;
        assert_eq!(bench.give(at, early), "Build", "{round}");
        assert_eq!(bench.give(at + 1, Input::Building), "");
        assert_eq!(bench.save(at + 20, "whole"), "CancelBuild");
        assert_eq!(bench.give(at + 21, Input::Built(Err(Failure::default()))), "Build");
        assert_eq!(bench.save(at + 30, &format!("more {round}")), "CancelBuild cancelled");
        assert_eq!(bench.give(at + 31, Input::Built(Err(Failure::default()))), "Build");
        assert_eq!(bench.give(at + 90, Input::Built(Err(Failure::default()))), "built:false verdict:Nothing");
    }

    // One that ends before the save does waits for it.
    let mut bench = Bench::running();
    let early = begun(&bench, "a");
    bench.give(1000, early);
    bench.give(1001, Input::Building);
    assert_eq!(bench.give(1005, Input::Built(Ok(Made::New))), "");
    assert_eq!(bench.machine.deadline(), None);
    assert_eq!(bench.save(1020, "a"), "building built:true Terminate");
}

#[test]
fn the_same_program_restarts_nothing_unless_what_it_reads_changed() {
    let mut bench = Bench::running();
    bench.save(1000, "a");
    assert_eq!(bench.give(1300, Input::Built(Ok(Made::Same))), "built:true verdict:Nothing");
    let since = bench.now();
    bench.give(2000, Input::Changed(Changed { restart: true, ..whole(digest("b"), since) }));
    assert_eq!(bench.give(2300, Input::Built(Ok(Made::Same))), "built:true Terminate");
}

#[test]
fn files_that_join_a_program_are_no_change_for_who_has_read_them() {
    let mut bench = Bench::running();
    bench.save(1000, "a");
    assert_eq!(bench.give(1050, Input::Rebased { from: digest("a"), to: digest("a+b") }), "");
    assert_eq!(bench.give(1300, Input::Built(Ok(Made::New))), "built:true Terminate");
    assert!(bench.machine.deadline().is_some());
    // What has read something else stays outdated.
    let mut bench = Bench::running();
    bench.save(1000, "a");
    bench.give(1300, Input::Built(Err(Failure::default())));
    assert_eq!(bench.give(1400, Input::Rebased { from: digest("other"), to: digest("a") }), "");
    assert_eq!(bench.save(1500, "b"), "Build");
}

#[test]
fn what_its_own_steps_write_starts_no_second_build() {
    let mut bench = Bench::running();
    bench.save(1000, "a");
    let since = bench.now();
    assert_eq!(bench.give(1050, Input::Generated { digest: digest("a+gen"), since }), "");
    assert_eq!(bench.give(1300, Input::Built(Ok(Made::New))), "built:true Terminate");
    // The events may come late.
    let mut bench = Bench::running();
    bench.save(1000, "a");
    bench.give(1300, Input::Built(Err(Failure::default())));
    let since = bench.now();
    assert_eq!(bench.give(1330, Input::Generated { digest: digest("a+gen"), since }), "");
    // Somebody else's edit of a generated file is a change.
    let since = bench.start + Duration::from_secs(5);
    assert_eq!(bench.give(5000, Input::Generated { digest: digest("edited"), since }), "Build");
}

#[test]
fn the_time_of_a_restart_is_split() {
    let mut bench = Bench::running();
    bench.save(1000, "a");
    bench.give(1030, Input::Building);
    bench.give(1300, Input::Built(Ok(Made::New)));
    bench.give(1310, Input::Exited { pid: 0, exit: Exit::Code(0) });
    bench.give(1320, Input::Gone { pid: 0 });
    bench.give(1322, Input::Started { pid: 2 });
    bench.at = 1350;
    let effects = bench.machine.step(bench.now(), Input::Ready { pid: 2 });
    let split = Split { wait_ms: 30, build_ms: 270, stop_ms: 20, start_ms: 2, ready_ms: 28 };
    assert!(
        effects.contains(&Effect::Tell(Event::Restarted { old_pid: Some(1), pid: 2, ms: 350, split })),
        "{effects:?}"
    );
}

#[test]
fn the_end_of_a_reload_is_reported_whatever_it_was() {
    let settled = |effects: Vec<Effect>| effects.contains(&Effect::Report(Report::Settled));
    let mut bench = Bench::running();
    let change = |bench: &Bench, text| Input::Changed(whole(digest(text), bench.now()));
    let step = |bench: &mut Bench, input| settled(bench.machine.step(bench.now(), input));
    // A restart, that of a failed build, and a save that takes the last one back.
    let input = change(&bench, "a");
    assert!(!step(&mut bench, input));
    assert!(!step(&mut bench, Input::Built(Ok(Made::New))));
    assert!(!step(&mut bench, Input::Gone { pid: 1 }));
    assert!(!step(&mut bench, Input::Started { pid: 2 }));
    assert!(step(&mut bench, Input::Ready { pid: 2 }));
    bench.at = 2000;
    let input = change(&bench, "b");
    assert!(!step(&mut bench, input));
    assert!(step(&mut bench, Input::Built(Err(Failure::default()))));
    let input = change(&bench, "b");
    assert!(step(&mut bench, input));
}

#[test]
fn who_is_held_builds_but_starts_later() {
    let mut bench = Bench::running();
    assert_eq!(bench.give(1000, Input::Hold(true)), "");
    assert_eq!(bench.save(1000, "a"), "Build");
    assert_eq!(bench.give(1300, Input::Built(Ok(Made::New))), "built:true");
    assert_eq!(bench.machine.deadline(), None);
    assert_eq!(bench.give(1500, Input::Hold(false)), "Terminate");
}

#[test]
fn new_settings_and_a_save_are_one_restart() {
    let config = "[[service]]\nname = \"a\"\n";
    let root = std::path::Path::new("/tmp").canonicalize().unwrap();
    let config = crate::config::parse(config, "hotwatch.toml".as_ref(), &root, &|_| None).unwrap();
    let settings = |bench: &mut Bench, at: u64, how: Renewal| {
        let config = Box::new(config.services[0].clone());
        let since = bench.start + Duration::from_millis(at);
        bench.give(at, Input::Reconfigured { config, how, since })
    };
    // Alone.
    let mut bench = Bench::running();
    assert_eq!(settings(&mut bench, 1000, Renewal::Restart), "Terminate");
    // With a save: after its build, the same program or not.
    let mut bench = Bench::running();
    bench.save(1000, "a");
    assert_eq!(settings(&mut bench, 1001, Renewal::Restart), "");
    assert_eq!(bench.give(1300, Input::Built(Ok(Made::Same))), "built:true Terminate");
    assert_eq!(bench.give(1310, Input::Gone { pid: 0 }), "stopped:1 Start");
    assert_eq!(bench.give(1312, Input::Started { pid: 2 }), "started:2 report:Started");
    assert_eq!(bench.give(1320, Input::Ready { pid: 0 }), "ready:8 restarted:Some(1):2:320 report:Ready");
    // With one that cannot be built, or could not before: what was built before takes them over.
    let mut bench = Bench::running();
    bench.save(1000, "a");
    settings(&mut bench, 1001, Renewal::Restart);
    let failed = bench.give(1300, Input::Built(Err(Failure::default())));
    assert_eq!(failed, "built:false verdict:Nothing Terminate");
    let mut bench = Bench::running();
    bench.save(1000, "a");
    bench.give(1300, Input::Built(Err(Failure::default())));
    assert_eq!(settings(&mut bench, 1400, Renewal::Restart), "Terminate");
    // A build that has ended before its save was complete cannot be cancelled any more.
    let mut bench = Bench::running();
    let since = bench.now();
    bench.give(1000, Input::Changed(Changed { settled: false, ..whole(digest("a"), since) }));
    bench.give(1050, Input::Built(Ok(Made::New)));
    assert_eq!(settings(&mut bench, 1060, Renewal::Rebuild), "Build");
}

#[test]
fn who_was_stopped_by_its_user_stays_down_until_it_is_asked_for() {
    let mut bench = Bench::running();
    assert_eq!(bench.give(1000, Input::Ask(Ask::Start)), "notice:Info");
    assert_eq!(bench.give(1000, Input::Ask(Ask::Stop)), "Terminate");
    assert_eq!(bench.give(1010, Input::Gone { pid: 0 }), "stopped:1");
    assert_eq!(bench.save(2000, "a"), "verdict:Nothing");
    assert_eq!(bench.machine.deadline(), None);
    assert_eq!(bench.give(3000, Input::Ask(Ask::Stop)), "notice:Info");
    // What was built last starts at once, what is there now follows.
    assert_eq!(bench.give(4000, Input::Ask(Ask::Start)), "Start Build");
    bench.give(4001, Input::Started { pid: 2 });
    assert_eq!(bench.give(4010, Input::Ready { pid: 2 }), "ready:9 restarted:None:2:10 report:Ready");
}

#[test]
fn who_is_started_again_runs_what_was_built_before_the_last_build_failed() {
    let mut bench = Bench::running();
    bench.save(1000, "a");
    bench.give(1100, Input::Built(Err(Failure::default())));
    bench.give(1200, Input::Ask(Ask::Stop));
    bench.give(1210, Input::Gone { pid: 1 });
    assert_eq!(bench.give(2000, Input::Ask(Ask::Start)), "Start Build");
}

#[test]
fn a_user_may_ask_for_another_process_or_another_build() {
    let mut bench = Bench::running();
    assert_eq!(bench.give(1000, Input::Ask(Ask::Restart)), "Terminate");
    assert_eq!(bench.give(1010, Input::Gone { pid: 0 }), "stopped:1 Start");
    bench.give(1011, Input::Started { pid: 2 });
    assert_eq!(bench.give(1020, Input::Ready { pid: 2 }), "ready:9 restarted:Some(1):2:20 report:Ready");
    assert_eq!(bench.give(1030, Input::Ask(Ask::Build)), "Build");
    assert_eq!(bench.give(1100, Input::Built(Ok(Made::Same))), "built:true verdict:Nothing");
}
