//! Which functions of a package can be switched all at once to copies that were compiled again, and the library with
//! those.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::super::generations::{Linked, Loaded};
use super::super::super::host::Nature;
use super::super::super::image::ImageError;
use super::super::super::jump::{self, Jump, JumpError};
use super::super::super::link::{self, LinkError, Order};
use super::super::super::mangle::mangled;
use super::super::super::outline::Outline;
use super::super::run;
use super::build::Built;

/// What is switched, and what is not.
pub struct Switch {
    /// How many functions the package was compiled to.
    pub functions: usize,
    /// How many of them the linker has left out of the program, since nothing comes to them.
    pub absent: usize,
    /// Why others are not switched, by name.
    pub refused: BTreeMap<String, String>,
    /// The copies of the others.
    pub linked: Linked,
    /// The ways to those.
    pub jumps: Vec<Jump>,
}

impl Switch {
    /// That of all functions of the package `path`, in the process that is `loaded`.
    pub fn of(path: &str, built: &Built, loaded: &Loaded, tools: &Path) -> Switch {
        let object = built.again();
        let minor = object.minor();
        let functions: Vec<String> = Outline::of(&object, &[]).functions.into_keys().collect();
        let in_host = |name: &&String| {
            loaded.find(&mangled(name, minor)).is_some_and(|(_, nature)| nature == Nature::Function)
        };
        let mut changed: Vec<String> = functions.iter().filter(in_host).cloned().collect();
        let absent = functions.len() - changed.len();
        let packages = [(path.to_owned(), object)];
        let mut refused = BTreeMap::new();
        loop {
            let dir = built.fresh(&format!("patch-without-{}", refused.len()));
            let order = Order {
                tools,
                dir: &dir,
                generation: 1,
                packages: &packages,
                changed: &changed,
                bound: &[],
                run: &run,
            };
            let before = refused.len();
            match link::link(&order, loaded) {
                Ok(linked) => {
                    let mut jumps = Vec::new();
                    for trampoline in &linked.trampolines {
                        match jump::to(trampoline, loaded) {
                            Ok(more) => jumps.extend(more),
                            Err(error) => {
                                refused.insert(trampoline.function.clone(), reason(&error).to_owned());
                            }
                        }
                    }
                    if refused.len() == before {
                        return Switch { functions: functions.len(), absent, refused, linked, jumps };
                    }
                }
                Err(LinkError::Image(ImageError::Dropped(names))) => {
                    refused
                        .extend(names.into_iter().map(|name| (name, "left out of the library".to_owned())));
                }
                Err(error) => panic!("{path}: {error}"),
            }
            // What is not switched must not be copied either: calls inside of the library would come to the copy.
            changed.retain(|name| !refused.contains_key(&mangled(name, minor)));
            assert!(refused.len() > before, "{path}: {refused:?}");
        }
    }
}

fn reason(error: &JumpError) -> &'static str {
    match error {
        JumpError::Short(_) => "too short",
        JumpError::Branch(_) => "loop to the first bytes",
        JumpError::Call(_) => "call in the first bytes",
        JumpError::Unknown(_) => "unknown instructions",
    }
}
