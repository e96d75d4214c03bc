//! Asks the compiler what functions do with their parameters, in what runs and in what is on disk. That takes two more
//! compilations of their packages, and matters only where somebody is called whose caller has changed as well.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::baseline::{Running, agent};
use super::compiling::Fresh;
use super::round::Why;
use crate::go::export::Run;
use crate::patch::compile::Order;
use crate::patch::mangle::package_of;
use crate::patch::sources::{Inputs, Sources};
use crate::patch::verdict::contracts::{self, Told};

impl Running {
    /// The functions among `names` that may do something else with their parameters in `fresh` than in what runs.
    pub(super) fn unlike(
        &self,
        names: &BTreeSet<String>,
        fresh: &Fresh,
        sources: &Sources,
        dir: &Path,
    ) -> Result<BTreeSet<String>, Why> {
        let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for name in names {
            packages.entry(package_of(name).unwrap_or_default()).or_default().insert(name.clone());
        }
        let mut unlike = BTreeSet::new();
        for (path, names) in packages {
            let outlines = self.outlines.now.get(&path).zip(fresh.outlines.get(&path));
            let inputs =
                self.sources.inputs(&path).zip(fresh.inputs.get(&path).or_else(|| sources.inputs(&path)));
            let (Some((old, new)), Some((before, after))) = (outlines, inputs) else {
                unlike.extend(names);
                continue;
            };
            let before = self.written(&path, before, &dir.join("before"))?;
            let was = self.told(&path, &before, &|path| self.fresh.get(path).cloned(), &dir.join("before"));
            let newest = |path: &str| fresh.archives.get(path).or_else(|| self.fresh.get(path)).cloned();
            let is = self.told(&path, after, &newest, &dir.join("after"));
            match was.zip(is) {
                Some((was, is)) => unlike.extend(contracts::differing(&names, (old, &was), (new, &is))),
                None => unlike.extend(names),
            }
        }
        Ok(unlike)
    }

    /// The files of what runs, as they were, in `dir`.
    fn written(&self, path: &str, inputs: &Inputs, dir: &Path) -> Result<Inputs, Why> {
        let mut files = Vec::new();
        for name in &inputs.files {
            let (file, text) = (dir.join(name), self.sources.text(path, name));
            let text = text.map(|text| text.content.as_str()).unwrap_or_default();
            let written = fs::create_dir_all(dir).and_then(|()| fs::write(&file, text));
            written.map_err(|error| Why::Restart(format!("cannot write `{}`: {error}", file.display())))?;
            files.push(file.display().to_string());
        }
        Ok(Inputs { files, ..inputs.clone() })
    }

    /// What the compiler tells of the package; `None` if it does not compile.
    fn told(
        &self,
        path: &str,
        inputs: &Inputs,
        newest: &dyn Fn(&str) -> Option<std::path::PathBuf>,
        into: &Path,
    ) -> Option<Told> {
        fs::create_dir_all(into).ok()?;
        let own = self.program.packages.get(path)?.own.as_ref()?;
        let agent = agent(&self.recipe, path);
        let run: Run<'_> = &|command| self.tools.run(command);
        let (agent, flags) = (agent.as_deref(), &contracts::FLAGS);
        let order = Order { path, own, inputs, agent, keep: None, flags, into, run };
        let compiled = self.recipe.tools.compile(&order, &self.program, newest).ok()?;
        Some(contracts::told(&compiled.said))
    }
}
