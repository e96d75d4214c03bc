//! The link of a save. Where the process has not got all that the new code comes to, the packages that have it are
//! linked with it, as those of a plugin are; what the process has of them stays the one there is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::baseline::Running;
use super::compiling::object;
use super::round::{Known, Why};
use crate::go::export::{self, Asked, Run};
use crate::patch::generations::Linked;
use crate::patch::link;
use crate::patch::object::Object;
use crate::patch::sources::Sources;
use crate::patch::verdict::{self, Reason};

/// How a patch was linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Link {
    /// From the changed packages alone.
    #[default]
    Direct,
    /// With packages that have what the process lacks.
    Plugin,
}

impl Link {
    /// As it stands in records.
    pub fn name(self) -> &'static str {
        match self {
            Link::Direct => "direct",
            Link::Plugin => "plugin",
        }
    }
}

/// Whether the package `path` may import `import`, as far as that depends on an `internal` in it (`go help internal`).
fn may_import(path: &str, import: &str) -> bool {
    let parts: Vec<&str> = import.split('/').collect();
    let Some(at) = parts.iter().rposition(|part| *part == "internal") else { return true };
    let parent = parts[..at].join("/");
    !parent.is_empty() && (path == parent || path.starts_with(&format!("{parent}/")))
}

impl Running {
    /// Links `packages`, of whose functions `changed` are new and `bound` for new code only, in `dir`.
    pub(super) fn link(
        &self,
        generation: u32,
        mut packages: Vec<(String, Object)>,
        (changed, bound): (&[String], &[String]),
        dir: &Path,
    ) -> Result<(Linked, Link), Why> {
        let tools = &self.recipe.tools.dir;
        let run: Run<'_> = &|command| self.tools.run(command);
        let mut how = Link::Direct;
        let linked = loop {
            let order = link::Order { tools, dir, generation, packages: &packages, changed, bound, run };
            let error = match link::link(&order, &self.loaded) {
                Ok(linked) => break linked,
                Err(error) => error,
            };
            let mut lacking = error.lacking();
            lacking.retain(|path| packages.iter().all(|(known, _)| known != path));
            if lacking.is_empty() {
                return Err(Why::Restart(error.to_string()));
            }
            how = Link::Plugin;
            for path in lacking {
                let archive =
                    self.loadable(&path).map_err(|why| Why::Restart(format!("{error}, and {why}")))?;
                packages.push((path, object(&archive)?));
            }
        };
        // Those of functions that came along because the process has not got them are known only now.
        let mut tables = linked.data.keys().filter_map(|name| name.strip_prefix("go:itab."));
        let known = Known::of(self);
        if let Some(reason) = tables.find_map(|pair| verdict::missing(pair, &known)) {
            return Err(reason.into());
        }
        Ok((linked, how))
    }

    /// An archive of the package `path` that can be loaded.
    fn loadable(&self, path: &str) -> Result<PathBuf, String> {
        match self.imported.get(path) {
            Some(archive) => Ok(archive.clone()),
            None => self.dependencies.archive(path),
        }
    }

    /// Has the packages compiled that `changed` ones import and the program does not contain.
    pub(super) fn import(&mut self, changed: &[String], sources: &Sources) -> Result<(), Why> {
        let mut new = BTreeSet::new();
        for path in changed {
            let Some(own) = self.program.packages.get(path).and_then(|package| package.own.as_ref()) else {
                continue;
            };
            let imports = sources.inputs(path).into_iter().flat_map(|inputs| &inputs.imports);
            let imports = imports.filter(|import| !matches!(import.as_str(), "C" | "unsafe"));
            // Whether that is allowed, the go command says.
            if let Some(import) = imports.clone().find(|import| !may_import(&own.path, import)) {
                return Err(Why::Broken(format!(
                    "`{import}` is internal, and `{}` may not import it",
                    own.path
                )));
            }
            let imports = imports.map(|import| own.renamed.get(import).unwrap_or(import).as_str());
            new.extend(imports.filter(|import| !self.program.packages.contains_key(*import)));
        }
        if new.is_empty() {
            return Ok(());
        }
        let paths: Vec<&str> = new.into_iter().collect();
        let run: Run<'_> = &|command| self.tools.run(command);
        let asked = Asked { dir: &self.service.dir, env: &self.service.env, package: ".", run };
        // What cannot be imported is for a build to tell.
        let imported = export::imported(asked, &self.recipe.flags, &paths)
            .map_err(|error| Why::Broken(error.to_string()))?;
        if let Some((path, _)) = imported
            .packages
            .iter()
            .find(|(path, package)| package.own.is_some() && !self.program.packages.contains_key(*path))
        {
            return Err(Reason::Import(path.clone()).into());
        }
        // Nobody has looked at those files since the process was built.
        if !imported.vendored.is_subset(&self.program.vendored) {
            return Err(Reason::Import(paths.join("`, `")).into());
        }
        for (path, package) in imported.packages {
            self.imported.entry(path.clone()).or_insert_with(|| package.archive.clone());
            self.program.packages.entry(path).or_insert(package);
        }
        Ok(())
    }
}
