//! Whether the go command compiles a file, told by its name and head: the rules of `matchFile`, `goodOSArchFile`
//! and `matchTag` in Go's `go/build/build.go`. Pure.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::source::Head;

/// What a build is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// GOOS.
    pub goos: String,
    /// GOARCH.
    pub goarch: String,
    /// Whether CGO_ENABLED is 1.
    pub cgo: bool,
    /// The minor version of Go: 26 for go1.26.
    pub release: u32,
    /// All other tags that hold: those of `-tags`, and the toolchain's own, such as `goexperiment.aliastypeparams`
    /// or `amd64.v1` (`go list -f '{{context.ToolTags}}'`).
    pub tags: BTreeSet<String>,
}

/// Why a file is not compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Excluded {
    /// The go command skips it.
    #[error("its name begins with `{0}`")]
    Hidden(char),
    /// It is compiled by `go test` only.
    #[error("it is a test")]
    Test,
    /// It is for another system, by its name.
    #[error("its name says `{0}`")]
    Name(String),
    /// It is for another build, by its constraint.
    #[error("its build constraint is `{0}`")]
    Constraint(String),
    /// The go command reports it as an error.
    #[error("its build constraint `{0}` is malformed")]
    Malformed(String),
    /// It imports "C".
    #[error("it imports \"C\" and cgo is off")]
    Cgo,
    /// Its package is `documentation`.
    #[error("it is package documentation")]
    Documentation,
}

/// Every GOOS there is or was, apart by whether the tag `unix` stands for it (`internal/syslist` in Go's sources).
const UNIX: &str = "aix android darwin dragonfly freebsd hurd illumos ios linux netbsd openbsd solaris";
const NOT_UNIX: &str = "js nacl plan9 wasip1 windows zos";

/// Every GOARCH there is or was.
const ARCHITECTURES: &str = "386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mipsle mips64 mips64le \
                             mips64p32 mips64p32le ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm";

fn lists(list: &str, word: &str) -> bool {
    list.split(' ').any(|listed| listed == word)
}

impl Context {
    /// Whether a build compiles the file of this name with this head; if not, why. Without a head only the name
    /// counts, as for files that are not Go.
    pub fn includes(&self, file_name: &str, head: Option<&Head>) -> Result<(), Excluded> {
        if let Some(first @ ('.' | '_')) = file_name.chars().next() {
            return Err(Excluded::Hidden(first));
        }
        if file_name.ends_with("_test.go") {
            return Err(Excluded::Test);
        }
        if let Some(tag) = named(file_name).into_iter().flatten().find(|tag| !self.holds(tag)) {
            return Err(Excluded::Name(tag.to_owned()));
        }
        let Some(head) = head else { return Ok(()) };
        if let Some(constraint) = &head.constraint {
            match evaluate(constraint, &|tag| self.holds(tag)) {
                None => return Err(Excluded::Malformed(constraint.clone())),
                Some(false) => return Err(Excluded::Constraint(constraint.clone())),
                Some(true) => {}
            }
        }
        match head {
            Head { package, .. } if package == "documentation" => Err(Excluded::Documentation),
            Head { cgo: true, .. } if !self.cgo => Err(Excluded::Cgo),
            _ => Ok(()),
        }
    }

    fn holds(&self, tag: &str) -> bool {
        let implied = match tag {
            "gc" => true,
            "cgo" => self.cgo,
            "linux" => self.goos == "android",
            "solaris" => self.goos == "illumos",
            "darwin" => self.goos == "ios",
            "unix" => lists(UNIX, &self.goos),
            "boringcrypto" => self.tags.contains("goexperiment.boringcrypto"),
            _ => (1..=self.release).any(|minor| tag.strip_prefix("go1.") == Some(&*minor.to_string())),
        };
        implied || tag == self.goos || tag == self.goarch || self.tags.contains(tag)
    }
}

/// The tags in a file's name: `x_GOOS.go`, `x_GOARCH.go`, `x_GOOS_GOARCH.go`.
fn named(file_name: &str) -> [Option<&str>; 2] {
    let stem = file_name.split('.').next().unwrap_or_default();
    let stem = stem.strip_suffix("_test").unwrap_or(stem);
    // What stands before the first underscore is no tag: `linux.go` is for all systems.
    let mut words = stem.split_once('_').map_or("", |(_, rest)| rest).rsplit('_');
    let (last, before) = (words.next(), words.next());
    let architecture = last.filter(|word| lists(ARCHITECTURES, word));
    let system = if architecture.is_some() { before } else { last };
    [system.filter(|word| lists(UNIX, word) || lists(NOT_UNIX, word)), architecture]
}

/// The value of a constraint, `None` if it is malformed (`go/build/constraint/expr.go`).
fn evaluate(text: &str, holds: &dyn Fn(&str) -> bool) -> Option<bool> {
    let mut expression = Expression { rest: text, budget: 1000, holds };
    let value = expression.or()?;
    expression.rest.trim_start_matches(BLANKS).is_empty().then_some(value)
}

const BLANKS: [char; 2] = [' ', '\t'];

/// An expression that is evaluated while it is read.
struct Expression<'a> {
    rest: &'a str,
    /// How many more operands there may be; Go allows that many.
    budget: u32,
    holds: &'a dyn Fn(&str) -> bool,
}

impl Expression<'_> {
    fn or(&mut self) -> Option<bool> {
        let mut value = self.and()?;
        while self.take("||") {
            value |= self.and()?;
        }
        Some(value)
    }

    fn and(&mut self) -> Option<bool> {
        let mut value = self.not()?;
        while self.take("&&") {
            value &= self.not()?;
        }
        Some(value)
    }

    fn not(&mut self) -> Option<bool> {
        self.budget = self.budget.checked_sub(1)?;
        let negated = self.take("!");
        Some(self.operand()? != negated)
    }

    fn operand(&mut self) -> Option<bool> {
        if self.take("(") {
            let value = self.or()?;
            return self.take(")").then_some(value);
        }
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.');
        let (tag, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        (!tag.is_empty()).then(|| (self.holds)(tag))
    }

    /// Passes over `token`, if it comes next.
    fn take(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start_matches(BLANKS);
        self.rest.strip_prefix(token).map(|rest| self.rest = rest).is_some()
    }
}
