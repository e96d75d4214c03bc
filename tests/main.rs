//! The integration tests: real processes, real Go, real signals, real files. One binary; every test has its own
//! directory and free ports, so all of them run at the same time.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod architecture;
mod builds;
mod console;
mod control;
mod debugging;
mod explain;
mod faults;
mod graph;
mod guard;
mod held;
mod init;
mod input;
mod limits;
mod logs;
mod patch;
mod plugin;
mod real;
mod reload;
mod rounds;
mod saves;
mod settings;
mod stopping;
mod support;
mod sync;
mod table;
mod two_way;
mod verbs;
mod verify;
