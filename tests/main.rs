//! The integration tests: real processes, real Go, real signals, real files. One binary; every test has its own
//! directory and free ports, so all of them run at the same time.

mod architecture;
mod builds;
mod input;
mod limits;
mod reload;
mod saves;
mod stopping;
mod support;
mod verbs;
