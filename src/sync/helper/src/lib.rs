//! The end of a sync: what is done to a tree of files (look, compare, replace, watch), and the frames over which it is
//! asked for. hotwatch uses it as a library for the trees on its own machine; as a program of its own, static and
//! small, it is pushed into containers and to remote hosts.

#![forbid(unsafe_code)]

pub mod entry;
pub mod expand;
pub mod filter;
pub mod replica;
pub mod run;
pub mod serve;
pub mod supervise;
pub mod tree;
pub mod watching;
pub mod wire;
