//! The form of `hotwatch.toml`: what may stand there, under which key, as which type. What it means, and
//! whether it fits together, is decided one level up.

pub mod sync;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    #[serde(default)]
    pub env_files: Vec<String>,
    #[serde(default)]
    pub env_override: bool,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    pub log_dir: Option<String>,
    pub log_size: Option<toml::Spanned<String>>,
    pub log_keep: Option<toml::Spanned<usize>>,
    #[serde(default)]
    pub log_ansi: Ansi,
    #[serde(default, with = "humantime_serde::option")]
    pub quiet: Option<Duration>,
    #[serde(default, with = "humantime_serde::option")]
    pub debounce: Option<Duration>,
    #[serde(default)]
    pub service: Vec<toml::Spanned<Service>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    pub name: toml::Spanned<String>,
    pub dir: Option<toml::Spanned<String>>,
    pub port: Option<toml::Spanned<u16>>,
    #[serde(default)]
    pub args: Vec<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    pub package: Option<toml::Spanned<String>>,
    #[serde(default)]
    pub debug_info: bool,
    #[serde(default)]
    pub pty: bool,
    #[serde(default)]
    pub pre_build: Vec<toml::Spanned<Step>>,
    pub build: Option<toml::Spanned<Vec<String>>>,
    pub run: Option<toml::Spanned<Vec<String>>>,
    #[serde(default)]
    pub depends_on: Vec<toml::Spanned<String>>,
    pub ready: Option<toml::Spanned<Ready>>,
    pub proxy: Option<toml::Spanned<Proxy>>,
    #[serde(default)]
    pub stop: Stop,
    #[serde(default)]
    pub watch: Watch,
    #[serde(default)]
    pub reload: Reload,
    #[serde(default)]
    pub patch: Patch,
    pub sync: Option<toml::Spanned<sync::Sync>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub run: Vec<String>,
    pub inputs: Vec<toml::Spanned<String>>,
    pub outputs: Vec<toml::Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    pub tcp: Option<u16>,
    pub http: Option<String>,
    pub status: Option<u16>,
    pub log: Option<String>,
    pub command: Option<Vec<String>>,
    pub started: Option<bool>,
    #[serde(default, with = "humantime_serde::option")]
    pub timeout: Option<Duration>,
    #[serde(default, with = "humantime_serde::option")]
    pub interval: Option<Duration>,
    #[serde(default, with = "humantime_serde::option")]
    pub settle: Option<Duration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    pub listen: Listen,
    #[serde(default)]
    pub mode: Mode,
    pub env: Option<String>,
    #[serde(default, with = "humantime_serde::option")]
    pub drain: Option<Duration>,
    #[serde(default)]
    pub live_reload: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a port such as `8080` or an address such as `\"0.0.0.0:8080\"`")]
pub enum Listen {
    Port(std::num::NonZeroU16),
    Address(std::net::SocketAddr),
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Forward,
    Fd,
}

impl Listen {
    pub fn port(&self) -> u16 {
        match self {
            Listen::Port(port) => port.get(),
            Listen::Address(address) => address.port(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    pub signal: Option<toml::Spanned<String>>,
    #[serde(default, with = "humantime_serde::option")]
    pub grace: Option<Duration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    #[serde(default)]
    pub include: Vec<toml::Spanned<String>>,
    #[serde(default)]
    pub exclude: Vec<toml::Spanned<String>>,
    pub gitignore: Option<bool>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reload {
    #[default]
    Restart,
    Patch,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    pub generations: Option<u32>,
    pub memory: Option<toml::Spanned<String>>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ansi {
    #[default]
    Keep,
    Strip,
}
