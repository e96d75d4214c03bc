//! The command line: verbs, flags and their help texts. Parsing only; what a verb does is in `app`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};

const EXAMPLES: &str = "\
Examples:
  hotwatch demo                    see it work on a backend of six small services
  hotwatch                         run the backend whose hotwatch.toml is here or above
  hotwatch init                    write a hotwatch.toml from what is found here
  hotwatch check                   find out what is missing before running
  hotwatch up --json | jq .event   drive something else with what happens";

const UP_EXAMPLES: &str = "\
Examples:
  hotwatch up                      run everything, reload on save, Ctrl+C to stop
  hotwatch -C ~/shop up            the same for a backend elsewhere
  hotwatch up --debug users        the same, with `users` under a debugger to attach to
  hotwatch up --sync users         the same, with `users` in the container that its [service.sync] names
  hotwatch up --json | jq -c 'select(.event == \"restarted\")'";

const INIT_EXAMPLES: &str = "\
Examples:
  hotwatch init                    write hotwatch.toml from what is found here
  hotwatch init --print            only show it
  hotwatch init --editor vscode    also let VS Code attach its debugger to each service

It looks for main packages, go.work, start.sh, Procfile, compose.yaml and .air.toml, and says what
it took from where. A file that exists is never touched.";

const WHY_EXAMPLES: &str = "\
Examples:
  hotwatch why shared/money/money.go   who is rebuilt by a save of it, and by which imports
  hotwatch why go.work .env --json
  hotwatch why                         what all that is on disk would do to the processes that take patches

The last, and for services that take patches the others too, asks the hotwatch that runs here: it compiles and
compares what is on disk with what runs, and applies nothing.";

const VERIFY_EXAMPLES: &str = "\
Examples:
  hotwatch verify users            the last requests that came to the port that hotwatch holds for it
  hotwatch verify users --requests smoke.http
  hotwatch verify users --requests smoke.http --all --ignore etag --json

FILE holds requests as editors' HTTP clients write them: `GET /path`, headers, an empty line, the body, and
`###` between two. The fresh process is built as a restart would, runs on a free port with the service's own
variables, and is ended in any case. Exit code 0: all answers are the same; 1: they differ, or it failed.";

const GRAPH_EXAMPLES: &str = "\
Examples:
  hotwatch graph                       a tree per service
  hotwatch graph --format dot | dot -Tsvg > graph.svg
  hotwatch graph --format mermaid --all";

const EVENTS_EXAMPLES: &str = "\
Examples:
  hotwatch events .                a line per change below this directory
  hotwatch events /srv --json | jq -r 'select(.kind == \"removed\") | .path'

Nothing is left out: no ignore file is read, no directory is skipped. `watching N directories` on standard
error says that every later change is reported.";

const STATUS_EXAMPLES: &str = "\
Examples:
  hotwatch status                  how each service is; from any directory of the project
  hotwatch -C ~/shop status --json | jq 'select(.state != \"ready\") | .service'";

const ASK_EXAMPLES: &str = "\
Examples:
  hotwatch restart                 all services, each after what it depends on
  hotwatch build users && echo fine
  hotwatch stop users              until `hotwatch start users`; saves are built then
  hotwatch stop                    everything, as Ctrl+C in its terminal does

It waits until each service is ready again, or has failed: then it exits with code 1.";

const LOGS_EXAMPLES: &str = "\
Examples:
  hotwatch logs -f                 what the console shows, in another terminal
  hotwatch logs users gateway --since 5m
  hotwatch logs -f --json | jq -r 'select(.event == \"log\") | .line'

The last megabyte of each service is kept in memory; all since the start is in <log_dir>/<service>.log.";

const PAUSE_EXAMPLES: &str = "\
Examples:
  hotwatch pause && git rebase main; hotwatch resume";

const TIMELINE_EXAMPLES: &str = "\
Examples:
  hotwatch timeline                where the time of each reload went
  hotwatch timeline --html reloads.html
  hotwatch timeline --json | jq -s 'map(.ms) | add / length'";

const SYNC_EXAMPLES: &str = "\
Examples:
  hotwatch up --sync web           keep the files of `web` the same where its [service.sync] says
  hotwatch up --sync '*'           of all services that say where to
  hotwatch sync status
  hotwatch sync once web           make both sides the same, and end
  hotwatch sync resolve web/index.html --theirs";

const PLUGIN_EXAMPLES: &str = "\
Examples:
  hotwatch plugin init                         add the SDK to the module here
  hotwatch plugin build greeter plugins        build the package `greeter` to plugins/greeter.so
  hotwatch plugin build --isolation process greeter plugins
  hotwatch plugin build --static-linking greeter linked
  hotwatch plugin build greeter plugins -- -race -tags dev
  hotwatch plugin reload                       have the host that runs load what has changed";

