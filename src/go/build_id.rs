//! Whether two binaries are the same program. Go stamps what it links with hashes of its inputs, which differ
//! between builds whose code is the same, after an edit of a comment say; here, all bytes but those stamps count.
//!
//! Go's own content ID, the last part of a build ID, says the same of what the linker has just written
//! (`cmd/internal/buildid/rewrite.go` hashes the file with the same holes), but it is a claim, not a proof: with
//! `-ldflags=-buildid=x` it is `x` for every program, and a build command that strips, patches or appends to the
//! binary afterwards leaves it as it was. Reading a binary of 20 MB takes a few milliseconds.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

/// Where the stamps are looked for; Go's own tools read half as much at first. One that is not found counts like
/// any other byte.
const HEAD: u64 = 64 * 1024;

/// Whether the binaries `one` and `other` are the same program: equal in code and data, embedded files, values of
/// `-ldflags=-X`, debug information and the version control stamps of `-buildvcs` included; those are data that a
/// program can read (`debug.ReadBuildInfo`), so a commit makes another program of it unless they are off.
///
/// It says nothing about what is read at run time, such as files and shared libraries. A program that looks for
/// its own build ID (profiles of `runtime/pprof` contain it) sees the only difference that there can be.
///
/// # Errors
/// One of them cannot be read.
pub fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (Binary::open(one)?, Binary::open(other)?);
    if one.length != other.length {
        return Ok(false);
    }
    // Other claims mean other bytes, which spares most builds the reading.
    match (one.content_id(), other.content_id()) {
        (Some(one), Some(other)) if one != other => Ok(false),
        _ => Ok(one.digest()? == other.digest()?),
    }
}

/// A binary whose first part has been read.
struct Binary {
    file: File,
    length: u64,
    head: Vec<u8>,
    stamps: Stamps,
}

impl Binary {
    fn open(path: &Path) -> io::Result<Binary> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut head = Vec::with_capacity(length.min(HEAD) as usize);
        file.by_ref().take(HEAD).read_to_end(&mut head)?;
        let stamps = stamps(&file, &head);
        Ok(Binary { file, length, head, stamps })
    }

    /// What Go claims that the content is: the last part of its build ID.
    fn content_id(&self) -> Option<&[u8]> {
        let stamps = self.stamps.in_head.iter().filter_map(|stamp| self.head.get(stamp.clone()));
        let id = stamps.into_iter().find(|stamp| stamp.is_ascii() && stamp.contains(&b'/'))?;
        id.rsplit(|&byte| byte == b'/').next()
    }

    /// A hash over all bytes but the stamps.
    fn digest(&mut self) -> io::Result<u64> {
        for stamp in &self.stamps.in_head {
            if let Some(stamp) = self.head.get_mut(stamp.clone()) {
                stamp.fill(0);
            }
        }
        // A signature beyond the end, or with something behind it, is none that Go made.
        let end = self.stamps.signature.as_ref().filter(|signature| signature.end == self.length);
        let mut rest = (&self.file).take(end.map_or(u64::MAX, |end| end.start.saturating_sub(HEAD)));
        let mut hash = Xxh3::new();
        let mut bytes = std::mem::take(&mut self.head);
        while !bytes.is_empty() {
            hash.update(&bytes);
            bytes.clear();
            rest.by_ref().take(HEAD).read_to_end(&mut bytes)?;
        }
        Ok(hash.digest())
    }
}

/// The parts of a binary that depend on more than the program.
#[derive(Debug, Default)]
struct Stamps {
    in_head: Vec<Range<usize>>,
    /// A Mach-O code signature, which hashes everything else; the linker puts it at the end of the file.
    signature: Option<Range<u64>>,
}

fn stamps(file: &File, head: &[u8]) -> Stamps {
    let mut stamps = Stamps::default();
    if head.starts_with(b"\x7fELF") {
        elf(file, head, &mut stamps);
    } else {
        if head.starts_with(b"\xcf\xfa\xed\xfe") {
            mach_o(head, &mut stamps);
        }
        stamps.in_head.extend(text(head));
    }
    stamps
}

