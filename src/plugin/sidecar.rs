//! What stands beside a built plugin: which version it is, so that a host knows it before it opens the plugin, and the
//! next build knows whether there is anything to do.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::PluginError;
use super::generating::{Identity, SDK_VERSION};
use super::hashing::hash;

/// The content of the file `<plugin>.json` (`Sidecar` in the SDK's directory.go).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sidecar {
    name: String,
    hash: String,
    generation: u64,
    sdk: u32,
    sha256: String,
    #[serde(default)]
    shared: BTreeMap<String, String>,
}

impl Sidecar {
    /// That of the plugin in the file `plugin`, if both are whole.
    pub fn read(plugin: &Path) -> Option<Sidecar> {
        let sidecar: Sidecar = serde_json::from_slice(&fs::read(path(plugin)).ok()?).ok()?;
        (sidecar.sha256 == sum(plugin).ok()?).then_some(sidecar)
    }

    /// The generation in the file beside `plugin`, whatever has become of that.
    pub fn generation(plugin: &Path) -> u64 {
        let read = || serde_json::from_slice::<Sidecar>(&fs::read(path(plugin)).ok()?).ok();
        read().map_or(0, |sidecar| sidecar.generation)
    }

    /// The version that it tells of.
    pub fn identity(self) -> Identity {
        Identity { name: self.name, hash: self.hash, generation: self.generation }
    }

    /// Moves the file `built`, which is of the version `identity`, to `plugin`, and has what tells of it stand beside that;
    /// `shared` are hashes of packages that are not its own.
    ///
    /// # Errors
    /// It cannot be written there. What was there is as it was.
    pub fn place(
        built: &Path,
        plugin: &Path,
        identity: &Identity,
        shared: BTreeMap<String, String>,
    ) -> Result<(), PluginError> {
        let Identity { name, hash, generation } = identity.clone();
        let sha256 = sum(built).map_err(PluginError::io("read", built))?;
        let sidecar = Sidecar { name, hash, generation, sdk: SDK_VERSION, sha256, shared };
        let text = serde_json::to_string(&sidecar).unwrap_or_default() + "\n";
        let beside = path(plugin);
        // Both are whole before either is seen; for a moment one does not fit the other, and neither is taken then.
        let (new, new_beside) = (hidden(plugin), hidden(&beside));
        let written = fs::copy(built, &new)
            .and_then(|_| fs::write(&new_beside, text))
            .and_then(|()| fs::rename(&new_beside, &beside))
            .and_then(|()| fs::rename(&new, plugin));
        written
            .inspect_err(|_| [new, new_beside].iter().for_each(|path| drop(fs::remove_file(path))))
            .map_err(PluginError::io("write", plugin))
    }
}

/// Removes the plugin in the file `plugin`, and what tells of it.
pub fn remove(plugin: &Path) {
    for path in [plugin.to_owned(), path(plugin)] {
        drop(fs::remove_file(path));
    }
}

/// Where a file is until it is whole: no loader looks at names that begin so.
fn hidden(to: &Path) -> PathBuf {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    to.with_file_name(format!(".{name}.{}", std::process::id()))
}

fn path(plugin: &Path) -> PathBuf {
    let mut path = plugin.as_os_str().to_owned();
    path.push(".json");
    path.into()
}

fn sum(file: &Path) -> std::io::Result<String> {
    fs::read(file).map(|bytes| hash(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_and_what_tells_of_it_belong_together() {
        let dir = tempfile::tempdir().unwrap();
        let (built, plugin) = (dir.path().join("built"), dir.path().join("a.so"));
        fs::write(&built, "1").unwrap();
        let identity = Identity { name: "a".to_owned(), hash: "0f".to_owned(), generation: 7 };
        assert_eq!(Sidecar::read(&plugin), None);
        Sidecar::place(&built, &plugin, &identity, BTreeMap::new()).unwrap();
        assert_eq!(Sidecar::read(&plugin).map(Sidecar::identity), Some(identity));
        fs::write(&plugin, "2").unwrap();
        assert_eq!(Sidecar::read(&plugin), None);
        assert_eq!(Sidecar::generation(&plugin), 7);
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(names.len(), 3, "{names:?}");
    }
}
