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
