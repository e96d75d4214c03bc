//! Running without a config file: in a module with one main package there is nothing to ask, and what `init` would
//! write is taken as if it had been.

use std::path::{Path, PathBuf};

use super::init;
use crate::config::init::render;
use crate::config::{self, Config, ConfigError};
use crate::error::Error;

/// The configuration of the one program in the module around `start`, or of that in `start` itself.
///
/// # Errors
/// There is no module, or which of several programs is meant is not known.
pub fn config(start: &Path) -> Result<Config, Error> {
    let module = &module(start)?;
    let start = start.canonicalize().map_err(Error::io(format!("read `{}`", start.display())))?;
    let mut plan = init::find(module)?;
    let is_here = |dir: &str| module.join(dir) == start;
    if plan.services.len() > 1 {
        let here = plan
            .services
            .iter()
            .position(|service| service.main.as_ref().is_some_and(|main| is_here(&main.dir)));
        let Some(here) = here else {
            let names = plan.services.into_iter().map(|service| service.name).collect();
            return Err(Error::SeveralPrograms { module: module.to_owned(), names });
        };
        plan.services = vec![plan.services.swap_remove(here)];
        plan.services[0].depends_on.clear();
    }
    let text = render::render(&plan);
    let environment = |name: &str| std::env::var(name).ok();
    config::parse(&text, Path::new("what was found"), module, &environment)
        .map_err(|error| Error::Unfit(error.to_string()))
}

/// The directory of the module around `start`.
///
/// # Errors
/// There is none.
pub fn module(start: &Path) -> Result<PathBuf, Error> {
    let start = start.canonicalize().map_err(Error::io(format!("read `{}`", start.display())))?;
    let module = start.ancestors().find(|dir| dir.join("go.mod").is_file());
    Ok(module.ok_or_else(|| ConfigError::NotFound(start.clone()))?.to_owned())
}
