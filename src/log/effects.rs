//! What a patch has led to, in words: which of its functions have run the new code, and which have not yet.

use crate::plan;
use crate::record::Effect;

/// The sentence that is shown a while after a patch.
pub fn words(effects: &[Effect]) -> String {
    let (entered, others): (Vec<_>, Vec<_>) = effects.iter().partition(|effect| effect.entered > 0);
    let entered = entered.iter().map(|Effect { function, entered }| match entered {
        1 => format!("`{function}` once"),
        count => format!("`{function}` {count} times"),
    });
    let others = others.iter().map(|effect| format!("`{}`", effect.function));
    match (plan::list(&entered.collect::<Vec<_>>()), plan::list(&others.collect::<Vec<_>>())) {
        (entered, others) if others == "nothing" => format!("the new code has run: {entered}"),
        (entered, others) if entered == "nothing" => format!("the new code is not entered yet: {others}"),
        (entered, others) => format!("the new code has run: {entered}; not entered yet: {others}"),
    }
    .replace("more files", "more")
}

#[cfg(test)]
mod tests {
    use super::words;
    use crate::record::Effect;

    #[test]
    fn effects_in_words() {
        let told = |effects: &[(&str, u64)]| {
            let effect = |&(name, entered): &(&str, u64)| Effect { function: name.to_owned(), entered };
            words(&effects.iter().map(effect).collect::<Vec<_>>())
        };
        assert_eq!(told(&[("f", 1), ("g", 3)]), "the new code has run: `f` once and `g` 3 times");
        assert_eq!(told(&[("f", 0)]), "the new code is not entered yet: `f`");
        let both = "the new code has run: `f` 2 times; not entered yet: `a`, `b` and 2 more";
        assert_eq!(told(&[("f", 2), ("a", 0), ("b", 0), ("c", 0), ("d", 0)]), both);
    }
}