/// The notes of Go and of the system's linker, whose ID Go makes from its own (elf(5); the latter is in no segment
/// of notes when Go has linked, only in a section). `None` where the headers lead nowhere.
fn elf(file: &File, head: &[u8], stamps: &mut Stamps) -> Option<()> {
    const SHT_NOTE: usize = 7;
    // 8 or 4 bytes; the headers' fields follow from it.
    let word = if uint(head, 4, 1)? == 2 { 8 } else { 4 };
    let mut sections = vec![0; (16 + 6 * word) * uint(head, 36 + 3 * word, 2)?];
    file.read_exact_at(&mut sections, uint(head, 24 + 2 * word, word)? as u64).ok()?;
    for section in sections.chunks_exact(16 + 6 * word) {
        if uint(section, 4, 4)? != SHT_NOTE {
            continue;
        }
        let mut note = uint(section, 8 + 2 * word, word)?;
        let end = note.checked_add(uint(section, 8 + 3 * word, word)?)?.min(head.len());
        while note + 12 <= end {
            let [name, desc, kind] = [0, 4, 8].map(|field| uint(head, note + field, 4));
            let start = (note + 12).checked_add(name?.next_multiple_of(4))?;
            let desc = start..start.checked_add(desc?)?;
            if matches!((head.get(note + 12..start)?, kind?), (b"Go\0\0", 4) | (b"GNU\0", 3)) {
                stamps.in_head.push(desc.clone());
            }
            note = desc.end.checked_next_multiple_of(4)?;
        }
    }
    Some(())
}

/// The UUID, which Go makes from its build ID, and the signature (`mach-o/loader.h`). `None` where the commands
/// end too early.
fn mach_o(head: &[u8], stamps: &mut Stamps) -> Option<()> {
    const LC_UUID: usize = 0x1b;
    const LC_CODE_SIGNATURE: usize = 0x1d;
    let mut command = 32;
    for _ in 0..uint(head, 16, 4)? {
        // No command is shorter than its own header.
        let next = command + uint(head, command + 4, 4)?.max(8);
        match uint(head, command, 4)? {
            LC_UUID => stamps.in_head.push(command + 8..next),
            LC_CODE_SIGNATURE => {
                let (start, size) = (uint(head, command + 8, 4)? as u64, uint(head, command + 12, 4)? as u64);
                stamps.signature = Some(start..start + size);
            }
            _ => {}
        }
        command = next;
    }
    Some(())
}

/// The build ID that opens the code, on all systems without ELF (`cmd/internal/buildid/buildid.go`).
fn text(head: &[u8]) -> Option<Range<usize>> {
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|window| window == what);
    let start = find(head, b"\xff Go build ID: \"")?;
    Some(start..start + find(&head[start..], b"\"\n \xff")?)
}

