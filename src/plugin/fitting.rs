//! Whether a host can open a plugin. Go refuses a shared object if one package that both have is not the same in both, down
//! to its exported types; both binaries hold a hash of each package for that (`addpkghash`-strings of `cmd/link`, compared
//! by `plugin_lastmoduleinit` in `runtime/plugin.go`), so it can be told before.

use std::collections::BTreeMap;
use std::path::Path;

use object::{Object, ObjectSection, ObjectSymbol, ObjectSymbolTable, RelocationTarget};

use crate::go::packages;

/// What the names of these hashes begin with.
const HASH: &str = "go:link.pkghash.";

/// How many packages are named at most.
const NAMED: usize = 10;

/// How the go command says a program was built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Info {
    go: String,
    modules: BTreeMap<String, String>,
    settings: BTreeMap<String, String>,
    /// The package that was built.
    path: String,
}

/// Flags that have every package be another.
const SETTINGS: [&str; 7] = ["-race", "-msan", "-asan", "-trimpath", "-tags", "-gcflags", "GOAMD64"];

/// Why the program `host` cannot open `plugin`, in words; nothing if it can.
///
/// # Errors
/// One of them cannot be read, or the host opens no plugins at all.
pub fn unfit(host: &Path, plugin: &Path) -> Result<Vec<String>, String> {
    let theirs = hashes(host)?;
    if theirs.is_empty() {
        return Err(format!(
            "`{}` opens no shared objects, or nobody can tell: it has to import `hotwatch.invalid/hotplug/so`, be built with \
             cgo, and not be stripped",
            host.display()
        ));
    }
    let ours = hashes(plugin)?;
    if ours.is_empty() {
        return Err(
            "the plugin is stripped, so nobody can tell whether the host fits; leave out `-ldflags=-s`"
                .to_owned(),
        );
    }
    let infos = (info(&packages::build_info(host)?), info(&packages::build_info(plugin)?));
    let differ = |package: &&String| theirs.get(*package).is_some_and(|hash| hash != &ours[*package]);
    let packages: Vec<&String> = ours.keys().filter(differ).collect();
    Ok(reasons(&packages, &infos.0, &infos.1))
}

/// Why these `packages` differ in programs that were built so. Pure.
fn reasons(packages: &[&String], host: &Info, plugin: &Info) -> Vec<String> {
    if packages.is_empty() {
        return Vec::new();
    }
    if host.go != plugin.go {
        return vec![format!(
            "the host was built by {}, and the plugin by {}; build both by one",
            host.go, plugin.go
        )];
    }
    // What is for its own packages alone makes no other one differ.
    let is_own = |info: &Info, value: &String| value.starts_with(&info.path) && !info.path.is_empty();
    let setting = |info: &Info, name: &str| {
        info.settings.get(name).filter(|value| !is_own(info, value)).cloned().unwrap_or_default()
    };
    let shown = |name: &str, value: &str| match value {
        "" => format!("no `{name}`"),
        value => format!("`{name}={value}`"),
    };
    let mut reasons = Vec::new();
    for name in SETTINGS {
        let (theirs, ours) = (setting(host, name), setting(plugin, name));
        if theirs != ours {
            let (theirs, ours) = (shown(name, &theirs), shown(name, &ours));
            reasons.push(format!(
                "the host was built with {theirs}, and the plugin with {ours}; give both the same"
            ));
        }
    }
    if !reasons.is_empty() {
        return reasons;
    }
    for package in packages {
        let module = module(package, plugin).or_else(|| module(package, host));
        let versions = [host, plugin].map(|info| module.and_then(|module| info.modules.get(module)));
        let reason = match (module, versions) {
            (Some(module), [Some(theirs), Some(ours)]) if theirs != ours => {
                format!(
                    "`{package}` is of `{module}` {theirs} in the host, and {ours} in the plugin; require one version"
                )
            }
            (Some(_), _) => format!("`{package}` has changed since the host was built; build the host anew"),
            // Go's own: nothing that could be seen differs.
            (None, _) => {
                format!("`{package}` is another in the host; build both with the same flags and environment")
            }
        };
        reasons.push(reason);
    }
    let more = reasons.len().saturating_sub(NAMED);
    if more > 0 {
        reasons.truncate(NAMED);
        reasons.push(format!("and {more} more packages"));
    }
    reasons
}

