//! A rule of the catalogue, compiled.

use super::super::finding::Severity;
use super::catalogue::{ContextSpec, Edge, Group, RuleSpec};
use super::checksum::{Checksum, UnknownChecksum};
use super::generic::Assigned;
use super::home::{BadHome, BadPlace, Home, Place, Spot};
use super::names::is_end;
use super::shape::ShapeError;
use super::{filter, generic, listed};
use crate::net::Host;
use memchr::memmem::Finder;
use std::sync::Arc;

/// A rule ready to judge a match.
#[derive(Debug)]
pub(in crate::secrets) struct Rule {
    pub(in crate::secrets) id: Arc<str>,
    pub(in crate::secrets) group: Group,
    pub(in crate::secrets) severity: Severity,
    pub(in crate::secrets) homes: Box<[Home]>,
    pub(in crate::secrets) places: Box<[Place]>,
    pub(in crate::secrets) context: Option<Context>,
    checksum: Option<Checksum>,
    /// Whether the checksum is strong enough to do without a left boundary.
    certain: bool,
    entropy: f32,
    left: bool,
    right: bool,
    /// It may go to names below its homes that anyone may rent: an id and a session's token open nothing alone, and
    /// signed requests go to buckets.
    rented: bool,
    /// A JWT may go to the host that it names itself.
    pub(in crate::secrets) names_its_home: bool,
    pub(in crate::secrets) head: bool,
    pub(in crate::secrets) body: bool,
    /// Whether a match over the edge between two pieces is believed.
    pub(in crate::secrets) joins: bool,
    /// Whether all its values are about as long. Of others whatever comes next may be a part.
    pub(in crate::secrets) is_exact: bool,
    /// Whether its values have small letters and capitals.
    pub(in crate::secrets) is_mixed: bool,
    aws_key_id: bool,
    /// Its match holds the name of the host.
    address: bool,
    /// An identifier for everyone: it tells of nothing, nor does what lies in it.
    pub(in crate::secrets) public: bool,
    /// For a generic rule: one of these names stands right before the value, which must look random.
    assigned: Option<Assigned>,
}

