//! Secrets in pieces that a program or a person puts together again: strings that are added (`"ghp_ab" + "cd"`), letters
//! one by one (`["g", "h"]`, `g h p`), lines, hex dumps. The pieces go to a level of their own.

mod cells;
mod dump;
mod glue;
mod suspects;

pub(super) use dump::begins as begins_dump;
pub(super) use suspects::{Hint, Suspects};

use super::joins::{Joined, Told};
use super::rules::generic::is_wordy;
use super::rules::rule::is_word;
use super::search::byte_set::ByteSet;
use super::search::walked::Walked;
use super::stream::{DEEPEST, Origin, Scan, Stream, is_separator};
use dump::Dump;

/// Longer pieces are none.
const LONGEST: usize = 256;
/// As far before its place a suspect may begin: what stands there is kept.
const BACK: usize = 448;
/// Pieces of strings and lines that are read of one row.
const MOST: usize = 32;

/// What it costs to look at a suspect, and to open a row.
const LOOKED_AT: u64 = 4;
const OPENING: u64 = 1024;

/// The pass over pieces.
#[derive(Default)]
pub(super) struct Pieces {
    /// Where it goes on: what stands before was read.
    at: u64,
    open: Option<Row>,
}

/// A row of pieces that goes on.
struct Row {
    style: Style,
    joined: Joined,
    read: usize,
}

/// What stands between two pieces.
enum Style {
    /// The same bytes between any two letters.
    Letters(Vec<u8>),
    /// Cells of a line, as `od -c` prints it: letters, escapes and numbers to the right.
    Cells,
    /// Quotes, and what adds strings.
    Strings,
    Lines,
    Dump(Dump),
}

/// What comes next of a row.
enum Next {
    /// A piece behind so many bytes, and how many it has.
    Piece(usize, usize),
    /// The bytes that a line of a dump stands for, and how long it is.
    Line(usize, usize, Vec<u8>),
    /// That isn't known yet.
    More,
    End,
}

impl Pieces {
    pub(super) fn reset(&mut self) {
        (self.at, self.open) = (0, None);
    }

    #[inline(never)]
    pub(super) fn pass(&mut self, level: &mut Stream, scan: &mut Scan<'_>, origin: Origin<'_>, ended: bool) -> u64 {
        let end = level.base + level.buffer.len() as u64;
        if level.depth >= DEEPEST || (self.open.is_none() && level.suspects.is_empty()) {
            level.suspects.clear();
            let letters = || level.suspects.open_letters(&level.buffer);
            return if ended { end } else { letters().map_or(end, |at| level.base + at as u64) };
        }
        let suspects = level.suspects.take();
        let mut waiting = None;
        for (number, &(place, hint)) in suspects.iter().enumerate() {
            if self.open.is_some() && !self.follow(level, scan, origin, ended) {
                level.suspects.put_back(&suspects, number, self.at);
                break;
            }
            if place < self.at || scan.work.is_exhausted() {
                continue;
            }
            let Some(from) = place.checked_sub(level.base) else { continue };
            scan.work.spent += LOOKED_AT;
            match begin((&level.buffer, level.base), from as usize, hint, &mut level.walked, ended) {
                Begin::At(start, style) => {
                    self.at = (level.base + start as u64).max(self.at);
                    let told = if matches!(style, Style::Lines | Style::Strings) { Told::Across } else { Told::All };
                    let joined = Joined::whole(level.depth + 1, style.name(), told);
                    scan.work.spent += OPENING;
                    self.open = Some(Row { style, joined, read: 0 });
                }
                Begin::No => {}
                Begin::More => {
                    level.suspects.put_back(&suspects, number, self.at);
                    waiting = Some(place);
                    break;
                }
            }
        }
        if self.open.is_some() && waiting.is_none() {
            self.follow(level, scan, origin, ended);
        }
        if ended {
            return end;
        }
        let row = self.open.as_ref().map(|row| row.joined.open().unwrap_or(self.at).min(self.at));
        let letters = level.suspects.open_letters(&level.buffer).map(|at| level.base + at as u64);
        row.into_iter().chain(waiting).chain(letters).fold(end, u64::min)
    }