const DEMO_EXAMPLES: &str = "\
Examples:
  hotwatch demo                    in a temporary directory, removed at the end
  hotwatch demo --sync             the same with one service in a container
  hotwatch demo --dir ~/hotwatch-demo   in a directory of yours, which stays";

const COMPLETION_EXAMPLES: &str = "\
Examples:
  hotwatch completions bash > ~/.local/share/bash-completion/completions/hotwatch
  hotwatch completions zsh > \"${fpath[1]}/_hotwatch\"
  hotwatch completions fish > ~/.config/fish/completions/hotwatch.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  hotwatch man up | man -l -       read the page of a verb
  cd ~/.local/share/man/man1 && hotwatch man > hotwatch.1 && hotwatch man up > hotwatch-up.1";

/// Runs the Go services of a backend and reloads exactly the affected ones after every save.
#[derive(Debug, Parser)]
#[command(name = "hotwatch", version = crate::VERSION, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// Flags that every verb understands.
    #[command(flatten)]
    pub global: Global,
    /// The verb; `up` when none is given.
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// Flags that every verb understands.
#[derive(Debug, Args)]
pub struct Global {
    /// Act as if started in DIR
    #[arg(short = 'C', value_name = "DIR", global = true, value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
    /// Use this file instead of the hotwatch.toml here or in a directory above
    #[arg(long, value_name = "FILE", global = true, value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Write one JSON object per line on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// When to colour the output; `auto` honours NO_COLOR
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    pub color: Color,
}

/// When to colour the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run every service, and reload the affected ones after every save (the default)
    #[command(after_help = UP_EXAMPLES)]
    Up(Up),
    /// Write a hotwatch.toml from what is found here
    #[command(after_help = INIT_EXAMPLES)]
    Init(Init),
    /// Check what `up` needs: config, directories, Go, watch limits, ports
    Check,
    /// Explain whom a save of a file concerns, and what the code on disk would do to what runs, without doing it
    #[command(after_help = WHY_EXAMPLES)]
    Why {
        /// Files, which need not exist yet, or directories of packages; none for all that is on disk beside what runs
        #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
        paths: Vec<PathBuf>,
    },
    /// Send requests to a service and to a fresh process of what is on disk, and compare the answers
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(Verify),
    /// Show the services and the packages that they share
    #[command(after_help = GRAPH_EXAMPLES)]
    Graph(Graph),
    /// Show how the services are: state, process, uptime, restarts, last build, memory, processor, patches
    #[command(after_help = STATUS_EXAMPLES)]
    Status(Services),
    /// Restart services, or all of them
    #[command(after_help = ASK_EXAMPLES)]
    Restart(Asked),
    /// Stop services until they are started again; without any, stop hotwatch
    #[command(after_help = ASK_EXAMPLES)]
    Stop(Asked),
    /// Start services that do not run
    #[command(after_help = ASK_EXAMPLES)]
    Start {
        /// The services
        #[arg(value_name = "SERVICE", required = true)]
        services: Vec<String>,
        /// How to wait.
        #[command(flatten)]
        wait: Wait,
    },
    /// Build services, or all of them, even if nothing was saved
    #[command(after_help = ASK_EXAMPLES)]
    Build(Asked),
    /// Show what services have written, and what happened to them
    #[command(after_help = LOGS_EXAMPLES)]
    Logs(Logs),
    /// Hold back what is saved from now on
    #[command(after_help = PAUSE_EXAMPLES)]
    Pause,
    /// Take in what was saved since `pause`
    #[command(after_help = PAUSE_EXAMPLES)]
    Resume,
    /// Show the last reloads, and where the time of each went
    #[command(after_help = TIMELINE_EXAMPLES)]
    Timeline(Timeline),
    /// Sync files into containers and to other hosts: how it is, once, or who is right
    #[command(after_help = SYNC_EXAMPLES)]
    Sync {
        /// What to do
        #[command(subcommand)]
        verb: Sync,
    },
    /// Build plugins for hosts that load them themselves, and ask such hosts
    #[command(after_help = PLUGIN_EXAMPLES)]
    Plugin {
        /// What to do
        #[command(subcommand)]
        verb: Plugin,
    },
    /// Stand for a program in a target; hotwatch starts this itself
    #[command(hide = true)]
    Relay(Relay),
    /// Print every change below a directory, a line each
    #[command(after_help = EVENTS_EXAMPLES)]
    Events {
        /// The directory to watch, with all below it
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
    /// Run a small backend of six services to play with
    #[command(after_help = DEMO_EXAMPLES)]
    Demo {
        /// Put it into this directory (new or empty), and leave it there at the end
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: Option<PathBuf>,
        /// Run one of the services in a container of podman: built here, brought there, reloaded there
        #[arg(long)]
        sync: bool,
    },
    /// Print the completion script for a shell
    #[command(after_help = COMPLETION_EXAMPLES)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page
    #[command(after_help = MAN_EXAMPLES)]
    Man {
        /// The verb whose page to print, instead of the page that lists them
        verb: Option<String>,
    },
}

