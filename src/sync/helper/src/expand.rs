//! Variables in the words of a command, as Kubernetes fills them in where it runs the command itself: `$(NAME)` is the
//! variable's value, `$$(NAME)` is `$(NAME)`, and what is not known stays as it stands
//! (<https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/>).

/// `word` with the variables that `value` knows. Pure.
pub fn expand(word: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let (mut filled, mut rest) = (String::new(), word);
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let name = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        rest = match name {
            _ if after.starts_with('$') => {
                filled.push('$');
                &after[1..]
            }
            Some((name, behind)) => {
                filled.push_str(&value(name).unwrap_or_else(|| format!("$({name})")));
                behind
            }
            None => {
                filled.push('$');
                after
            }
        };
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_filled_in() {
        let value = |name: &str| (name == "PORT").then(|| "80".to_owned());
        let table = [
            ("plain", "plain"),
            ("-listen=:$(PORT)", "-listen=:80"),
            ("$(PORT)$(PORT)", "8080"),
            ("$$(PORT)", "$(PORT)"),
            ("$$$(PORT)", "$80"),
            ("$(OTHER) $(", "$(OTHER) $("),
            ("$PORT costs 5$", "$PORT costs 5$"),
        ];
        for (word, expected) in table {
            assert_eq!(expand(word, value), expected);
        }
    }
}
