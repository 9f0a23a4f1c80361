//! Compressed messages.

use super::super::{Inflater, Violation};
use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;

/// A sender: its messages without the four bytes that each ends in.
struct Sender(Compress);

impl Sender {
    fn new() -> Self {
        Self(Compress::new(Compression::default(), false))
    }

    fn pack(&mut self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + 100);
        self.0.compress_vec(text, &mut out, FlushCompress::Sync).unwrap();
        if out.is_empty() {
            // Nothing after nothing: senders write an empty block (§7.2.3.6).
            return vec![0];
        }
        assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
        out.truncate(out.len() - 4);
        out
    }
}

fn inflate(inflater: &mut Inflater, message: &[u8], size: usize) -> Result<Vec<u8>, Violation> {
    let mut out = Vec::new();
    let mut give = |bytes: &[u8]| {
        out.extend_from_slice(bytes);
        Ok::<_, Violation>(())
    };
    message.chunks(size).try_for_each(|piece| inflater.push(piece, &mut give))?;
    inflater.finish(&mut give)?;
    Ok(out)
}

#[test]
fn messages_share_a_window_where_that_was_agreed_on() {
    let text = b"the same words over and over";
    let mut sender = Sender::new();
    let (first, second) = (sender.pack(text), sender.pack(text));
    assert!(second.len() < first.len() / 2);
    let (mut keeps, mut forgets) = (Inflater::new(false), Inflater::new(true));
    for inflater in [&mut keeps, &mut forgets] {
        assert_eq!(inflate(inflater, &first, 99).unwrap(), text);
    }
    assert_eq!(inflate(&mut keeps, &second, 99).unwrap(), text);
    assert_eq!(inflate(&mut forgets, &second, 99), Err(Violation::BadDeflate));
}

#[test]
fn the_examples_of_rfc_7692_inflate() {
    for message in [
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
        &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
        &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
    ] {
        for size in [1, 2, 99] {
            assert_eq!(inflate(&mut Inflater::new(false), message, size).unwrap(), b"Hello", "{message:?}");
        }
    }
    assert_eq!(inflate(&mut Inflater::new(false), &[0], 9).unwrap(), b"");
    assert_eq!(inflate(&mut Inflater::new(false), &[], 9).unwrap(), b"");
}

#[test]
fn what_two_inflaters_may_read_in_two_ways_is_refused() {
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    for behind in [&[1][..], &[0, 0], &[0, 1], &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]] {
        for size in [1, 99] {
            let message = [&last[..], behind].concat();
            assert_eq!(inflate(&mut Inflater::new(false), &message, size), Err(Violation::BadDeflate), "{behind:?}");
        }
    }
    // A window that ended with a last block is gone.
    let mut inflater = Inflater::new(false);
    let mut sender = Sender::new();
    let (first, second) = (sender.pack(b"Hello Hello Hello"), sender.pack(b"Hello Hello Hello"));
    inflate(&mut inflater, &first, 99).unwrap();
    inflate(&mut inflater, &last, 99).unwrap();
    assert_eq!(inflate(&mut inflater, &second, 99), Err(Violation::BadDeflate));
}

#[test]
fn a_bomb_is_told_before_it_is_inflated() {
    let bomb = Sender::new().pack(&vec![0; 200 << 20]);
    assert!(bomb.len() < 1 << 20);
    let mut inflater = Inflater::new(false);
    let mut most = 0;
    let mut give = |bytes: &[u8]| {
        most += bytes.len();
        Ok::<_, Violation>(())
    };
    let told = bomb.chunks(4096).try_for_each(|piece| inflater.push(piece, &mut give));
    assert_eq!(told, Err(Violation::Bomb));
    assert!(most < 60 << 20, "{most}");
    // What people send is none: megabytes of the same line.
    let line = "{\"jsonrpc\":\"2.0\",\"method\":\"tick\"}\n".repeat(200_000);
    assert_eq!(
        inflate(&mut Inflater::new(false), &Sender::new().pack(line.as_bytes()), 4096).unwrap(),
        line.as_bytes()
    );
}

proptest! {
    #[test]
    fn messages_come_back_however_they_are_cut(
        messages in prop::collection::vec("(ab|[a-z]{1,9}|[0-9]){0,60}", 1..5), size in 1usize..40, forgets: bool,
    ) {
        let mut inflater = Inflater::new(forgets);
        let mut sender = Sender::new();
        for message in messages {
            if forgets {
                sender = Sender::new();
            }
            let packed = sender.pack(message.as_bytes());
            prop_assert_eq!(inflate(&mut inflater, &packed, size).unwrap(), message.as_bytes());
        }
    }

    #[test]
    fn whatever_comes_is_inflated_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let cut = inflate(&mut Inflater::new(false), &bytes, 7);
        let whole = inflate(&mut Inflater::new(false), &bytes, 999);
        prop_assert_eq!(cut, whole);
    }
}
