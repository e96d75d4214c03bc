//! The verbs: what each does with the stages below.

mod alone;
pub mod cache;
pub mod check;
mod console;
mod debug;
mod demo;
mod events;
mod graph;
mod init;
mod inspect;
mod lister;
mod means;
mod once;
mod order;
mod plugin;
mod relay;
mod reload;
mod remote;
mod saves;
mod supervisor;
mod sync;
mod up;
mod verify;
mod weigh;
mod why;

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::{CommandFactory, Parser};
use hotwatch_platform::{guard, signal};

use crate::cli::{Cli, Color, Global, Services, Up, Verb};
use crate::config::{self, Config, ConfigError};
use crate::control::Verb as Ask;
use crate::error::Error;

/// Runs the verb that the process's arguments name; a guard has none.
pub fn run() -> ExitCode {
    if let Some(duty) = guard::on_duty() {
        duty.serve();
        cache::clear_after_duty();
        return ExitCode::SUCCESS;
    }
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            let red =
                if colored(Color::Auto, &io::stderr()) { AnsiColor::Red.on_default() } else { Style::new() };
            eprintln!("{red}error:{red:#} {error}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> Result<ExitCode, Error> {
    // Threads inherit the mask, so this comes before any of them is started.
    let signals = || signal::block().map_err(Error::io("block signals"));
    if let Some(dir) = &cli.global.directory {
        std::env::set_current_dir(dir).map_err(|error| Error::Directory { dir: dir.clone(), error })?;
    }
    match cli.verb.unwrap_or(Verb::Up(Up::default())) {
        Verb::Up(asked) => up::up(load(&cli.global)?, &asked, &cli.global, signals()?),
        Verb::Init(init) => init::init(&init, &cli.global),
        Verb::Check => check::check(&cli.global),
        Verb::Why { paths } => why::why(&paths, &cli.global),
        Verb::Verify(asked) => verify::verify(&asked, &cli.global),
        Verb::Graph(asked) => graph::graph(&asked, &cli.global),
        Verb::Status(asked) => remote::status(asked, &cli.global),
        Verb::Restart(asked) => remote::ask(|wait| Ask::Restart { wait }, asked.of, &asked.wait, &cli.global),
        Verb::Build(asked) => remote::ask(|wait| Ask::Build { wait }, asked.of, &asked.wait, &cli.global),
        Verb::Stop(asked) if asked.of.services.is_empty() => remote::end(&asked.wait, &cli.global),
        Verb::Stop(asked) => remote::ask(|wait| Ask::Stop { wait }, asked.of, &asked.wait, &cli.global),
        Verb::Start { services, wait } => {
            remote::ask(|wait| Ask::Start { wait }, Services { services }, &wait, &cli.global)
        }
        Verb::Logs(asked) => remote::logs(asked, &cli.global),
        Verb::Pause => remote::switch(Ask::Pause, &cli.global),
        Verb::Resume => remote::switch(Ask::Resume, &cli.global),
        Verb::Timeline(asked) => remote::timeline(asked, &cli.global),
        Verb::Sync { verb } => sync::sync(verb, &cli.global, signals),
        Verb::Plugin { verb } => plugin::plugin(verb, &cli.global),
        Verb::Relay(asked) => relay::relay(&asked, signals()?),
        Verb::Events { dir } => events::events(&dir, cli.global.json, signals()?),
        Verb::Demo { dir, sync } => demo::demo(dir, sync, &cli.global, signals()?),
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "hotwatch", &mut script);
            print(&script)
        }
        Verb::Man { verb } => manual(verb),
    }
}

/// Prints the manual page of `verb`, or that of the whole program.
fn manual(verb: Option<String>) -> Result<ExitCode, Error> {
    let mut command = Cli::command();
    // Fills in the flags that every verb understands.
    command.build();
    if let Some(verb) = verb {
        let page = command.find_subcommand(&verb).cloned();
        command = page.ok_or(Error::NoVerb(verb))?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(Error::io("render the manual"))?;
    print(&page)
}

/// Writes to standard output; a reader that has gone away is no error.
fn print(bytes: &[u8]) -> Result<ExitCode, Error> {
    match io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::io("write to standard output")(error))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// The configuration that the flags name, or the nearest one, or that of the one program that is here.
fn load(global: &Global) -> Result<Config, Error> {
    let load = |file: &Path| Ok(config::load(file, &|name| std::env::var(name).ok())?);
    if let Some(file) = &global.config {
        return load(file);
    }
    let here = std::env::current_dir().map_err(Error::io("find the current directory"))?;
    match config::find(&here) {
        Some(file) => load(&file),
        None => alone::config(&here),
    }
}

/// The directory of the project that the flags name, or of the one that is here, whether its configuration is sound
/// or not.
fn project(global: &Global) -> Result<PathBuf, Error> {
    let here = std::env::current_dir().map_err(Error::io("find the current directory"))?;
    let file = global.config.clone().or_else(|| config::find(&here));
    let Some(file) = file else { return alone::module(&here) };
    let file = file.canonicalize().map_err(|error| ConfigError::Io { file: file.clone(), error })?;
    Ok(file.parent().unwrap_or(Path::new("/")).to_owned())
}

/// Whether to colour what goes to `out`.
fn colored(when: Color, out: &impl IsTerminal) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    match when {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => out.is_terminal() && !set("NO_COLOR") && !dumb(),
    }
}
