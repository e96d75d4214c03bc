//! The parts of a library that are made here: ways to what is far away, the counting entries of changed functions,
//! and the code that registers the library with the runtime as soon as it is loaded. Pure.

use std::collections::{BTreeMap, HashMap};

use super::bind::{Binding, Place};
use super::relocatable::{Relocatable, Section, Spot, Use};

/// The length of a way to a far function: `jmp *slot(%rip)` and padding.
const STUB: u64 = 8;

/// The length of a counting entry: `lock incq counter(%rip); jmp function` and padding.
const TRAMPOLINE: u64 = 16;

/// The length of an address and of a counter.
const WORD: u64 = 8;

/// The length of the dynamic linker's table.
pub const DYNAMIC: u64 = 16 * 11;

/// How the runtime knows its modules.
#[derive(Debug, Clone, Copy)]
pub struct Registry {
    /// The address of its variable that names the module loaded last.
    pub last: u64,
    /// Where in a module's description the next one is named.
    pub next: u64,
}

/// A way into a changed function.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The function's name.
    pub function: String,
    /// Where it begins.
    pub body: Spot,
}

/// A reference in a part that was made here.
#[derive(Debug, Clone, Copy)]
pub enum Made {
    /// Four bytes that count from their own end.
    Near(Spot, Spot),
    /// An address of eight bytes.
    Far(Spot, Place),
}

/// The parts; each is a section behind those of the object.
#[derive(Debug)]
pub struct Parts {
    first: usize,
    stubs: BTreeMap<u64, u64>,
    slots: HashMap<Place, u64>,
    entries: Vec<Entry>,
    by_body: HashMap<Spot, u64>,
    name: Vec<u8>,
    registry: Registry,
}

impl Parts {
    /// Entries for the functions in `counted`. The library is to be registered as `registry` says.
    pub fn new(object: &Relocatable, binding: &Binding, counted: &[String], registry: Registry) -> Parts {
        let entries: Vec<Entry> = counted
            .iter()
            .filter_map(|name| match binding.place(object.find(name)?.0)? {
                Place::Own(body) => Some(Entry { function: name.clone(), body }),
                Place::At(_) => None,
            })
            .collect();
        let number = |(number, entry): (usize, &Entry)| (entry.body, number as u64);
        Parts {
            first: object.sections.len(),
            stubs: BTreeMap::new(),
            slots: HashMap::new(),
            by_body: entries.iter().enumerate().map(number).collect(),
            entries,
            name: Vec::new(),
            registry,
        }
    }

    fn spot(&self, part: usize, at: u64) -> Spot {
        Spot { section: self.first + part, at }
    }

    /// A piece of code in reach that leads to `address`.
    pub fn stub(&mut self, address: u64) -> Spot {
        self.slot(Place::At(address));
        let number = self.stubs.len() as u64;
        let number = *self.stubs.entry(address).or_insert(number);
        self.spot(2, number * STUB)
    }

    /// A place in reach that holds the address of `place`.
    pub fn slot(&mut self, place: Place) -> Spot {
        let number = self.slots.len() as u64;
        let number = *self.slots.entry(place).or_insert(number);
        self.spot(4, number * WORD)
    }

    /// The counting entry of the function whose body is at `body`.
    pub fn entry(&self, body: Spot) -> Option<Spot> {
        self.by_body.get(&body).map(|number| self.spot(1, number * TRAMPOLINE))
    }

    /// All counting entries: the function, the entry and the counter.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Spot, Spot)> {
        self.entries.iter().zip(0..).map(|(entry, number)| {
            (entry.function.as_str(), self.spot(1, number * TRAMPOLINE), self.spot(7, number * WORD))
        })
    }

    /// Gives the module a name, and says where it stands.
    pub fn set_name(&mut self, name: &str) -> Spot {
        self.name = name.as_bytes().to_vec();
        self.spot(3, 0)
    }

    /// What the parts refer to, `module` being the patch's `runtime.moduledata`.
    pub fn references(&self, module: Spot) -> Vec<Made> {
        let mut made = vec![
            Made::Near(self.spot(0, 16), module),
            Made::Far(self.spot(5, 0), Place::Own(self.spot(0, 0))),
        ];
        for (address, number) in &self.stubs {
            let slot = self.spot(4, self.slots[&Place::At(*address)] * WORD);
            made.push(Made::Near(self.spot(2, number * STUB + 2), slot));
        }
        for (entry, number) in self.entries.iter().zip(0..) {
            made.push(Made::Near(self.spot(1, number * TRAMPOLINE + 4), self.spot(7, number * WORD)));
            made.push(Made::Near(self.spot(1, number * TRAMPOLINE + 9), entry.body));
        }
        made.extend(self.slots.iter().map(|(place, number)| Made::Far(self.spot(4, number * WORD), *place)));
        made
    }

    /// `sections` and, behind them, the parts. References are not filled in.
    pub fn finish(&self, mut sections: Vec<Section>) -> Vec<Section> {
        let repeated = |code: &[u8], count: usize| code.repeat(count);
        let parts = [
            (Use::Execute, self.registration()),
            (Use::Execute, repeated(b"\xf0\x48\xff\x05\0\0\0\0\xe9\0\0\0\0\xcc\xcc\xcc", self.entries.len())),
            (Use::Execute, repeated(b"\xff\x25\0\0\0\0\xcc\xcc", self.stubs.len())),
            (Use::Read, self.name.clone()),
            (Use::Once, vec![0; self.slots.len() * WORD as usize]),
            (Use::Once, vec![0; WORD as usize]),
            (Use::Once, vec![0; DYNAMIC as usize]),
            (Use::Write, vec![0; self.entries.len() * WORD as usize]),
        ];
        for (used, bytes) in parts {
            let size = bytes.len() as u64;
            sections.push(Section { used, align: 16, size, bytes, relocs: Vec::new(), variables: false });
        }
        sections
    }

    /// The numbers of the sections with what is to be run at once, and with the dynamic linker's table.
    pub fn tables(&self) -> (usize, usize) {
        (self.first + 5, self.first + 6)
    }

    /// What `runtime.addmoduledata` does, which is not in an executable: the module that was last names this one as
    /// the next, and this one is last.
    fn registration(&self) -> Vec<u8> {
        let mut code = vec![0x48, 0xb8]; // movabs $runtime.lastmoduledatap, %rax
        code.extend(self.registry.last.to_le_bytes());
        code.extend([0x48, 0x8b, 0x08]); // mov (%rax), %rcx
        code.extend([0x48, 0x8d, 0x15, 0, 0, 0, 0]); // lea module(%rip), %rdx
        code.extend([0x48, 0x89, 0x91]); // mov %rdx, next(%rcx)
        code.extend((self.registry.next as u32).to_le_bytes());
        code.extend([0x48, 0x89, 0x10, 0xc3]); // mov %rdx, (%rax); ret
        code
    }
}
