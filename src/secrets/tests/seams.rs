//! Pieces that are looked at before they are scanned together: nothing that the scan finds is passed over.

use super::super::recall::row::Row;
use super::super::recall::seams::Seams;
use super::*;
use data_encoding::BASE64;
use proptest::prelude::*;

/// A token whose letters that tell it stand near its end.
const AZURE: &str = "q7Xm2Zt9LwRp5YcB8nDf1GsEa4Uk3JhX9vQ2mZt7LwRp5YcB8nDf1GsEa4Uk3JhX9vQ2mZt7LwRpAZDO5YcB";

/// A token as it may be written, in one line.
fn written(way: usize, shift: usize) -> String {
    let token = [&"xyz"[..shift % 3], PAT].concat();
    let each = |show: &dyn Fn(u8) -> String, between: &str| token.bytes().map(show).collect::<Vec<_>>().join(between);
    let packed = || {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut out, format!("{token}\n").repeat(3).as_bytes()).unwrap();
        out.finish().unwrap()
    };
    match way {
        0 => PAT.to_owned(),
        1 => BASE64.encode(token.as_bytes()),
        2 => data_encoding::BASE64URL_NOPAD.encode(token.as_bytes()),
        3 => each(&|byte| format!("{byte:02x}"), ""),
        4 => data_encoding::BASE32.encode(token.as_bytes()),
        5 => PAT.chars().rev().collect(),
        6 => each(&|byte| format!("%{byte:02X}"), ""),
        7 => each(&|byte| format!("\\u{byte:04x}"), ""),
        8 => each(&|byte| byte.to_string(), ","),
        9 => each(&|byte| format!("{byte:02x}"), "-"),
        10 => each(&|byte| format!("0x{byte:02x}"), ", "),
        11 => each(&|byte| (byte as char).to_string(), "."),
        12 => each(&|byte| (byte as char).to_string(), "\", \""),
        13 => format!("\"{}\" + \"{}\"", &PAT[..14], &PAT[14..]),
        14 => BASE64.encode(BASE64.encode(token.as_bytes()).as_bytes()),
        15 => BASE64.encode(&packed()),
        16 => format!("00000000: {}", each(&|byte| format!("{byte:02x}"), " ")),
        17 => BASE64.encode(PAT.chars().rev().collect::<String>().as_bytes()),
        18 => BASE64.encode(format!("{} {PAT} {}", "text ".repeat(shift), "more ".repeat(shift)).as_bytes()),
        19 => PAT.replace('_', "\u{ff3f}"),
        20 => BASE64.encode(token.as_bytes()).chars().rev().collect(),
        21 => AZURE.chars().rev().collect(),
        _ => "AKIAEWCGRBFAS73QNT3Y".to_owned(),
    }
}

fn noise() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{12}",
        "[0-9]{3,5}",
        "[a-z]{3,9}",
        "[1-9]\\.[0-9]\\.[0-9]{1,2}",
        "[A-Za-z0-9+/]{6,40}",
        "Mon, 23 Nov 2026 02:0[0-9]:11 GMT",
        "W/\"[0-9a-f]{16}\"",
        "[ -~]{3,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_the_scan_of_joined_pieces_finds_is_worth_it(
        (way, shift) in (0usize..23, 0usize..9),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 1..5),
        (before, between) in (proptest::collection::vec(noise(), 0..12), proptest::option::of(noise())),
        (turned, known) in any::<(bool, bool)>(),
    ) {
        let text: Vec<char> = written(way, shift).chars().collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len())).chain([0, text.len()]).collect();
        cuts.sort_unstable();
        let mut pieces: Vec<String> = cuts.windows(2).map(|cut| text[cut[0]..cut[1]].iter().collect()).collect();
        pieces.retain(|piece| piece.len() >= 3 && piece.len() <= 160);
        if turned {
            pieces.reverse();
        }
        let at = pieces.len() / 2;
        pieces.splice(at..at, between);
        let known = known.then(|| KnownSecret::new("note", &PAT.as_bytes()[4..24]).unwrap());
        let guard = guard(Settings { known: known.into_iter().collect(), ..Settings::default() });
        let host = host("evil.example");
        let mut row = Row::default();
        for piece in before.into_iter().chain(pieces) {
            let Some(edges) = row.add(piece.as_bytes()) else { continue };
            let found = guard.complete(&host, Surface::Header, &row.pieces(), "session");
            let may = Seams::new(&guard.inner).may_complete(&mut row, &edges);
            prop_assert!(may || found.is_empty(), "{piece} {found:?}");
        }
    }
}