/// The words that must stand before a value.
#[derive(Debug)]
pub(in crate::secrets) struct Context {
    pub(in crate::secrets) keywords: Box<[Box<[u8]>]>,
    finders: Box<[Finder<'static>]>,
    pub(in crate::secrets) within: usize,
}

/// Why a rule was refused.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// Its pattern.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// Its checksum.
    #[error(transparent)]
    Checksum(#[from] UnknownChecksum),
    /// A home.
    #[error(transparent)]
    Home(#[from] BadHome),
    /// A place.
    #[error(transparent)]
    Place(#[from] BadPlace),
    /// No literal and no context: it would be held to every byte.
    #[error("the pattern has no literal of three bytes; it needs a `context`")]
    NoAnchor,
    /// A surface other than `all`, `head`, `body`.
    #[error("`{0}` is no surface")]
    Surface(String),
}

/// A match and what stands around it.
#[derive(Clone, Copy, Debug)]
pub(in crate::secrets) struct Candidate<'a> {
    pub(in crate::secrets) before: &'a [u8],
    pub(in crate::secrets) value: &'a [u8],
    pub(in crate::secrets) after: &'a [u8],
}

/// So few letters in front stand in some digest by chance, where many are listed.
const FEW_LETTERS: usize = 3;
/// So short prefixes are made of the ends of words (`cmd-`).
const SHORT_PREFIX: usize = 4;
/// So short words stand by chance among random letters.
const SHORT_WORD: usize = 6;

impl Rule {
    pub(in crate::secrets) fn new(spec: &RuleSpec, prefix: usize) -> Result<Self, RuleError> {
        let checksum = spec.checksum.as_ref().map(Checksum::new).transpose()?;
        let kind = spec.checksum.as_ref().map_or("", |checksum| checksum.kind());
        let edge = |edge: Option<Edge>, default: bool| edge.map_or(default, |edge| edge == Edge::Word);
        let boundary = spec.boundary.unwrap_or_default();
        if let Some(surface) = spec.surfaces.iter().find(|s| !matches!(s.as_str(), "all" | "head" | "body")) {
            return Err(RuleError::Surface(surface.clone()));
        }
        let seen = |surface: &str| spec.surfaces.is_empty() || spec.surfaces.iter().any(|s| s == "all" || s == surface);
        Ok(Self {
            id: spec.id.as_str().into(),
            group: spec.group,
            severity: spec.severity,
            homes: spec.homes.iter().map(|home| Home::parse(home)).collect::<Result<_, _>>()?,
            places: spec.places.iter().map(|place| Place::parse(place)).collect::<Result<_, _>>()?,
            context: spec.context.as_ref().and_then(Context::new),
            certain: kind.starts_with("crc32") || kind.starts_with("base58check") || kind == "bech32",
            checksum,
            entropy: spec.entropy.unwrap_or(0.0),
            left: edge(boundary.left, prefix < 5),
            right: edge(boundary.right, true),
            rented: spec.places.iter().any(|place| place.contains(":x-amz-") || place.contains(":x-goog-")),
            names_its_home: kind == "jwt" && spec.homes.is_empty(),
            head: seen("head"),
            body: seen("body"),
            joins: spec.context.is_none() && spec.group != Group::Generic,
            is_exact: true,
            is_mixed: false,
            public: false,
            assigned: assigned_of(spec),
            aws_key_id: spec.id.starts_with("aws-") && prefix == 4,
            address: ["\\.com/", "\\.com)/", "\\.io/", "\\.io)/"].iter().any(|host| spec.pattern.contains(host)),
        })
    }

    /// The same for what is public.
    pub(in crate::secrets) fn public(spec: &RuleSpec, prefix: usize) -> Result<Self, RuleError> {
        Ok(Self { public: true, ..Self::new(spec, prefix)? })
    }

    /// Whether this host is a home.
    pub(in crate::secrets) fn is_at_home(&self, host: &Host) -> bool {
        self.homes.iter().any(|home| if self.rented { home.matches(host) } else { home.owns(host) })
    }

    /// Whether one of its homes is this name and no other: even below a suffix where anyone may rent a name, it is
    /// known whose this one is.
    pub(in crate::secrets) fn names_exactly(&self, host: &Host) -> bool {
        self.homes.iter().any(|home| home.is_exactly(host))
    }

    /// Whether the provider reads it here: at its places, and in any field for keys if it reads it in the head.
    pub(in crate::secrets) fn is_read_at(&self, spot: Spot<'_>) -> bool {
        let in_fields = |place: &Place| matches!(place, Place::Authorization | Place::Header(_));
        spot.is_one_of(&self.places) || (spot.is_key_field() && self.places.iter().any(in_fields))
    }

    /// The last two labels of its homes, for a rule whose match is an address there.
    pub(in crate::secrets) fn address_homes(&self) -> Vec<Box<str>> {
        let labels = |home: &Home| home.name().map(|name| super::super::scanner::last_labels(name).into());
        let is_address = self.address && self.places.contains(&Place::Path);
        self.homes.iter().filter(|_| is_address).filter_map(labels).collect()
    }

    /// Whether no word character may stand before a match.
    pub(in crate::secrets) const fn wants_left_edge(&self) -> bool {
        self.left && !self.certain
    }

    /// Whether it tells its values by a checksum, or by so much that they may stand anywhere.
    pub(in crate::secrets) const fn is_telling(&self) -> bool {
        self.checksum.is_some() || !self.left
    }

    /// Whether a match of the shape is a finding: neighbours, checksum, entropy, no placeholder, context.
    pub(in crate::secrets) fn accepts(&self, candidate: &Candidate<'_>, prefix: usize) -> bool {
        self.may_stand(candidate) && self.holds(candidate, prefix)
    }

    /// Whether what stands around a match lets it be one: its neighbours, and the words before it. However long the match
    /// is, that costs the same.
    pub(in crate::secrets) fn may_stand(&self, candidate: &Candidate<'_>) -> bool {
        let Candidate { before, value, after } = *candidate;
        // Behind a field's value the next field's tag stands, which may be a letter.
        let is_field = || is_field(before, value.len());
        if self.right && !is_right_edge(after) && !is_field() {
            return false;
        }
        if self.left && !self.certain && !is_left_edge(before) && !is_field() {
            return false;
        }
        let is_named = |context: &Context| self.assigned.is_some() || context.stands_before(before);
        self.public || self.context.as_ref().is_none_or(is_named)
    }

    /// Whether a match that [may stand](Self::may_stand) where it does is a finding.
    pub(in crate::secrets) fn holds(&self, candidate: &Candidate<'_>, prefix: usize) -> bool {
        let Candidate { before, value, after } = *candidate;
        if self.public {
            return true;
        }
        if self.left && !self.certain && filter::is_inside_base64(before, value, after) {
            return false;
        }
        if self.left
            && prefix <= FEW_LETTERS
            && self.context.is_none()
            && filter::is_inside_digest(before, value, after)
        {
            return false;
        }
        if self.checksum.as_ref().is_some_and(|checksum| !checksum.holds(value)) {
            return false;
        }
        // Where only words tell whose a value is, they may be a package's name beside its digest.
        let may_be_digest = || {
            self.assigned.is_none() && ((self.is_mixed && filter::is_digest(value)) || listed::is_listed(before, value))
        };
        if self.context.is_some() && (may_be_digest() || filter::is_digest_by_place(before, value, after)) {
            return false;
        }
        if self.aws_key_id && filter::is_credential_scope(after) {
            return false;
        }
        // Its words stand in the name.
        let is_secret = |assigned| generic::is_secret(before, value, after, assigned);
        let named = self.assigned.as_ref().is_none_or(is_secret);
        let is_otherwise = |context: &Context| {
            generic::is_named_otherwise(before, &context.keywords) || generic::is_named_form_token(before)
        };
        if !named || self.context.as_ref().is_some_and(is_otherwise) {
            return false;
        }
        // Of an address its password counts.
        let prefix = if value.starts_with(b"://") { 0 } else { prefix };
        let variable = value.get(prefix..).unwrap_or_default();
        if self.checksum.is_none() && filter::is_identifier(variable) {
            return false;
        }
        (self.entropy <= 0.0 || filter::entropy(variable) >= self.entropy) && !filter::is_placeholder(variable)
    }

    /// Whether chance would have made such a value from the rule's alphabet: words side by side are of one case and have
    /// few digits. A longer prefix hardly comes about between words; what only a name tells may be a digest.
    pub(in crate::secrets) fn is_likely(&self, value: &[u8], prefix: usize) -> bool {
        let variable = value.get(prefix..).unwrap_or_default();
        let has = |kind: fn(&u8) -> bool| variable.iter().any(kind);
        let digits = variable.iter().filter(|byte| byte.is_ascii_digit()).count();
        let is_named = self.context.is_some();
        let is_random = || digits * if is_named { 8 } else { 4 } >= variable.len() && !generic::is_wordy(variable);
        !self.is_mixed
            || prefix > SHORT_PREFIX
            || (has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase))
            || (is_random() && !(is_named && filter::is_digest(variable)))
    }

    /// Whether a match of the shape was made up to stand for a secret.
    pub(in crate::secrets) fn is_placeholder(value: &[u8], prefix: usize) -> bool {
        filter::is_placeholder(value.get(prefix..).unwrap_or_default())
    }
}

/// The names of a generic rule, without the signs that its words end in.
fn assigned_of(spec: &RuleSpec) -> Option<Assigned> {
    let context = spec.context.as_ref().filter(|_| spec.id.starts_with("generic-secret"))?;
    let name = |word: &String| fold_context(word.trim_end_matches(['=', ':', '"', '\'', '_', ' ']).as_bytes());
    let (digest, named) = (spec.id == "generic-secret-digest", spec.id == "generic-secret-password");
    let mut names: Vec<Box<[u8]>> = context.keywords.iter().map(|word| name(word).into()).collect();
    // Ends of names tell too little by themselves: of hex all of them, elsewhere keys.
    names.retain(|name| !is_end(name) || !(digest || **name == *b"key"));
    names.sort_unstable();
    names.dedup();
    Some(Assigned { names: names.into(), digest, named })
}

impl Context {
    /// Words of one sign ask for a neighbour only, which `boundary` does.
    fn new(spec: &ContextSpec) -> Option<Self> {
        if spec.keywords.iter().any(|word| word.len() < 2) {
            return None;
        }
        let keywords: Box<[Box<[u8]>]> =
            spec.keywords.iter().map(|word| fold_context(word.as_bytes()).into()).collect();
        let finders = keywords.iter().map(|word| Finder::new(word).into_owned()).collect();
        Some(Self { keywords, finders, within: usize::from(spec.within) })
    }

