//! What a verdict needs to know of a compiled package: a digest of each function, type and variable, and who refers to
//! whom. Two functions with equal digests do the same; what only tells where code stands in its file does not count,
//! nor do the numbers that the compiler gives to what has no name. Pure.

pub mod description;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::Xxh3;

use super::capture::Capture;
use super::flip::TEMPORARY;
use super::generations::is_type;
use super::object::{Aux, Kind, Object, Symbol, Target};
use super::signature::{self, Declared, Signature};
use description::Described;

/// A call whose target is in the instruction (`R_CALL` in `cmd/internal/objabi/reloctype.go`).
const CALL: u16 = 7;

/// The calling convention of Go (`cmd/internal/obj/abi_string.go`).
const GO: u16 = 1;

/// How the compiler names the type of a closure that holds something.
const CLOSURE_TYPE: &str = "type:noalg.struct { F uintptr";

/// A package as it was compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// What other packages see of it.
    pub fingerprint: [u8; 8],
    /// The packages that it imports, with what it saw of them.
    pub imports: BTreeMap<String, [u8; 8]>,
    /// Its functions by the names that the linker knows.
    pub functions: BTreeMap<String, Function>,
    /// The types that it describes, with a digest of the description: their own and others'. Methods that only one
    /// package can name do not count.
    pub types: BTreeMap<String, u64>,
    /// Such methods of each type that has some: the function, and the type of the method.
    pub hidden: BTreeMap<String, BTreeMap<String, String>>,
    /// The names of such methods that interfaces ask for.
    pub asked: BTreeSet<String>,
    /// Its variables.
    pub variables: BTreeMap<String, Variable>,
    /// Those made by the compiler that are never written, and hold nothing but numbers, texts and what Go describes itself.
    pub constants: BTreeSet<String>,
    /// What functions with type parameters are passed, with a digest.
    pub dictionaries: BTreeMap<String, u64>,
    /// The pairs of type and interface that it has a method table for.
    pub itabs: BTreeSet<String>,
    /// The functions that its data refer to, so that anybody may call them.
    pub taken: BTreeSet<String>,
    /// The methods that its descriptions of types list, for whoever asks a value for them while the program runs.
    pub methods: BTreeSet<String>,
}

/// A function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Function {
    /// Of its code, and of what that refers to.
    pub digest: u64,
    /// Whether other packages may hold the same one, as they do those with type parameters.
    pub is_shared: bool,
    /// What it calls by name.
    pub calls: BTreeSet<String>,
    /// What else it refers to; of functions that is their address.
    pub mentions: BTreeSet<String>,
    /// Its parameters and results; `None` if they cannot be told.
    pub signature: Option<Signature>,
    /// The name of its file, without the directory, and the line at which it begins.
    pub at: (String, u64),
    /// What is captured by the closures at the line at which it begins; of interest if it is one of them.
    pub closures: Vec<Capture>,
    /// The types of the closures that it makes.
    pub closure_types: BTreeSet<String>,
}

/// A variable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variable {
    /// The name of its type; empty if that is not told.
    pub of_type: String,
    /// Of the value that it begins with.
    pub digest: u64,
}

impl Outline {
    /// What is another in `other`, if anything: a function that refers to others, or captures otherwise, a type or a
    /// variable. Where both are of the same text, the language or the toolchain is another. Instructions may differ, and
    /// whether what they refer to is called directly, as they do where only one of them was compiled to be loaded.
    pub fn unlike<'a>(&'a self, other: &'a Outline) -> Option<&'a str> {
        let refers = |function: &'a Function| (&function.calls | &function.mentions, &function.closure_types);
        let functions = difference(&self.functions, &other.functions, refers);
        functions
            .or_else(|| difference(&self.types, &other.types, |digest| digest))
            .or_else(|| difference(&self.variables, &other.variables, |variable| variable))
    }

