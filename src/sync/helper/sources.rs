/// The name of a build from the sources in `dir`: the same for the same sources. Part of the build scripts of the
/// helper and of hotwatch, which looks whether the helper that it embeds is one of these.
fn build_name(dir: &Path) -> String {
    use std::hash::{Hash, Hasher};

    fn hash(dir: &Path, hasher: &mut std::hash::DefaultHasher) {
        let entries = fs::read_dir(dir).expect("readable");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
        paths.sort();
        for path in paths {
            match path.is_dir() {
                true => hash(&path, hasher),
                false => (path.file_name(), fs::read(&path).expect("readable")).hash(hasher),
            }
        }
    }

    let mut hasher = std::hash::DefaultHasher::new();
    hash(dir, &mut hasher);
    format!("helper-{:016x}", hasher.finish())
}
