use super::*;

fn show_word(word: &Word) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text { text, .. } => text.clone(),
        Piece::Variable { expression, .. } => format!("${{{expression}}}"),
        Piece::Command(script) => format!("$({script})"),
    };
    word.iter().map(piece).collect()
}

fn show(nodes: &[Node]) -> String {
    let words = |words: &[Word]| words.iter().map(show_word).collect::<Vec<_>>().join(" ");
    let node = |node: &Node| match node {
        Node::Simple { line, words: all, log } => {
            let log = log.as_ref().map(|log| format!(" >{}", show_word(log))).unwrap_or_default();
            format!("{line}:{}{log}", words(all))
        }
        Node::Array { name, words: all } => format!("{name}=[{}]", words(all)),
        Node::Subshell { body, background } => {
            format!("({}){}", show(body), if *background { "&" } else { "" })
        }
        Node::For { name, words: all, body } => {
            format!("for {name} in {}: {{{}}}", words(all), show(body))
        }
        Node::Function { name, body } => format!("{name}() {{{}}}", show(body)),
    };
    nodes.iter().map(node).collect::<Vec<_>>().join("; ")
}

#[test]
fn grammar() {
    let table = [
        ("a b # c\nd", "1:a b; 2:d"),
        ("cd x && go run . &\nwait", "(1:cd x; 1:go run .)&; 2:wait"),
        ("(cd x; ./y) >log 2>&1 &", "((1:cd x; 1:./y))&"),
        ("./y --a='b c' >>\"/tmp/$n.log\" 2>/dev/null", "1:./y --a=b c >/tmp/${n}.log"),
        ("x 2>&1 | tee log", "1:x; 1:tee log"),
        ("x &>out", "1:x >out"),
        ("a \\\n  b", "1:a b"),
        ("f() {\n go run \"$1\"\n}\nf a", "f() {2:go run ${1}}; 4:f a"),
        ("function f { a; }", "f() {1:a}"),
        ("for s in a b; do (cd $s && x) & done", "for s in a b: {((1:cd ${s}; 1:x))&}"),
        ("A=(a b)\nfor s in \"${A[@]}\"\ndo x; done", "A=[a b]; for s in ${A[@]}: {3:x}"),
        ("if [ -f .env ]; then a; else b; fi; c", "1:[ -f .env ]; 1:a; 1:b; 1:c"),
        ("while true; do a; done", "1:true; 1:a"),
        ("case $1 in\n start) a ;;\n stop|end)\n  b\n  ;;\n *) c;;\nesac\nd", "2:a; 4:b; 6:c; 8:d"),
        ("cat <<EOF\ngo run .\nEOF\na", "1:cat; 4:a"),
        ("X=$(basename \"$1\") `pwd`", "1:X=$(basename \"$1\") $(pwd)"),
        ("trap 'kill $(jobs -p)' EXIT", "1:trap kill $(jobs -p) EXIT"),
        ("a) b", "1:a; 1:b"),
        ("for", "for  in ${@}: {}"),
        ("'never closed", "1:never closed"),
    ];
    for (text, expected) in table {
        assert_eq!(show(&parse(text)), expected, "{text}");
    }
    parse(&"(".repeat(10_000));
    parse(&"{ ".repeat(10_000));
}