    /// The outline of what `object` holds, of whose closures the compiler has told `captures`.
    pub fn of(object: &Object, captures: &[Capture]) -> Outline {
        let digests = vec![State::Unknown; object.symbols().len()];
        let mut reader = Reader { object, captures, digests, hidden: BTreeMap::new() };
        let mut outline = Outline {
            fingerprint: object.fingerprint(),
            imports: object.imports().collect(),
            ..Outline::default()
        };
        for (index, symbol) in object.symbols().iter().enumerate() {
            let name = symbol.name.clone();
            match symbol.kind {
                Kind::Other => continue,
                Kind::Text => {
                    let function = reader.function(index);
                    // One for each calling convention; that of Go has the body.
                    if let Some(other) = outline.functions.remove(&name) {
                        let (body, around) =
                            if symbol.abi == GO { (function, other) } else { (other, function) };
                        let digest = body.digest ^ around.digest.rotate_left(1);
                        outline.functions.insert(name, Function { digest, ..body });
                    } else {
                        outline.functions.insert(name, function);
                    }
                    continue;
                }
                _ if is_value_of_function(&name) || is_of_linker(&name) => continue,
                _ => {}
            }
            if name.contains(TEMPORARY) && symbol.kind == Kind::ReadOnly && is_plain(object, symbol) {
                outline.constants.insert(name.clone());
            }
            let functions = reader.functions_in(symbol);
            let described = name.strip_prefix("type:").filter(|_| is_type(&name));
            let list = if described.is_some() { &mut outline.methods } else { &mut outline.taken };
            list.extend(functions);
            let digest = reader.digest(index);
            if let Some(described) = described {
                outline.types.insert(described.to_owned(), digest);
                outline.asked.extend(description::asked(object, symbol));
            } else if let Some(pair) = name.strip_prefix("go:itab.") {
                outline.itabs.insert(pair.to_owned());
            } else if name.contains("..dict.") {
                outline.dictionaries.insert(name, digest);
            } else if symbol.kind.is_variable() && !is_generated(&name) {
                let of_type = object.aux(symbol).find(|(aux, _)| *aux == Aux::Type);
                let of_type = of_type.map(|(_, target)| object.name(target)).unwrap_or_default();
                let of_type = of_type.strip_prefix("type:").unwrap_or(of_type).to_owned();
                outline.variables.insert(name, Variable { of_type, digest });
            }
        }
        outline.hidden = reader.hidden;
        outline
    }
}

/// A name for which `part` is not the same in both.
fn difference<'a, T, P: PartialEq>(
    one: &'a BTreeMap<String, T>,
    other: &'a BTreeMap<String, T>,
    part: impl Fn(&'a T) -> P,
) -> Option<&'a str> {
    let names = one.keys().chain(other.keys()).map(String::as_str);
    let in_both = |name: &&str| one.get(*name).map(&part) == other.get(*name).map(&part);
    names.into_iter().find(|name| !in_both(name))
}

/// Whether what `symbol` holds comes to nothing that anybody has written.
fn is_plain(object: &Object, symbol: &Symbol) -> bool {
    let is_of_go = |name: &str| {
        name.starts_with("go:string.") || name.strip_prefix("type:").is_some_and(|of| !of.contains('.'))
    };
    object.relocs(symbol).all(|reloc| is_of_go(object.name(reloc.target)))
}

/// Whether `name` is that of a function's value: a word that points to its code.
pub fn is_value_of_function(name: &str) -> bool {
    name.ends_with("·f")
}

/// Whether the compiler has made up `name`, and numbers such names as it comes across them.
fn is_generated(name: &str) -> bool {
    name.is_empty() || name.starts_with("go:") || name.contains("..") || name.starts_with("gclocals·")
}

/// Whether a symbol is only there for the linker: it lists what package main exports when it is a plugin.
fn is_of_linker(name: &str) -> bool {
    name.starts_with("go:plugin.") || name.starts_with("go:cuinfo.") || name.ends_with("..inittask")
}

#[derive(Clone, Copy)]
enum State {
    Unknown,
    /// It refers to itself.
    Begun,
    Known(u64),
}

struct Reader<'a> {
    object: &'a Object,
    captures: &'a [Capture],
    digests: Vec<State>,
    /// What descriptions of types say of methods that do not count, found on the way.
    hidden: BTreeMap<String, BTreeMap<String, String>>,
}

