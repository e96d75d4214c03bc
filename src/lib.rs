//! hotwatch runs the Go services of a backend and reloads exactly the affected ones after every save. The
//! modules stand in bands; each imports only from lower bands, or from those above it in its own. See
//! ARCHITECTURE.md.

#![forbid(unsafe_code)]

// What a Go source file says.
mod source;

// Vocabulary: plain data.
mod change;
mod name;
mod record;

// Inputs.
mod cli;
mod config;
mod watch;

// Decisions: pure.
mod ansi;
mod area;
mod classify;
mod constraint;
mod debounce;
mod embed;
mod graph;
mod plan;

// Means: each owns one outside tool.
mod debugger;
mod go;
mod patch;
mod plugin;
mod proxy;
mod replay;
mod sync;

// Execution.
mod service;

// Telling: renderings of records.
mod log;

// Knowing: what is there now, folded from records, and what keys ask of it.
mod keys;
mod snapshot;

// Control: other processes look and ask.
mod control;

// Top.
mod app;
mod error;

use std::process::ExitCode;

/// What `--version` prints: the version, and the commit if it was built in a repository.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("HOTWATCH_REVISION"));

/// Runs the program with the process's arguments. Exit codes: 0 for a clean stop (Ctrl+C included), 1 when it
/// cannot run, 2 for wrong usage.
pub fn run() -> ExitCode {
    app::run()
}
