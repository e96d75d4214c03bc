//! Building a plugin: its own packages are given the import path of this version, in an overlay of the go command or, if it
//! is to be linked, in the output directory; beside them stands the generated file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::PluginError;
use super::fitting;
use super::generating::{Form, Identity, SDK_VERSION, literal, moved, registration};
use super::parts::{self, Choice, Parts};
use super::reading::{self, Live};
use super::sidecar::Sidecar;
use crate::go::packages::{self, Package};

/// The generated file in a plugin's package.
const GENERATED: &str = "hotwatch_plugin.go";

/// How many digits of the hash tell versions apart in import paths.
const DIGITS: usize = 12;

/// What is to be built.
#[derive(Debug, Clone)]
pub struct Order {
    /// The directory of the plugin's package.
    pub plugin: PathBuf,
    /// Where the plugin goes.
    pub output: PathBuf,
    /// How it reaches its host.
    pub form: Form,
    /// Which files take part.
    pub choice: Choice,
    /// What live names begin with.
    pub live_prefix: String,
    /// Whether the go command builds what is generated.
    pub builds: bool,
    /// Whether what is generated stays where it was built.
    pub keeps: bool,
    /// Whether the plugin's own code is built for a debugger.
    pub debug: bool,
    /// The program that is to load it, if it is known.
    pub host: Option<PathBuf>,
    /// Flags of `go build`.
    pub flags: Vec<String>,
}

/// What has become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The plugin's name.
    pub name: String,
    /// The version: the beginning of the hash, and the generation.
    pub version: String,
    /// The file of the plugin, or the directory of its package if it is to be linked; none if it was only generated.
    pub path: Option<PathBuf>,
    /// Whether it was there already.
    pub unchanged: bool,
    /// Where the generated code is, if it was to stay.
    pub generated: Option<PathBuf>,
    /// What in it behaves otherwise in a plugin than in a program.
    pub warnings: Vec<String>,
}

/// Builds what is ordered.
///
/// # Errors
/// It is no plugin, or cannot be built. What was there before is as it was.
pub fn build(order: &Order) -> Result<Built, PluginError> {
    let dir = order.plugin.canonicalize().map_err(PluginError::io("find", &order.plugin))?;
    let name = dir.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let name = name.ok_or_else(|| PluginError::Nameless(dir.clone()))?;
    let parts = Parts::of(&dir, &order.flags, order.choice.clone())?;
    let files = parts.files(&parts.root)?;
    let missing = reading::missing(&files);
    if !missing.is_empty() {
        return Err(PluginError::Incomplete { package: parts.root.import_path, missing });
    }
    let live = Live::of(&files, &order.live_prefix);
    let mut warnings = Vec::new();
    for package in &parts.own {
        warnings.extend(reading::lint(&parts.files(package)?, &live, &parts.module.dir));
    }
    fs::create_dir_all(&order.output).map_err(PluginError::io("make", &order.output))?;
    let output = order.output.canonicalize().map_err(PluginError::io("find", &order.output))?;
    let version = Version { parts, live, name, dir, warnings, identity: None };
    match order.form {
        Form::Linked => version.link(order, &output),
        Form::Shared | Form::Process => version.build(order, &output),
    }
}

/// A version on its way.
struct Version {
    parts: Parts,
    live: Live,
    name: String,
    dir: PathBuf,
    warnings: Vec<String>,
    identity: Option<Identity>,
}

impl Version {
    /// What identifies it, made by Go of the version `go`, `generation` builds after the first.
    fn identify(&mut self, order: &Order, generation: u64) -> Result<Identity, PluginError> {
        let words = |words| PluginError::Unlistable { words, hint: "" };
        let go = packages::version_in(&self.dir).map_err(words)?;
        let (flags, sdk, debug) = (order.flags.join(" "), SDK_VERSION.to_string(), order.debug.to_string());
        let patterns = [&order.choice.include, &order.choice.exclude]
            .map(|pattern| pattern.as_ref().map_or_else(String::new, ToString::to_string));
        let [include, exclude] = &patterns;
        let hash = self.parts.hash(&[&go, &flags, &sdk, &debug, &order.live_prefix, include, exclude])?;
        let identity = Identity { name: self.name.clone(), hash, generation };
        self.identity = Some(identity.clone());
        Ok(identity)
    }

    fn result(self, path: Option<PathBuf>, unchanged: bool, generated: Option<PathBuf>) -> Built {
        let version = self.identity.map_or_else(String::new, |identity| {
            let hash = identity.hash.get(..DIGITS).unwrap_or(&identity.hash);
            format!("{hash}-{}", identity.generation)
        });
        Built { name: self.name, version, path, unchanged, generated, warnings: self.warnings }
    }

