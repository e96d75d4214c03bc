//! A real service that is patched.

mod load;
pub mod module;
mod recompile;
mod service;
mod source;
mod suites;
mod toolchain;

use super::link::{self, LinkError, Order};
use service::Service;
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

/// The functions of the source that differ between versions.
const IN_MAIN: [&str; 6] = [
    "main.(*server).hello",
    "main.pick[go.shape.int]",
    "main.greet",
    "main.greet.func1",
    "main.crash",
    "main.crash.func1",
];
const IN_LIBRARY: [&str; 6] = [
    "example.com/app/lib.grade",
    "example.com/app/lib.Describe",
    "example.com/app/lib.sq.Area",
    "example.com/app/lib.Twice[go.shape.uint8]",
    "example.com/app/lib.twice",
    "example.com/app/lib.twice.func1",
];

#[test]
fn what_the_service_lacks_is_found_before_anything_is_loaded() {
    if !is_possible() {
        return;
    }
    let toolchain = Toolchain::build();
    let service = Service::start(&toolchain, "5");
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
            bound: &[],
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
