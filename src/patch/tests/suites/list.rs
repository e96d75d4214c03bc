//! Whose tests are run: well-known packages of different kinds. The list was made before the first run, and stays as it
//! is whatever comes of it.

/// A package with tests.
#[derive(Debug, Clone, Copy)]
pub struct Suite {
    /// Its import path.
    pub package: &'static str,
    /// The version of its module, whose path is the package's; `None` if it is part of Go.
    pub version: Option<&'static str>,
}

impl Suite {
    /// What the names of its functions begin with.
    pub fn prefix(&self) -> String {
        // Dots would end the path.
        match self.package.rsplit_once('/') {
            Some((before, last)) => format!("{before}/{}.", last.replace('.', "%2e")),
            None => format!("{}.", self.package),
        }
    }
}

const fn of_go(package: &'static str) -> Suite {
    Suite { package, version: None }
}

const fn of_module(package: &'static str, version: &'static str) -> Suite {
    Suite { package, version: Some(version) }
}

/// All of them.
pub const SUITES: [Suite; 18] = [
    of_go("archive/tar"),
    of_go("bufio"),
    of_go("compress/flate"),
    of_go("encoding/json"),
    of_go("go/printer"),
    of_go("net/http"),
    of_go("net/url"),
    of_go("regexp"),
    of_go("sort"),
    of_go("strconv"),
    of_go("strings"),
    of_go("text/template"),
    of_module("github.com/BurntSushi/toml", "v1.5.0"),
    of_module("github.com/google/uuid", "v1.6.0"),
    of_module("github.com/gorilla/mux", "v1.8.1"),
    of_module("github.com/spf13/pflag", "v1.0.6"),
    of_module("github.com/tidwall/gjson", "v1.18.0"),
    of_module("gopkg.in/yaml.v3", "v3.0.1"),
];
