//! Which files the programs of services are made of, and by which imports: the answers of `go list` as a graph,
//! and what follows from it for a path. The names of files decide about those that `go list` has not seen yet.
//! Pure: listings arrive as data.

mod listed;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use crate::constraint::Context;
use crate::source::Head;
use listed::Listed;

/// What one run of `go list -deps` says, but for the standard library.
#[derive(Debug, Default)]
pub struct Listing {
    /// Packages, in any order.
    pub packages: Vec<Package>,
    /// Modules in which packages may lie that are missing.
    pub modules: Vec<Module>,
    /// The `go.work` that applies, if one does, and the `go.mod` of every module in it: together they decide
    /// which modules each program of the workspace is made of, and none is built while one of them is broken.
    pub workspace: Vec<PathBuf>,
    /// For which system and with which tags it was listed.
    pub context: Context,
}

/// A package of a program.
#[derive(Debug, Default)]
pub struct Package {
    /// Its import path.
    pub path: String,
    /// The name in its package clause.
    pub name: String,
    /// The version of its module; empty for one whose files may be edited.
    pub version: String,
    /// The patterns of the command line that name it.
    pub matched: Vec<String>,
    /// What it imports, by import path.
    pub imports: Vec<String>,
    /// Why it cannot be built, as far as listing shows that.
    pub error: Option<String>,
    /// Its files, if they may be edited: it lies neither in the module cache nor in a vendor directory.
    pub local: Option<Local>,
}

/// The files of a package that may be edited.
#[derive(Debug, Default)]
pub struct Local {
    /// Its directory, canonical.
    pub dir: PathBuf,
    /// The module that it belongs to.
    pub module: Option<Module>,
    /// The files that are built in, relative to the directory.
    pub files: Vec<String>,
    /// Where those of them lead that are symbolic links, canonical.
    pub linked: BTreeMap<String, PathBuf>,
    /// The files that build constraints leave out.
    pub ignored: Vec<String>,
    /// Patterns of `//go:embed`.
    pub embeds: Vec<String>,
    /// Whether it imports "C".
    pub cgo: bool,
}

impl Local {
    /// Where the content of `file` lies.
    fn place(&self, file: &str) -> PathBuf {
        self.linked.get(file).cloned().unwrap_or_else(|| self.dir.join(file))
    }
}

/// A module whose files may be edited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Module {
    /// Its path.
    pub path: String,
    /// Its directory, canonical.
    pub dir: PathBuf,
    /// Its `go.mod`.
    pub go_mod: PathBuf,
}

/// What a file is to a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is built in: a source of the package, or embedded by it.
    Source,
    /// `go.mod`, `go.sum`, `go.work` or alike: it decides what is built in.
    Module,
    /// It lies in a package of the program, but build constraints leave it out.
    Excluded,
    /// A test of a package of the program.
    Test,
    /// Nothing.
    None,
}

/// Programs and their packages.
#[derive(Debug, Default)]
pub struct Graph {
    listed: Vec<Listed>,
    /// One per service; `None` where nothing was listed.
    programs: Vec<Option<Program>>,
}

#[derive(Debug)]
struct Program {
    listed: usize,
    roots: Vec<usize>,
    /// The packages that it contains.
    members: BTreeSet<usize>,
    module_files: BTreeSet<PathBuf>,
    /// Stands for everything that cannot be edited: versions of modules, and which packages there are.
    identity: u64,
}

/// A list of services, each with the patterns that name its main packages in a listing.
pub type Asked = Vec<(usize, Vec<String>)>;

impl Graph {
    /// A graph for so many services, in which nothing was listed.
    pub fn new(services: usize) -> Graph {
        let programs = std::iter::repeat_with(|| None).take(services).collect();
        Graph { listed: Vec::new(), programs }
    }

    /// Whether the program of `service` is known.
    pub fn knows(&self, service: usize) -> bool {
        self.programs[service].is_some()
    }