    /// Builds it to a file in `output`.
    fn build(mut self, order: &Order, output: &Path) -> Result<Built, PluginError> {
        let end = if order.form == Form::Shared { "so" } else { "proc" };
        let plugin = output.join(format!("{}.{end}", self.name));
        let mut identity = self.identify(order, Sidecar::generation(&plugin) + 1)?;
        let before = Sidecar::read(&plugin).map(Sidecar::identity);
        if let Some(before) = before.filter(|before| order.builds && before.hash == identity.hash) {
            self.identity = Some(before);
            return Ok(self.result(Some(plugin), true, None));
        }
        identity.name.clone_from(&self.name);
        let temp = tempfile::Builder::new().prefix("hotwatch-plugin-").tempdir();
        let mut temp = temp.map_err(PluginError::io("make a directory in", std::env::temp_dir()))?;
        let keeps = order.keeps || !order.builds;
        temp.disable_cleanup(keeps);
        let generated = keeps.then(|| temp.path().to_owned());
        let unique =
            format!("{}_{}_{}", identifier(&self.name), &identity.hash[..DIGITS], identity.generation);
        // Beside it, so that it may import what it may import now.
        let (parent, path) = match self.parts.root.import_path.rsplit_once('/') {
            Some((above, _)) if self.dir != self.parts.module.dir => {
                (self.dir.parent().unwrap_or(&self.dir), format!("{above}/{unique}"))
            }
            _ => (self.dir.as_path(), format!("{}/{unique}", self.parts.root.import_path)),
        };
        let overlay = self.overlay(temp.path(), &parent.join(&unique), &path, order.form)?;
        if !order.builds {
            return Ok(self.result(None, false, generated));
        }
        let built = temp.path().join("built");
        let mut args = order.flags.clone();
        let text = |path: &Path| path.display().to_string();
        args.extend(["-overlay".to_owned(), text(&overlay), "-o".to_owned(), text(&built)]);
        if order.form == Form::Shared {
            args.push("-buildmode=plugin".to_owned());
        }
        if order.debug {
            args.push(format!("-gcflags={path}/...=-N -l"));
        }
        args.push(path.clone());
        packages::build(&self.dir, &args).map_err(|words| {
            PluginError::Unbuildable(self.in_words_of_the_user(&words, temp.path(), &path))
        })?;
        if let Some(host) = order.host.as_ref().filter(|_| order.form == Form::Shared) {
            let host = host.canonicalize().map_err(PluginError::io("find", host))?;
            let reasons = fitting::unfit(&host, &built).map_err(PluginError::NoHost)?;
            if !reasons.is_empty() {
                return Err(PluginError::Unfit { host, reasons });
            }
        }
        Sidecar::place(&built, &plugin, &identity)?;
        Ok(self.result(Some(plugin), false, generated))
    }

    /// Writes its packages to `temp`, and the overlay that has them stand in the directory `at`, to be imported as `path`;
    /// returns the overlay's path.
    fn overlay(&self, temp: &Path, at: &Path, path: &str, form: Form) -> Result<PathBuf, PluginError> {
        let mut replaced = BTreeMap::new();
        let mut add = |virtual_path: &Path, real: &Path| {
            replaced.insert(virtual_path.display().to_string(), real.display().to_string());
        };
        for (number, package) in self.parts.own.iter().enumerate() {
            let place = self.place(at, package);
            let real = temp.join(number.to_string());
            fs::create_dir(&real).map_err(PluginError::io("make", &real))?;
            let main = (package == &self.parts.root).then_some("main");
            for file in self.parts.files(package)? {
                let name = file.path.file_name().unwrap_or_default();
                let text = moved(&file, main, &self.parts.root.import_path, path);
                write(&real.join(name), &text)?;
                add(&place.join(name), &real.join(name));
            }
            for name in package.others() {
                add(&place.join(name), &package.dir.join(name));
            }
            if main.is_some() {
                let identity = self.identity.as_ref().map(|it| literal("main", it, &self.live, form));
                write(&real.join(GENERATED), &identity.unwrap_or_default())?;
                add(&place.join(GENERATED), &real.join(GENERATED));
            }
        }
        let overlay = temp.join("overlay.json");
        write(&overlay, &json!({ "Replace": replaced }).to_string())?;
        Ok(overlay)
    }

