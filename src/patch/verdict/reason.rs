//! Why a change restarts instead of being applied, in the words that the user reads.

use std::fmt;

/// What is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A package that was not compiled with the host.
    Package(String),
    /// A package that the process does not contain.
    Import(String),
    /// A type with another content.
    Type(String),
    /// A type that is no longer there, or goes by another name.
    TypeGone(String),
    /// A package is imported no longer.
    ImportGone(String),
    /// A variable with another type.
    VariableType { name: String, was: String, is: String },
    /// A variable that begins with another value.
    VariableValue(String),
    /// What a function with type parameters is passed.
    Dictionary(String),
    /// A type is an interface in compiled code for the first time.
    Itab { of: String, interface: String },
    /// Something that was removed is there again.
    Returns(String),
    /// A function that somebody may have kept is gone.
    Removed(String),
    /// A function will not run again.
    RunsOnce { function: String, by: String },
    /// The closures of a function cannot be told from each other.
    Closures(String),
    /// A closure captures other variables.
    Captures(String),
    /// A closure takes or returns something else.
    ClosureSignature(String),
    /// A function does something else with its parameters than bodies that may still run rely on.
    Contract(String),
    /// What a function takes and returns cannot be told.
    UnknownSignature(String),
}

/// A name without its package.
pub fn short(name: &str) -> &str {
    let start = name.find('[').unwrap_or(name.len());
    let inside = name[..start].rfind('/').map_or(0, |at| at + 1);
    name[inside..].split_once('.').map_or(name, |(_, short)| short)
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Package(path) => write!(f, "package `{path}` is not part of the running program"),
            Reason::Import(path) => {
                write!(f, "`{path}` is imported, which the running program does not contain")
            }
            Reason::Type(name) => write!(f, "type `{name}` changed"),
            Reason::TypeGone(name) => {
                write!(f, "type `{name}` is gone or goes by another name, and values of it may be kept")
            }
            Reason::ImportGone(path) => {
                write!(f, "`{path}` is imported no longer, and what it did at the start is not undone")
            }
            Reason::VariableType { name, was, is } => {
                write!(f, "variable `{}` changed its type from `{was}` to `{is}`", short(name))
            }
            Reason::VariableValue(name) => write!(f, "variable `{}` begins with another value", short(name)),
            Reason::Dictionary(name) => {
                write!(
                    f,
                    "`{}` uses its type parameters in another way",
                    short(&name.replace("..dict.", "."))
                )
            }
            Reason::Itab { of, interface } => {
                write!(
                    f,
                    "`{of}` becomes `{interface}` where it never did, and the process may know that pair already"
                )
            }
            Reason::Returns(name) => {
                write!(
                    f,
                    "`{}` was removed before and is there again; its old one may still be in use",
                    short(name)
                )
            }
            Reason::Removed(name) => write!(f, "`{}` is gone, and somebody may have kept it", short(name)),
            Reason::RunsOnce { function, by } if function == by => {
                write!(f, "`{}` has run already and would not run again", short(function))
            }
            Reason::RunsOnce { function, by } => {
                write!(f, "`{}` is called by `{}` only, it would not run again", short(function), short(by))
            }
            Reason::Closures(parent) => {
                write!(
                    f,
                    "closures in `{}` came, went or moved; those made earlier cannot be told apart",
                    short(parent)
                )
            }
            Reason::Captures(name) => {
                write!(
                    f,
                    "the closure `{}` captures other variables; those made earlier hold the old ones",
                    short(name)
                )
            }
            Reason::ClosureSignature(name) => {
                write!(
                    f,
                    "the closure `{}` takes or returns something else, and somebody may have kept it",
                    short(name)
                )
            }
            Reason::Contract(name) => {
                write!(
                    f,
                    "`{}` keeps, writes or calls another parameter than before, which callers that still run rely on",
                    short(name)
                )
            }
            Reason::UnknownSignature(name) => {
                write!(
                    f,
                    "what `{}` takes and returns cannot be told from what this compiler writes",
                    short(name)
                )
            }
        }
    }
}
