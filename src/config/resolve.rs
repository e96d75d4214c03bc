//! From the form of `hotwatch.toml` to a complete configuration: defaults, start order, canonical directories.
//! What does not fit together is an error at the place where it is written.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hotwatch_platform::process::Signal;

use super::{Build, Config, ConfigError, Globs, Patch, Patterns, Service, Step, env, file, size};
use crate::name::Name;

/// What to write where a parser's words do not say it.
const HINTS: [(&str, &str); 5] = [
    ("expected a duration", "; write it as `\"300ms\"` or `\"5s\"`"),
    ("u16", "; a port is a number from 1 to 65535"),
    (
        "invalid type: map, expected a sequence",
        "; write its name in two pairs of brackets, as in `[[service.sync.pair]]`",
    ),
    ("expected a sequence", "; write a list, as in `[\"go\", \"build\"]`"),
    ("expected a map", "; write a table, as in `{ NAME = \"value\" }`"),
];

/// Less than this, in bytes, and a log holds hardly a line.
const SMALLEST_LOG: u64 = 1000;

/// Each rotation renames all of them.
const MOST_OLD_LOGS: usize = 99;

/// The text that errors point into.
pub(super) struct Source<'a> {
    pub(super) shown: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    fn error(&self, offset: usize, message: impl Into<String>) -> ConfigError {
        let before = self.text.get(..offset).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        ConfigError::At { file: self.shown.to_owned(), line, column, message: message.into() }
    }

    pub(super) fn error_at_line(&self, line: usize, message: &str) -> ConfigError {
        ConfigError::At { file: self.shown.to_owned(), line, column: 1, message: message.to_owned() }
    }

    pub(super) fn at<T>(&self, place: &toml::Spanned<T>, message: impl Into<String>) -> ConfigError {
        self.error(place.span().start, message)
    }

    /// Words a parser's error; unknown keys get the nearest known one.
    pub(super) fn toml_error(&self, error: &toml::de::Error) -> ConfigError {
        let message = error.message().trim().replace('\n', "; ");
        let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        let message = match (message.starts_with("unknown field"), quoted.split_first()) {
            (true, Some((key, known))) => {
                format!("unknown key `{key}`{}", nearest(key, known.iter().copied()))
            }
            _ => {
                let hint = HINTS.iter().find(|(part, _)| message.contains(part)).map_or("", |(_, hint)| hint);
                format!("{message}{hint}")
            }
        };
        self.error(error.span().map_or(0, |span| span.start), message)
    }

    pub(super) fn resolve(
        &self,
        parsed: file::File,
        root: PathBuf,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        if parsed.service.is_empty() {
            return Err(self.error(0, "no `[[service]]`; add one with at least a `name` and a `dir`"));
        }
        let mut layers = env::Layers::new(environment, parsed.env_override);
        let mut files = Vec::new();
        for name in &parsed.env_files {
            layers.read(&root.join(name), name)?;
            files.extend(env::places(&root.join(name)));
        }
        let mut variables = layers.into_variables();
        variables.extend(parsed.env);

        let names = self.names(&parsed.service)?;
        let order = self.start_order(&parsed.service, &names)?;
        let position = |index: usize| order.iter().position(|&at| at == index).unwrap_or_default();
        let services = order.iter().map(|&index| {
            let service = parsed.service[index].get_ref();
            let depends_on = service.depends_on.iter().filter_map(|name| index_of(&names, name.get_ref()));
            let depends_on = depends_on.map(position).collect();
            self.service(service, names[index].clone(), depends_on, &root, &variables)
        });
        let services = services.collect::<Result<Vec<_>, _>>()?;
        self.ports_are_distinct(&parsed.service)?;
        Ok(Config {
            files,
            log_dir: parsed.log_dir.map_or_else(|| PathBuf::from("/tmp"), |dir| root.join(dir)),
            patch_all: false,
            sync_asked: Vec::new(),
            log_size: self.log_size(parsed.log_size.as_ref())?,
            log_keep: self.log_keep(parsed.log_keep.as_ref())?,
            log_strip: matches!(parsed.log_ansi, file::Ansi::Strip),
            root,
            quiet: parsed.quiet.unwrap_or(Duration::from_millis(20)),
            cooldown: parsed.debounce.unwrap_or(Duration::from_millis(300)),
            services,
            in_file: names,
        })
    }

    fn log_size(&self, written: Option<&toml::Spanned<String>>) -> Result<u64, ConfigError> {
        let Some(written) = written else { return Ok(100_000_000) };
        let size = size::parse(written.get_ref()).map_err(|message| self.at(written, message))?;
        if size < SMALLEST_LOG {
            let message = format!("`{}` is too small for a log; at least `1KB` is needed", written.get_ref());
            return Err(self.at(written, message));
        }
        Ok(size)
    }

    fn log_keep(&self, written: Option<&toml::Spanned<usize>>) -> Result<usize, ConfigError> {
        match written {
            None => Ok(1),
            Some(written) if *written.get_ref() > MOST_OLD_LOGS => {
                Err(self.at(written, format!("`log_keep` is a number from 0 to {MOST_OLD_LOGS}")))
            }
            Some(written) => Ok(*written.get_ref()),
        }
    }

    fn names(&self, services: &[toml::Spanned<file::Service>]) -> Result<Vec<Name>, ConfigError> {
        let mut names: Vec<Name> = Vec::new();
        for service in services {
            let written = &service.get_ref().name;
            let name = Name::parse(written.get_ref()).map_err(|message| self.at(written, message))?;
            if names.contains(&name) {
                return Err(
                    self.at(written, format!("the name `{name}` is used twice; rename one of the services"))
                );
            }
            names.push(name);
        }
        Ok(names)
    }

    /// The order of the file, with every service behind those it depends on.
    fn start_order(
        &self,
        services: &[toml::Spanned<file::Service>],
        names: &[Name],
    ) -> Result<Vec<usize>, ConfigError> {
        let mut needs: Vec<Vec<usize>> = Vec::new();
        for service in services {
            let mut indices = Vec::new();
            for on in &service.get_ref().depends_on {
                let known = names.iter().map(Name::as_str);
                let index = index_of(names, on.get_ref()).ok_or_else(|| {
                    let hint = nearest(on.get_ref(), known);
                    self.at(on, format!("there is no service `{}` to depend on{hint}", on.get_ref()))
                })?;
                indices.push(index);
            }
            needs.push(indices);
        }
        let mut order: Vec<usize> = Vec::new();
        while order.len() < services.len() {
            let free =
                |index: &usize| !order.contains(index) && needs[*index].iter().all(|on| order.contains(on));
            match (0..services.len()).find(free) {
                Some(index) => order.push(index),
                None => return Err(self.cycle(services, names, &needs, &order)),
            }
        }
        Ok(order)
    }

    /// Names a cycle among the services that are not in `order`; there is one, since each waits for another.
    fn cycle(
        &self,
        services: &[toml::Spanned<file::Service>],
        names: &[Name],
        needs: &[Vec<usize>],
        order: &[usize],
    ) -> ConfigError {
        let stuck = |index: &usize| !order.contains(index);
        let mut path: Vec<usize> = (0..services.len()).filter(stuck).take(1).collect();
        loop {
            let last = path[path.len() - 1];
            let next = needs[last].iter().copied().find(stuck).unwrap_or(last);
            if let Some(start) = path.iter().position(|&seen| seen == next) {
                let round: Vec<_> =
                    path[start..].iter().chain([&next]).map(|&i| format!("`{}`", names[i])).collect();
                let message = format!(
                    "services wait for each other: {}; remove one of these from `depends_on`",
                    round.join(" -> ")
                );
                return self.at(&services[next].get_ref().name, message);
            }
            path.push(next);
        }
    }

    fn ports_are_distinct(&self, services: &[toml::Spanned<file::Service>]) -> Result<(), ConfigError> {
        let mut seen: BTreeMap<u16, &str> = BTreeMap::new();
        for service in services.iter().map(toml::Spanned::get_ref) {
            let held =
                service.proxy.as_ref().map(|place| (place.span().start, place.get_ref().listen.port()));
            let own = service.port.as_ref().map(|port| (port.span().start, *port.get_ref()));
            let Some((place, port)) = own.or(held) else { continue };
            if let Some(other) = seen.insert(port, service.name.get_ref()) {
                return Err(self.error(place, format!("port {port} belongs to `{other}` already")));
            }
        }
        Ok(())
    }

    fn service(
        &self,
        parsed: &file::Service,
        name: Name,
        depends_on: Vec<usize>,
        root: &Path,
        variables: &BTreeMap<String, String>,
    ) -> Result<Service, ConfigError> {
        let (dir, place) = match &parsed.dir {
            Some(dir) => (dir.get_ref().as_str(), dir.span().start),
            None => (".", parsed.name.span().start),
        };
        let canonical = root.join(dir).canonicalize().map_err(|error| {
            let what = match error.kind() {
                ErrorKind::NotFound => "does not exist".to_owned(),
                _ => format!("cannot be read: {error}"),
            };
            self.error(place, format!("the directory `{dir}` of `{name}` {what}; correct `dir` or create it"))
        })?;
        if !canonical.is_dir() {
            return Err(self.error(place, format!("`{dir}` of `{name}` is not a directory; correct `dir`")));
        }
        let proxy = self.proxy(parsed)?;
        let sync = self.sync(parsed, &name, &canonical, root)?;
        let listens_itself = proxy.as_ref().is_none_or(|proxy| proxy.env.is_some());
        let port = parsed.port.as_ref().map(|port| *port.get_ref());
        let port = port.or(proxy.as_ref().map(|proxy| proxy.listen.1));
        let mut env = variables.clone();
        env.extend(parsed.env.clone());
        Ok(Service {
            can_sync: parsed.sync.is_some(),
            dir_as_written: dir.to_owned(),
            is_module: canonical.join("go.mod").is_file(),
            dir: canonical,
            port,
            args: parsed.args.clone(),
            env,
            package: parsed.package.as_ref().map(|package| package.get_ref().clone()),
            patch: self.patch(parsed)?,
            debug_info: parsed.debug_info,
            pty: parsed.pty,
            pre_build: self.steps(&parsed.pre_build)?,
            build: self.build(parsed)?,
            run: self.run(parsed)?,
            depends_on,
            // Whoever is handed a socket listens on it as soon as it runs.
            readiness: self.readiness(parsed, port.filter(|_| listens_itself))?,
            proxy,
            stop_signal: self.stop_signal(&parsed.stop)?,
            grace: parsed.stop.grace.unwrap_or(Duration::from_secs(5)),
            patterns: self.patterns(&parsed.watch)?,
            gitignore: parsed.watch.gitignore.unwrap_or(true),
            sync,
            name,
        })
    }

    fn patch(&self, parsed: &file::Service) -> Result<Option<Patch>, ConfigError> {
        let default = Patch::default();
        let memory = match &parsed.patch.memory {
            Some(text) => size::parse(text.get_ref()).map_err(|message| self.at(text, message))?,
            None => default.memory,
        };
        let generations = parsed.patch.generations.unwrap_or(default.generations);
        Ok((parsed.reload == file::Reload::Patch).then_some(Patch { generations, memory }))
    }

    fn build(&self, parsed: &file::Service) -> Result<Build, ConfigError> {
        match (&parsed.build, &parsed.package, &parsed.run) {
            (Some(build), ..) if build.get_ref().is_empty() => {
                Err(self.at(build, "`build` is empty; remove it, or write a command such as `[\"make\"]`"))
            }
            (Some(build), _, run) => {
                let words = build.get_ref();
                if run.is_none() && !words.iter().any(|word| word.contains("{out}")) {
                    let message = "`build` must say where the binary goes: put `{out}` into it, as in `[\"go\", \
                                   \"build\", \"-o\", \"{out}\", \".\"]`, or say with `run` what to start";
                    return Err(self.at(build, message));
                }
                Ok(Build::Command(words.clone()))
            }
            (None, None, Some(run)) if !run.get_ref().iter().any(|word| word.contains("{out}")) => {
                Ok(Build::None)
            }
            _ => Ok(Build::Go),
        }
    }

    fn run(&self, parsed: &file::Service) -> Result<Vec<String>, ConfigError> {
        match &parsed.run {
            None => Ok(vec!["{out}".to_owned()]),
            Some(run) if run.get_ref().is_empty() => Err(self.at(
                run,
                "`run` is empty; remove it, or write a command such as `[\"node\", \"server.js\"]`",
            )),
            Some(run) => Ok(run.get_ref().clone()),
        }
    }

    fn steps(&self, steps: &[toml::Spanned<file::Step>]) -> Result<Vec<Step>, ConfigError> {
        let step = |written: &toml::Spanned<file::Step>| {
            let step = written.get_ref();
            if step.run.is_empty() {
                return Err(
                    self.at(written, "`run` is empty; write the command, as in `[\"sqlc\", \"generate\"]`")
                );
            }
            let (inputs, outputs) = (self.globs(&step.inputs)?, self.globs(&step.outputs)?);
            if inputs.is_empty() {
                let message = "`inputs` is empty; name what the step reads, as in `[\"**/*.templ\"]`";
                return Err(self.at(written, message));
            }
            Ok(Step { run: step.run.clone(), inputs, outputs })
        };
        steps.iter().map(step).collect()
    }

    fn stop_signal(&self, stop: &file::Stop) -> Result<Signal, ConfigError> {
        let Some(signal) = &stop.signal else { return Ok(Signal::SIGTERM) };
        let name = signal.get_ref().to_ascii_uppercase();
        let full = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
        full.parse().map_err(|_| {
            let message =
                format!("there is no signal `{}`; use a name such as `TERM` or `INT`", signal.get_ref());
            self.at(signal, message)
        })
    }

    fn patterns(&self, watch: &file::Watch) -> Result<Patterns, ConfigError> {
        Ok(Patterns { include: self.globs(&watch.include)?, exclude: self.globs(&watch.exclude)? })
    }

    fn globs(&self, globs: &[toml::Spanned<String>]) -> Result<Globs, ConfigError> {
        let leaves = |glob: &str| glob.starts_with('/') || glob.split('/').any(|part| part == "..");
        if let Some(glob) = globs.iter().find(|glob| leaves(glob.get_ref())) {
            let message = format!(
                "`{}` leaves the service's directory; globs are relative to `dir` and stay in it",
                glob.get_ref()
            );
            return Err(self.at(glob, message));
        }
        let written = globs.iter().map(|glob| glob.get_ref().clone()).collect();
        Globs::new(written).map_err(|(index, error)| match globs.get(index) {
            Some(glob) => self.at(glob, error.to_string()),
            None => self.error(0, error.to_string()),
        })
    }
}

fn index_of(names: &[Name], wanted: &str) -> Option<usize> {
    names.iter().position(|name| name.as_str() == wanted)
}

/// `; did you mean ...?`, or what there is to choose from.
pub fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    let close = known.iter().map(|name| (strsim::damerau_levenshtein(wrong, name), name)).min();
    match close {
        Some((distance, name)) if distance <= wrong.len().max(3) / 2 => format!("; did you mean `{name}`?"),
        _ => format!("; known here: `{}`", known.join("`, `")),
    }
}
