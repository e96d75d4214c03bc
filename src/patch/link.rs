//! From recompiled packages to a library that the running service can load. The Go linker does the part that only it
//! can: tables of functions, of types and for the collector. It is shown a stand-in for the service's executable, and
//! what it leaves for the system's linker is finished here.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::generations::{Linked, Loaded, is_type};
use super::image::{self, Changes, ImageError, Relocatable};
use super::keep;
use super::mangle::{mangled, package_of};
use super::object::{Aux, Object, ObjectError, Symbol};
use super::{flip, stub};
use crate::go::export::Run;

/// The package that every program begins with.
pub const MAIN: &str = "main";

/// Packages that the linker adds.
const ADDED: [&str; 2] = ["runtime", "runtime/cgo"];

/// What the linker says of a name that it cannot find (`cmd/link/internal/ld/data.go`, `loader/loader.go`).
const TARGET: &str = "relocation target ";

/// What is to be linked.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// Where the compiler and the linker are: `go env GOTOOLDIR`.
    pub tools: &'a Path,
    /// A directory for this patch alone, which exists and is empty. The library stays in it.
    pub dir: &'a Path,
    /// The patch's number, from 1.
    pub generation: u32,
    /// The recompiled packages with their import paths, `main` being the service's own. If that is not among them,
    /// they are linked without it; if others are, its file of [`keep::text`] has to name what changed in those.
    pub packages: &'a [(String, Object)],
    /// The functions that changed or are new, as symbols are named.
    pub changed: &'a [String],
    /// Those of them that older code must not come to, under the name that they share with an older one.
    pub bound: &'a [String],
    /// Runs the compiler and the linker.
    pub run: Run<'a>,
}

