//! Hashes of what plugins are built from, as hexadecimal digits.

use sha2::{Digest, Sha256};

/// A hash over several texts, none of which runs into the next.
#[derive(Default)]
pub struct Parts(Sha256);

impl Parts {
    /// Takes in the next one.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// The hash of all.
    pub fn hash(self) -> String {
        hexadecimal(self.0)
    }
}

/// The hash of `bytes` alone.
pub fn hash(bytes: &[u8]) -> String {
    hexadecimal(Sha256::new_with_prefix(bytes))
}

fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