    /// What the go command says of what is generated in `temp`, to be imported as `path`, as it would of the sources.
    fn in_words_of_the_user(&self, words: &str, temp: &Path, path: &str) -> String {
        let here = std::env::current_dir().unwrap_or_default();
        let mut words = words.replace(path, &self.parts.root.import_path);
        for (number, package) in self.parts.own.iter().enumerate() {
            let generated = temp.join(number.to_string());
            let dir = package.dir.strip_prefix(&here).unwrap_or(&package.dir);
            words = words.replace(&format!("{}/", generated.display()), &format!("{}/", dir.display()));
        }
        let is_generated = |line: &str| line.split_once(&format!("{GENERATED}:")).is_some();
        let said = |line: &str| match line.splitn(4, ':').nth(3) {
            Some(said) if is_generated(line) => format!("as a plugin:{said}"),
            _ => line.to_owned(),
        };
        words.lines().map(said).collect::<Vec<_>>().join("\n")
    }

    /// Where `package`, one of its own, lies if its own directory is `at`.
    fn place(&self, at: &Path, package: &Package) -> PathBuf {
        package.dir.strip_prefix(&self.parts.root.dir).map_or_else(|_| at.to_owned(), |rest| at.join(rest))
    }

    /// Has its packages be packages of the module, in a directory of its own in `output`.
    fn link(mut self, order: &Order, output: &Path) -> Result<Built, PluginError> {
        let (module, root) = (&self.parts.module.path, &self.parts.module.dir);
        let Ok(below) = output.strip_prefix(root) else {
            let (dir, module, root) = (output.to_owned(), module.clone(), root.clone());
            return Err(PluginError::Outside { dir, module, root });
        };
        let import = |dir: &Path| {
            dir.components()
                .fold(module.clone(), |path, part| format!("{path}/{}", part.as_os_str().to_string_lossy()))
        };
        let path = import(&below.join(&self.name));
        let to = output.join(&self.name);
        let all = import(below);
        let identity = self.identify(order, 1)?;
        let package = identifier(&self.name);
        let generated = literal(&package, &identity, &self.live, Form::Linked);
        if fs::read_to_string(to.join(GENERATED)).is_ok_and(|text| text == generated) {
            return Ok(self.result(Some(to), true, None));
        }
        if to.exists() && !to.join(GENERATED).exists() {
            return Err(PluginError::Foreign(to));
        }
        // Written beside it first: what an editor or a build looks at is whole.
        let new = output.join(format!(".{}.new", self.name));
        drop(fs::remove_dir_all(&new));
        for own in &self.parts.own {
            let place = self.place(&new, own);
            let main = (own == &self.parts.root).then_some(package.as_str());
            let names = own.go_files().into_iter().chain(own.ignored());
            for name in names.filter(|name| !name.to_string_lossy().ends_with("_test.go")) {
                let file = parts::file(own.dir.join(name))?;
                write(&place.join(name), &moved(&file, main, &self.parts.root.import_path, &path))?;
            }
            for name in own.others() {
                let bytes =
                    fs::read(own.dir.join(name)).map_err(PluginError::io("read", own.dir.join(name)))?;
                write_bytes(&place.join(name), &bytes)?;
            }
        }
        write(&new.join(GENERATED), &generated)?;
        drop(fs::remove_dir_all(&to));
        fs::rename(&new, &to).map_err(PluginError::io("write", &to))?;
        let registration_file = output.join("plugins.go");
        let there = linked(output).map_err(PluginError::io("read", output))?;
        let paths: Vec<String> = there.iter().map(|name| format!("{all}/{name}")).collect();
        let output_name = output.file_name().and_then(|name| name.to_str()).unwrap_or("plugins");
        write(&registration_file, &registration(&identifier(output_name), &paths))?;
        if order.builds {
            let args: Vec<String> = order.flags.iter().cloned().chain([all.clone()]).collect();
            packages::build(&self.dir, &args).map_err(PluginError::Unbuildable)?;
        }
        Ok(self.result(Some(to), false, None))
    }
}

/// The names of the plugins that are linked in `output`, sorted.
fn linked(output: &Path) -> std::io::Result<Vec<String>> {
    let entries = fs::read_dir(output)?.collect::<Result<Vec<_>, _>>()?;
    let is_plugin = |entry: &fs::DirEntry| entry.path().join(GENERATED).is_file();
    let names =
        entries.into_iter().filter(is_plugin).filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    Ok(names)
}

/// `name` as a name of Go.
fn identifier(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let name: String = name.chars().map(plain).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("p{name}") } else { name }
}

fn write(path: &Path, text: &str) -> Result<(), PluginError> {
    write_bytes(path, text.as_bytes())
}

fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), PluginError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir).and_then(|()| fs::write(path, bytes)).map_err(PluginError::io("write", path))
}