impl Reader<'_> {
    fn function(&mut self, index: usize) -> Function {
        let digest = self.digest(index);
        let object = self.object;
        let symbol = &object.symbols()[index];
        let is_shared = symbol.is_shared();
        let mut function = Function { digest, is_shared, ..Function::default() };
        for reloc in object.relocs(symbol) {
            let name = object.name(reloc.target);
            if name.starts_with(CLOSURE_TYPE) {
                function.closure_types.insert(name.to_owned());
            }
            if reloc.kind == CALL {
                function.calls.insert(name.to_owned());
            } else if reloc.size > 0 && !name.is_empty() {
                function.mentions.insert(name.trim_end_matches("·f").to_owned());
            }
        }
        if let Some(Declared { signature, file, line }) = signature::of(object, symbol) {
            function.signature = Some(signature);
            function.at = (file.clone(), line);
            let here = |capture: &&Capture| (&capture.file, capture.line) == (&file, line);
            function.closures = self.captures.iter().filter(here).cloned().collect();
        }
        function
    }

    /// The functions that the data of `symbol` refer to.
    fn functions_in(&self, symbol: &Symbol) -> Vec<String> {
        let object = self.object;
        let is_function = |target: Target| match target {
            Target::Own(index) => object.symbols()[index].kind == Kind::Text,
            _ => false,
        };
        let function = |target: Target| {
            let name = object.name(target);
            match name.strip_suffix("·f") {
                Some(name) => Some(name.to_owned()),
                // What another package defines is not told from data; only names of functions are asked for.
                None if is_function(target) || matches!(target, Target::Foreign(_)) => Some(name.to_owned()),
                None => None,
            }
        };
        object.relocs(symbol).filter_map(|reloc| function(reloc.target)).collect()
    }

    /// A digest of what the symbol number `index` holds.
    fn digest(&mut self, index: usize) -> u64 {
        if let State::Known(digest) = self.digests[index] {
            return digest;
        }
        self.digests[index] = State::Begun;
        let object = self.object;
        let symbol = &object.symbols()[index];
        let mut hash = Xxh3::new();
        hash.update(&[symbol.kind as u8, u8::try_from(symbol.abi).unwrap_or(u8::MAX)]);
        let (size, content) = if is_type(&symbol.name) {
            let Described { visible, hidden } = description::described(object, symbol);
            if !hidden.is_empty() {
                self.hidden.insert(symbol.name.trim_start_matches("type:").to_owned(), hidden);
            }
            (u32::try_from(visible.len()).unwrap_or(u32::MAX), Cow::Owned(visible))
        } else {
            (symbol.size, Cow::Borrowed(object.content(symbol)))
        };
        hash.update(&size.to_le_bytes());
        hash.update(&content);
        // Those without a size only keep something for the linker or for debuggers.
        for reloc in object.relocs(symbol).filter(|reloc| reloc.size > 0 && reloc.at < size) {
            hash.update(&reloc.at.to_le_bytes());
            hash.update(&reloc.kind.to_le_bytes());
            hash.update(&reloc.add.to_le_bytes());
            self.refer(&mut hash, reloc.target);
        }
        for (aux, target) in object.aux(symbol) {
            match (aux, target) {
                (Aux::Type | Aux::FunctionData, _) => self.refer(&mut hash, target),
                // Sizes and flags, but not the line at which it begins.
                (Aux::Function, Target::Own(index)) => {
                    let content = object.content(&object.symbols()[index]);
                    hash.update(&content[..content.len().min(10)]);
                }
                _ => {}
            }
        }
        let digest = hash.digest();
        self.digests[index] = State::Known(digest);
        digest
    }

    /// Adds what `target` is: its name, or its content where the name says nothing.
    fn refer(&mut self, hash: &mut Xxh3, target: Target) {
        let name = self.object.name(target);
        if let Target::Own(index) = target {
            let symbol = &self.object.symbols()[index];
            let is_anonymous = symbol.kind != Kind::Text
                && (is_generated(name) || symbol.kind == Kind::ReadOnly)
                && !is_value_of_function(name)
                && !is_type(name)
                && !name.starts_with("go:itab.");
            if is_anonymous && !matches!(self.digests[index], State::Begun) {
                hash.update(&self.digest(index).to_le_bytes());
                return;
            }
        }
        hash.update(name.as_bytes());
        hash.update(&[0]);
    }
}
