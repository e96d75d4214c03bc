//! One listing: its packages by number and by directory, and what a file is to a package, told by its name where
//! the listing does not say.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use super::{Listing, Local, Module, Package, Program, Role};
use crate::constraint::Context;
use crate::embed;
use crate::source::Head;

/// The name under which `go list` puts files that were named on the command line.
const FILES_BY_NAME: &str = "command-line-arguments";

/// The newest answer to a query.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) packages: Vec<Package>,
    /// Ids of imports, per package.
    pub(super) imports: Vec<Vec<usize>>,
    pub(super) by_dir: HashMap<PathBuf, Vec<usize>>,
    /// Files elsewhere that links in packages lead to.
    pub(super) linked: HashMap<PathBuf, usize>,
    /// Files that build constraints leave out, as far as is known.
    pub(super) excluded: BTreeSet<PathBuf>,
    pub(super) workspace: Vec<PathBuf>,
    pub(super) context: Context,
}

impl Listed {
    pub(super) fn new(listing: Listing) -> Listed {
        let mut packages = listing.packages;
        let modules: BTreeSet<(String, PathBuf, PathBuf)> = packages
            .iter()
            .filter_map(|package| package.local.as_ref()?.module.as_ref())
            .chain(&listing.modules)
            .map(|module| (module.path.clone(), module.dir.clone(), module.go_mod.clone()))
            .collect();
        for package in
            packages.iter_mut().filter(|package| package.local.is_none() && package.error.is_some())
        {
            package.local = missing(&package.path, &modules);
        }
        let ids: HashMap<&str, usize> =
            packages.iter().enumerate().map(|(id, package)| (package.path.as_str(), id)).collect();
        let imports = packages
            .iter()
            .map(|package| {
                package.imports.iter().filter_map(|path| ids.get(path.as_str()).copied()).collect()
            })
            .collect();
        let mut by_dir: HashMap<PathBuf, Vec<usize>> = HashMap::new();
        let (mut excluded, mut linked) = (BTreeSet::new(), HashMap::new());
        for (id, package) in packages.iter_mut().enumerate() {
            // Kept as ids.
            package.imports = Vec::new();
            if let Some(local) = &package.local {
                by_dir.entry(local.dir.clone()).or_default().push(id);
                linked.extend(local.linked.values().map(|target| (target.clone(), id)));
                excluded.extend(local.ignored.iter().map(|file| local.dir.join(file)));
            }
        }
        let Listing { workspace, context, .. } = Listing { packages: Vec::new(), ..listing };
        Listed { packages, imports, by_dir, linked, excluded, workspace, context }
    }

    pub(super) fn program(&self, listed: usize, patterns: &[String]) -> Program {
        let named = |package: &Package| package.matched.iter().any(|pattern| patterns.contains(pattern));
        let roots: Vec<usize> = (0..self.packages.len()).filter(|&id| named(&self.packages[id])).collect();
        let mut members: BTreeSet<usize> = roots.iter().copied().collect();
        let mut open = roots.clone();
        while let Some(id) = open.pop() {
            open.extend(self.imports[id].iter().copied().filter(|&next| members.insert(next)));
        }
        let mut module_files = BTreeSet::new();
        for module in members.iter().filter_map(|&id| self.packages[id].local.as_ref()?.module.as_ref()) {
            module_files.insert(module.go_mod.clone());
            module_files.insert(module.go_mod.with_extension("sum"));
            module_files.insert(module.dir.join("vendor/modules.txt"));
        }
        for file in &self.workspace {
            let is_work = file.extension().is_some_and(|extension| extension == "work");
            module_files.insert(file.with_extension(if is_work { "work.sum" } else { "sum" }));
            module_files.insert(file.clone());
        }
        let mut hasher = DefaultHasher::new();
        for package in members.iter().map(|&id| &self.packages[id]) {
            (&package.path, &package.version, package.local.as_ref().map(|local| &local.dir))
                .hash(&mut hasher);
        }
        Program { listed, roots, members, module_files, identity: hasher.finish() }
    }

