//! What a patched process carries with it, in words for people.

use super::Service;
use crate::plan;

/// Two lines on the patches of `service`, the second with how to be rid of them; none if it has no patches.
pub fn lines(service: &Service) -> Vec<String> {
    if service.generations == 0 {
        return Vec::new();
    }
    let name = &service.service;
    let newest: Vec<String> = service.newest.iter().map(|function| format!("`{function}`")).collect();
    let old = match service.stale_goroutines {
        0 => String::new(),
        1 => "; 1 goroutine was still in an older version when the newest came".to_owned(),
        count => format!("; {count} goroutines were still in older versions when the newest came"),
    };
    vec![
        format!(
            "{name} is patched: {}, {}, {} (newest: {}){old}",
            counted(u64::from(service.generations), "generation"),
            counted(service.patched, "function"),
            memory(service.patch_bytes),
            plan::list(&newest).replace("more files", "more"),
        ),
        format!("  `hotwatch restart {name}`, or the key `r`, gives it a fresh start"),
    ]
}

fn counted(count: u64, word: &str) -> String {
    match count {
        1 => format!("1 {word}"),
        count => format!("{count} {word}s"),
    }
}

fn memory(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} KB", bytes.div_ceil(1000)),
        bytes => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_in_words() {
        let words = [0, 1, 1000, 112_000, 999_000, 1_000_000, 64_250_000].map(memory);
        assert_eq!(words, ["0 KB", "1 KB", "1 KB", "112 KB", "999 KB", "1.0 MB", "64.2 MB"]);
    }
}
