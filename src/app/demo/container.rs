//! The container of `hotwatch demo --sync`: an image with nothing in it but hotwatch's own helper, which waits, and a
//! service that is built here and runs there.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::sync;

/// The service that runs in it.
pub const SERVICE: &str = "userService";

/// What is added to its entry; the name of the container stands in it.
const ENTRY: &str = "\n[service.sync]\nto = { podman = \"{name}\" }\nbinary = \"/app/userService\"\n\n";

/// Where control groups are of the old kind, or limits are fixed, podman cannot start containers as it does by itself.
const OTHERWISE: ([&str; 2], [&str; 4]) =
    (["--runtime", "runc"], ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]);

/// A container, and its image. Both are removed with this value.
#[derive(Debug)]
pub struct Container {
    /// Its name.
    pub name: String,
}

impl Container {
    /// Makes the image and starts a container with the variables `env`.
    ///
    /// # Errors
    /// Podman is not there, or does not do it; what to do then.
    pub fn start(env: &BTreeMap<String, String>) -> Result<Container, Error> {
        let failed = |why: String| {
            Error::NotSynced(format!(
                "the demo cannot start its container: {why}; `--sync` needs podman, `hotwatch demo` does not"
            ))
        };
        let helper = sync::helper(std::env::consts::ARCH).map_err(failed)?;
        let container = Container { name: format!("hotwatch-demo-{}", std::process::id()) };
        let archive = archive(helper).map_err(|error| failed(error.to_string()))?;
        let import = ["podman", "import", "-q", "-", &container.name].map(str::to_owned);
        sync::feed(&import, &archive, &sync::Ending::default()).map_err(failed)?;
        let run = |global: &[&str], flags: &[&str]| {
            let start = ["run", "-d", "--name", &container.name, "--network=host"];
            let variables = env.iter().flat_map(|(name, value)| ["-e".to_owned(), format!("{name}={value}")]);
            let words = ["podman"].iter().chain(global).chain(&start).chain(flags);
            let mut words: Vec<String> = words.map(|&word| word.to_owned()).chain(variables).collect();
            words.extend([container.name.clone(), "/helper".to_owned(), "wait".to_owned()]);
            sync::ask(&words, &sync::Ending::default())
        };
        run(&[], &[]).or_else(|why| {
            drop(sync::ask(
                &["podman", "rm", "-f", &container.name].map(str::to_owned),
                &sync::Ending::default(),
            ));
            run(&OTHERWISE.0, &OTHERWISE.1).map_err(|_| failed(why))
        })?;
        Ok(container)
    }

    /// What the config file `text` says with the service in this container.
    pub fn configured(&self, text: &str) -> String {
        let entry = text.find(&format!("name = \"{SERVICE}\"")).unwrap_or(text.len());
        let end = text[entry..].find("[[service]]").map_or(text.len(), |end| entry + end);
        format!("{}{}{}", text[..end].trim_end(), ENTRY.replace("{name}", &self.name), &text[end..])
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        for words in [["podman", "kill"].as_slice(), &["podman", "rm", "-f"], &["podman", "rmi", "-f"]] {
            let words = words.iter().map(|&word| word.to_owned()).chain([self.name.clone()]);
            // Whatever is left can be seen in podman's lists.
            drop(sync::ask(&words.collect::<Vec<_>>(), &sync::Ending::default()));
        }
    }
}

/// An image with `helper` and a place for programs.
fn archive(helper: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(helper.len() as u64);
    archive.append_data(&mut header, "helper", helper)?;
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o755);
    header.set_size(0);
    archive.append_data(&mut header, "app", std::io::empty())?;
    archive.into_inner()
}
