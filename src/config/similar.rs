//! Did-you-mean.

/// The word that `typed` was probably meant to be: about a third of it wrong.
pub(super) fn did_you_mean<'w, S: AsRef<str>>(typed: &str, words: &'w [S]) -> Option<&'w str> {
    let typed = typed.to_lowercase();
    let limit = typed.chars().count().div_ceil(3).max(1);
    let distances = words.iter().map(|word| (distance(&typed, &word.as_ref().to_lowercase()), word.as_ref()));
    distances.filter(|(distance, _)| *distance <= limit).min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}

/// Edits between two words; two letters exchanged count as one (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let mut edits = (row[j] + usize::from(x != y)).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                edits = edits.min(before[j - 1] + 1);
            }
            next.push(edits);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_recognised_and_other_words_are_not() {
        let words = ["allow", "deny", "presets", "secrets", "limits", "mode"];
        for (typed, meant) in [
            ("alow", Some("allow")),
            ("Allow", Some("allow")),
            ("allows", Some("allow")),
            ("preset", Some("presets")),
            ("presest", Some("presets")),
            ("mdoe", Some("mode")),
            ("limit", Some("limits")),
            ("presests", Some("presets")),
            ("block", None),
            ("", None),
        ] {
            assert_eq!(did_you_mean(typed, &words), meant, "{typed}");
        }
    }
}
