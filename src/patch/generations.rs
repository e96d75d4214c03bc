//! What a service has loaded: its executable, and the patches on top of it, each called a generation. A function that
//! was changed stands in several of them; all else stands where it came first. Pure but for the host's memory, which
//! is read from its file.

use std::collections::{BTreeMap, HashMap};

use super::bytes::u64_at;
use super::host::{Host, Nature};
use super::jump::{ENTRY, Jump};

/// A function in a patch's library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function {
    /// Where it begins, in bytes from where the library is loaded.
    pub offset: u64,
    /// How many bytes it takes.
    pub size: u64,
}

/// What a changed function is entered through, so that its calls are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trampoline {
    /// The function.
    pub function: String,
    /// Where the trampoline begins, in bytes from where the library is loaded.
    pub offset: u64,
    /// Where the count is, eight bytes long, in bytes from where the library is loaded.
    pub counter: u64,
}

/// The instructions of a library.
#[derive(Debug, Clone, Default)]
pub struct Code {
    /// Where they begin, in bytes from where the library is loaded.
    pub offset: u64,
    /// All of them.
    pub bytes: Vec<u8>,
}

/// A patch as it can be loaded.
#[derive(Debug, Clone)]
pub struct Linked {
    /// The shared library.
    pub library: std::path::PathBuf,
    /// The functions that other code can come to, by name.
    pub functions: BTreeMap<String, Function>,
    /// One per changed function that is loaded already.
    pub trampolines: Vec<Trampoline>,
    /// What else came with it and was nowhere before: where each variable, type and so on is, in bytes from where
    /// the library is loaded.
    pub data: HashMap<String, u64>,
    /// Its packages, with the fingerprints of what they export.
    pub packages: Vec<(String, [u8; 8])>,
    /// Its instructions, as they are before any jump is written.
    pub code: Code,
    /// Words that lead into the library, as those in tables of switches do: where they are and where they lead, in bytes
    /// from where it is loaded.
    pub leads: HashMap<u64, u64>,
    /// How much memory it takes, in bytes.
    pub memory: u64,
}

impl Linked {
    /// Where the types are that came with it, in bytes from where the library is loaded.
    pub fn types(&self) -> impl Iterator<Item = u64> {
        self.data.iter().filter(|(name, _)| is_type(name)).map(|(_, offset)| *offset)
    }
}

/// Whether the symbol `name` describes a type.
pub fn is_type(name: &str) -> bool {
    name.starts_with("type:") && !name.starts_with("type:.")
}

/// A patch that was loaded.
#[derive(Debug)]
pub struct Generation {
    /// Where, in memory.
    pub base: u64,
    /// What.
    pub linked: Linked,
}

/// One of the places where a function stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Its address.
    pub address: u64,
    /// Its instructions, as they were before any jump was written, and what follows them if they are shorter than a
    /// jump.
    pub code: Vec<u8>,
    /// How many bytes it takes.
    pub size: usize,
}

/// The service's executable and the generations, oldest first.
#[derive(Debug)]
pub struct Loaded {
    host: Host,
    generations: Vec<Generation>,
    /// What was written over functions' first bytes, by their address.
    entries: HashMap<u64, [u8; ENTRY]>,
    /// Functions whose newest version has taken the name only: older code means the older one. By name, the number of
    /// the generation from which on it counts.
    renamed: HashMap<String, usize>,
}

impl Loaded {
    /// Nothing but the executable.
    pub fn new(host: Host) -> Loaded {
        Loaded { host, generations: Vec::new(), entries: HashMap::new(), renamed: HashMap::new() }
    }

    /// The executable.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The generations, oldest first.
    pub fn generations(&self) -> &[Generation] {
        &self.generations
    }

    /// Notes that `linked` was loaded at `base`, and that `jumps` were written. Its functions `renamed` have taken the
    /// place of those of the same name for what is linked from now on, but not for what was linked before.
    pub fn add(&mut self, linked: Linked, base: u64, jumps: &[Jump], renamed: impl Iterator<Item = String>) {
        let number = self.generations.len();
        self.renamed.extend(renamed.map(|name| (name, number)));
        for jump in jumps {
            self.entries.insert(jump.old, jump.code(base));
        }
        self.generations.push(Generation { base, linked });
    }

    /// Where `name` stood first, and what it is. Calls that go there come to the newest version.
    pub fn find(&self, name: &str) -> Option<(u64, Nature)> {
        let (in_host, generations) = self.meant(name);
        if let Some(known) = in_host.then(|| self.host.find(name)).flatten() {
            return Some((known.address, known.nature));
        }
        generations.iter().find_map(|Generation { base, linked }| {
            let function =
                linked.functions.get(name).map(|function| (base + function.offset, Nature::Function));
            function.or_else(|| linked.data.get(name).map(|offset| (base + offset, Nature::Data)))
        })
    }

    /// Where `name` is to be looked for: whether in the host, and in which generations.
    fn meant(&self, name: &str) -> (bool, &[Generation]) {
        // A function's value is meant as the function is.
        match self.renamed.get(name.strip_suffix("·f").unwrap_or(name)) {
            Some(&number) => (false, &self.generations[number..]),
            None => (true, &self.generations),
        }
    }

    /// All places where the function `name` stands, oldest first.
    pub fn copies(&self, name: &str) -> Vec<Copy> {
        let mut copies = Vec::new();
        let (in_host, generations) = self.meant(name);
        let known = in_host.then(|| self.host.find(name)).flatten();
        if let Some(known) = known.filter(|known| known.nature == Nature::Function) {
            let code = self.host.bytes(known.address, known.size.max(ENTRY as u64)).unwrap_or_default();
            copies.push(Copy { address: known.address, code, size: known.size as usize });
        }
        for Generation { base, linked } in generations {
            if let Some(function) = linked.functions.get(name) {
                let start = (function.offset - linked.code.offset) as usize;
                let size = function.size as usize;
                let code = linked.code.bytes.get(start..start + size.max(ENTRY)).unwrap_or_default().to_vec();
                copies.push(Copy { address: base + function.offset, code, size });
            }
        }
        copies
    }

    /// Where the word at `address` leads.
    pub fn lead(&self, address: u64) -> Option<u64> {
        let in_generation = |Generation { base, linked }: &Generation| {
            linked.leads.get(&address.checked_sub(*base)?).map(|to| base + to)
        };
        let in_host = || u64_at(&self.host.bytes(address, 8)?, 0);
        self.generations.iter().find_map(in_generation).or_else(in_host)
    }

    /// The jump that was written over what stands at `address`.
    pub fn entry(&self, address: u64) -> Option<[u8; ENTRY]> {
        self.entries.get(&address).copied()
    }

    /// The fingerprint of what the package `path` exports in its newest version.
    pub fn fingerprint(&self, path: &str) -> Option<[u8; 8]> {
        let newest = self.generations.iter().rev().flat_map(|generation| &generation.linked.packages);
        let newest =
            newest.filter(|(package, _)| package == path).map(|(_, fingerprint)| *fingerprint).next();
        newest.or_else(|| self.host.fingerprint(path))
    }

    /// How much memory the generations take, in bytes.
    pub fn memory(&self) -> u64 {
        self.generations.iter().map(|generation| generation.linked.memory).sum()
    }
}
