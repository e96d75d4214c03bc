//! A real service under load, patched many times over: what it answers, that it keeps its memory, and that nothing fails.

use std::time::{Duration, Instant};

use super::super::jump::{self, Jump};
use super::super::link::{self, Order};
use super::service::Service;
use super::source::Version;
use super::toolchain::Toolchain;
use super::{IN_LIBRARY, IN_MAIN, is_possible, run};

/// The functions that the goroutines of a storm run.
const IN_STORM: [&str; 4] = ["main.blow", "main.blow.func1", "main.wait.func1", "main.spawn.func1"];

/// How a service is run, and how often it is patched.
struct Trial {
    generations: u32,
    /// What GOGC is: how much the heap grows, in percent, until the collector runs.
    collector: &'static str,
    /// Whether a thousand goroutines do what goroutines can do.
    storm: bool,
}

#[test]
fn a_service_under_load_is_patched_many_times() {
    Trial { generations: 20, collector: "5", storm: false }.run();
}

#[test]
fn a_thousand_goroutines_come_and_go_while_functions_are_switched() {
    Trial { generations: 5, collector: "50", storm: true }.run();
}

#[test]
#[ignore = "takes minutes"]
fn two_hundred_generations_while_the_collector_runs_all_the_time() {
    Trial { generations: 200, collector: "1", storm: false }.run();
}

#[test]
#[ignore = "takes minutes"]
fn fifty_generations_in_a_storm() {
    Trial { generations: 50, collector: "5", storm: true }.run();
}

impl Trial {
    fn run(&self) {
        if !is_possible() {
            return;
        }
        let toolchain = Toolchain::build();
        let mut service = Service::start(&toolchain, self.collector);
        let pid = service.hello();
        assert_eq!(service.get("/greet"), "closure v0 dear count=1");
        if self.storm {
            assert_eq!(service.get("/storm"), "begun");
        }
        let before = service.resident();
        service.load();
        let (mut sizes, mut main) = (Vec::new(), 0);
        for number in 1..=self.generations {
            // Every third patch leaves main as it is.
            let with_main = number % 3 != 0;
            main = if with_main { number } else { main };
            let jumps = self.patch(&toolchain, &mut service, Version { main, library: number }, with_main);
            sizes.push(service.loaded.generations().last().unwrap().linked.memory);
            self.check(&mut service, Version { main, library: number }, &jumps);
        }
        let requests = service.stop_load();
        assert_eq!(service.hello(), pid);
        // Counted in memory that no patch has replaced: that of the host, and that of a variable which came later.
        let hits = service.number("/hello", "hits=");
        assert!(hits > u64::from(self.generations) && requests > 100, "{hits} hits, {requests} requests");
        let extra = service.number("/hello", "extra=");
        assert_eq!(service.number("/hello", "extra="), extra + 1);
        let (largest, after) = (sizes.iter().max(), service.resident());
        println!(
            "{requests} requests, none failed; resident {before} then {after}; the largest library {largest:?}"
        );
    }

    /// Replaces all that differs between versions.
    fn patch(
        &self,
        toolchain: &Toolchain,
        service: &mut Service,
        version: Version,
        with_main: bool,
    ) -> Vec<Jump> {
        let packages = toolchain.compile(version, with_main);
        let mut changed: Vec<String> = IN_LIBRARY.map(str::to_owned).to_vec();
        if with_main {
            changed.extend(IN_MAIN.map(str::to_owned));
            let storm = IN_STORM.iter().filter(|_| self.storm);
            changed.extend(storm.map(|name| (*name).to_owned()));
        }
        let generation = version.library;
        let (tools, dir) = (toolchain.tools(), toolchain.fresh(generation));
        let order = Order {
            tools,
            dir: &dir,
            generation,
            packages: &packages,
            changed: &changed,
            bound: &[],
            run: &run,
        };
        let linked = link::link(&order, &service.loaded).unwrap();
        let jumps = jump::plan(&service.loaded, &linked).unwrap();
        assert!(jumps.len() >= changed.len(), "{jumps:?}");
        let switched = service.switch(linked, &jumps);
        println!("{generation}: {switched:?}, {} jumps", jumps.len());
        jumps
    }

    /// Whether the service runs `version`, whose `jumps` were written last.
    fn check(&self, service: &mut Service, version: Version, jumps: &[Jump]) {
        let Version { main, library } = version;
        let hello = service.get("/hello");
        assert!(hello.starts_with(&format!("hello v{main} ")), "{hello}");
        assert!(hello.contains(&format!("generic v{main} 7 up=true 1s http")), "{hello}");
        if main > 1 {
            assert!(hello.contains(" extra="), "{hello}");
        }
        // The closure was made before the first patch.
        assert!(service.get("/greet").starts_with(&format!("closure v{main} dear count=")));
        let crash = format!("crash v{main} recovered: assignment to entry in nil map");
        assert_eq!(service.get("/crash"), crash);
        let area = 9 + library;
        let expected = format!("lib v{library} area={area} made=1 11 v{library} closed v{library}");
        assert_eq!(service.get("/lib"), expected);
        assert!(service.get("/again").starts_with(&format!("closure v{main} again count=1")));
        if self.storm {
            let expected = format!("blown v{main}, waited v{main}, spawned v{main}, 1000 of 1000");
            let started = Instant::now();
            while service.get("/calm") != expected {
                assert!(started.elapsed() < Duration::from_secs(60), "{} {expected}", service.get("/calm"));
            }
        }
        // Closures that new code makes are called by their values, uncounted; the last is called at the start only.
        let not_entered = service.not_entered();
        let uncounted = [
            "main.crash.func1",
            "main.blow.func1",
            "main.wait.func1",
            "main.spawn.func1",
            "example.com/app/lib.twice",
        ];
        assert!(not_entered.iter().all(|name| uncounted.contains(&name.as_str())), "{not_entered:?}");
        assert_eq!(service.stale_after_a_while(jumps), 0);
    }
}