    /// Takes in the newest `listing` of the query number `query`, which told of the services in `asked`.
    pub fn set(&mut self, query: usize, listing: Listing, asked: &Asked) {
        if self.listed.len() <= query {
            self.listed.resize_with(query + 1, Listed::default);
        }
        self.listed[query] = Listed::new(listing);
        for (service, patterns) in asked {
            self.programs[*service] = Some(self.listed[query].program(query, patterns));
        }
    }

    /// Stands for all packages of `service`, and for the versions of those that cannot be edited.
    pub fn identity(&self, service: usize) -> u64 {
        self.program(service).map_or(0, |(_, program)| program.identity)
    }

    /// All files that the program of `service` is made of, as far as they may be edited.
    pub fn files(&self, service: usize) -> BTreeSet<PathBuf> {
        let Some((listed, program)) = self.program(service) else { return BTreeSet::new() };
        let locals = program.members.iter().filter_map(|&id| listed.packages[id].local.as_ref());
        let files = locals.flat_map(|local| local.files.iter().map(|file| local.place(file)));
        files
            .filter(|file| !listed.excluded.contains(file))
            .chain(program.module_files.iter().cloned())
            .collect()
    }

    /// Every file that has to be looked at for `service`: those of its program, and those that an edit may make
    /// part of it.
    pub fn watched_files(&self, service: usize) -> BTreeSet<PathBuf> {
        let Some((listed, program)) = self.program(service) else { return BTreeSet::new() };
        let locals = program.members.iter().filter_map(|&id| listed.packages[id].local.as_ref());
        let ignored = locals.flat_map(|local| local.ignored.iter().map(|file| local.dir.join(file)));
        self.files(service).into_iter().chain(ignored).collect()
    }

    /// The directories in which files lie that programs are made of, or would lie if they were there.
    pub fn dirs(&self) -> BTreeSet<PathBuf> {
        let mut dirs = BTreeSet::new();
        for (listed, program) in (0..self.programs.len()).filter_map(|service| self.program(service)) {
            let module_dirs = program.module_files.iter().filter_map(|file| file.parent());
            dirs.extend(module_dirs.map(Path::to_owned));
            for local in program.members.iter().filter_map(|&id| listed.packages[id].local.as_ref()) {
                dirs.insert(local.dir.clone());
                dirs.extend(local.linked.values().filter_map(|target| target.parent()).map(Path::to_owned));
                let embedded = local.files.iter().filter_map(|file| Path::new(file).parent());
                let above = embedded.flat_map(Path::ancestors).filter(|dir| !dir.as_os_str().is_empty());
                dirs.extend(above.map(|dir| local.dir.join(dir)));
            }
        }
        dirs
    }

    /// Directories above all of [`Graph::dirs`]: those of modules and workspaces, and those that links lead to.
    pub fn tops(&self) -> BTreeSet<PathBuf> {
        let programs = self.programs.iter().flatten();
        let linked = self.listed.iter().flat_map(|listed| listed.linked.keys());
        let module_files = programs.flat_map(|program| &program.module_files).chain(linked);
        let module_dirs = module_files.filter_map(|file| file.parent());
        let locals =
            self.listed.iter().flat_map(|listed| &listed.packages).filter_map(|one| one.local.as_ref());
        let leads_out =
            |local: &&Local| local.module.as_ref().is_some_and(|module| !local.dir.starts_with(&module.dir));
        module_dirs
            .filter(|dir| dir.file_name().is_none_or(|name| name != "vendor"))
            .chain(locals.filter(leads_out).map(|local| local.dir.as_path()))
            .map(Path::to_owned)
            .collect()
    }

    /// The services that may embed what lies in the directory `dir`.
    pub fn looks_into(&self, dir: &Path) -> BTreeSet<usize> {
        // Whatever it is called, if the pattern takes the directory as a whole.
        let inside = dir.join("any");
        let embeds = |service: &usize| {
            self.program(*service).is_some_and(|(listed, program)| {
                let mut holders = listed.holders(&inside).filter(|(id, _)| program.members.contains(id));
                holders.any(|(id, relative)| listed.embeds(id, relative))
            })
        };
        (0..self.programs.len()).filter(embeds).collect()
    }

