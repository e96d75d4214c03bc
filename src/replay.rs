//! Requests that are sent again, to two processes of a service, and whether both answer the same. `request` knows how
//! requests are written down, `fetch` sends one, `compare` tells what differs.

pub mod compare;
mod diff;
pub mod fetch;
pub mod request;
