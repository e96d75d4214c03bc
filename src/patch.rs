//! Live patches: recompiled packages become a small library, the running service loads it, and the entries of the
//! functions that changed become jumps into it. The service keeps its process, its memory and its connections.

pub mod agent;
mod bytes;
mod capture;
pub mod compile;
mod dependencies;
mod elf;
mod flip;
pub mod generations;
pub mod host;
mod image;
pub mod jump;
pub mod keep;
pub mod link;
mod mangle;
pub mod object;
mod origin;
mod outline;
pub mod patcher;
pub mod recipe;
pub mod session;
mod signature;
pub mod sources;
mod stub;
mod tool;
mod verdict;

#[cfg(test)]
mod tests;