    fn stands_before(&self, before: &[u8]) -> bool {
        let window = before.get(before.len().saturating_sub(self.within)..).unwrap_or(before);
        let window = fold_context(window);
        let stands =
            |word: &Finder<'_>| word.find_iter(&window).any(|at| !is_by_chance(&window, at, word.needle().len()));
        self.finders.iter().any(stands)
    }
}

/// Whether a short word is no word there, but letters among random ones and digits (`0khf4tuyamvzfcg4la`).
fn is_by_chance(text: &[u8], at: usize, length: usize) -> bool {
    const MORE: usize = 6;
    let inside = |byte: &&u8| byte.is_ascii_alphanumeric();
    let (before, rest) = text.split_at(at);
    let (word, after) = rest.split_at(length);
    let left = before.iter().rev().take_while(inside);
    let around: Vec<&u8> = left.chain(after.iter().take_while(inside)).collect();
    let is_word = word.iter().all(u8::is_ascii_alphabetic);
    is_word
        && length <= SHORT_WORD
        && around.len() >= MORE
        && around.iter().filter(|byte| byte.is_ascii_digit()).count() >= 2
}

/// Lower case, and one separator for all: `DD-API-KEY`, `dd.api key` → `dd_api_key`.
pub(in crate::secrets) fn fold_context(text: &[u8]) -> Vec<u8> {
    let fold = |byte: &u8| match byte {
        b'-' | b'.' | b' ' => b'_',
        byte => byte.to_ascii_lowercase(),
    };
    text.iter().map(fold).collect()
}

pub(in crate::secrets) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether a string of this length starts here: its tag and its length stand before it, and many lengths are letters.
pub(in crate::secrets) fn is_field(before: &[u8], length: usize) -> bool {
    let of_one_byte = matches!(before, [.., tag, size] if is_tag(*tag) && usize::from(*size) == length);
    of_one_byte || matches!(before, [.., tag, high, low] if is_long_tag(*tag) && long(*high, *low) == length)
}

/// What stands before a string's length: in protobuf the wire type 2, in CBOR and MessagePack a byte of its own.
const fn is_tag(byte: u8) -> bool {
    byte & 7 == 2 || matches!(byte, 0x78 | 0xd9)
}

/// The same in CBOR and MessagePack before a length of two bytes.
const fn is_long_tag(byte: u8) -> bool {
    matches!(byte, 0x79 | 0xda)
}

fn long(high: u8, low: u8) -> usize {
    u16::from_be_bytes([high, low]).into()
}

/// Whether a value may start here, as far as that is known before its length is.
pub(in crate::secrets) fn may_begin(before: &[u8]) -> bool {
    /// Longer strings are texts: behind other lengths a letter is one of a word.
    const LONGEST: u8 = 8;
    let may_be_field = || match before {
        [.., tag, _] if is_tag(*tag) && !(0x40..0x78).contains(tag) => true,
        [.., tag, high, _] => is_long_tag(*tag) && *high < LONGEST,
        _ => false,
    };
    is_left_edge(before) || may_be_field()
}

/// Whether a value may end here: no word character behind, or the next head of a zip, whose entry is stored as it is.
fn is_right_edge(after: &[u8]) -> bool {
    !after.first().is_some_and(|byte| is_word(*byte)) || matches!(after, [b'P', b'K', 1 | 3 | 5 | 7, 2 | 4 | 6 | 8, ..])
}

/// Whether the head of a zip's entry ends here: its content stands behind it, which may be stored as it is (APPNOTE
/// 4.3.7).
fn ends_zip_head(before: &[u8]) -> bool {
    const HEAD: usize = 30;
    const LONGEST: usize = 512;
    let near = before.get(before.len().saturating_sub(LONGEST)..).unwrap_or(before);
    let is_head = |mark: usize| {
        let head = near.get(mark.checked_sub(2)?..)?;
        let [b'P', b'K', 3, 4, _, _, _, _, 0, 0, ..] = head else { return None };
        let size = |at: usize| Some(usize::from(u16::from_le_bytes(head.get(at..at + 2)?.try_into().ok()?)));
        Some(HEAD + size(26)? + size(28)? == head.len())
    };
    memchr::memrchr_iter(3, near).any(|mark| is_head(mark) == Some(true))
}

/// Whether a value may start here: no word character before, or one that belongs to an escape (`\n`, `%3D`, `u003d`).
fn is_left_edge(before: &[u8]) -> bool {
    match before {
        [.., b'\\', b'n' | b'r' | b't' | b'b' | b'f'] => true,
        // A protobuf string's length behind the tag of one of the first fields.
        [.., 0x0a | 0x12 | 0x1a, _] => true,
        [.., b'%', high, low] | [.., b'u', b'0', b'0', high, low] if high.is_ascii_hexdigit() => {
            low.is_ascii_hexdigit()
        }
        [.., byte] => !is_word(*byte) || ends_zip_head(before),
        [] => true,
    }
}
