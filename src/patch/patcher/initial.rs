//! Variables that are new and begin with what has to be computed. How a package is initialised does not run again, so
//! each gets its value from a function that is added to its file. That is all there is to do if the initialisation of
//! what ran before, with nothing but these declarations added, compiles to what it is now; otherwise it restarts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::baseline::Running;
use super::compiling::Fresh;
use super::round::Why;
use crate::patch::link::MAIN;
use crate::patch::mangle::package_of;
use crate::patch::outline::Outline;
use crate::patch::sources::{Inputs, Sources, Text};
use crate::patch::verdict::{self, Reason};
use crate::source::{Declared, Spec, declared};

/// What a save adds to how packages are initialised.
#[derive(Default)]
pub(super) struct Initial {
    /// Functions that do not run again and need not.
    pub accepted: BTreeSet<String>,
    /// Those that give new variables their values.
    pub functions: Vec<String>,
    /// The packages that were looked at.
    packages: BTreeSet<String>,
}

/// New variables of a file.
struct Added<'a> {
    file: &'a str,
    text: &'a Text,
    declared: Declared,
    /// Which of the declarations are new and have values, by number.
    new: Vec<usize>,
}

impl Running {
    /// The package of which the initialisation is what `reason` is about, if that may be all that it takes.
    pub(super) fn to_initialise(reason: &Reason, initial: &Initial) -> Option<String> {
        let Reason::RunsOnce { function, by } = reason else { return None };
        let path = package_of(function).filter(|_| function == by && verdict::initialises(function))?;
        (!initial.packages.contains(&path)).then_some(path)
    }

    /// Compiles the package `path` of `fresh` with functions that give new variables their values.
    ///
    /// # Errors
    /// Something else of its initialisation has changed; `reason` says so.
    pub(super) fn initialise(
        &self,
        path: &str,
        reason: &Reason,
        generation: u32,
        fresh: &mut Fresh,
        initial: &mut Initial,
        (sources, dir): (&Sources, &Path),
    ) -> Result<(), Why> {
        let refused = || Why::from(reason.clone());
        initial.packages.insert(path.to_owned());
        let (before, after) = (self.sources.inputs(path), sources.inputs(path));
        let (before, after) = before.zip(after).ok_or_else(refused)?;
        let known = names(&self.sources, path, before);
        let added =
            added(sources, path, after, &known).filter(|added| !added.is_empty()).ok_or_else(refused)?;

        // What ran before, and these.
        let dir = dir.join("initial");
        let write = |name: &str, text: &str| -> Result<String, Why> {
            let file = dir.join(name);
            let written = fs::create_dir_all(&dir).and_then(|()| fs::write(&file, text));
            written.map_err(|error| Why::Restart(format!("cannot write `{}`: {error}", file.display())))?;
            Ok(file.display().to_string())
        };
        let mut embedded = before.embedded.clone();
        embedded.extend(after.embedded.clone());
        let mut inputs = Inputs { embedded, ..before.clone() };
        for added in &added {
            match self.sources.text(path, added.file) {
                Some(old) => {
                    let text = with_declarations(old, added).ok_or_else(refused)?;
                    replace(&mut inputs, added.file, &write(added.file, &text)?);
                }
                None => inputs.files.push(added.file.to_owned()),
            }
        }
        fresh.inputs.insert(path.to_owned(), inputs);
        // With what ran before of all other packages, too.
        let before = Fresh { inputs: std::mem::take(&mut fresh.inputs), ..Fresh::default() };
        let expected = self.compile_one(path, None, &before, sources, &dir);
        fresh.inputs = before.inputs;
        let expected = expected.map_err(|_| refused())?.1;

        // What is there now, and functions for these.
        let mut inputs = after.clone();
        let mut functions: Vec<(String, &str)> = Vec::new();
        for added in &added {
            let own = self.program.packages[path].own.as_ref().ok_or_else(refused)?;
            // Positions stay those of the user's file.
            let mut text =
                format!("//line {}:1:1\n{}\n", own.dir.join(added.file).display(), added.text.content);
            for &number in &added.new {
                let spec = &added.declared.specs[number];
                let (Some(values), Some(variable)) = (&spec.values, spec.names.first()) else { continue };
                // Only what is exported is kept in main; elsewhere it would be part of what others see.
                let first = if path == MAIN { 'H' } else { 'h' };
                let name = format!("{first}otwatchInitial{generation}x{:03}", functions.len());
                let values = &added.text.content[values.clone()];
                let _ = writeln!(text, "\nfunc {name}() {{ {variable} = {values} }}");
                functions.push((name, variable));
            }
            replace(&mut inputs, added.file, &write(&format!("new-{}", added.file), &text)?);
        }
        fresh.inputs.insert(path.to_owned(), inputs);
        let (archive, outline) = self.compile_one(path, None, fresh, sources, &dir).map_err(|_| refused())?;

        initial.accepted.extend(alike(&expected, &outline));
        let is_own = |name: &str| package_of(name).is_some_and(|path| self.outlines.now.contains_key(&path));
        initial.functions.extend(independent(&outline, &functions, &is_own).ok_or_else(refused)?);
        fresh.archives.insert(path.to_owned(), archive);
        fresh.outlines.insert(path.to_owned(), outline);
        Ok(())
    }
}