    /// Reads on in the open row; true where it ends.
    fn follow(&mut self, level: &Stream, scan: &mut Scan<'_>, origin: Origin<'_>, ended: bool) -> bool {
        let Some(row) = &mut self.open else { return true };
        let complete = loop {
            let rest = level.buffer.get((self.at - level.base) as usize..).unwrap_or_default();
            match row.next(rest, ended) {
                Next::Piece(skip, length) => {
                    let piece = rest.get(skip..skip + length).unwrap_or_default();
                    row.joined.add(piece, self.at + skip as u64);
                    self.at += (skip + length) as u64;
                }
                Next::Line(skip, length, bytes) => {
                    row.joined.add(&bytes, self.at + skip as u64);
                    self.at += (skip + length) as u64;
                }
                Next::More => break false,
                Next::End => break true,
            }
            row.read += 1;
        };
        // One string or line alone goes over no edge.
        if row.read > 1 || matches!(row.style, Style::Letters(_) | Style::Cells | Style::Dump(_)) {
            row.joined.feed(scan, origin, complete);
        }
        if complete {
            self.open = None;
        }
        complete
    }
}

impl Style {
    /// What stands between letters says whose row it is.
    fn of_letters(buffer: &[u8], start: usize, gap: &[u8]) -> Begin {
        if gap == cells::GAP {
            Begin::At(cells::begin(buffer, start), Self::Cells)
        } else {
            Begin::At(start, Self::Letters(gap.to_vec()))
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Style::Letters(_) | Style::Cells => "letters",
            Style::Strings | Style::Lines => "joined",
            Style::Dump(_) => "hexdump",
        }
    }
}

impl Row {
    fn next(&mut self, rest: &[u8], ended: bool) -> Next {
        let first = self.read == 0;
        match &mut self.style {
            Style::Letters(_) | Style::Cells if first => Next::Piece(0, 1),
            Style::Cells => cells::next(rest, ended),
            Style::Letters(gap) => match rest.strip_prefix(gap.as_slice()) {
                Some([letter, next, ..]) if is_letter(Some(*letter)) && !(is_word(*letter) && is_word(*next)) => {
                    Next::Piece(gap.len(), 1)
                }
                Some([letter]) if ended && is_letter(Some(*letter)) => Next::Piece(gap.len(), 1),
                Some([] | [_]) if !ended => Next::More,
                None if !ended && gap.starts_with(rest) => Next::More,
                _ => Next::End,
            },
            Style::Dump(dump) => dump.next(rest, first, ended),
            Style::Strings | Style::Lines if self.read > MOST => Next::End,
            Style::Strings => {
                let skip = if first { Some(Ok(0)) } else { glue::of_strings(rest, ended) };
                match piece_behind(rest, skip, ended) {
                    // In a list it may be the name of the next value.
                    Next::Piece(skip, length) if !first && glue::lists(rest.get(..skip).unwrap_or_default()) => {
                        match glue::is_name(rest.get(skip + length..).unwrap_or_default(), ended) {
                            Some(true) if !is_random(rest.get(skip..skip + length).unwrap_or_default()) => Next::End,
                            Some(_) => Next::Piece(skip, length),
                            None => Next::More,
                        }
                    }
                    next => next,
                }
            }
            Style::Lines => {
                let skip = if first { Some(Ok(0)) } else { glue::of_lines(rest, ended) };
                match piece_behind(rest, skip, ended) {
                    // Words in a row are no piece.
                    Next::Piece(skip, length) if !first && !ends_a_line(rest.get(skip + length)) => Next::End,
                    next => next,
                }
            }
        }
    }
}

/// Whether a name is none that people give: it may be a secret's last piece.
fn is_random(name: &[u8]) -> bool {
    const SHORTEST: usize = 8;
    name.len() >= SHORTEST && !is_wordy(name)
}

