//! A real service under load, patched many times over.

mod module;
mod recompile;
mod service;
mod source;
mod suites;
mod toolchain;

use super::jump;
use super::link::{self, LinkError, Order};
use service::Service;
use source::Version;
use toolchain::Toolchain;

/// Whether patches are possible on this machine; says so if not.
pub fn is_possible() -> bool {
    let here = (std::env::consts::OS, std::env::consts::ARCH) == ("linux", "x86_64");
    let cgo = || std::process::Command::new("go").args(["env", "CGO_ENABLED"]).output();
    let possible = here && cgo().is_ok_and(|output| output.stdout.starts_with(b"1"));
    if !possible {
        eprintln!("NOT CHECKED: live patches, which take Linux on x86-64 and a C compiler");
    }
    possible
}

fn run(command: &mut std::process::Command) -> std::io::Result<crate::go::export::Said> {
    super::tool::Running::default().run(command)
}

/// How often the service is patched.
const GENERATIONS: u32 = 20;

/// The functions of the source that differ between versions.
const IN_MAIN: [&str; 6] = [
    "main.(*server).hello",
    "main.pick[go.shape.int]",
    "main.greet",
    "main.greet.func1",
    "main.crash",
    "main.crash.func1",
];
const IN_LIBRARY: [&str; 5] = [
    "example.com/app/lib.Describe",
    "example.com/app/lib.sq.Area",
    "example.com/app/lib.Twice[go.shape.uint8]",
    "example.com/app/lib.twice",
    "example.com/app/lib.twice.func1",
];

#[test]
fn a_service_under_load_is_patched_many_times() {
    if !is_possible() {
        return;
    }
    let toolchain = Toolchain::build();
    let mut service = Service::start(&toolchain);
    let pid = service.hello();
    assert_eq!(service.get("/greet"), "closure v0 dear count=1");
    let before = service.resident();
    service.load();
    let (mut sizes, mut main_version) = (Vec::new(), 0);
    for number in 1..=GENERATIONS {
        // Every third patch leaves main as it is.
        let with_main = number % 3 != 0;
        main_version = if with_main { number } else { main_version };
        let version = Version { main: main_version, library: number };
        let packages = toolchain.compile(version, with_main);
        let mut changed: Vec<String> = IN_LIBRARY.map(str::to_owned).to_vec();
        if with_main {
            changed.extend(IN_MAIN.map(str::to_owned));
        }
        let dir = toolchain.fresh(number);
        let (tools, generation) = (toolchain.tools(), number);
        let order = Order { tools, dir: &dir, generation, packages: &packages, changed: &changed, run: &run };
        let started = std::time::Instant::now();
        let linked = link::link(&order, &service.loaded).unwrap();
        let took = started.elapsed();
        let jumps = jump::plan(&service.loaded, &linked).unwrap();
        assert!(jumps.len() >= changed.len(), "{jumps:?}");
        sizes.push(linked.memory);
        let switched = service.switch(linked, &jumps);
        println!(
            "{number}: link {took:?}, {switched:?}, {} jumps, {} bytes",
            jumps.len(),
            sizes[sizes.len() - 1]
        );

        let hello = service.get("/hello");
        assert!(hello.starts_with(&format!("hello v{main_version} ")), "{hello}");
        assert!(hello.contains(&format!("generic v{main_version} 7 up=true 1s http")), "{hello}");
        if main_version > 1 {
            assert!(hello.contains(" extra="), "{hello}");
        }
        // The closure was made before the first patch.
        assert!(service.get("/greet").starts_with(&format!("closure v{main_version} dear count=")));
        let crash = format!("crash v{main_version} recovered: assignment to entry in nil map");
        assert_eq!(service.get("/crash"), crash);
        let area = 9 + number;
        let library = format!("lib v{number} area={area} made=1 11 v{number} closed v{number}");
        assert_eq!(service.get("/lib"), library);
        assert!(service.get("/again").starts_with(&format!("closure v{main_version} again count=1")));
        // The recovering closure was called with a panic, by its value; the other is called at the start only.
        let not_entered = service.not_entered();
        let uncounted = ["main.crash.func1", "example.com/app/lib.twice"];
        assert!(not_entered.iter().all(|name| uncounted.contains(&name.as_str())), "{not_entered:?}");
        assert_eq!(service.stale_after_a_while(&jumps), 0);
    }
    let requests = service.stop_load();
    assert_eq!(service.hello(), pid);
    // Counted in memory that no patch has replaced: that of the host, and that of a variable which came later.
    let hits = service.number("/hello", "hits=");
    assert!(hits > u64::from(GENERATIONS) && requests > 100, "{hits} hits, {requests} requests");
    let extra = service.number("/hello", "extra=");
    assert_eq!(service.number("/hello", "extra="), extra + 1);
    println!("{requests} requests, resident {before} then {}; libraries {sizes:?}", service.resident());
}

#[test]
fn what_the_service_lacks_is_found_before_anything_is_loaded() {
    if !is_possible() {
        return;
    }
    let toolchain = Toolchain::build();
    let service = Service::start(&toolchain);
    let dir = toolchain.fresh(1);
    let with = |text: &str, changed: &str| {
        let packages = [("example.com/app/lib".to_owned(), toolchain.compile_library(text))];
        let changed = [format!("example.com/app/lib.{changed}")];
        let order = Order {
            tools: toolchain.tools(),
            dir: &dir,
            generation: 1,
            packages: &packages,
            changed: &changed,
            run: &run,
        };
        link::link(&order, &service.loaded).unwrap_err()
    };
    let text = source::library(0);
    // `container/ring` is in no program that does not import it.
    let import =
        text.replace("import \"fmt\"", "import (\n\t\"fmt\"\n\t\"container/ring\"\n)\n\nvar R *ring.Ring");
    assert!(matches!(with(&import, "Describe"), LinkError::Package(path) if path == "container/ring"));
    // The linker has dropped what nothing called.
    let call = text.replace("s.Area()", "len(fmt.Sscanln)");
    let call = call.replace("len(fmt.Sscanln)", "func() int { n, _ := fmt.Sscanln(\"\"); return n }()");
    let error = with(&call, "Describe");
    assert!(error.to_string().contains("`fmt.Sscanln`"), "{error}");
    let error = with(&text, "Nothing");
    assert!(error.to_string().contains("Nothing"), "{error}");
}
