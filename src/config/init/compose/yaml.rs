//! YAML as compose files use it: scalars as they are written, maps with those merged into them (`<<`), lines.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle};

/// How deeply lists and maps may be nested.
const DEEPEST: usize = 64;

/// A value and its line, from 1.
#[derive(Debug, Clone)]
pub struct Node(Rc<(Value, usize)>);

#[derive(Debug)]
enum Value {
    /// The text, and whether it stands there without quotes.
    Scalar(String, bool),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// A list or map that is not at its end yet.
struct Open {
    is_map: bool,
    anchor: usize,
    line: usize,
    items: Vec<Node>,
}

/// Reads the first document of `text`; the error is for people and names the line.
pub fn parse(text: &str) -> Result<Node, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: HashMap<usize, Node> = HashMap::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        let line = span.start.line();
        let node = match event {
            Event::Scalar(text, style, anchor, _) => {
                let node =
                    Node(Rc::new((Value::Scalar(text.into_owned(), style == ScalarStyle::Plain), line)));
                anchors.insert(anchor, node.clone());
                node
            }
            Event::Alias(anchor) => anchors.get(&anchor).cloned().ok_or("an alias of nothing")?,
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                if open.len() == DEEPEST {
                    return Err(format!("line {line}: it is nested too deeply"));
                }
                let is_map = matches!(event, Event::MappingStart(..));
                open.push(Open { is_map, anchor, line, items: Vec::new() });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(done) = open.pop() else { continue };
                let value = if done.is_map {
                    let mut items = done.items.into_iter();
                    let pairs = std::iter::from_fn(|| Some((items.next()?, items.next()?)));
                    Value::Map(pairs.collect())
                } else {
                    Value::List(done.items)
                };
                let node = Node(Rc::new((value, done.line)));
                anchors.insert(done.anchor, node.clone());
                node
            }
            _ => continue,
        };
        match open.last_mut() {
            Some(open) => open.items.push(node),
            None => return Ok(node),
        }
    }
    Err("it is empty".to_owned())
}

impl Node {
    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.0.1
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<String> {
        match &self.0.0 {
            Value::Scalar(text, _) => Some(text.clone()),
            _ => None,
        }
    }

    /// Whether there is no value.
    pub fn is_null(&self) -> bool {
        matches!(&self.0.0, Value::Scalar(text, true) if ["", "~", "null"].contains(&text.as_str()))
    }

    /// The keys and values of a map, with merged ones behind its own; nothing for anything else.
    pub fn entries(&self) -> Vec<(Node, Node)> {
        let Value::Map(pairs) = &self.0.0 else { return Vec::new() };
        let is_merge = |(key, _): &&(Node, Node)| key.text().as_deref() == Some("<<");
        let mut entries: Vec<(Node, Node)> = pairs.iter().filter(|pair| !is_merge(pair)).cloned().collect();
        let merged = pairs.iter().filter(is_merge).flat_map(|(_, maps)| maps.items_or_self());
        for (key, value) in merged.flat_map(|map| map.entries()) {
            if !entries.iter().any(|(known, _)| known.text() == key.text()) {
                entries.push((key, value));
            }
        }
        entries
    }

    /// The value of `key` in a map.
    pub fn get(&self, key: &str) -> Option<Node> {
        let of = |(name, _): &(Node, Node)| name.text().as_deref() == Some(key);
        self.entries().into_iter().find(of).map(|(_, value)| value)
    }

    /// The items of a list; nothing for anything else.
    pub fn items(&self) -> Vec<Node> {
        match &self.0.0 {
            Value::List(items) => items.clone(),
            _ => Vec::new(),
        }
    }

    /// The items of a list, or the node itself where it is none.
    pub fn items_or_self(&self) -> Vec<Node> {
        match &self.0.0 {
            Value::List(_) => self.items(),
            _ => vec![self.clone()],
        }
    }
}
