//! Every node is found again in the text, however it is written.

use super::super::locate::locate;
use super::super::node::{Bare, Node, Value, join};
use super::compile;
use proptest::prelude::*;

/// A document to write in many styles. Every scalar is a word of its own, so that no two places look alike.
#[derive(Clone, Debug)]
enum Tree {
    Scalar,
    List(Vec<Tree>),
    Map(Vec<Tree>),
}

fn tree() -> impl Strategy<Value = Tree> {
    Just(Tree::Scalar).prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::List),
            prop::collection::vec(inner, 1..4).prop_map(Tree::Map),
        ]
    })
}

/// Writes trees in a style that a stream of dice decides.
struct Writer<'d> {
    out: String,
    dice: std::iter::Cycle<std::slice::Iter<'d, u8>>,
    words: usize,
}

impl Writer<'_> {
    fn roll(&mut self, sides: u8) -> u8 {
        self.dice.next().copied().unwrap_or(0) % sides
    }

    fn word(&mut self) -> String {
        self.words += 1;
        let word = format!("w{}w", self.words);
        match self.roll(5) {
            0 => format!("\"{word}\""),
            1 => format!("'{word}'"),
            2 => format!("\"{word} \\\" # {{ é: }}\""),
            3 => format!("'{word} '' : [ é'"),
            _ => word,
        }
    }

    fn trailing(&mut self) {
        let text = ["", " # note: [x", "   ", "\n\n# - a: b\n  # {"][self.roll(4) as usize];
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn flow(&mut self, tree: &Tree) {
        match tree {
            Tree::Scalar => {
                let word = self.word();
                self.out.push_str(&word);
            }
            Tree::List(items) => {
                self.out.push('[');
                for (position, item) in items.iter().enumerate() {
                    self.separate(position);
                    self.flow(item);
                }
                self.out.push(']');
            }
            Tree::Map(entries) => {
                self.out.push('{');
                for (position, value) in entries.iter().enumerate() {
                    self.separate(position);
                    let key = self.word();
                    self.out.push_str(&key);
                    self.out.push_str(": ");
                    self.flow(value);
                }
                self.out.push('}');
            }
        }
    }

    fn separate(&mut self, position: usize) {
        if position > 0 {
            let comma = if self.roll(3) == 0 { ",\n                  " } else { ", " };
            self.out.push_str(comma);
        }
    }

    /// `indent`: of this node's own lines. The text before stands behind `key:` or `-`.
    fn block(&mut self, tree: &Tree, indent: usize, in_list: bool) {
        let flow = matches!(tree, Tree::Scalar) || self.roll(4) == 0;
        match tree {
            Tree::List(items) if items.is_empty() => self.out.push_str(" []\n"),
            _ if flow => {
                self.out.push(' ');
                // A flow collection may go on over lines, which are further in than any block here.
                self.flow(tree);
                self.trailing();
            }
            Tree::Scalar => {}
            Tree::List(items) => {
                let inline = in_list && self.roll(2) == 0;
                if !inline {
                    self.trailing();
                }
                for (position, item) in items.iter().enumerate() {
                    let pad = if inline && position == 0 { 1 } else { indent };
                    self.out.push_str(&" ".repeat(pad));
                    self.out.push('-');
                    self.block(item, indent + 2, true);
                }
            }
            Tree::Map(entries) => {
                let inline = in_list && self.roll(2) == 0;
                if !inline {
                    self.trailing();
                }
                for (position, value) in entries.iter().enumerate() {
                    let pad = if inline && position == 0 { 1 } else { indent };
                    self.out.push_str(&" ".repeat(pad));
                    let key = self.word();
                    self.out.push_str(&key);
                    self.out.push(':');
                    // A list may stand at its key's own column.
                    let deeper = if matches!(value, Tree::List(_)) && self.roll(2) == 0 { 0 } else { 2 };
                    self.block(value, indent + deeper, false);
                }
            }
        }
    }
}

