//! `hotwatch init --editor vscode`: a configuration for each service with which the editor attaches its debugger.

use std::path::Path;

use serde::Serialize;

use super::create;
use crate::debugger;
use crate::error::Error;
use crate::name::Name;

/// `.vscode/launch.json`, as the Go extension understands it (vscode-go, `docs/debugging.md`, "Remote debugging").
#[derive(Serialize)]
struct Launch {
    version: &'static str,
    configurations: Vec<Attach>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attach {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    request: &'static str,
    mode: &'static str,
    debug_adapter: &'static str,
    host: &'static str,
    port: u16,
}

/// Writes the file for the services `names`, in the order of their file, of the project at `root`. Returns what to tell; what is to be pasted
/// where there is such a file already comes first, apart from it.
pub fn vscode(root: &Path, names: &[Name]) -> Result<(Option<String>, String), Error> {
    let attach = |(place, name): (usize, &Name)| Attach {
        name: format!("hotwatch: {name}"),
        kind: "go",
        request: "attach",
        mode: "remote",
        debug_adapter: "dlv-dap",
        host: "127.0.0.1",
        port: debugger::port(place),
    };
    let launch = Launch { version: "0.2.0", configurations: names.iter().enumerate().map(attach).collect() };
    let text = serde_json::to_string_pretty(&launch).unwrap_or_default() + "\n";
    let file = root.join(".vscode/launch.json");
    let shown = ".vscode/launch.json";
    if file.symlink_metadata().is_ok() {
        let message =
            format!("`{shown}` exists and is not touched; add these configurations to it yourself\n");
        return Ok((Some(text), message));
    }
    let write = || Error::io(format!("write `{}`", file.display()));
    std::fs::create_dir_all(root.join(".vscode")).map_err(write())?;
    create(&file, &text)?;
    Ok((
        None,
        format!("wrote `{shown}`: {} to attach to\n", super::count(names.len(), "service", "services")),
    ))
}
