//! What a type's description (`internal/abi/type.go`, written by `cmd/compile/internal/reflectdata/reflect.go`) says of
//! methods. Those that other packages cannot name, called hidden here, are found by interfaces that ask for them. Nothing
//! else looks at them but `reflect.StructOf`; where neither is there, they may come, go and change. Pure.

use std::collections::BTreeMap;

use crate::patch::bytes::{u16_at, u32_at, uleb_at};
use crate::patch::object::{Object, Reloc, Symbol, Target};

/// Where a description has its flags and the kind of its type.
const FLAGS: usize = 20;
const KIND: usize = 23;

/// The flag of a description with a part about methods.
const UNCOMMON: u8 = 1;

/// The length of what all descriptions have, in bytes.
const COMMON: usize = 48;

/// The length of what is said of a method: its name, its type, and its code twice, four bytes each.
const METHOD: usize = 16;

const INTERFACE: u8 = 20;
const POINTER: u8 = 22;

/// A description as it is of interest.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// Its first bytes, but for how many methods are hidden. What comes behind is about those only.
    pub visible: Vec<u8>,
    /// The hidden methods: the function, and the type of the method.
    pub hidden: BTreeMap<String, String>,
}

/// What of the description `symbol` counts for everybody, and the methods that its type hides.
pub fn described(object: &Object, symbol: &Symbol) -> Described {
    let content = object.content(symbol);
    hidden(object, symbol, content)
        .unwrap_or_else(|| Described { visible: content.to_vec(), hidden: BTreeMap::new() })
}

/// The names of hidden methods that the interface described by `symbol` asks for.
pub fn asked(object: &Object, symbol: &Symbol) -> Vec<String> {
    if object.content(symbol).get(KIND).is_none_or(|kind| kind & 31 != INTERFACE) {
        return Vec::new();
    }
    // The fields before are the name of the type, and of its package, which is none.
    let names = object.relocs(symbol).filter(|reloc| reloc.at as usize > COMMON);
    names.filter_map(|reloc| name(object, reloc.target)).filter(|name| !is_exported(name)).collect()
}

/// Whether other packages can name what is called so.
pub fn is_exported(name: &str) -> bool {
    name.chars().next().is_some_and(char::is_uppercase)
}

/// The name of the method that the function `name` is.
pub fn method(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, method)| method)
}

fn hidden(object: &Object, symbol: &Symbol, content: &[u8]) -> Option<Described> {
    let named = symbol.name.strip_prefix("type:")?;
    // Those without a name, and instances of those with parameters, are described by whoever uses them.
    if named.strip_prefix('*').unwrap_or(named).contains(['[', '*', '(', ' ', '{']) {
        return None;
    }
    let (flags, kind) = (*content.get(FLAGS)?, content.get(KIND)? & 31);
    let about = COMMON + more(kind)?;
    if flags & UNCOMMON == 0 {
        return None;
    }
    // The path of the package, how many methods there are, how many of them are not hidden, and where they are.
    let [all, shown] = [4, 6].map(|at| u16_at(content, about + at).map(usize::from));
    let methods = about + u32_at(content, about + 8)? as usize;
    let end = methods + METHOD * shown?;
    if content.len() != methods + METHOD * all? {
        return None;
    }
    let relocs: BTreeMap<usize, Reloc> = object
        .relocs(symbol)
        .filter(|reloc| reloc.size > 0)
        .map(|reloc| (reloc.at as usize, reloc))
        .collect();
    let named = |at: usize| relocs.get(&at).map(|reloc| object.name(reloc.target).to_owned());
    let hidden: Option<BTreeMap<_, _>> =
        (end..content.len()).step_by(METHOD).map(|at| Some((named(at + 12)?, named(at + 4)?))).collect();
    let mut visible = content[..end].to_vec();
    visible[about + 4..about + 6].fill(0);
    if kind == POINTER && shown == Some(0) {
        // As it is where there is no method at all.
        visible.truncate(about);
        visible[FLAGS] &= !UNCOMMON;
    }
    Some(Described { visible, hidden: hidden? })
}

/// How many bytes a description has of what its kind is made of.
fn more(kind: u8) -> Option<usize> {
    match kind {
        // Numbers, texts, and pointers without a type.
        1..=16 | 24 | 26 => Some(0),
        // An array.
        17 => Some(24),
        // A channel.
        18 => Some(16),
        // A function, a pointer, a slice.
        19 | POINTER | 23 => Some(8),
        // A struct.
        25 => Some(32),
        _ => None,
    }
}

/// The name that stands at `target`: flags, its length, and itself.
fn name(object: &Object, target: Target) -> Option<String> {
    let Target::Own(index) = target else { return None };
    let symbol = &object.symbols()[index];
    // Those of other packages are numbered.
    let is_name = symbol.name.starts_with("type:.namedata.");
    let content = object.content(symbol);
    let (length, width) = uleb_at(content, 1).filter(|_| is_name)?;
    let start = 1 + width;
    let text = content.get(start..start.checked_add(usize::try_from(length).ok()?)?)?;
    Some(String::from_utf8_lossy(text).into_owned())
}
