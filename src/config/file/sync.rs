//! The form of `[service.sync]`.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sync {
    pub to: Spanned<To>,
    #[serde(default)]
    pub pair: Vec<Spanned<Pair>>,
    pub post_sync: Option<Spanned<Vec<String>>>,
    #[serde(default, with = "humantime_serde::option")]
    pub post_sync_timeout: Option<Duration>,
    pub run: Option<Spanned<Vec<String>>>,
    pub run_args: Option<Spanned<Vec<String>>>,
    pub restart: Option<Spanned<Restart>>,
    pub binary: Option<Spanned<String>>,
    pub platform: Option<Spanned<String>>,
    pub helper_dir: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "expected a table such as `{ docker = \"NAME\" }`")]
pub struct To {
    pub docker: Option<String>,
    pub podman: Option<String>,
    pub kubectl: Option<Kubectl>,
    pub ssh: Option<String>,
    pub dir: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kubectl {
    pub context: Option<String>,
    pub namespace: Option<String>,
    pub workload: Option<String>,
    pub selector: Option<String>,
    pub pod: Option<String>,
    pub container: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    pub source: Option<Spanned<String>>,
    pub target: Spanned<String>,
    #[serde(default)]
    pub mode: Mode,
    #[serde(default)]
    pub include: Vec<Spanned<String>>,
    #[serde(default)]
    pub exclude: Vec<Spanned<String>>,
    pub gitignore: Option<bool>,
    pub owner: Option<Spanned<String>>,
    pub file_mode: Option<Spanned<String>>,
    pub dir_mode: Option<Spanned<String>>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    #[default]
    OneWay,
    OneWayReplica,
    OneWayReverse,
    OneWayReplicaReverse,
    TwoWaySafe,
    TwoWayResolved,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    None,
    Supervise,
    Recreate,
    Override,
}
