//! Saves that are applied to the process, and what becomes of a process that runs what no binary holds.

use super::*;
use crate::patch::patcher::{Link, Outcome, Patched, Took};
use crate::service::Reply;
use crate::service::preview::Standing;

/// A machine whose process 1 takes patches.
fn patchable() -> Bench {
    let mut bench = Bench::running();
    assert_eq!(bench.give(1000, Input::Patchable { pid: 1, able: Ok(()) }), "notice:Info");
    bench
}

fn patched() -> Input {
    let took =
        Took { compile: Duration::from_millis(60), link: Duration::from_millis(30), ..Took::default() };
    let functions = vec!["f".to_owned()];
    Input::Patched(Outcome::Patched(Patched {
        generation: 1,
        functions,
        link: Link::Direct,
        stale: Vec::new(),
        memory: 4096,
        took,
    }))
}

#[test]
fn a_complete_save_is_applied() {
    let mut bench = patchable();
    let since = bench.start + Duration::from_millis(1000);
    let early = Changed { digest: digest("a"), since, settled: false, restart: false };
    assert_eq!(bench.give(1000, Input::Changed(early)), "");
    assert_eq!(bench.give(1020, Input::Changed(whole(digest("a"), since))), "Patch");
    bench.at = 1120;
    let effects = bench.machine.step(bench.now(), patched());
    let told = effects.iter().find_map(|effect| match effect {
        Effect::Tell(Event::Patched { pid, ms, split, .. }) => Some((*pid, *ms, split.gather_ms)),
        _ => None,
    });
    assert_eq!(told, Some((1, 120, 30)));
    // The next one at once: nothing was started.
    assert_eq!(bench.save(1130, "b"), "Patch");
    // A save while it is made is applied after it.
    assert_eq!(bench.save(1140, "c"), "");
    assert!(bench.give(1150, patched()).ends_with("Patch"));
}

#[test]
fn what_cannot_be_applied_is_built() {
    for (outcome, told) in
        [(Outcome::Restart("why".to_owned()), "verdict:Restart Build"), (Outcome::Unseen, "Build")]
    {
        let mut bench = patchable();
        assert_eq!(bench.save(1000, "a"), "Patch");
        assert_eq!(bench.give(1100, Input::Patched(outcome)), told);
        assert_eq!(bench.give(1101, Input::Building), "building");
        assert_eq!(bench.give(1200, Input::Built(Ok(Made::New))), "built:true Terminate");
        assert_eq!(bench.give(1210, Input::Gone { pid: 0 }), "stopped:1 Start");
        bench.give(1211, Input::Started { pid: 2 });
        // The new process has not said yet that it takes any.
        bench.give(1212, Input::Ready { pid: 2 });
        assert_eq!(bench.save(2000, "b"), "Build");
    }
}

#[test]
fn a_failed_build_leaves_a_process_that_takes_patches() {
    let mut bench = patchable();
    bench.save(1000, "a");
    assert_eq!(bench.give(1100, Input::Patched(Outcome::Unseen)), "Build");
    bench.give(1200, Input::Built(Err(Failure::default())));
    assert_eq!(bench.save(1300, "b"), "Patch");
}

#[test]
fn a_patched_process_is_followed_by_a_build() {
    let exited = Input::Exited { pid: 1, exit: Exit::Signal(11) };
    // It crashes.
    let mut bench = patchable();
    bench.save(1000, "a");
    bench.give(1100, patched());
    assert_eq!(bench.give(1200, exited), "exited:1 Terminate notice:Warning Build");
    assert_eq!(bench.give(1201, Input::Gone { pid: 1 }), "");
    assert_eq!(bench.give(5000, Input::Built(Ok(Made::New))), "built:true Start");
    // It is asked to restart.
    let mut bench = patchable();
    bench.save(1000, "a");
    bench.give(1100, patched());
    assert_eq!(bench.give(1200, Input::Ask(Ask::Restart)), "Build");
    // Although the program may be the same: the process is to be another.
    assert_eq!(bench.give(1300, Input::Built(Ok(Made::Same))), "built:true Terminate");
    // One whose binary cannot be built starts again from the older one.
    let mut bench = patchable();
    bench.save(1000, "a");
    bench.give(1100, patched());
    bench.give(1200, Input::Exited { pid: 1, exit: Exit::Code(1) });
    bench.give(1201, Input::Gone { pid: 1 });
    assert!(bench.give(5000, Input::Built(Err(Failure::default()))).ends_with("Start:Again"));
}

#[test]
fn a_stop_waits_for_the_patch_that_is_being_made() {
    let mut bench = patchable();
    bench.save(1000, "a");
    assert_eq!(bench.give(1010, Input::Stop), "CancelBuild Terminate");
    assert_eq!(bench.give(1020, Input::Gone { pid: 1 }), "stopped:1");
    assert_eq!(bench.give(1030, patched()), "report:Stopped");
}

#[test]
fn who_asks_is_told_how_things_stand_and_nothing_comes_of_it() {
    fn standing(bench: &mut Bench) -> Standing {
        let effects = bench.machine.step(bench.now(), Input::Weigh(Reply::new().0));
        match &effects[..] {
            [Effect::Weigh(standing, _)] => standing.clone(),
            others => panic!("{others:?}"),
        }
    }
    let mut bench = patchable();
    assert_eq!(standing(&mut bench), Standing::Running { pid: 1, barred: None });
    assert_eq!(bench.save(1000, "a"), "Patch");
    assert_eq!(bench.give(1100, Input::Patched(Outcome::Restart("why".to_owned()))), "verdict:Restart Build");
    bench.give(1101, Input::Building);
    bench.give(1200, Input::Built(Err(Failure::default())));
    let told = standing(&mut bench);
    let Standing::Running { pid: 1, barred: Some(barred) } = &told else { panic!("{told:?}") };
    assert!(barred.ends_with("could not be applied: why"), "{barred}");
    bench.give(1300, Input::Ask(Ask::Stop));
    bench.give(1310, Input::Gone { pid: 0 });
    assert!(matches!(standing(&mut bench), Standing::Idle(why) if why.starts_with("it is stopped")));
}