    /// What the file `path` is to the program of `service`.
    pub fn role(&self, service: usize, path: &Path) -> Role {
        let Some((listed, program)) = self.program(service) else { return Role::None };
        if program.module_files.contains(path) {
            return Role::Module;
        }
        if listed.linked.get(path).is_some_and(|id| program.members.contains(id)) {
            return Role::Source;
        }
        let mut role = Role::None;
        for (id, relative) in listed.holders(path).filter(|(id, _)| program.members.contains(id)) {
            match listed.role(id, path, relative) {
                Role::None => {}
                Role::Source => return Role::Source,
                other => role = other,
            }
        }
        role
    }

    /// Takes note of what the head of the file `path` says now; `None` when it is gone or has none.
    pub fn learn(&mut self, path: &Path, head: Option<&Head>) {
        for listed in &mut self.listed {
            listed.learn(path, head);
        }
    }

    /// Why build constraints leave the file `path` with `head` out of the program of `service`, if they do.
    pub fn excludes(&self, service: usize, path: &Path, head: Option<&Head>) -> Option<String> {
        let (listed, _) = self.program(service)?;
        let name = path.file_name()?.to_str()?;
        listed.context.includes(name, head).err().map(|excluded| excluded.to_string())
    }

    /// The shortest chain of imports by which the package of the file `path` gets into the program of `service`,
    /// from its main package on.
    pub fn chain(&self, service: usize, path: &Path) -> Option<Vec<&str>> {
        let (listed, program) = self.program(service)?;
        let goal = listed.holders(path).map(|(id, _)| id).find(|id| program.members.contains(id))?;
        let mut came_from: BTreeMap<usize, Option<usize>> =
            program.roots.iter().map(|&id| (id, None)).collect();
        let mut queue: VecDeque<usize> = program.roots.iter().copied().collect();
        while let Some(id) = queue.pop_front() {
            if id == goal {
                let steps = std::iter::successors(Some(id), |id| came_from.get(id).copied().flatten());
                let mut chain: Vec<&str> = steps.map(|id| listed.packages[id].path.as_str()).collect();
                chain.reverse();
                return Some(chain);
            }
            for &next in &listed.imports[id] {
                came_from.entry(next).or_insert_with(|| {
                    queue.push_back(next);
                    Some(id)
                });
            }
        }
        None
    }

    /// The directories of the packages of `service` that may be edited.
    pub fn packages(&self, service: usize) -> Vec<&Path> {
        let Some((listed, program)) = self.program(service) else { return Vec::new() };
        program.members.iter().filter_map(|&id| listed.dir(id)).collect()
    }

    /// The directories of its main packages.
    pub fn roots(&self, service: usize) -> Vec<&Path> {
        let Some((listed, program)) = self.program(service) else { return Vec::new() };
        program.roots.iter().filter_map(|&id| listed.dir(id)).collect()
    }

    /// What the package in `dir` imports, of the packages of `service` that may be edited, also by way of others.
    pub fn imports(&self, service: usize, dir: &Path) -> BTreeSet<&Path> {
        let Some((listed, program)) = self.program(service) else { return BTreeSet::new() };
        let here = listed.by_dir.get(dir).into_iter().flatten().filter(|id| program.members.contains(id));
        let mut open: Vec<usize> = here.copied().collect();
        let (mut seen, mut found) = (BTreeSet::new(), BTreeSet::new());
        while let Some(id) = open.pop() {
            for &next in &listed.imports[id] {
                match listed.dir(next) {
                    Some(dir) => drop(found.insert(dir)),
                    None if seen.insert(next) => open.push(next),
                    None => {}
                }
            }
        }
        found
    }

    fn program(&self, service: usize) -> Option<(&Listed, &Program)> {
        let program = self.programs.get(service)?.as_ref()?;
        Some((&self.listed[program.listed], program))
    }
}
