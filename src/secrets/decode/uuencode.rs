//! Uuencode: lines that begin with how many bytes they hold, four characters for three of them.

use super::may_stand;
use zeroize::Zeroizing;

/// Characters that a line may have behind its own: some write a sum there.
const SPARE: usize = 2;

/// What the lines of a text hold: behind `begin`, as some that read it do, whatever else stands among them; elsewhere
/// those that are as long as they say and hold so many bytes of text.
pub(in crate::secrets) fn lines(text: &[u8], shortest: usize, wide: bool, each: &mut dyn FnMut(&[u8])) {
    if let Some(begin) = memchr::memmem::find(text, b"begin ") {
        let bytes = behind(text.get(begin..).unwrap_or_default());
        // Of other lines chance makes no text.
        if bytes.split(|byte| !may_stand(*byte, wide)).any(|part| part.len() >= shortest) {
            each(&bytes);
        }
    }
    let mut bytes = Zeroizing::new(Vec::new());
    let mut tell = |bytes: &mut Zeroizing<Vec<u8>>| {
        if bytes.len() >= shortest {
            each(bytes);
        }
        bytes.clear();
    };
    for line in text.split(|byte| *byte == b'\n') {
        let from = bytes.len();
        let is_one = exactly(line, &mut bytes);
        if !is_one || !bytes.iter().skip(from).all(|byte| may_stand(*byte, wide)) {
            bytes.truncate(from);
            tell(&mut bytes);
        }
    }
    tell(&mut bytes);
}

fn behind(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::new());
    for line in text.split(|byte| *byte == b'\n').skip(1) {
        let line = line.trim_ascii_end();
        if line == b"end" {
            break;
        }
        let Some((length, characters)) = line.split_first() else { continue };
        let length = usize::from(length.saturating_sub(b' ') & 63);
        if length > 0 && characters.len() <= 4 * length.div_ceil(3) + SPARE {
            read(length, characters, &mut bytes);
        }
    }
    bytes
}

/// Reads a line that has as many characters as it says, but for spaces at its end, which some cut off.
fn exactly(line: &[u8], bytes: &mut Vec<u8>) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Some((&length @ b'!'..=b'_', characters)) = line.split_first() else { return false };
    let length = usize::from(length - b' ') & 63;
    let whole = 4 * length.div_ceil(3);
    let is_one = length > 0
        && (whole.saturating_sub(4)..=whole).contains(&characters.len())
        && characters.iter().all(|byte| matches!(byte, b' '..=b'`'));
    if is_one {
        read(length, characters, bytes);
    }
    is_one
}

/// What is missing at a line's end counts as spaces.
fn read(length: usize, characters: &[u8], bytes: &mut Vec<u8>) {
    let value = |at: usize| characters.get(at).map_or(0, |byte| byte.wrapping_sub(b' ') & 63);
    for group in 0..length.div_ceil(3) {
        let [a, b, c, d] = [0, 1, 2, 3].map(|at| value(4 * group + at));
        bytes.extend([a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d].into_iter().take(length - 3 * group));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        lines(text.as_bytes(), 16, false, &mut |bytes| found.push(String::from_utf8_lossy(bytes).into_owned()));
        found
    }

    #[test]
    fn lines_are_read_behind_their_head_and_without_it() {
        let line = "8=&AE('%U:6-K(&)R;W=N(&9O>\"!J=6UP"; // the quick brown fox jump
        assert_eq!(found(&format!("{line}\n")), ["the quick brown fox jump"]);
        assert_eq!(found(&format!("see:\n{line}\nand so on")), ["the quick brown fox jump"]);
        assert!(found(&format!("begin 644 a\n{line}\n`\nend\n")).contains(&"the quick brown fox jump".into()));
    }

    #[test]
    fn other_lines_are_none() {
        assert!(found("THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG\n- ONE\n- TWO\n[package]\n# A NOTE\n").is_empty());
    }
}