/// The piece behind a glue whose length is given; no length where more is asked for, an error where none is there.
fn piece_behind(rest: &[u8], skip: Option<Result<usize, ()>>, ended: bool) -> Next {
    let skip = match skip {
        Some(Ok(skip)) => skip,
        Some(Err(())) => return Next::End,
        None => return Next::More,
    };
    let text = rest.get(skip..).unwrap_or_default();
    match text.iter().position(|byte| !is_piece(*byte)) {
        Some(0) => Next::End,
        Some(length) if length <= LONGEST => Next::Piece(skip, length),
        None if text.len() <= LONGEST && !ended => Next::More,
        None if text.len() <= LONGEST && !text.is_empty() => Next::Piece(skip, text.len()),
        _ => Next::End,
    }
}

/// How a suspect turns out.
enum Begin {
    At(usize, Style),
    More,
    No,
}

fn begin((buffer, base): (&[u8], u64), place: usize, hint: Hint, walked: &mut Walked, ended: bool) -> Begin {
    match hint {
        Hint::Letters => {
            suspects::letters(buffer, place).map_or(Begin::No, |(start, gap)| Style::of_letters(buffer, start, gap))
        }
        Hint::Dump => Begin::At(place, Style::Dump(Dump::default())),
        Hint::Sum => {
            let Some((start, end)) = sum(buffer, place) else { return Begin::No };
            match glue::of_strings(buffer.get(end..).unwrap_or_default(), ended) {
                Some(Ok(_)) => Begin::At(start, Style::Strings),
                Some(Err(())) => Begin::No,
                None => Begin::More,
            }
        }
        Hint::Token => {
            let rest = buffer.get(place..).unwrap_or_default();
            // No further than a piece may reach: in a long run of them every place asks.
            let near = rest.get(..=LONGEST).unwrap_or(rest);
            let length = walked.count(&PIECES, base + place as u64, near);
            if length == near.len() {
                return if ended || rest.len() > LONGEST { Begin::No } else { Begin::More };
            }
            let (piece, after) = rest.split_at(length);
            // A row of one sign is no token's.
            if piece.iter().filter(|byte| Some(*byte) != piece.first()).count() < 2 {
                return Begin::No;
            }
            match glue::kind(after, ended) {
                Some(Ok(glue::Kind::Strings)) => Begin::At(place, Style::Strings),
                Some(Ok(glue::Kind::Lines)) => Begin::At(place, Style::Lines),
                Some(Err(())) => Begin::No,
                None => Begin::More,
            }
        }
    }
}

/// Where the word lies that ends the string to which something is added at `place`.
fn sum(buffer: &[u8], place: usize) -> Option<(usize, usize)> {
    let before = |at: usize| at.checked_sub(1).and_then(|at| buffer.get(at)).copied().unwrap_or(0);
    let mut at = place;
    while before(at).is_ascii_whitespace() {
        at -= 1;
    }
    if !matches!(before(at), b'"' | b'\'' | b'`') {
        return None;
    }
    at -= 1;
    while before(at) == b'\\' {
        at -= 1;
    }
    let end = at;
    while is_piece(before(at)) && place - at < BACK {
        at -= 1;
    }
    (end > at && end - at <= LONGEST).then_some((at, end))
}

/// Characters of tokens, and of what encodes them.
const PIECE: [bool; 256] = {
    let mut has = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        let other = matches!(byte, b'\\' | b',' | b';' | b'[' | b']' | b'{' | b'}');
        has[byte as usize] = byte.is_ascii_graphic() && !is_separator(byte) && !other;
        byte += 1;
    }
    has
};

const PIECES: ByteSet = ByteSet::of_table(&PIECE);

const fn is_piece(byte: u8) -> bool {
    PIECE[byte as usize]
}

const fn is_letter(byte: Option<u8>) -> bool {
    matches!(byte, Some(byte) if byte.is_ascii_graphic())
}

const fn ends_a_line(byte: Option<&u8>) -> bool {
    matches!(byte, None | Some(b'\r' | b'\n' | b'\\' | b'"' | b'\'' | b'`' | b'<' | b',' | b';'))
}