/// The little-endian number of `length` bytes at `at`.
fn uint(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | usize::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::process::Command;

    const MAIN: &str = "package main\n\nimport (\n\t_ \"embed\"\n)\n\n//go:embed e.txt\nvar e string\n\n\
                        var version = \"none\"\n\nfunc main() { println(\"hello\", e, version) } // comment\n";

    /// A module with one program, and the ways to build it.
    struct Module(tempfile::TempDir);

    impl Module {
        fn new() -> Module {
            let module = Module(tempfile::tempdir().unwrap());
            module.write("go.mod", "module example.com/m\n\ngo 1.21\n");
            module.write("e.txt", "embedded");
            module.write("main.go", MAIN);
            module
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.0.path().join(name), text).unwrap();
        }

        fn run(&self, program: &str, args: &[&str], env: &[(&str, &str)]) -> Vec<u8> {
            let mut command = Command::new(program);
            let output = command.args(args).envs(env.iter().copied()).current_dir(&self.0).output().unwrap();
            assert!(
                output.status.success(),
                "{program} {args:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            output.stdout
        }

        /// The identity of what `go build` makes of it, and Go's build ID.
        fn build(&self, flags: &[&str], env: &[(&str, &str)]) -> (u64, String) {
            self.run("go", &[&["build", "-o", "out"], flags, &["."]].concat(), env);
            let id = String::from_utf8(self.run("go", &["tool", "buildid", "out"], &[])).unwrap();
            (self.identity(), id.trim().to_owned())
        }

        fn identity(&self) -> u64 {
            identity(&self.0.path().join("out")).unwrap()
        }
    }

    fn identity(binary: &Path) -> io::Result<u64> {
        Binary::open(binary)?.digest()
    }

    const PLAIN: &str = "-buildvcs=false";

    /// Go's own hash of everything but the stamps.
    fn content(id: &str) -> &str {
        id.rsplit('/').next().unwrap()
    }

    #[test]
    fn it_differs_exactly_when_the_content_id_of_go_does() {
        let edits = [
            ("main.go", MAIN.replace("// comment", "// another"), true),
            ("main.go", MAIN.replace("hello", "jello"), false),
            ("e.txt", "EMBEDDED".to_owned(), false),
        ];
        let systems = [("linux", "amd64"), ("linux", "386"), ("darwin", "arm64")];
        for (system, processor) in systems {
            let env = [("GOOS", system), ("GOARCH", processor), ("CGO_ENABLED", "0")];
            for (file, text, same) in &edits {
                let module = Module::new();
                let (before, id) = module.build(&[PLAIN], &env);
                let [old, new] = ["old", "out"].map(|name| module.0.path().join(name));
                fs::rename(&new, &old).unwrap();
                module.write(file, text);
                let (after, other_id) = module.build(&[PLAIN], &env);
                assert_ne!(id, other_id);
                assert_eq!(is_same(&old, &new).unwrap(), *same, "{system}/{processor} {text}");
                assert_eq!(content(&id) == content(&other_id), *same, "{system}/{processor} {text}");
                assert_eq!(before == after, *same, "{system}/{processor} {text}");
            }
        }
    }

    #[test]
    fn stamps_of_other_linkers_do_not_count_and_flags_do() {
        let module = Module::new();
        let mut seen = vec![module.build(&[PLAIN], &[]).0];
        let flags =
            ["-ldflags=-X=main.version=1", "-ldflags=-X=main.version=2", "-ldflags=-w", "-race", "-cover"];
        for flag in flags.into_iter().chain(["-ldflags=-linkmode=external", "-ldflags=-buildid="]) {
            module.write("main.go", MAIN);
            let (before, _) = module.build(&[PLAIN, flag], &[]);
            assert!(!seen.contains(&before), "{flag}");
            seen.push(before);
            module.write("main.go", &MAIN.replace("// comment", "// another"));
            assert_eq!(module.build(&[PLAIN, flag], &[]).0, before, "{flag}");
        }
    }

    #[test]
    fn a_build_id_proves_nothing() {
        let module = Module::new();
        let flags = [PLAIN, "-ldflags=-buildid=x"];
        let (before, id) = module.build(&flags, &[]);
        module.write("main.go", &MAIN.replace("hello", "jello"));
        fs::rename(module.0.path().join("out"), module.0.path().join("old")).unwrap();
        let (after, other_id) = module.build(&flags, &[]);
        assert!(!is_same(&module.0.path().join("old"), &module.0.path().join("out")).unwrap());
        assert_eq!((id.as_str(), other_id.as_str()), ("x", "x"));
        assert_ne!(before, after);

        // As build commands do that append a file system to the binary.
        let (before, _) = module.build(&[PLAIN], &[]);
        module.run("sh", &["-c", "echo more >> out"], &[]);
        assert_ne!(module.identity(), before);
    }

    #[test]
    fn version_control_stamps_are_part_of_a_program() {
        let module = Module::new();
        module.write(".gitignore", "out\n");
        let commit = "git init -q . && git add . && \
                      git -c user.name=x -c user.email=x@localhost commit -q --allow-empty -m x";
        module.run("sh", &["-c", commit], &[]);
        let (stamped, plain) = (module.build(&["-buildvcs=true"], &[]).0, module.build(&[PLAIN], &[]).0);
        assert_ne!(stamped, plain);
        // The first edit after a commit changes `vcs.modified`, a commit changes `vcs.revision`.
        module.write("main.go", &MAIN.replace("// comment", "// another"));
        let modified = module.build(&["-buildvcs=true"], &[]).0;
        assert_ne!(modified, stamped);
        module.write("main.go", &MAIN.replace("// comment", "// a third"));
        assert_eq!(module.build(&["-buildvcs=true"], &[]).0, modified);
        assert_eq!(module.build(&[PLAIN], &[]).0, plain);
        module.run("sh", &["-c", commit], &[]);
        assert_ne!(module.build(&["-buildvcs=true"], &[]).0, stamped);
    }

    #[test]
    fn anything_else_is_all_of_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        let of = |bytes: &[u8]| {
            fs::write(&file, bytes).unwrap();
            identity(&file).unwrap()
        };
        assert_eq!(of(b"#!/bin/sh\n"), of(b"#!/bin/sh\n"));
        assert_ne!(of(b"#!/bin/sh\n"), of(b"#!/bin/sh \n"));
        let long = vec![7; 1_000_000];
        assert_ne!(of(&long), of(&long[1..]));
        assert!(identity(&dir.path().join("none")).is_err());
        // Headers that lead nowhere.
        for magic in [b"\x7fELF\x02\x01", b"\x7fELF\x01\x01", b"\xcf\xfa\xed\xfe\x01\x01"] {
            let mut head = magic.to_vec();
            for filler in [0x00, 0xff, 0x04, 0x1b, 0x1d] {
                head.resize(6, 0);
                for length in 7..200 {
                    head.resize(length, filler);
                    of(&head);
                }
            }
        }
        // Four billion commands.
        let mut head = b"\xcf\xfa\xed\xfe".to_vec();
        head.resize(16, 0xff);
        head.resize(200_000, 0);
        head[16..20].fill(0xff);
        of(&head);
    }
}
