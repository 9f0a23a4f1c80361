//! What stands between two pieces of one secret: quotes and a sign that adds strings, a line break.

/// The longest between two strings, and the widest indent of a line.
const LONGEST: usize = 48;
const INDENT: usize = 24;

/// What a row's first glue says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Strings,
    Lines,
}

const fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

fn backslashes(text: &[u8]) -> usize {
    text.iter().take_while(|byte| **byte == b'\\').count()
}

/// What kind of row goes on here; `None` if that isn't known yet.
pub(super) fn kind(rest: &[u8], ended: bool) -> Option<Result<Kind, ()>> {
    match rest.get(backslashes(rest)) {
        Some(quote) if is_quote(*quote) => of_strings(rest, ended).map(|found| found.map(|_| Kind::Strings)),
        Some(b'\r' | b'\n' | b'r' | b'n') => of_lines(rest, ended).map(|found| found.map(|_| Kind::Lines)),
        None if !ended => None,
        _ => Some(Err(())),
    }
}

/// Bytes up to the next string's first character: the quote that ends one, what adds strings, the quote that opens
/// the next. `None` if that isn't known yet.
pub(super) fn of_strings(rest: &[u8], ended: bool) -> Option<Result<usize, ()>> {
    let close = backslashes(rest);
    let open = if rest.len() < LONGEST && !ended { None } else { Some(Err(())) };
    match rest.get(close) {
        None => return open,
        Some(quote) if !is_quote(*quote) => return Some(Err(())),
        Some(_) => {}
    }
    let between = rest.get(close + 1..).unwrap_or_default();
    let between = between.get(..LONGEST).unwrap_or(between);
    let end = between.iter().position(|byte| is_quote(*byte) || !may_add(*byte));
    match end {
        Some(end) if between.get(end).is_some_and(|byte| is_quote(*byte)) => {
            let sure = adds(between.get(..end).unwrap_or_default());
            Some(if sure { Ok(close + 1 + end + 1) } else { Err(()) })
        }
        Some(_) => Some(Err(())),
        None => open,
    }
}

/// Bytes that may stand between two strings that are added.
const fn may_add(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || byte.is_ascii_whitespace()
        || matches!(byte, b'+' | b'.' | b',' | b'&' | b'\\' | b'(' | b')' | b'[' | b']' | b';' | b'_' | b'=' | b'$')
}

/// Whether this between two quotes adds or lists strings: signs, and names only where something is added to them.
fn adds(between: &[u8]) -> bool {
    let word = |at: usize, byte: u8| {
        let escaped = at.checked_sub(1).and_then(|at| between.get(at)) == Some(&b'\\');
        (byte.is_ascii_alphanumeric() || byte == b'=') && !(escaped && matches!(byte, b'n' | b'r' | b't'))
    };
    let named = between.iter().enumerate().any(|(at, byte)| word(at, *byte));
    let sum = between.iter().any(|byte| matches!(byte, b'+' | b'.'));
    !between.iter().all(|byte| *byte == b'\\') && (sum || !named)
}

/// Whether strings stand in a list with this between them.
pub(super) fn lists(glue: &[u8]) -> bool {
    glue.contains(&b',') && !glue.iter().any(|byte| matches!(byte, b'+' | b'.'))
}

/// Whether a string that ends here is a name; `None` if that isn't known yet.
pub(super) fn is_name(rest: &[u8], ended: bool) -> Option<bool> {
    let close = backslashes(rest);
    match (rest.get(close), rest.get(close + 1)) {
        (Some(quote), Some(behind)) => Some(is_quote(*quote) && *behind == b':'),
        _ if ended => Some(false),
        _ => None,
    }
}

/// Bytes up to the next line's first character behind its indent; `None` if that isn't known yet.
pub(super) fn of_lines(rest: &[u8], ended: bool) -> Option<Result<usize, ()>> {
    const BREAKS: [&[u8]; 4] = [b"\r\n", b"\n", b"\\r\\n", b"\\n"];
    let lead = backslashes(rest).saturating_sub(1);
    let text = rest.get(lead..).unwrap_or_default();
    let Some(found) = BREAKS.iter().find(|line| text.starts_with(line)) else {
        let open = !ended && BREAKS.iter().any(|line| line.starts_with(text));
        return if open { None } else { Some(Err(())) };
    };
    let line = text.get(found.len()..).unwrap_or_default();
    let indent = line.iter().take(INDENT).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    match line.get(indent) {
        None if !ended && indent < INDENT => None,
        _ => Some(Ok(lead + found.len() + indent)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_added_in_many_ways() {
        for text in [
            "\" + \"x",
            "'\n     'x",
            "\\\" + \\\"x",
            "\", \"x",
            "\";\nt += \"x",
            "\".concat(\"x",
            "\" . \"x",
            "\" \\\n  \"x",
        ] {
            assert_eq!(of_strings(text.as_bytes(), false), Some(Ok(text.len() - 1)), "{text}");
            for cut in 1..text.len() - 1 {
                assert_eq!(of_strings(&text.as_bytes()[..cut], false), None, "{text} {cut}");
            }
        }
        for text in ["\": \"x", "\", name=\"x", "\"}\n{\"x", "\" is \"x", "\\\\\"x"] {
            assert_eq!(of_strings(text.as_bytes(), true), Some(Err(())), "{text}");
        }
    }

    #[test]
    fn a_name_in_a_list_is_told_from_a_value() {
        assert!(lists(b"\", \"") && lists(b"\\\",\n  \\\"") && !lists(b"\" + \"") && !lists(b"\".concat(x, \""));
        assert_eq!(is_name(b"\": 1", false), Some(true));
        assert_eq!(is_name(b"\\\":1", false), Some(true));
        assert_eq!(is_name(b"\", \"x\"", false), Some(false));
        for cut in 0..2 {
            assert_eq!(is_name(&b"\\\":"[..cut + 1], false), None);
            assert_eq!(is_name(&b"\\\":"[..cut + 1], true), Some(false));
        }
    }

    #[test]
    fn lines_follow_each_other_behind_their_breaks() {
        for text in ["\nx", "\r\n  x", "\\nx", "\\r\\n\tx", "\\\\nx"] {
            assert_eq!(of_lines(text.as_bytes(), false), Some(Ok(text.len() - 1)), "{text}");
        }
        assert_eq!(of_lines(b"\n  ", false), None);
        assert_eq!(of_lines(b" x", false), Some(Err(())));
    }
}
