//! Processes beside each other, where somebody else holds the port.

use super::*;

/// A machine behind a held port: process 1 is good, and process 2 was started beside it for the save `a`.
fn beside() -> Bench {
    let mut bench = Bench::running();
    bench.machine.retime(Timing { drain: Some(Duration::from_secs(10)), ..bench.machine.timing });
    bench.save(1000, "a");
    assert_eq!(bench.give(1100, Input::Built(Ok(Made::New))), "built:true Start");
    assert_eq!(bench.give(1101, Input::Started { pid: 2 }), "started:2 report:Started");
    bench
}

#[test]
fn behind_a_held_port_the_old_process_goes_when_the_new_one_is_good() {
    let mut bench = beside();
    let told = "switch:2 ready:9 restarted:Some(1):2:110 report:Ready";
    assert_eq!(bench.give(1110, Input::Ready { pid: 2 }), told);
    assert_eq!(bench.tick(1610), "good:2 Keep retire:1");
    assert_eq!(bench.give(1700, Input::Idle { pid: 1 }), "Terminate");
    assert_eq!(bench.give(1710, Input::Exited { pid: 1, exit: Exit::Code(0) }), "");
    assert_eq!(bench.give(1711, Input::Gone { pid: 1 }), "stopped:1");
    assert_eq!(bench.machine.deadline(), None);
}

#[test]
fn who_does_not_finish_is_asked_to_stop_and_then_killed() {
    let mut bench = beside();
    bench.give(1110, Input::Ready { pid: 2 });
    bench.tick(1610);
    assert_eq!(bench.tick(11_110), "Terminate");
    assert_eq!(bench.tick(16_110), "notice:Warning Kill");
    assert_eq!(bench.tick(21_110), "notice:Warning Abandon stopped:1");
}

#[test]
fn behind_a_held_port_the_old_process_never_leaves_if_the_new_one_is_bad() {
    let exited = |pid| Input::Exited { pid, exit: Exit::Code(1) };
    // Before it is ready, after that, or never ready.
    let mut bench = beside();
    assert_eq!(bench.give(1110, exited(2)), "exited:2 Terminate Restore switch:1 report:Ready back:1");
    assert_eq!(bench.give(1111, Input::Gone { pid: 2 }), "");
    assert_eq!(bench.machine.deadline(), None);

    let mut bench = beside();
    bench.give(1110, Input::Ready { pid: 2 });
    assert_eq!(bench.give(1200, exited(2)), "exited:2 Terminate Restore switch:1 report:Ready back:1");
    let since = bench.start + Duration::from_millis(2000);
    bench.give(1201, Input::Gone { pid: 2 });
    assert_eq!(bench.give(2000, touched(since)), "Build");

    let mut bench = beside();
    let told = "TellLate:true Terminate Restore switch:1 report:Ready back:1";
    assert_eq!(bench.tick(61_101), told);
    assert_eq!(bench.give(61_110, Input::Gone { pid: 2 }), "stopped:2");
}

#[test]
fn behind_a_held_port_the_process_of_the_last_save_is_what_there_is_to_go_back_to() {
    let mut bench = beside();
    bench.give(1110, Input::Ready { pid: 2 });
    bench.save(1200, "b");
    assert_eq!(bench.tick(1401), "Build");
    // It has not stayed up for long, but nobody wants the one before it any more.
    assert_eq!(bench.give(1450, Input::Built(Ok(Made::New))), "built:true retire:1 Start");
    bench.give(1451, Input::Started { pid: 3 });
    let exited = Input::Exited { pid: 3, exit: Exit::Code(1) };
    assert_eq!(bench.give(1460, exited), "exited:3 Terminate Restore switch:2 report:Ready back:2");
    // Its own time goes on.
    bench.at = 1610;
    assert_eq!(bench.give(1610, Input::Tick), "good:2");
    // One that is not ready yet is no process to go back to.
    bench.save(1700, "c");
    bench.tick(1751);
    bench.give(1800, Input::Built(Ok(Made::New)));
    bench.give(1801, Input::Started { pid: 4 });
    bench.save(1900, "d");
    bench.tick(2101);
    assert_eq!(bench.give(2200, Input::Built(Ok(Made::New))), "built:true Terminate");
    assert_eq!(bench.give(2210, Input::Gone { pid: 4 }), "stopped:4 Start");
    bench.give(2211, Input::Started { pid: 5 });
    let told = "switch:5 ready:9 restarted:Some(2):5:320 report:Ready";
    assert_eq!(bench.give(2220, Input::Ready { pid: 5 }), told);
}

#[test]
fn behind_a_held_port_stopping_ends_all_of_them() {
    let mut bench = beside();
    assert_eq!(bench.give(1110, Input::Stop), "switch:none Terminate Terminate");
    assert_eq!(bench.give(1120, Input::Gone { pid: 1 }), "stopped:1");
    assert_eq!(bench.give(1130, Input::Gone { pid: 2 }), "stopped:2 report:Stopped");
    let mut bench = beside();
    assert_eq!(bench.give(1110, Input::Exited { pid: 1, exit: Exit::Code(1) }), "switch:none Terminate");
    assert_eq!(bench.give(1120, Input::Gone { pid: 1 }), "");
    assert_eq!(bench.give(1130, Input::Kill), "switch:none Terminate Kill");
}

#[test]
fn behind_a_held_port_nothing_comes_to_who_is_asked_to_stop() {
    let mut bench = beside();
    bench.save(1200, "b");
    bench.tick(1401);
    assert_eq!(bench.give(1450, Input::Built(Ok(Made::New))), "built:true Terminate");
    // The newest is on its way out, and the one before it serves until its successor is there.
    assert_eq!(bench.give(1460, Input::Ask(Ask::Stop)), "switch:none Terminate");
}

#[test]
fn who_is_stopped_waits_for_no_start() {
    let mut bench = Bench::running();
    bench.give(1000, Input::Exited { pid: 1, exit: Exit::Code(1) });
    bench.give(1001, Input::Gone { pid: 1 });
    bench.save(1050, "a");
    assert_eq!(bench.give(1060, Input::Stop), "CancelBuild");
    assert_eq!(bench.machine.deadline(), None);
}

#[test]
fn who_asks_for_a_build_during_one_is_no_cause_of_what_is_built_later() {
    let mut bench = Bench::running();
    bench.save(1000, "a");
    assert_eq!(bench.give(1050, Input::Ask(Ask::Build)), "");
    bench.give(1100, Input::Built(Ok(Made::Same)));
    bench.save(9000, "b");
    bench.give(9100, Input::Built(Ok(Made::New)));
    bench.give(9110, Input::Gone { pid: 1 });
    bench.give(9111, Input::Started { pid: 2 });
    let told = bench.give(9120, Input::Ready { pid: 2 });
    assert!(told.contains("restarted:Some(1):2:120"), "{told}");
}

#[test]
fn a_stop_is_over_when_every_process_is_gone() {
    let mut bench = beside();
    bench.give(1110, Input::Ask(Ask::Stop));
    bench.give(1120, Input::Gone { pid: 2 });
    assert!(bench.machine.is_busy());
    bench.at = 1130;
    let effects = bench.machine.step(bench.now(), Input::Gone { pid: 1 });
    assert!(effects.contains(&Effect::Report(Report::Settled)), "{effects:?}");
}