/// Whether every scalar's span holds its own word, and every collection's its parts'.
fn check(node: &Node, text: &str) -> Result<(), TestCaseError> {
    let found = text.get(node.at.span.clone()).unwrap_or("no boundary");
    match &node.value {
        Value::Text(word) => {
            let word = word.split(' ').next().unwrap_or_default();
            let start = found.trim_start_matches(['"', '\'']);
            prop_assert!(start.starts_with(word), "{word:?} is not at {found:?} in:\n{text}");
            let end = found.trim_end_matches(['"', '\'']);
            prop_assert!(end.ends_with(['w', '}', '[', 'é', ' ']), "{found:?}");
        }
        Value::List(items) => {
            for item in items {
                prop_assert!(node.at.span.start <= item.at.span.start && item.at.span.end <= node.at.span.end);
                check(item, text)?;
            }
        }
        Value::Map(entries) => {
            for (key, value) in entries {
                prop_assert!(node.at.span.start <= key.at.span.start && value.at.span.end <= node.at.span.end);
                check(key, text)?;
                check(value, text)?;
            }
        }
        _ => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn every_part_of_a_document_is_found_where_it_stands(
        entries in prop::collection::vec(tree(), 1..4),
        dice in prop::collection::vec(any::<u8>(), 1..64),
    ) {
        let mut writer = Writer { out: String::new(), dice: dice.iter().cycle(), words: 0 };
        let opening = ["", "---\n", "# a: b\n\n", "%YAML 1.1\n---\n"][writer.roll(4) as usize];
        writer.out.push_str(opening);
        let start = writer.out.len();
        writer.block(&Tree::Map(entries), 0, false);
        // `block` starts behind a key; a document has none.
        if writer.out[start..].starts_with(' ') {
            writer.out.remove(start);
        }
        let text = writer.out;
        let bare: Bare = match serde_yaml::from_str(&text) {
            Ok(bare) => bare,
            Err(error) => return Err(TestCaseError::fail(format!("{error}:\n{text}"))),
        };
        let (spot, _) = locate(&text);
        let (root, doubled) = join(bare, &spot);
        prop_assert!(doubled.is_empty());
        check(&root, &text)?;
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[\\-:{}\\[\\],#&*!|>'\"%@ \\n\\tab0é]{0,80}") {
        let _ = locate(&text);
        let _ = compile(&text).map_err(|errors| errors.to_string());
    }

    #[test]
    fn no_file_of_real_keys_makes_the_reader_panic(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "policies:", "allow:", "sessions:", "- ", "host: ", "a.test", "\n", "  ", "    ", "{", "}", "[", "]",
                ", ", "paths: ", "'/x'", "agent:", "token: ", "known: ", "hunter2", "443", "ports: ", "~", "# x\n",
            ]),
            0..40,
        ),
    ) {
        let _ = compile(&words.concat()).map_err(|errors| errors.to_string());
    }
}

#[test]
fn text_over_several_lines_ends_where_it_ends() {
    let text = "a: one\n  two\nb: |\n  x: y\n\n  z\nc: >-\n  q\nd: \"m\n  n\"\ne: last\n";
    let (root, _) = join(serde_yaml::from_str(text).unwrap(), &locate(text).0);
    let Value::Map(entries) = &root.value else { panic!("a map") };
    let found: Vec<_> =
        entries.iter().map(|(key, value)| (&text[key.at.span.clone()], &text[value.at.span.clone()])).collect();
    assert_eq!(
        found,
        [("a", "one\n  two"), ("b", "|\n  x: y\n\n  z"), ("c", ">-\n  q"), ("d", "\"m\n  n\""), ("e", "last")]
    );
}

#[test]
fn what_is_shared_by_an_anchor_is_at_the_anchor_or_the_alias() {
    let text = "base: &rules\n  - host: a.test\ncopy: *rules\n";
    let (root, _) = join(serde_yaml::from_str(text).unwrap(), &locate(text).0);
    let Value::Map(entries) = &root.value else { panic!("a map") };
    let Value::List(items) = &entries[1].1.value else { panic!("the alias is a list") };
    assert_eq!(&text[items[0].at.span.clone()], "*rules");
}
