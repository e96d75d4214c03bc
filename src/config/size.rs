//! Sizes as people write them: `10MB`, `512 KiB`.

/// The number of bytes that `text` means; what is wrong with it otherwise.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1000 * 1000,
        "g" | "gb" => 1000 * 1000 * 1000,
        "kib" => 1024,
        "mib" => 1024 * 1024,
        "gib" => 1024 * 1024 * 1024,
        _ => return Err(format!("`{text}` is no size; write it as `10MB`, `512KiB` or `1GB`")),
    };
    let size = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    size.ok_or_else(|| format!("`{text}` is no size; write it as `10MB`, `512KiB` or `1GB`"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes() {
        let table = [
            ("10MB", Some(10_000_000)),
            ("512 KiB", Some(524_288)),
            ("1g", Some(1_000_000_000)),
            ("0B", Some(0)),
            ("10", None),
            ("MB", None),
            ("1.5MB", None),
            ("-1MB", None),
            ("1TB", None),
            ("99999999999999GB", None),
        ];
        for (text, expected) in table {
            assert_eq!(super::parse(text).ok(), expected, "{text}");
        }
    }
}