fn replace(inputs: &mut Inputs, file: &str, by: &str) {
    inputs.files.iter_mut().filter(|name| *name == file).for_each(|name| by.clone_into(name));
}

/// The variables that the package declares.
fn names(sources: &Sources, path: &str, inputs: &Inputs) -> BTreeSet<String> {
    let texts = inputs.files.iter().filter_map(|file| declared(&sources.text(path, file)?.content));
    texts.flat_map(|declared| declared.specs).flat_map(|spec| spec.names).collect()
}

/// The variables that the package declares beside `known` ones; `None` if that cannot be told.
fn added<'a>(
    sources: &'a Sources,
    path: &str,
    inputs: &'a Inputs,
    known: &BTreeSet<String>,
) -> Option<Vec<Added<'a>>> {
    let mut all = Vec::new();
    for file in &inputs.files {
        let text = sources.text(path, file)?;
        let declared = declared(&text.content)?;
        let mut new = Vec::new();
        for (number, spec) in declared.specs.iter().enumerate() {
            let count = spec.names.iter().filter(|name| known.contains(*name)).count();
            let is_blank = spec.names.iter().all(|name| name == "_");
            // The code of a function that is a value would not be the one that later changes are compared with.
            // Of several at once each may need another.
            let is_plain = spec.names.len() == 1 && !is_blank && !spec.has_functions;
            if count == 0 && spec.values.is_some() && is_plain {
                new.push(number);
            } else if count > 0 && count < spec.names.len() {
                return None;
            }
        }
        if !new.is_empty() {
            all.push(Added { file, text, declared, new });
        }
    }
    Some(all)
}

/// The text `old` with the declarations of `added`, each behind the one that it follows there.
fn with_declarations(old: &Text, added: &Added<'_>) -> Option<String> {
    let before = declared(&old.content)?;
    let content = &added.text.content;
    let place = |spec: &Spec| {
        let first = spec.names.first()?;
        before.specs.iter().find(|old| old.names.contains(first)).map(|old| (old.at.end, old.grouped))
    };
    let (mut at, mut inserted) = ((before.head, false), BTreeMap::<(usize, bool), String>::new());
    for (number, spec) in added.declared.specs.iter().enumerate() {
        if added.new.contains(&number) {
            let word = if at.1 { "" } else { "var " };
            let _ = write!(inserted.entry(at).or_default(), "\n{word}{}\n", &content[spec.at.clone()]);
        } else if let Some(found) = place(spec) {
            at = found;
        }
    }
    let texts: String = inserted.values().map(String::as_str).collect();
    let used = |path: &&String| texts.contains(&format!("{}.", path.rsplit('/').next().unwrap_or(path)));
    let imports = added.text.imports.difference(&old.imports).filter(used);
    let imports: String = imports.map(|path| format!("\nimport {path:?}\n")).collect();
    inserted.entry((before.head, false)).or_default().insert_str(0, &imports);

    let (mut text, mut from) = (String::new(), 0);
    for ((at, _), insertion) in inserted {
        text += &old.content[from..at];
        text += &insertion;
        from = at;
    }
    Some(text + &old.content[from..])
}

/// The functions of initialisation that are in `outline` what they are `expected` to be.
fn alike(expected: &Outline, outline: &Outline) -> BTreeSet<String> {
    let functions = outline.functions.iter().filter(|(name, function)| {
        let expected = expected.functions.get(*name);
        verdict::initialises(name) && expected.is_some_and(|expected| expected.digest == function.digest)
    });
    functions.map(|(name, _)| name.clone()).collect()
}

/// The functions that give values to variables, each with its variable, by the names of symbols. `None` if one of them
/// was not compiled, or comes to code of the user's, which may be about to be replaced, or to another variable, which
/// goroutines may be using.
fn independent(
    outline: &Outline,
    functions: &[(String, &str)],
    is_own: &dyn Fn(&str) -> bool,
) -> Option<Vec<String>> {
    let last = |symbol: &'_ str| symbol.rsplit('.').next().unwrap_or(symbol).to_owned();
    let mut symbols = Vec::new();
    for (name, variable) in functions {
        let (symbol, function) = outline.functions.iter().find(|(symbol, _)| last(symbol) == *name)?;
        // Methods are called through what describes types, by whatever is not part of the runtime.
        let calls_others = function.calls.iter().any(|callee| !callee.starts_with("runtime."));
        let is_allowed = |other: &String| {
            let described = other.strip_prefix("type:").or_else(|| other.strip_prefix("go:itab."));
            match described {
                Some(described) => !(calls_others && is_own(described)),
                None if !is_own(other) || outline.constants.contains(other) => true,
                None => outline.variables.contains_key(other) && last(other) == *variable,
            }
        };
        if !function.calls.iter().chain(&function.mentions).all(is_allowed) {
            return None;
        }
        symbols.push(symbol.clone());
    }
    Some(symbols)
}
