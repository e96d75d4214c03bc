//! The symbols of an object, what they refer to, and what describes them. Pure.

use std::ops::Range;

/// What a symbol is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Instructions.
    Text,
    /// What is never written.
    ReadOnly,
    /// Variables without pointers that begin with a value.
    NoPointers,
    /// Variables that begin with a value.
    Data,
    /// Variables that begin as zero.
    Zero,
    /// Variables without pointers that begin as zero.
    ZeroNoPointers,
    /// One copy per thread.
    Thread,
    /// What only debuggers and coverage read.
    Other,
}

impl Kind {
    /// The kind of the number `number` in an object of Go 1.`minor`.
    pub(super) fn of(number: u8, minor: u32) -> Kind {
        // Those for FIPS came between.
        let number = match (minor >= 24, number) {
            (true, 1..=8) => number.div_ceil(2),
            (true, 9..) => number - 4,
            _ => number,
        };
        match number {
            1 => Kind::Text,
            2 => Kind::ReadOnly,
            3 => Kind::NoPointers,
            4 => Kind::Data,
            5 => Kind::Zero,
            6 => Kind::ZeroNoPointers,
            7 => Kind::Thread,
            _ => Kind::Other,
        }
    }

    /// Its number in an object of Go 1.`minor`.
    pub(in crate::patch) fn number(self, minor: u32) -> u8 {
        let of = |number| Kind::of(number, minor) == self;
        (1..=11).find(|&number| of(number)).unwrap_or_default()
    }

    /// Whether it is a variable's.
    pub fn is_variable(self) -> bool {
        matches!(self, Kind::NoPointers | Kind::Data | Kind::Zero | Kind::ZeroNoPointers | Kind::Thread)
    }
}

/// How a symbol is described further (`Aux` in objfile.go).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aux {
    /// Its type.
    Type,
    /// Sizes and flags of a function.
    Function,
    /// What the collector and tracebacks know of a function's frame.
    FunctionData,
    /// Debug information.
    Debug,
    /// Tables by program counter, and what is of no interest here.
    Other,
}

/// What a symbol refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// Nothing.
    Nothing,
    /// The symbol of that number in this object.
    Own(usize),
    /// A symbol of another object, by the number of its name.
    Foreign(usize),
}

/// A reference from a symbol's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reloc {
    /// Where it is, from the start of the content.
    pub at: u32,
    /// How many bytes it takes; 0 for what only keeps something alive.
    pub size: u8,
    /// How it is filled in (`cmd/internal/objabi/reloctype.go`).
    pub kind: u16,
    /// What is added.
    pub add: i64,
    /// What it refers to.
    pub target: Target,
}

/// A symbol that an object defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// Its name as the linker knows it; a function may have one of each calling convention.
    pub name: String,
    /// Its calling convention: 0 that of assembly, 1 that of Go.
    pub abi: u16,
    /// What it is.
    pub kind: Kind,
    /// `Flag` and `Flag2` of objfile.go.
    pub flags: [u8; 2],
    /// How many bytes it takes, content or zeroes.
    pub size: u32,
    /// Where its content is in the file.
    pub(super) content: Range<usize>,
    pub(super) relocs: Range<usize>,
    pub(super) aux: Range<usize>,
}

impl Symbol {
    /// Whether several objects may define it, all alike.
    pub fn is_shared(&self) -> bool {
        self.flags[0] & 1 != 0
    }
}
