//! Digests that stand one below the other, each behind a name: the checksums of a lock file.

use super::assigned::assigned_name;
use super::filter::is_digest;
use super::names::{is_constant, tells_secret};

/// So many digests one below the other are a list of them.
pub(super) const FEW_LINES: usize = 2;

/// Whether a digest follows so many as long, each on its line and under a name that tells nothing: a lock file's list.
pub(super) fn is_in_a_list(before: &[u8], value: &[u8], names: &[Box<[u8]>], lines: usize) -> bool {
    let mut above = Some(before);
    for _ in 0..lines {
        above = above.and_then(|before| line_above(before, value.len(), names));
    }
    above.is_some()
}

/// Whether a digest is one of such a list, and its own name tells of no secret: a package's in front of its checksum.
pub(super) fn is_listed(before: &[u8], value: &[u8]) -> bool {
    let is_telling = || assigned_name(before).is_none_or(|name| is_constant(name) || tells_secret(name, &[]).is_some());
    before.ends_with(b": ") && is_digest(value) && !is_telling() && is_in_a_list(before, value, &[], FEW_LINES)
}

/// What stands before the digest on the line above the name that a text ends in, if it is so long and its name tells
/// nothing.
fn line_above<'a>(before: &'a [u8], length: usize, names: &[Box<[u8]>]) -> Option<&'a [u8]> {
    const BETWEEN: usize = 12;
    let at = memchr::memmem::rfind(before, assigned_name(before)?)?;
    let above = before.get(..at).unwrap_or_default();
    let end = above.iter().rposition(u8::is_ascii_hexdigit).map_or(0, |at| at + 1);
    let (above, between) = above.split_at(end);
    let is_line = between.len() <= BETWEEN && memchr::memchr2(b'\n', b'\\', between).is_some();
    let digits = above.iter().rev().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (named, _) = above.split_at(end - digits);
    let tells = |named| assigned_name(named).is_none_or(|name| tells_secret(name, names).is_some());
    (is_line && digits == length && !tells(named)).then_some(named)
}

#[cfg(test)]
mod tests {
    use super::super::generic::{Assigned, is_secret};
    use super::*;

    #[test]
    fn a_digest_in_a_list_of_digests_is_none_and_one_below_another_secret_is() {
        let rule = Assigned { names: ["secret".as_bytes().into()].into(), digest: true, named: false };
        let digests = ["77a402cf12526877167c404de044d7ab107d6bbf", "ded94040fbcb9212a336552016da82e57c195bb0"];
        let found = |first: &str, second: &str| {
            let before = first.replace('@', digests[0]) + second;
            is_secret(before.as_bytes(), digests[1].as_bytes(), b"\n", &rule)
        };
        assert!(!found("SPEC CHECKSUMS:\n  Fmt: @\n  ", "Solana-Native-Token: "));
        assert!(!found("  Fmt: @\\n  ", "Native-Token: "));
        assert!(!found("  Der: @\n  Pest: @\n  ", "Acme-Secret-Store: "));
        assert!(found("  Pest: @\n  ", "Acme-Secret-Store: "));
        assert!(found("commit=@\ntree=@\n", "acme_secret="));
        assert!(found("\"a\": \"@\",\n\"b\": \"@\",\n\"", "acme_secret\": \""));
        assert!(found("  acme_secret: @\n  ", "native_token: "));
        assert!(found("GIT_SHA=@\n", "ACME_KEY="));
        assert!(found("", "Native-Token: "));
        let listed = |first: &str, name: &str| {
            is_listed((first.replace('@', digests[0]) + name).as_bytes(), digests[1].as_bytes())
        };
        assert!(listed("  Der: @\n  Pest: @\n  ", "Snyk: "));
        assert!(!listed("  Pest: @\n  ", "Snyk: "));
        assert!(!listed("  Der: @\n  Pest: @\n  ", "Snyk-Token: "));
        assert!(!listed("A: @\nB: @\n", "SNYK: "));
    }
}