/// Which services are meant.
#[derive(Debug, Args)]
pub struct Services {
    /// The services; all if none is named
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
}

/// What is asked of a running hotwatch.
#[derive(Debug, Args)]
pub struct Asked {
    /// Of which services.
    #[command(flatten)]
    pub of: Services,
    /// How to wait.
    #[command(flatten)]
    pub wait: Wait,
}

/// How to wait for what was asked for.
#[derive(Debug, Args)]
pub struct Wait {
    /// Do not wait for what comes of it
    #[arg(long)]
    pub no_wait: bool,
    /// Wait no longer than this
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
}

/// What of the log to show.
#[derive(Debug, Args)]
pub struct Logs {
    /// Of which services.
    #[command(flatten)]
    pub of: Services,
    /// Go on with what comes, until Ctrl+C
    #[arg(short, long)]
    pub follow: bool,
    /// Begin so long ago, as in `30s`, `5m` or `1h`
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub since: Option<Duration>,
}

/// How to show the last reloads.
#[derive(Debug, Args)]
pub struct Timeline {
    /// Of which services.
    #[command(flatten)]
    pub of: Services,
    /// Draw them as one page that needs nothing else; a FILE that is no such page is not written over
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "json")]
    pub html: Option<PathBuf>,
    /// Write over FILE, whatever it is
    #[arg(long, requires = "html")]
    pub force: bool,
}

/// How to run the services.
#[derive(Debug, Default, Args)]
pub struct Up {
    /// Run this service under the debugger dlv, on a port that stays the same over reloads; may be repeated
    #[arg(long, value_name = "SERVICE")]
    pub debug: Vec<String>,
    /// Apply saves to the running processes of all services where that is safe, as `reload = "patch"` does for one
    #[arg(long)]
    pub patch: bool,
    /// Sync these services as their `[service.sync]` says instead of running them here: names with commas between, or `*`
    #[arg(long, value_name = "SERVICES")]
    pub sync: Vec<String>,
}

/// What of syncs.
#[derive(Debug, Subcommand)]
pub enum Sync {
    /// Show each pair: files, bytes, the last round, conflicts, and why it has halted
    Status(Services),
    /// Make both sides the same once: by the hotwatch that runs here, or without one
    Once {
        /// The services; all that say where to sync to if none is named
        #[arg(value_name = "SERVICE")]
        services: Vec<String>,
        /// Wait no longer than this
        #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
        timeout: Duration,
    },
    /// Say which side is right at a path that both have changed, or at the source of a pair that has halted
    Resolve {
        /// The path here
        #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
        path: PathBuf,
        /// Which side.
        #[command(flatten)]
        side: Side,
    },
}

/// Which side is right.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Side {
    /// The one here
    #[arg(long)]
    pub ours: bool,
    /// The one in the target
    #[arg(long)]
    pub theirs: bool,
}

/// What to do about plugins.
#[derive(Debug, Subcommand)]
pub enum Plugin {
    /// Build a package to a plugin, if something in it has changed
    Build(PluginBuild),
    /// Write the SDK into the module here, and have the module use it
    Init {
        /// The directory of the SDK in the module
        #[arg(value_name = "DIR", default_value = "hotplug", value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
    /// List what hosts have loaded
    List(Host),
    /// Have a host load what has changed
    Reload(Host),
    /// Print everything that a host says about what it has loaded, as JSON
    Manifest(Host),
}

/// Which host.
#[derive(Debug, Args)]
pub struct Host {
    /// The admin socket of the host; otherwise those of this user are looked for
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub socket: Option<PathBuf>,
}

/// How a plugin is kept apart from its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Isolation {
    /// Not: a shared object in the host's process.
    None,
    /// In a process of its own.
    Process,
}

