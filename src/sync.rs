//! Sync.
#![allow(dead_code)]

mod agreed;
mod connect;
mod embedded;
mod far;
mod reconcile;
mod session;
mod transport;
