//! What a record may show: query values struck, fields cut.

/// Bytes of a text field; what is longer is cut and the record says `truncated`.
pub(super) const FIELD: usize = 8 << 10;

/// Bytes of a text field that stands in a list.
pub(super) const SHORT_FIELD: usize = 256;

/// Entries of a list; the rest is left out and the record says `truncated`.
pub(super) const LIST: usize = 64;

/// The query with its names only: values are where tokens, signatures and personal data travel. A part
/// without `=` may be all value, so it is struck whole.
pub(super) fn strike_values(query: &str) -> String {
    let mut out = String::with_capacity(query.len());
    for (at, part) in query.split('&').enumerate() {
        if at > 0 {
            out.push('&');
        }
        match part.split_once('=') {
            Some((name, "")) => {
                out.push_str(name);
                out.push('=');
            }
            Some((name, _)) => {
                out.push_str(name);
                out.push_str("=*");
            }
            None if part.is_empty() => {}
            None => out.push('*'),
        }
    }
    out
}

/// The start of `text` that fits `limit` bytes, cut between characters; whether anything was cut.
pub(super) fn cut(text: &str, limit: usize) -> (&str, bool) {
    if text.len() <= limit {
        return (text, false);
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    (&text[..end], true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_values_are_struck_and_names_stay() {
        for (query, struck) in [
            ("per_page=1&q=a%20b?c", "per_page=*&q=*"),
            ("token=abc=def", "token=*"),
            ("ghp_bare", "*"),
            ("", ""),
            ("a=&&b=1", "a=&&b=*"),
            ("=x", "=*"),
            ("a=1;b=2", "a=*"),
        ] {
            assert_eq!(strike_values(query), struck, "{query}");
        }
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("abc", 3), ("abc", false));
        assert_eq!(cut("abcd", 3), ("abc", true));
        assert_eq!(cut("aéé", 4), ("aé", true));
    }
}
