//! What has come to where a service runs, elsewhere, and what becomes of its process.

use super::*;

fn renewed(bench: &Bench, at: u64, runs: bool) -> Input {
    let since = bench.start + Duration::from_millis(at);
    Input::Renewed { since, at: since, runs }
}

#[test]
fn what_has_come_starts_the_process_anew() {
    let mut bench = Bench::running();
    let input = renewed(&bench, 1000, true);
    assert_eq!(bench.give(1005, input), "Terminate");
    assert_eq!(bench.give(1010, Input::Gone { pid: 0 }), "stopped:1 Start");
    bench.give(1011, Input::Started { pid: 2 });
    assert_eq!(bench.give(1020, Input::Ready { pid: 2 }), "ready:9 restarted:Some(1):2:20 report:Ready");
    // What is only worth another try changes nothing for one that runs.
    let input = renewed(&bench, 2000, false);
    assert_eq!(bench.give(2000, input), "");
}

#[test]
fn a_build_that_runs_and_what_has_come_make_one_start() {
    let mut bench = Bench::running();
    assert_eq!(bench.save(1000, "a"), "Build");
    let input = renewed(&bench, 1010, true);
    assert_eq!(bench.give(1010, input), "");
    assert_eq!(bench.give(1100, Input::Built(Ok(Made::Same))), "built:true Terminate");
    assert_eq!(bench.give(1110, Input::Gone { pid: 0 }), "stopped:1 Start");
}

#[test]
fn what_has_failed_is_tried_again_when_what_failed_has_ended() {
    let mut bench = Bench::new();
    bench.give(0, Input::Tick);
    bench.give(0, Input::Launch);
    assert_eq!(
        bench.give(10, Input::Built(Err(Failure::default()))),
        "built:false report:Failed verdict:Nothing"
    );
    let input = renewed(&bench, 500, false);
    assert_eq!(bench.give(500, input), "Build");
    assert_eq!(bench.give(510, Input::Built(Ok(Made::Nothing))), "Start");
}

#[test]
fn what_was_built_while_its_target_was_out_of_reach_runs_when_that_is_back() {
    let mut bench = Bench::running();
    assert_eq!(
        bench.give(1000, Input::Exited { pid: 1, exit: Exit::Signal(9) }),
        "exited:1 Terminate notice:Warning"
    );
    assert_eq!(bench.give(1001, Input::Gone { pid: 1 }), "");
    bench.give(1005, Input::Away(true));
    // What would be started again is not, and nothing is due.
    assert_eq!(bench.give(1200, Input::Tick), "");
    assert_eq!(bench.machine.deadline(), None);
    assert_eq!(bench.save(2000, "a"), "Build");
    assert_eq!(bench.give(2100, Input::Built(Ok(Made::New))), "built:true");
    assert_eq!(bench.give(9000, Input::Away(false)), "Start");
    // It is lost again at that moment: it is not what was built that is to blame.
    assert_eq!(bench.give(9001, Input::OutOfReach), "");
    assert_eq!(bench.give(9500, Input::Away(false)), "Start");
    bench.give(9510, Input::Started { pid: 2 });
    assert!(bench.give(9520, Input::Ready { pid: 2 }).starts_with("ready:10 restarted:None:2"));
}

#[test]
fn what_ended_with_its_target_is_started_when_that_is_back() {
    let mut bench = Bench::running();
    bench.give(1000, Input::Away(true));
    assert_eq!(
        bench.give(1001, Input::Exited { pid: 1, exit: Exit::Signal(9) }),
        "exited:1 Terminate notice:Warning"
    );
    assert_eq!(bench.give(1002, Input::Gone { pid: 1 }), "");
    assert_eq!(bench.give(9000, Input::Away(false)), "Start:Again");
}

#[test]
fn nobody_else_waits_for_a_target_that_is_not_there() {
    let mut bench = Bench::new();
    bench.machine.retarget(true);
    bench.give(0, Input::Tick);
    bench.give(0, Input::Launch);
    // It is not reached yet, which is no failure.
    assert_eq!(bench.give(10, Input::Built(Ok(Made::New))), "built:true");
    assert_eq!(bench.give(20, Input::Away(true)), "report:Failed");
    assert_eq!(bench.give(30, Input::Away(true)), "");
    assert_eq!(bench.give(900, Input::Away(false)), "Start");

    let mut bench = Bench::new();
    bench.machine.retarget(true);
    bench.give(0, Input::Tick);
    assert_eq!(bench.give(5, Input::Away(true)), "");
    assert_eq!(bench.give(6, Input::Launch), "report:Failed");
}

#[test]
fn what_ran_before_waits_for_its_target_as_well() {
    let mut bench = Bench::running();
    bench.give(3000, Input::Tick);
    assert_eq!(bench.save(4000, "a"), "Build");
    assert_eq!(bench.give(4100, Input::Built(Ok(Made::New))), "built:true Terminate");
    assert_eq!(bench.give(4110, Input::Gone { pid: 1 }), "stopped:1 Start");
    bench.give(4120, Input::Started { pid: 2 });
    bench.give(4125, Input::Exited { pid: 2, exit: Exit::Code(3) });
    assert_eq!(bench.give(4130, Input::Gone { pid: 2 }), "Start:Back");
    assert_eq!(bench.give(4131, Input::OutOfReach), "");
    bench.give(4140, Input::Away(true));
    assert_eq!(bench.give(9000, Input::Away(false)), "Start:Back");
    bench.give(9010, Input::Started { pid: 3 });
    assert_eq!(bench.give(9020, Input::Ready { pid: 3 }), "ready:10 back:3 report:Ready");
}

#[test]
fn what_its_user_has_stopped_is_not_started_with_its_target() {
    let mut bench = Bench::running();
    bench.give(1000, Input::Ask(Ask::Stop));
    bench.give(1010, Input::Exited { pid: 1, exit: Exit::Code(0) });
    bench.give(1011, Input::Gone { pid: 1 });
    bench.give(2000, Input::Away(true));
    assert_eq!(bench.give(3000, Input::Away(false)), "");
}
