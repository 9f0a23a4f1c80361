//! How an SSH connection begins: its identification line, then key exchange.

/// Bytes of an identification line, its end included (RFC 4253 §4.2).
const LINE_MAX: usize = 255;
/// Bytes of the first packet, generously.
const PACKET_MAX: u32 = 64 * 1024;
/// SSH_MSG_KEXINIT (RFC 4253 §12).
const KEXINIT: u8 = 20;

/// What one side of a connection has shown of SSH so far. All that comes after is encrypted, or about keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SshOpening {
    /// The identification line is to come.
    #[default]
    Line,
    /// The first packet is to come, which must be KEXINIT.
    Packet,
    /// It is SSH.
    Shown,
}

/// What was sent is not SSH.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SshError {
    /// The first line.
    #[error("the first line is no identification of SSH 2")]
    Line,
    /// The first packet.
    #[error("the first packet is no key exchange of SSH")]
    Packet,
}

impl SshOpening {
    /// How many of these bytes may pass; what is not judged yet is shown again with more behind it. Lines before
    /// the identification, which a server may send, are refused: no host that git is served by does.
    pub fn passes(&mut self, bytes: &[u8]) -> Result<usize, SshError> {
        match self {
            SshOpening::Line => {
                let Some(line) = line(bytes)? else { return Ok(0) };
                *self = SshOpening::Packet;
                Ok(line)
            }
            SshOpening::Packet => {
                let [a, b, c, d, padding, kind, ..] = bytes else { return Ok(0) };
                let length = u32::from_be_bytes([*a, *b, *c, *d]);
                if !(12..=PACKET_MAX).contains(&length) || *padding < 4 || *kind != KEXINIT {
                    return Err(SshError::Packet);
                }
                *self = SshOpening::Shown;
                Ok(bytes.len())
            }
            SshOpening::Shown => Ok(bytes.len()),
        }
    }
}

/// The length of the identification line, once it is whole.
fn line(bytes: &[u8]) -> Result<Option<usize>, SshError> {
    const STARTS: [&[u8]; 2] = [b"SSH-2.0-", b"SSH-1.99-"];
    let fits = |start: &&[u8]| start.iter().zip(bytes).all(|(wanted, byte)| wanted == byte);
    if !STARTS.iter().any(fits) {
        return Err(SshError::Line);
    }
    let seen = &bytes[..bytes.len().min(LINE_MAX)];
    let Some(end) = seen.iter().position(|&byte| byte == b'\n') else {
        return if seen.len() == LINE_MAX { Err(SshError::Line) } else { Ok(None) };
    };
    let text = seen[..end].strip_suffix(b"\r").unwrap_or(&seen[..end]);
    let plain = text.len() > 8 && text.iter().all(|byte| matches!(byte, b' '..=b'~'));
    if plain { Ok(Some(end + 1)) } else { Err(SshError::Line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: &[u8] = &[0, 0, 4, 0, 6, 20, 1, 2, 3];

    #[test]
    fn a_line_and_a_key_exchange_are_ssh_however_they_are_cut() {
        let whole = [b"SSH-2.0-OpenSSH_9.9 Debian\r\n", PACKET].concat();
        let mut opening = SshOpening::default();
        let (mut passed, mut shown) = (0, 0);
        while shown < whole.len() {
            shown += 1;
            passed += opening.passes(&whole[passed..shown]).unwrap();
        }
        assert_eq!((opening, passed), (SshOpening::Shown, whole.len()));
        assert_eq!(opening.passes(b"anything"), Ok(8));
    }

    #[test]
    fn everything_else_is_refused() {
        for bytes in [
            &b"S\0"[..],
            b"SSH-1.5-old\r\n",
            b"SSH-2.0-\r\n",
            b"SSH-2.0-a\0b\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"welcome\r\nSSH-2.0-x\r\n",
            &[&b"SSH-2.0-"[..], &[b'a'; 300]].concat(),
        ] {
            assert_eq!(SshOpening::default().passes(bytes), Err(SshError::Line), "{bytes:?}");
        }
        for bytes in [&b"GET / HTTP/1.1\r\n"[..], &[0, 0, 4, 0, 6, 21], &[0, 0, 4, 0, 3, 20], &[0, 0, 0, 0, 6, 20]] {
            assert_eq!(SshOpening::Packet.passes(bytes), Err(SshError::Packet), "{bytes:?}");
        }
    }
}
