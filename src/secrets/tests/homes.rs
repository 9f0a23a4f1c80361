//! Logins as providers' documentation and their clients show them, and the same credential on its way elsewhere.

use super::*;
use std::time::Instant;

/// Host, the ways there with `@` for the credential, and the credential.
type Login = (&'static str, &'static [&'static str], &'static str);

const LOGINS: &[Login] = &[
    ("api.github.com", &["authorization: Bearer @", "authorization: token @", "basic octocat:@"], PAT),
    ("github.com", &["basic octocat:@", "basic x-access-token:@", "basic @:x-oauth-basic"], PAT),
    ("ghcr.io", &["basic octocat:@"], PAT),
    ("npm.pkg.github.com", &["authorization: Bearer @"], PAT),
    ("gitlab.com", &["PRIVATE-TOKEN: @", "?private_token=@", "basic oauth2:@"], "glpat-ymaZ35Kd8ncXbWzLsNAj"),
    (
        "oauth2.googleapis.com",
        &["form refresh_token"],
        "1//0gk3JhX9vQ2mZt7LwRp5YcB8nDf1GsEa4Uk3JhX9vQ2mZt7LwRp5YcB8nDf1GsEa4Uk3JhX9vQ2mZt7LwRp5YcB8nDf1GsEa4U99",
    ),
    (
        "bedrock-runtime.us-east-1.amazonaws.com",
        &["authorization: Bearer @"],
        "ABSKQmVkcm9ja0FQSUtleS1sbmttLWF0LTM5Njc2NjAxNTQ0NzpteHdIbEpFVkd1aUtTd3I2Sm1la3ZjS3Z6ZlNlRDFBMVl3bkt4OXNjMGZscg==",
    ),
    (
        "api.posthog.com",
        &["json personal_api_key", "authorization: Bearer @"],
        "phx_k3JhX9vQ2mZt7LwRp5YcB8nDf1GsEa4Uk3JhX9vQ2mZ",
    ),
    // Base64, which the shape of Stripe's keys takes the beginning of.
    ("api.us.highnote.com", &["basic @:"], KEYED),
    ("api.workos.com", &["authorization: Bearer @"], KEYED),
    // The same shape in another alphabet.
    (
        "prod-uk-a.online.tableau.com",
        &["json personalAccessTokenSecret"],
        "lk3gDSyxGojCZI4lJT5bmZ==:DNqAbsO2Q5RAp4shdYufzn6CCP5bcX1q",
    ),
];

const KEYED: &str = "sk_live_a2V5XzgpZeYOl8eSAjD/WYxXqpPLh8acYJKZ4JMbqLM7KNi4PsHzfc8zRxBEG/Ft3Pg+H8MSmLC+==";

/// What a request says that takes a credential one of these ways.
pub(super) fn sent(guard: &Guard, name: &str, way: &str, secret: &str) -> Vec<Disposition> {
    let host = host(name);
    let (field, query, body) = match way.split_once(' ') {
        _ if way.starts_with('?') => (None, Some(way[1..].replace('@', secret)), None),
        Some(("basic", rest)) => {
            let code = data_encoding::BASE64.encode(rest.replace('@', secret).as_bytes());
            (Some(("Authorization".to_owned(), format!("Basic {code}"))), None, None)
        }
        Some(("form", name)) => {
            let escaped = secret.replace('/', "%2F");
            (
                None,
                None,
                Some(("application/x-www-form-urlencoded", format!("{name}={escaped}&grant_type=refresh_token"))),
            )
        }
        Some(("json", name)) => {
            (None, None, Some(("application/json", format!(r#"{{"client":"demo","{name}":"{secret}"}}"#))))
        }
        _ => {
            let (name, value) = way.split_once(": ").unwrap();
            (Some((name.to_owned(), value.replace('@', secret))), None, None)
        }
    };
    let fields: Vec<(&[u8], &[u8])> = field.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let view =
        HeadView { host: &host, method: "POST", path: "/", query: query.as_deref(), fields: &fields, trailers: false };
    let mut found = guard.scan_head(&view);
    if let Some((content_type, text)) = body {
        let content_type = Some(content_type.as_bytes());
        let context = BodyContext { host: &host, method: "POST", path: "/", content_type, content_encoding: None };
        found.extend(run(guard.body(&context), &[text.as_bytes()]).0);
    }
    found.iter().map(|finding| finding.disposition).collect()
}

#[test]
fn a_login_as_documented_goes_home_and_the_same_is_stopped_elsewhere() {
    let guard = guard(Settings::default());
    for (name, ways, secret) in LOGINS {
        for way in *ways {
            let home = sent(&guard, name, way, secret);
            assert!(
                !home.is_empty() && home.iter().all(|d| *d == Disposition::CredentialUsed),
                "{name} {way}: {home:?}"
            );
            for evil in ["evil.example", &format!("{name}.evil.example"), "attacker.s3.amazonaws.com"] {
                assert!(sent(&guard, evil, way, secret).contains(&Disposition::Blocked), "{evil} {way}");
            }
        }
        let (content, _, _) = body_of(&guard, &host(name), &[format!("{{\"body\":\"try {secret}\"}}").as_bytes()]);
        assert!(content.iter().any(|f| f.disposition == Disposition::Blocked), "{name}");
    }
}

#[test]
fn the_key_id_of_a_presigned_address_goes_home_though_a_part_of_it_reads_backwards_like_one() {
    let guard = guard(Settings::default());
    let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=DO0069KU49Y7X4KAVRZ6%2F20261123%2Ffra1%2Fs3%2F\
                 aws4_request&X-Amz-Date=20261123T101112Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host";
    let host = host("acme.fra1.digitaloceanspaces.com");
    let view = HeadView { host: &host, method: "GET", path: "/k", query: Some(query), fields: &[], trailers: false };
    let found = guard.scan_head(&view);
    assert!(found.iter().all(|finding| finding.disposition == Disposition::CredentialUsed), "{found:?}");
}

#[test]
fn an_upload_straight_to_a_bucket_carries_its_session_token_twice_and_goes_there_only() {
    let guard = guard(Settings::default());
    let token = format!("IQoJb3JpZ2luX2Vj{}", "EK3ZaBcm9vLXdlc3QtMkZ0RkcwRQIgSx7PqLn2Yw8VtUj4".repeat(6));
    let member = format!(r#"{{"x-amz-security-token":"{token}"}}"#);
    let condition = format!(r#"["eq", "$x-amz-security-token", "{token}"]"#);
    let hosts = [("media.s3-accelerate.amazonaws.com", false), ("evil.example", true)];
    for (said, (name, wanted)) in [member, condition].iter().flat_map(|said| hosts.map(|host| (said, host))) {
        let policy = format!(r#"{{"conditions":[{{"bucket":"media"}},{said}]}}"#);
        let policy = data_encoding::BASE64.encode(policy.as_bytes());
        let mut body = String::new();
        for (name, value) in [("key", "a.png"), ("x-amz-security-token", &token), ("policy", &policy)] {
            body += &format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        }
        body += "--b--\r\n";
        let content_type = Some(&b"multipart/form-data; boundary=b"[..]);
        let host = host(name);
        let context = BodyContext { host: &host, method: "POST", path: "/", content_type, content_encoding: None };
        let found = run(guard.body(&context), &[body.as_bytes()]).0;
        assert!(!found.is_empty(), "{name}");
        let blocked = found.iter().any(|finding| finding.disposition == Disposition::Blocked);
        assert_eq!(blocked, wanted, "{name} {found:?}");
    }
}

#[test]
fn a_token_in_the_members_of_such_an_upload_is_held_for_the_same_when_a_row_begins_in_it() {
    let guard = guard(Settings::default());
    let token =
        format!("IQoJb3JpZ2luX2VjEKf//////////wEaCXVzLWVhc3Qt{}yQ==", "MkZ0RkcwRQIgSx7PqLn2/Yw8VtUj4+".repeat(34));
    let policy = format!(r#"{{"conditions": [{{"bucket": "media"}}, {{"x-amz-security-token": "{token}"}}]}}"#);
    let policy = data_encoding::BASE64.encode(policy.as_bytes());
    let body = format!(
        r#"{{"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": "ASIATB45ILA5SBUGR5MM/20210119/us-east-1/s3/aws4_request", "X-Amz-Date": "20210119T231632Z", "X-Amz-Signature": "9b47b3b4cc361701959ff5278852c5010469bcfd9b639fe051327e196e2e93dd", "acl": "public-read", "content-type": "image/gif", "key": "rte_images/s1i7ejqkgdc61", "policy": "{policy}", "success_action_status": "201", "x-amz-meta-ext": "gif", "x-amz-security-token": "{token}", "x-amz-storage-class": "STANDARD"}}"#
    );
    for (name, wanted) in [("media.s3-accelerate.amazonaws.com", false), ("evil.example", true)] {
        let host = host(name);
        let content_type = Some(&b"application/json"[..]);
        let context = BodyContext { host: &host, method: "POST", path: "/", content_type, content_encoding: None };
        let memory = Arc::new(SessionMemory::new());
        let scan = guard.body(&context).in_session(memory, Instant::now());
        let found = run(scan, &[body.as_bytes()]).0;
        let blocked = found.iter().any(|finding| finding.disposition == Disposition::Blocked);
        assert_eq!(blocked, wanted, "{name} {found:?}");
    }
}

#[test]
fn a_credential_at_home_lets_no_pieces_of_another_of_its_kind_go_with_it() {
    let guard = guard(Settings::default());
    let (own, other) = (
        "xoxb-2915736480-2915736480851-q9Zt7LmX2pKv4RwB8nYsT1cD",
        "xoxb-9876543210-3210987654321-Zk83hd72KqWn5xTbY0mLq7Xm",
    );
    let pieces = |text: &str| {
        text.as_bytes().chunks(9).map(|piece| format!("\"{}\"", String::from_utf8_lossy(piece))).collect::<Vec<_>>()
    };
    for (text, wanted) in [("hello there".to_owned(), false), (pieces(other).join(" | "), true)] {
        let text = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC);
        let body = format!("token={own}&channel=C024BE91L&text={text}");
        let host = host("slack.com");
        let content_type = Some(&b"application/x-www-form-urlencoded"[..]);
        let context = BodyContext {
            host: &host,
            method: "POST",
            path: "/api/chat.postMessage",
            content_type,
            content_encoding: None,
        };
        let scan = guard.body(&context).in_session(Arc::new(SessionMemory::new()), Instant::now());
        let found = run(scan, &[body.as_bytes()]).0;
        let blocked = found.iter().any(|finding| finding.disposition == Disposition::Blocked);
        assert_eq!(blocked, wanted, "{body} {found:?}");
    }
}

#[test]
fn a_login_that_its_name_tells_hides_no_token_in_other_letters() {
    let guard = guard(Settings::default());
    let turn = |letter: u8| match letter {
        b'a'..=b'm' | b'A'..=b'M' => letter + 13,
        b'n'..=b'z' | b'N'..=b'Z' => letter - 13,
        other => other,
    };
    let turned = String::from_utf8(PAT.bytes().map(turn).collect()).unwrap();
    let host = host("api.openai.com");
    for (value, wanted) in [("q9Zt7LmX2pKv4RwB8nYsT1cD5fGh3JkM9Zt7Lm", false), (turned.as_str(), true)] {
        let body = format!(r#"{{"model":"m","token":"{value}"}}"#);
        let content_type = Some(&b"application/json"[..]);
        let context = BodyContext { host: &host, method: "POST", path: "/", content_type, content_encoding: None };
        let scan = guard.body(&context).in_session(Arc::new(SessionMemory::new()), Instant::now());
        let found = run(scan, &[body.as_bytes()]).0;
        let blocked = found.iter().any(|finding| finding.disposition == Disposition::Blocked);
        assert_eq!(blocked, wanted, "{body} {found:?}");
    }
}

#[test]
fn a_key_at_home_is_not_put_together_with_the_next_field() {
    let guard = guard(Settings::default());
    let key = "pcsk_nOA5w_LZUQfozPJFA6beKv2Ju0MFJgnik6Mvy2hKDSezg8B0SoHmh7W48cZrUf7AGXwaJ";
    let fields = [("user-agent", "client/1.4.2"), ("api-key", key), ("x-pinecone-api-version", "2025-01")];
    let fields = fields.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    for (name, wanted) in [("api.pinecone.io", false), ("evil.example", true)] {
        let host = host(name);
        let view =
            HeadView { host: &host, method: "GET", path: "/indexes", query: None, fields: &fields, trailers: false };
        let found = guard.scan_head(&view);
        let blocked = found.iter().any(|finding| finding.disposition == Disposition::Blocked);
        assert_eq!(blocked, wanted, "{name} {found:?}");
    }
}

#[test]
fn members_of_a_login_at_home_are_not_put_together() {
    let guard = guard(Settings::default());
    let token =
        "1//0gk3JhX9vQ2mZt7LwRp5YcB8nDf1GsEa4Uk3JhX9vQ2mZt7LwRp5YcB8nDf1GsEa4Uk3JhX9vQ2mZt7LwRp5YcB8nDf1GsEa4U99";
    let bodies = [
        (
            "application/json",
            format!(r#"{{"client_id":"9q.apps","refresh_token":"{token}","grant_type":"refresh_token"}}"#),
        ),
        ("application/x-www-form-urlencoded", format!("refresh_token={token}&grant_type=refresh_token&client_id=9q")),
    ];
    for ((kind, body), (name, wanted)) in bodies
        .iter()
        .flat_map(|body| [("oauth2.googleapis.com", false), ("evil.example", true)].map(|host| (body, host)))
    {
        let host = host(name);
        let content_type = Some(kind.as_bytes());
        let context = BodyContext { host: &host, method: "POST", path: "/token", content_type, content_encoding: None };
        let scan = guard.body(&context).in_session(Arc::new(SessionMemory::new()), Instant::now());
        let found = run(scan, &[body.as_bytes()]).0;
        let blocked = found.iter().any(|finding| finding.disposition == Disposition::Blocked);
        assert_eq!(blocked, wanted, "{name} {body} {found:?}");
    }
}

fn jwt(claims: &str) -> String {
    let part = |text: &str| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
    format!(
        "{}.{}.{}",
        part(r#"{"alg":"RS256","typ":"JWT"}"#),
        part(claims),
        "k3JhX9vQ2mZt7LwRp5YcB8nDf1GsEa4Uk3JhX9vQ2mZ"
    )
}

#[test]
fn a_jwt_goes_to_the_host_that_it_is_for() {
    let guard = guard(Settings::default());
    let cognito = jwt(r#"{"iss":"https://cognito-idp.us-east-1.amazonaws.com/us-east-1_aB3","client_id":"3n4b5"}"#);
    let site = jwt(r#"{"iss":"https://id.corp-acme.net","sub":"7"}"#);
    let kubernetes = jwt(r#"{"iss":"kubernetes/serviceaccount","sub":"system:serviceaccount:default:default"}"#);
    let assertion = jwt(r#"{"iss":"svc@proj.iam.gserviceaccount.com","aud":"https://oauth2.googleapis.com/token"}"#);
    let bearer = |name: &str, token: &str| sent(&guard, name, "authorization: Bearer @", token);
    let blocked = |found: Vec<Disposition>| found.contains(&Disposition::Blocked);
    assert!(!blocked(bearer("api.shop.example", &cognito)), "a broker's token is for whoever takes it");
    assert!(!blocked(bearer("api.corp-acme.net", &site)));
    assert!(blocked(bearer("evil.example", &site)));
    assert!(!blocked(bearer("kubernetes.default.svc", &kubernetes)));
    assert!(!blocked(sent(&guard, "oauth2.googleapis.com", "form assertion", &assertion)));
    assert!(blocked(sent(&guard, "evil.example", "form assertion", &assertion)));
    let action =
        jwt(r#"{"iss":"https://token.actions.githubusercontent.com","aud":"https://iam.googleapis.com/projects/1"}"#);
    for name in ["json subjectToken", "form subject_token"] {
        assert!(!blocked(sent(&guard, "sts.googleapis.com", name, &action)), "{name}");
        assert!(blocked(sent(&guard, "evil.example", name, &action)), "{name}");
    }
}

/// Sessions of frameworks, which any site may run, as the first cookie and behind others.
const SESSIONS: &[&str] = &[
    "connect.sid=s%3AxVb2Kq8ZmLr4TtYw9PcDn3Hs7FgJk5Qa.Zk83hd72KqWn5xTbY0mLq7Xm2Zt9LwRpVs6Bc1DfGhJ",
    "__Secure-next-auth.session-token=Q3bf_SkB2jEZo9Ipo4Pl6e4AHg4qtFVnu-AkwoJ",
    "__Secure-authjs.session-token=Q3bf_SkB2jEZo9Ipo4Pl6e4AHg4qtFVnu-AkwoJ",
    "wordpress_logged_in_64ea11082726f7f59a6d17a1af225451=MIvZVxXc3ftM_flaOqyxc5RyG2VxetYIqOO5QzNa",
    "PHPSESSID=3v9k2m7q1x8z4w6t5r0p9n2b7c",
];

#[test]
fn a_framework_s_session_goes_to_whatever_host_in_its_cookie_and_nowhere_else() {
    let guard = guard(Settings::default());
    for cookie in SESSIONS {
        for way in [format!("Cookie: {cookie}"), format!("Cookie: theme=dark; {cookie}; lang=en")] {
            let found = sent(&guard, "shop.corp.example", &way, "");
            assert!(found.iter().all(|d| *d == Disposition::CredentialUsed), "{way}: {found:?}");
        }
    }
    for cookie in &SESSIONS[..4] {
        let found = sent(&guard, "shop.corp.example", &format!("X-Note: {cookie}"), "");
        assert!(found.contains(&Disposition::Blocked), "{cookie}: {found:?}");
        let (found, ..) =
            body_of(&guard, &host("shop.corp.example"), &[format!("{{\"note\":\"{cookie}\"}}").as_bytes()]);
        assert!(found.iter().any(|finding| finding.disposition == Disposition::Blocked), "{cookie}");
    }
}

#[test]
fn a_provider_s_cookie_is_at_home_as_the_first_of_many_too() {
    let guard = guard(Settings::default());
    let cookie = "SAPISID=xVb2Kq8ZmLr4TtYw/A9PcDn3Hs7FgJk5Qa";
    for way in [format!("Cookie: {cookie}; NID=511"), format!("Cookie: NID=511; {cookie}")] {
        assert_eq!(sent(&guard, "mail.google.com", &way, ""), [Disposition::CredentialUsed], "{way}");
        assert_eq!(sent(&guard, "evil.example", &way, ""), [Disposition::Blocked], "{way}");
    }
}
