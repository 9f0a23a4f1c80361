//! Text as it arrives, in pieces that may end inside a character.

use super::Violation;

/// Checks text piece by piece; what is wrong is told with the first byte that makes it so.
#[derive(Clone, Debug, Default)]
pub struct Utf8 {
    /// The beginning of a character whose end has not come.
    open: [u8; 4],
    length: usize,
}

impl Utf8 {
    /// Takes a piece.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), Violation> {
        while self.length > 0 {
            let [first, rest @ ..] = bytes else { return Ok(()) };
            bytes = rest;
            self.open[self.length] = *first;
            self.length += 1;
            match std::str::from_utf8(&self.open[..self.length]) {
                Ok(_) => self.length = 0,
                Err(error) if error.error_len().is_some() => return Err(Violation::NotUtf8),
                Err(_) => {}
            }
        }
        let Err(error) = std::str::from_utf8(bytes) else { return Ok(()) };
        if error.error_len().is_some() {
            return Err(Violation::NotUtf8);
        }
        // At most three bytes: four that are still open don't exist.
        let open = &bytes[error.valid_up_to()..];
        self.open[..open.len()].copy_from_slice(open);
        self.length = open.len();
        Ok(())
    }

    /// The text ends: not inside a character.
    pub fn finish(&mut self) -> Result<(), Violation> {
        if std::mem::take(&mut self.length) == 0 { Ok(()) } else { Err(Violation::NotUtf8) }
    }
}
