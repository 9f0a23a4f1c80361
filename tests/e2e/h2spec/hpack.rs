//! Header compression (RFC 7541).

use super::*;

/// Strings in Huffman coding, of RFC 7541 §C.4 (and their plain forms).
const CUSTOM_KEY: &[u8] = &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f];
const CUSTOM_VALUE: &[u8] = &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf];
const USER_AGENT: u8 = 58;

/// A string literal.
fn string(huffman: bool, bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap() | if huffman { 0x80 } else { 0 }][..], bytes].concat()
}

/// A request with this at the end of its header block.
fn ending(field: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &[&head("GET", &[])[..], field].concat())
}

#[test]
fn every_representation_of_a_field_is_read() {
    // Prefix and largest index in it: §6.2.1, §6.2.2, §6.2.3.
    let kinds = [("indexing", 0x40, 63), ("without indexing", 0x00, 15), ("never indexed", 0x10, 15)];
    let mut cases = vec![
        case("indexed", ending(&[0x80 | 16]), Expect::Answered),
        case("a table size update", frame(HEADERS, 5, 1, &[&[0x21][..], &head("GET", &[])].concat()), Expect::Answered),
        case(
            "two table size updates",
            frame(HEADERS, 5, 1, &[&[0x20, 0x3f, 0xe1, 0x1f][..], &head("GET", &[])].concat()),
            Expect::Answered,
        ),
    ];
    for (kind, prefix, most) in kinds {
        let index = if USER_AGENT < most { vec![prefix | USER_AGENT] } else { vec![prefix | most, USER_AGENT - most] };
        for (huffman, key, value) in
            [(false, &b"custom-key"[..], &b"custom-value"[..]), (true, CUSTOM_KEY, CUSTOM_VALUE)]
        {
            let value = string(huffman, value);
            cases.push(case(kind, ending(&[&index[..], &value].concat()), Expect::Answered));
            let named = [&[prefix][..], &string(huffman, key), &value].concat();
            cases.push(case(kind, ending(&named), Expect::Answered));
        }
    }
    hold("generic 5", cases);
}

#[test]
fn what_is_no_header_compression_ends_the_connection() {
    let wrong = |what, field: &[u8]| case(what, ending(field), Expect::Coarse(COMPRESSION_ERROR));
    let value = |bytes: &[u8]| [&[0x40][..], &string(false, b"x-test"), &string(true, bytes)].concat();
    let cases = vec![
        wrong("2.3.3: an index beyond both tables", &[0x80 | 70]),
        wrong("2.3.3: a literal whose name is beyond both tables", &[&[0x40 | 62 | 1, 70][..], b"\x04test"].concat()),
        wrong("4.2: a table size update at the end of a block", &[0x21]),
        wrong("5.2: Huffman padding of more than 7 bits", &value(&[CUSTOM_VALUE, &[0xff]].concat())),
        wrong("5.2: Huffman padding of zeroes", &value(&[0x00])),
        wrong("5.2: a Huffman string with EOS in it", &value(&[0xff, 0xff, 0xff, 0xff])),
        wrong("6.1: index 0", &[0x80]),
        case(
            "6.3: a table size beyond what SETTINGS allow",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[&[0x3f, 0xff, 0xff, 0x03][..], &head("GET", &[])].concat()),
            Expect::Coarse(COMPRESSION_ERROR),
        ),
    ];
    hold("hpack", cases);
}
