use super::chain::{Link, seal};
use super::record::{Record, ShownTarget};
use super::*;
use crate::secrets::{Disposition, Finding, Fingerprint, Severity, Surface};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Instant;

/// Any bytes, as a parser that repairs would hand them on, and any text.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..60).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        any::<String>(),
        "[\"\\\\,{}:\u{0}-\u{20}\u{7f}\u{2028}\u{202e}a]{0,30}",
    ]
}

fn hostile(texts: &[String; 6]) -> Record {
    let shared = |at: usize| Arc::<str>::from(texts[at].as_str());
    let mut record = Record::new(downstream(), Instant::now());
    record.set_session(Arc::new(SessionInfo::new(
        shared(0),
        shared(1),
        shared(2),
        Some(shared(3)),
        [(shared(4), shared(5))].into(),
    )));
    let (host, method, path) = (texts[0].clone(), texts[1].clone().into(), Some(texts[2].clone()));
    record.target = Some(ShownTarget { scheme: None, host, port: 1, method, path });
    record.error = Some(texts[3].clone());
    record.tls = Some(UpstreamTls { version: Some(texts[4].clone().into()), alpn: None, sni: Some(shared(5)) });
    record.add_findings(vec![Finding {
        rule: shared(0),
        severity: Severity::Low,
        surface: Surface::Header,
        place: Some(shared(1)),
        offset: u64::MAX,
        length: u32::MAX,
        decoded: vec![texts[2].clone().into()],
        fingerprint: Fingerprint([255; 8]),
        disposition: Disposition::Masked,
    }]);
    record
}

proptest! {
    #[test]
    fn any_record_is_one_printable_line_that_parses_back(texts in [text(), text(), text(), text(), text(), text()]) {
        let (mut body, mut out) = (Vec::new(), Vec::new());
        hostile(&texts).write(&mut body);
        let link = seal(&mut out, &Link::START, &body);
        prop_assert_eq!(out.pop(), Some(b'\n'));
        prop_assert!(out.iter().all(|byte| matches!(byte, 0x20..=0x7e)));
        prop_assert_eq!(Link::parse(&out), Some(link));
        prop_assert!(link.holds(&out));
        let record: Value = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(&record["target"]["host"], &texts[0]);
        prop_assert_eq!(&record["target"]["path"], &texts[2]);
        prop_assert_eq!(&record["error"], &texts[3]);
        prop_assert_eq!(&record["session"]["labels"][&texts[4]], &texts[5]);
        prop_assert_eq!(&record["findings"][0]["decoded"][0], &texts[2]);
        prop_assert_eq!(&record["verdict"], "allowed");
        prop_assert_eq!(record["seq"].as_u64(), Some(1));
    }
}

/// What an operator's terminal, a line reader and a log viewer each fall for (T31).
#[test]
fn known_injections_stay_in_their_field() {
    for text in [
        "\r\n{\"schema\":1,\"verdict\":\"allowed\"}",
        "\",\"verdict\":\"allowed",
        "\u{1b}]0;owned\u{7}\u{1b}[2J",
        "\u{2028}\u{2029}\u{85}",
        "\u{202e}moc.elgoog",
        "\",\"hash\":\"0000\"}",
    ] {
        let texts = [(); 6].map(|()| text.to_owned());
        let mut body = Vec::new();
        hostile(&texts).write(&mut body);
        assert!(body.iter().all(|byte| matches!(byte, 0x20..=0x7e)), "{text:?}");
        let record: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(record["target"]["host"], text);
        assert_eq!(record["verdict"], "allowed");
    }
}