    /// The directory of a package that may be edited.
    pub(super) fn dir(&self, id: usize) -> Option<&Path> {
        self.packages[id].local.as_ref().map(|local| local.dir.as_path())
    }

    /// The local packages in whose directory, or below it, `path` lies, each with the path relative to it.
    pub(super) fn holders<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = (usize, &'a Path)> {
        path.ancestors().skip(1).flat_map(move |dir| {
            let ids = self.by_dir.get(dir).into_iter().flatten();
            ids.filter_map(move |&id| Some((id, path.strip_prefix(dir).ok()?)))
        })
    }

    pub(super) fn embeds(&self, id: usize, relative: &Path) -> bool {
        let local = self.packages[id].local.as_ref();
        local.is_some_and(|local| local.embeds.iter().any(|pattern| embed::matches(pattern, relative)))
    }

    pub(super) fn role(&self, id: usize, path: &Path, relative: &Path) -> Role {
        let Some(local) = &self.packages[id].local else { return Role::None };
        if self.embeds(id, relative) {
            return Role::Source;
        }
        let Some(name) = relative.to_str().filter(|name| !name.contains('/')) else { return Role::None };
        if local.files.iter().any(|file| file == name) {
            return if self.excluded.contains(path) { Role::Excluded } else { Role::Source };
        }
        if self.packages[id].path == FILES_BY_NAME || name.starts_with(['.', '_']) {
            return Role::None;
        }
        match kind(name) {
            Kind::Test => Role::Test,
            Kind::Go | Kind::Object if self.excluded.contains(path) => Role::Excluded,
            Kind::Go | Kind::Object => Role::Source,
            Kind::C if local.cgo => {
                if self.excluded.contains(path) {
                    Role::Excluded
                } else {
                    Role::Source
                }
            }
            Kind::Profile if self.packages[id].name == "main" => Role::Source,
            Kind::C | Kind::Profile | Kind::Other => Role::None,
        }
    }

    pub(super) fn learn(&mut self, path: &Path, head: Option<&Head>) {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return };
        if !path.parent().is_some_and(|dir| self.by_dir.contains_key(dir))
            || matches!(kind(name), Kind::Other)
        {
            return;
        }
        if self.context.includes(name, head).is_ok() {
            self.excluded.remove(path);
        } else {
            self.excluded.insert(path.to_owned());
        }
    }
}

/// What a file may be to the package in its directory, by its name (go/build/build.go, `matchFile`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Go,
    Test,
    /// Assembled or linked into any package.
    Object,
    /// Compiled by the C compiler, into packages that import "C".
    C,
    /// A profile that the compiler optimises the main package by (`go help build`, `-pgo`).
    Profile,
    Other,
}

fn kind(name: &str) -> Kind {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        "go" if name.ends_with("_test.go") => Kind::Test,
        "go" => Kind::Go,
        "s" | "S" | "sx" | "syso" | "h" => Kind::Object,
        "c" | "cc" | "cpp" | "cxx" | "m" | "hh" | "hpp" | "hxx" | "f" | "F" | "for" | "f90" | "swig"
        | "swigcxx" => Kind::C,
        "pgo" if name == "default.pgo" => Kind::Profile,
        _ => Kind::Other,
    }
}

/// Where a package would lie that is imported but is not there, if it belongs to one of `modules`.
fn missing(package: &str, modules: &BTreeSet<(String, PathBuf, PathBuf)>) -> Option<Local> {
    let below = |path: &str| package.strip_prefix(path)?.strip_prefix('/').map(str::to_owned);
    let inside = modules.iter().filter_map(|module| Some((module, below(&module.0)?)));
    let ((path, dir, go_mod), below) = inside.max_by_key(|(module, _)| module.0.len())?;
    let module = Module { path: path.clone(), dir: dir.clone(), go_mod: go_mod.clone() };
    Some(Local { dir: dir.join(below), module: Some(module), ..Local::default() })
}
