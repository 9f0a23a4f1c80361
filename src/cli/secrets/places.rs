//! Where in a text an offset lies: line and column, found as the text streams by.

/// Keeps the last of what was read, for findings are told behind what is read.
#[derive(Default)]
pub(super) struct Places {
    kept: Vec<u8>,
    /// The offset of the first byte that is kept, and its line and column.
    base: u64,
    line: u64,
    column: u64,
    /// A NUL was seen: lines mean nothing here.
    binary: bool,
}

/// Findings lie at most this far behind what was read.
const REACH: usize = 4 << 20;

impl Places {
    /// Takes what was read.
    pub(super) fn add(&mut self, chunk: &[u8]) {
        self.binary |= memchr::memchr(0, chunk).is_some();
        self.kept.extend_from_slice(chunk);
        if self.kept.len() > REACH * 2 {
            let gone = self.kept.len() - REACH;
            (self.line, self.column) = self.advance(gone);
            self.kept.drain(..gone);
            self.base += gone as u64;
        }
    }

    /// Line and column in characters, both from 1; nothing in what is no text.
    pub(super) fn of(&self, offset: u64) -> Option<(u64, u64)> {
        if self.binary {
            return None;
        }
        let at = usize::try_from(offset.checked_sub(self.base)?).ok()?.min(self.kept.len());
        let (line, column) = self.advance(at);
        Some((line + 1, column + 1))
    }

    /// Line and column, both from 0, so many bytes behind the first that is kept.
    fn advance(&self, bytes: usize) -> (u64, u64) {
        let text = self.kept.get(..bytes).unwrap_or_default();
        let characters = |text: &[u8]| text.iter().filter(|byte| **byte & 0xc0 != 0x80).count() as u64;
        match memchr::memrchr(b'\n', text) {
            None => (self.line, self.column + characters(text)),
            Some(last) => {
                let lines = memchr::memchr_iter(b'\n', text).count() as u64;
                (self.line + lines, characters(text.get(last + 1..).unwrap_or_default()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_those_of_an_editor() {
        let mut places = Places::default();
        places.add("one\ntwø thr".as_bytes());
        places.add(b"ee\n");
        assert_eq!(places.of(0), Some((1, 1)));
        assert_eq!(places.of(4), Some((2, 1)));
        assert_eq!(places.of(9), Some((2, 5)), "a letter of two bytes is one character");
        places.add(b"a\0b");
        assert_eq!(places.of(0), None);
    }

    #[test]
    fn places_in_a_long_text_are_those_of_the_whole() {
        let mut places = Places::default();
        let line = "0123456789abcde\n";
        for _ in 0..(REACH * 3 / line.len()) {
            places.add(line.as_bytes());
        }
        let lines = (REACH * 3 / line.len()) as u64;
        assert_eq!(places.of(16 * (lines - 1) + 3), Some((lines, 4)));
        assert!(places.kept.len() <= REACH * 2);
    }
}