/// Why no library was made.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A file cannot be written or read, or a tool cannot be run.
    #[error("cannot {0}: {1}")]
    Io(&'static str, io::Error),
    /// A tool says no.
    #[error("`{tool}` failed: {output}")]
    Tool {
        /// Which.
        tool: &'static str,
        /// What it said.
        output: String,
    },
    /// What a package imports is not in the service.
    #[error("the running service does not contain `{0}`")]
    Package(String),
    /// What a package imports has changed.
    #[error("`{package}` was compiled against another `{import}` than the running service has")]
    Fingerprint {
        /// The package.
        package: String,
        /// What it imports.
        import: String,
    },
    /// Variables are of types that the service never describes, so that nobody knows where their pointers are.
    #[error("the running service does not describe `{}`", .0.first().map_or("", |name| name))]
    Types(Vec<String>),
    /// The result of the compiler is not understood.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The last step is not possible.
    #[error(transparent)]
    Image(#[from] ImageError),
}

impl LinkError {
    /// The packages that the service would have to have, or to have all of; none if that is not what is wrong.
    pub fn lacking(&self) -> BTreeSet<String> {
        match self {
            LinkError::Package(path) => BTreeSet::from([path.clone()]),
            LinkError::Image(ImageError::Missing(names)) | LinkError::Types(names) => {
                names.iter().filter_map(|name| package_of(name)).collect()
            }
            LinkError::Tool { output, .. } => {
                // What only data refer to, the linker looks for itself.
                let named = output.lines().filter_map(|line| line.split_once(TARGET));
                let names = named.filter_map(|(_, rest)| rest.split_whitespace().next());
                names.filter_map(package_of).collect()
            }
            _ => BTreeSet::new(),
        }
    }
}

/// Links what `order` says for a service that has `loaded`.
///
/// # Errors
/// The service has to be restarted for the change, for the reason that the error names; nothing was loaded.
pub fn link(order: &Order<'_>, loaded: &Loaded) -> Result<Linked, LinkError> {
    check_imports(order, loaded)?;
    check_types(order.packages, loaded)?;
    let mut archives = write_archives(order, loaded)?;
    let given_main = order.packages.iter().position(|(path, _)| path == MAIN);
    let own_main = match given_main {
        Some(_) => None,
        None => Some(compile_main(order, &mut archives)?),
    };
    let main = given_main.map(|main| &order.packages[main].1).or(own_main.as_ref());
    let objects: Vec<&Object> = order.packages.iter().map(|(_, object)| object).chain(&own_main).collect();
    let minor = main.map(Object::minor).unwrap_or_default();

    let imports: BTreeSet<String> = objects
        .iter()
        .flat_map(|object| object.imports().map(|(path, _)| path))
        .chain(ADDED.map(str::to_owned))
        .collect();
    let outside = || {
        imports.iter().map(String::as_str).filter(|path| !order.packages.iter().any(|(own, _)| own == path))
    };
    let names = objects.iter().flat_map(|object| {
        let own = object.symbols().iter().map(|symbol| symbol.name.as_str());
        object.foreign().iter().map(String::as_str).chain(own.filter(|name| name.starts_with("type:")))
    });
    // By the names that the linker gives them.
    let names: HashMap<String, &str> = names.map(|name| (mangled(name, minor), name)).collect();
    let shown = order.dir.join(stub::NAME);
    write(&shown, &stub::build(loaded, names.keys().map(String::as_str), outside()))?;

    let mut config = String::new();
    for (path, archive) in &archives {
        config += &format!("packagefile {path}={}\n", archive.display());
    }
    for path in outside() {
        config += &format!("packageshlib {path}={}\n", shown.display());
    }
    write(&order.dir.join("link.cfg"), config.as_bytes())?;
    run_linker(order, &archives)?;

    let object = order.dir.join("go.o");
    let object = std::fs::read(&object).map_err(|error| LinkError::Io("read what the linker left", error))?;
    let [changed, bound] =
        [order.changed, order.bound].map(|names| names.iter().map(|name| mangled(name, minor)).collect());
    let changes = Changes { functions: &changed, bound: &bound };
    let image = image::build(Relocatable::parse(&object)?, loaded, order.generation, changes);
    let image = image.map_err(|error| error.with_names(&names))?;
    let library = order.dir.join(format!("patch{}.so", order.generation));
    write(&library, &image.bytes)?;
    let packages = order.packages.iter().map(|(path, object)| (path.clone(), object.fingerprint())).collect();
    Ok(Linked { library, packages, ..image.linked })
}

/// Whether what the packages import is what the service has, or is recompiled with them.
fn check_imports(order: &Order<'_>, loaded: &Loaded) -> Result<(), LinkError> {
    for (package, object) in order.packages {
        for (import, fingerprint) in object.imports() {
            let own = order.packages.iter().find(|(path, _)| *path == import);
            let known = own.map(|(_, object)| object.fingerprint()).or_else(|| loaded.fingerprint(&import));
            match known {
                None => return Err(LinkError::Package(import)),
                Some(known) if known != fingerprint => {
                    return Err(LinkError::Fingerprint { package: package.clone(), import });
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}

/// Whether the types of all variables that come with the packages are described, by them or by the service.
fn check_types(packages: &[(String, Object)], loaded: &Loaded) -> Result<(), LinkError> {
    let mut described: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut open: Vec<&str> = Vec::new();
    for (_, object) in packages {
        let laid_out = flip::laid_out(object, |name| loaded.find(&mangled(name, object.minor())).is_some());
        for (index, symbol) in object.symbols().iter().enumerate() {
            if is_type(&symbol.name) {
                described.entry(&symbol.name).or_default().extend(parts(object, symbol));
            } else if laid_out.contains(&index) {
                let types = object.aux(symbol).filter(|(aux, _)| *aux == Aux::Type);
                open.extend(types.map(|(_, target)| object.name(target)));
            }
        }
    }
    let minor = packages.first().map_or(0, |(_, object)| object.minor());
    let (mut seen, mut missing) = (HashSet::new(), BTreeSet::new());
    while let Some(name) = open.pop().filter(|name| !name.is_empty()) {
        if !seen.insert(name) {
            continue;
        }
        match described.get(name) {
            Some(parts) => open.extend(parts),
            None if loaded.find(&mangled(name, minor)).is_some() => {}
            None => drop(missing.insert(name.to_owned())),
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(LinkError::Types(missing.into_iter().collect())) }
}

/// The types that the layout of the one described by `symbol` is made of.
fn parts<'a>(object: &'a Object, symbol: &Symbol) -> Vec<&'a str> {
    let kind = object.content(symbol).get(23).copied().unwrap_or_default() & 31;
    if !matches!(kind, stub::ARRAY | stub::STRUCT) {
        return Vec::new();
    }
    let addresses = object.relocs(symbol).filter(|reloc| reloc.size == 8);
    addresses.map(|reloc| object.name(reloc.target)).filter(|name| is_type(name)).collect()
}

/// Writes the packages as the linker shall see them.
fn write_archives(order: &Order<'_>, loaded: &Loaded) -> Result<Vec<(String, PathBuf)>, LinkError> {
    let mut archives = Vec::new();
    for (number, (path, object)) in order.packages.iter().enumerate() {
        let minor = object.minor();
        let bytes = flip::flipped(object, |name| loaded.find(&mangled(name, minor)).is_some());
        let archive = order.dir.join(format!("{number}.a"));
        write(&archive, &bytes)?;
        archives.push((path.clone(), archive));
    }
    Ok(archives)
}

/// Makes a main that does nothing but to import the packages.
fn compile_main(order: &Order<'_>, archives: &mut Vec<(String, PathBuf)>) -> Result<Object, LinkError> {
    let [source, config, archive] = ["main.go", "compile.cfg", "main.a"].map(|name| order.dir.join(name));
    let packages = order.packages.iter().map(|(path, _)| path.as_str());
    let names = keep::names(order.packages, order.changed);
    let text = keep::text(packages, names.iter().map(String::as_str));
    write(&source, format!("{text}\nfunc main() {{}}\n").as_bytes())?;
    let lines = archives.iter().map(|(path, archive)| format!("packagefile {path}={}\n", archive.display()));
    write(&config, lines.collect::<String>().as_bytes())?;
    let mut compile = Command::new(order.tools.join("compile"));
    compile.args(["-p", MAIN, "-dynlink", "-linkshared", "-l", "-installsuffix", "dynlink", "-pack", "-o"]);
    compile.arg(&archive).arg("-importcfg").arg(&config).arg(&source);
    run(order, "compile", &mut compile)?;
    let bytes =
        std::fs::read(&archive).map_err(|error| LinkError::Io("read what the compiler wrote", error))?;
    archives.push((MAIN.to_owned(), archive));
    Ok(Object::parse(bytes)?)
}

fn run_linker(order: &Order<'_>, archives: &[(String, PathBuf)]) -> Result<(), LinkError> {
    let main = archives.iter().find(|(path, _)| path == MAIN).map(|(_, archive)| archive.as_path());
    let mut link = Command::new(order.tools.join("link"));
    link.args(["-buildmode=plugin", "-linkshared", "-linkmode=external", "-w", "-installsuffix=dynlink"]);
    // The system's linker has nothing to do; this does it.
    link.args(["-pluginpath", MAIN, "-extld=true", "-tmpdir"]).arg(order.dir).arg("-importcfg");
    link.arg(order.dir.join("link.cfg")).arg("-o").arg(order.dir.join("unused")).args(main);
    run(order, "link", &mut link)
}

fn run(order: &Order<'_>, tool: &'static str, command: &mut Command) -> Result<(), LinkError> {
    let said = (order.run)(command).map_err(|error| LinkError::Io("run the Go toolchain", error))?;
    if said.success {
        return Ok(());
    }
    let said = [said.stdout, said.stderr].concat();
    Err(LinkError::Tool { tool, output: String::from_utf8_lossy(&said).trim().to_owned() })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), LinkError> {
    std::fs::write(path, bytes).map_err(|error| LinkError::Io("write a file for the linker", error))
}