/// What to build.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct PluginBuild {
    /// The directory of the plugin's package
    #[arg(value_name = "PLUGIN_DIR", value_hint = ValueHint::DirPath)]
    pub plugin: PathBuf,
    /// Where the plugin goes
    #[arg(value_name = "OUTPUT_DIR", value_hint = ValueHint::DirPath)]
    pub output: PathBuf,
    /// Files that take part although `--exclude` matches them; a regular expression
    #[arg(long, value_name = "RE", env = "HOTWATCH_PLUGIN_INCLUDE")]
    pub include: Option<String>,
    /// Files of the plugin that take no part; a regular expression
    #[arg(long, value_name = "RE", env = "HOTWATCH_PLUGIN_EXCLUDE")]
    pub exclude: Option<String>,
    /// What the names of live functions, types and variables begin with
    #[arg(
        long,
        alias = "livePrefix",
        value_name = "PREFIX",
        default_value = "live_",
        env = "HOTWATCH_PLUGIN_LIVE_PREFIX"
    )]
    pub live_prefix: String,
    /// How the plugin is kept apart from its host
    #[arg(long, default_value = "none", env = "HOTWATCH_PLUGIN_ISOLATION")]
    pub isolation: Isolation,
    /// Make a package of the module of it that is linked into the host
    #[arg(
        long,
        alias = "staticLinking",
        conflicts_with = "isolation",
        env = "HOTWATCH_PLUGIN_STATIC_LINKING"
    )]
    pub static_linking: bool,
    /// Whether to build what is generated
    #[arg(
        long, alias = "goBuild", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true,
        default_missing_value = "true", action = ArgAction::Set, env = "HOTWATCH_PLUGIN_GO_BUILD"
    )]
    pub go_build: bool,
    /// Leave what is generated where it was built
    #[arg(long, alias = "leaveTemps", env = "HOTWATCH_PLUGIN_LEAVE_TEMPS")]
    pub leave_temps: bool,
    /// Build it although nothing has changed: a version of its own, for who uses one that was rebuilt
    #[arg(short, long)]
    pub force: bool,
    /// Build the plugin's own code for a debugger
    #[arg(long, env = "HOTWATCH_PLUGIN_DEBUG")]
    pub debug: bool,
    /// The program that is to load it: what keeps it from that is found out now
    #[arg(long, value_name = "BINARY", env = "HOTWATCH_PLUGIN_HOST", value_hint = ValueHint::FilePath)]
    pub host: Option<PathBuf>,
    /// Say what is worth a warning
    #[arg(short, long, env = "HOTWATCH_PLUGIN_VERBOSE")]
    pub verbose: bool,
    /// Flags of `go build`
    #[arg(last = true, value_name = "FLAG")]
    pub flags: Vec<String>,
}

/// What to stand for.
#[derive(Debug, Args)]
pub struct Relay {
    /// How
    pub mode: RelayMode,
    /// The command
    #[arg(last = true)]
    pub words: Vec<String>,
}

/// How to stand for a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RelayMode {
    /// The helper runs it.
    Run,
    /// Show what it writes, from a time on, for as long as it runs.
    Show,
}

/// What `init` writes.
#[derive(Debug, Args)]
pub struct Init {
    /// Print the file instead of writing it
    #[arg(long, conflicts_with = "editor")]
    pub print: bool,
    /// Write an editor's configuration for debugging the services, too
    #[arg(long, value_name = "EDITOR")]
    pub editor: Option<Editor>,
}

/// An editor that can attach to services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Editor {
    /// Visual Studio Code, through `.vscode/launch.json`.
    Vscode,
}

/// What to compare a running service with, and by what.
#[derive(Debug, Args)]
pub struct Verify {
    /// The service
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// Send the requests in FILE instead of the last ones that came to the port that hotwatch holds
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub requests: Option<PathBuf>,
    /// Send also what may change something: all but GET, HEAD and OPTIONS
    #[arg(long)]
    pub all: bool,
    /// Do not compare this header, as in `--ignore etag`; may be repeated
    #[arg(long, value_name = "HEADER")]
    pub ignore: Vec<String>,
    /// Wait no longer than this for the fresh process
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
}

/// How to show the graph.
#[derive(Debug, Args)]
pub struct Graph {
    /// The form of the output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
    /// Show packages of one service too, not only those that several share
    #[arg(long)]
    pub all: bool,
}

/// A form of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A tree per service.
    Text,
    /// For Graphviz.
    Dot,
    /// For Markdown that understands Mermaid.
    Mermaid,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_on_either_side_of_the_verb() {
        for line in [["hotwatch", "--json", "up"], ["hotwatch", "up", "--json"]] {
            let cli = Cli::try_parse_from(line).unwrap();
            assert!(cli.global.json && matches!(cli.verb, Some(Verb::Up(_))));
        }
    }
}