/// The module of `package` among those of `info`.
fn module<'a>(package: &str, info: &'a Info) -> Option<&'a String> {
    let has = |module: &&String| {
        package.strip_prefix(module.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    info.modules.keys().filter(has).max_by_key(|module| module.len())
}

/// What `go version -m` has said. Pure.
fn info(text: &str) -> Info {
    let mut info = Info::default();
    let mut last = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        match words[..] {
            [first] => info.go = first.rsplit(": ").next().unwrap_or_default().to_owned(),
            ["", "path", path] => path.clone_into(&mut info.path),
            ["", "mod" | "dep", path, version, ..] => {
                path.clone_into(&mut last);
                info.modules.insert(path.to_owned(), version.to_owned());
            }
            ["", "=>", path, version, ..] => {
                info.modules.insert(last.clone(), format!("{path} {version}"));
            }
            ["", "build", setting] => {
                let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
                info.settings.insert(name.to_owned(), value.to_owned());
            }
            _ => {}
        }
    }
    info
}

/// The hashes in the ELF file `path`, by package.
fn hashes(path: &Path) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let describe = |error: &dyn std::fmt::Display| format!("cannot read `{}`: {error}", path.display());
    let bytes = std::fs::read(path).map_err(|error| describe(&error))?;
    let file = object::File::parse(&*bytes).map_err(|error| describe(&error))?;
    // Where a pointer is filled in when the file is loaded, a relocation says where to.
    let symbols = file.dynamic_symbol_table();
    let target = |relocation: &object::Relocation| {
        let base = match relocation.target() {
            RelocationTarget::Symbol(index) => symbols.as_ref()?.symbol_by_index(index).ok()?.address(),
            RelocationTarget::Absolute => 0,
            _ => return None,
        };
        base.checked_add_signed(relocation.addend())
    };
    let relocations = file.dynamic_relocations().into_iter().flatten();
    let filled: BTreeMap<u64, u64> =
        relocations.filter_map(|(at, relocation)| Some((at, target(&relocation)?))).collect();
    let read = |at: u64, length: u64| {
        file.sections().find_map(|section| section.data_range(at, length).ok().flatten())
    };
    let number = |at: u64| Some(u64::from_le_bytes(read(at, 8)?.try_into().ok()?));
    let mut hashes = BTreeMap::new();
    for symbol in file.symbols() {
        let Some(package) = symbol.name().ok().and_then(|name| name.strip_prefix(HASH)) else { continue };
        // A string: where it is, and how long.
        let at = symbol.address();
        let place = filled.get(&at).copied().or_else(|| number(at));
        let text = place.and_then(|place| read(place, number(at + 8)?));
        if let Some(text) = text {
            hashes.insert(package.to_owned(), text.to_vec());
        }
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "/x/host: go1.26.8\n\tpath\tm/host\n\tmod\tm\t(devel)\t\n\tdep\ta.b/c\tv1.2.0\th1:x=\n\tdep\ta.b/d\tv1.0.0\n\
                        \t=>\t./d\t(devel)\t\n\tbuild\t-trimpath=true\n\tbuild\tCGO_ENABLED=1\n";

    #[test]
    fn what_the_go_command_says_is_read() {
        let info = info(TEXT);
        assert_eq!(info.go, "go1.26.8");
        let modules: Vec<_> =
            info.modules.iter().map(|(path, version)| format!("{path} {version}")).collect();
        assert_eq!(modules, ["a.b/c v1.2.0", "a.b/d ./d (devel)", "m (devel)"]);
        assert_eq!(info.settings["-trimpath"], "true");
        assert_eq!(module("a.b/c/sub", &info).map(String::as_str), Some("a.b/c"));
        assert_eq!(module("a.b/cc", &info), None);
    }

    #[test]
    fn the_reason_is_named() {
        let host = info(TEXT);
        let said = |from: &str, to: &str, packages: &[&str]| {
            let packages: Vec<String> = packages.iter().map(|&package| package.to_owned()).collect();
            reasons(&packages.iter().collect::<Vec<_>>(), &host, &info(&TEXT.replace(from, to))).join("; ")
        };
        assert_eq!(said("", "", &[]), "");
        assert!(said("go1.26.8", "go1.27.3", &["fmt"]).contains("by go1.26.8, and the plugin by go1.27.3"));
        let trimmed = said("-trimpath=true", "-x=1", &["fmt"]);
        assert!(trimmed.contains("with `-trimpath=true`, and the plugin with no `-trimpath`"), "{trimmed}");
        let other = said("v1.2.0", "v1.3.0", &["a.b/c/sub"]);
        assert!(
            other.contains("`a.b/c/sub` is of `a.b/c` v1.2.0 in the host, and v1.3.0 in the plugin"),
            "{other}"
        );
        assert!(said("x", "x", &["m/shared"]).contains("`m/shared` has changed since the host was built"));
    }
}
