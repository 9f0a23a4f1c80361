//! What the operations of a GraphQL document are, by the grammar of <https://spec.graphql.org/October2021/>.
//!
//! Read more strictly than any server does: what two lexers could part differently is not read at all.

use super::Access;

/// How deep brackets may stand in each other.
const DEEPEST: usize = 200;

/// What the document does: reads, if all its operations are queries. Nothing where it can't be told, and
/// `operationName` is of no account: any operation of the document may be the one.
pub(super) fn access(document: &str) -> Option<Access> {
    let mut lexer = Lexer { rest: document.as_bytes() };
    let mut most = None;
    while let Some(token) = lexer.next()? {
        let access = match token {
            Token::Open(b'{') => {
                lexer.close(b'{')?;
                most = most.max(Some(Access::Read));
                continue;
            }
            Token::Name(b"query" | b"fragment") => Access::Read,
            Token::Name(b"mutation" | b"subscription") => Access::Write,
            _ => return None,
        };
        lexer.definition()?;
        most = most.max(Some(access));
    }
    most
}

enum Token<'d> {
    Name(&'d [u8]),
    Open(u8),
    Close(u8),
    Other,
}

struct Lexer<'d> {
    rest: &'d [u8],
}

impl<'d> Lexer<'d> {
    /// From behind the first word of a definition to behind its selections.
    fn definition(&mut self) -> Option<()> {
        loop {
            match self.next()?? {
                Token::Open(b'{') => return self.close(b'{'),
                Token::Open(bracket) => self.close(bracket)?,
                Token::Close(_) => return None,
                Token::Name(_) | Token::Other => {}
            }
        }
    }

    /// To behind the bracket that closes an open one.
    fn close(&mut self, open: u8) -> Option<()> {
        let mut stack = vec![open];
        while let Some(&open) = stack.last() {
            match self.next()?? {
                Token::Open(bracket) if stack.len() < DEEPEST => stack.push(bracket),
                Token::Open(_) => return None,
                Token::Close(bracket) if matches!((open, bracket), (b'{', b'}') | (b'(', b')') | (b'[', b']')) => {
                    stack.pop();
                }
                Token::Close(_) => return None,
                Token::Name(_) | Token::Other => {}
            }
        }
        Some(())
    }

    /// The next token, or the end; nothing where there is none that every lexer would see.
    fn next(&mut self) -> Option<Option<Token<'d>>> {
        self.skip_ignored()?;
        let Some((&first, after)) = self.rest.split_first() else { return Some(None) };
        let token = match first {
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                let end = self.rest.iter().position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'));
                let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                self.rest = rest;
                return Some(Some(Token::Name(name)));
            }
            b'"' => return self.string().map(|()| Some(Token::Other)),
            b'{' | b'(' | b'[' => Token::Open(first),
            b'}' | b')' | b']' => Token::Close(first),
            b'!' | b'$' | b'&' | b':' | b'=' | b'@' | b'|' | b'.' | b'-' | b'+' | b'0'..=b'9' => Token::Other,
            _ => return None,
        };
        self.rest = after;
        Some(Some(token))
    }

    fn skip_ignored(&mut self) -> Option<()> {
        while let Some((&first, after)) = self.rest.split_first() {
            match first {
                b' ' | b'\t' | b'\n' | b'\r' | b',' => self.rest = after,
                b'#' => {
                    let end = after.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(after.len());
                    // Where a comment ends is the same for all only in plain text: some end lines at U+2028.
                    if !after[..end].iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
                        return None;
                    }
                    self.rest = &after[end..];
                }
                _ => return Some(()),
            }
        }
        Some(())
    }

    fn string(&mut self) -> Option<()> {
        if let Some(block) = self.rest.strip_prefix(b"\"\"\"") {
            let end = block.windows(3).position(|window| window == b"\"\"\"")?;
            // Escapes of block strings came late to some lexers.
            if block[..end].iter().any(|byte| matches!(byte, b'\\' | b'"')) || block.get(end + 3) == Some(&b'"') {
                return None;
            }
            self.rest = &block[end + 3..];
            return Some(());
        }
        let mut at = 1;
        loop {
            match *self.rest.get(at)? {
                b'"' => break,
                b'\\'
                    if matches!(
                        self.rest.get(at + 1)?,
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' | b'u'
                    ) =>
                {
                    at += 2;
                }
                b'\\' | 0..=0x1f | 0x7f => return None,
                _ => at += 1,
            }
        }
        self.rest = &self.rest[at + 1..];
        Some(())
    }
}
