//! Names that values stand behind in any text, and what keys and addresses are told by: a look at a text that says
//! whether there is one.

use super::search::teddy::Teddy;
use aho_corasick::AhoCorasick;
use std::sync::LazyLock;

/// The names, folded.
const WORDS: [&str; 20] = [
    "password",
    "passwd",
    "secret",
    "private_key",
    "privatekey",
    "preshared",
    "_auth",
    "-----begin",
    "access_key",
    "api_key",
    "apikey",
    "bearer ",
    "iban",
    "card ",
    "card:",
    "card\"",
    "card_n",
    "cardn",
    "mnemonic",
    "seed phrase",
];

static NAMES: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).build(WORDS).ok());

/// Four letters of each of them, in either case, of which most texts have none.
static LETTERS: LazyLock<Teddy<2>> = LazyLock::new(|| {
    const PARTS: [&[u8; 4]; 14] = [
        b"assw", b"secr", b"vate", b"resh", b"_aut", b"----", b"s_ke", b"i_ke", b"ikey", b"eare", b"iban", b"card",
        b"nemo", b"d ph",
    ];
    let letter = |byte: u8, is_upper: bool| Some(if is_upper { byte.to_ascii_uppercase() } else { byte });
    let written = |[a, b, c, d]: [u8; 4], case: u8| {
        [letter(a, case & 1 != 0), letter(b, case & 2 != 0), letter(c, case & 4 != 0), letter(d, case & 8 != 0)]
    };
    let keys = (0..16).flat_map(|case| PARTS.iter().map(move |part| written(**part, case)));
    Teddy::new(&keys.collect::<Vec<_>>())
});

/// Whether a name stands in a text that values stand behind.
pub(super) fn has_names(text: &[u8]) -> bool {
    let mut masks = Vec::new();
    LETTERS.masks(text, 0..text.len(), &mut masks);
    masks.iter().any(|mask| *mask != 0) && NAMES.as_ref().is_some_and(|names| names.is_match(text))
}

/// Where the first of them begins.
pub(super) fn first_name(text: &[u8]) -> Option<usize> {
    NAMES.as_ref().and_then(|names| names.find(text)).map(|found| found.start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_known_in_any_case_wherever_it_stands() {
        for name in WORDS {
            let turned: String = name
                .chars()
                .zip([false, true].iter().cycle())
                .map(|(letter, up)| if *up { letter.to_ascii_uppercase() } else { letter })
                .collect();
            for name in [name.to_owned(), name.to_ascii_uppercase(), turned] {
                for before in [0, 1, 55, 61, 64, 130] {
                    let text = format!("{}{name}.", " ".repeat(before));
                    assert_eq!(
                        (has_names(text.as_bytes()), first_name(text.as_bytes())),
                        (true, Some(before)),
                        "{text}"
                    );
                }
            }
        }
        assert!(!has_names(b"user-agent: curl/8.5.0 accept: application/json x-request-id: 7f9c2ba4"));
    }
}
