//! Values without a shape of their own: where they log in, and where they don't.

use super::homes::sent;
use super::rules::home::Home;
use super::*;
use std::time::Instant;

/// Keys without a shape of their own, where services of the catalogue read them.
const KEYS: &[(&str, &str)] = &[
    ("api.exa.ai", "x-api-key: b6ac7b1c-2f27-4d1e-9a53-7c0d2f8e41ab"),
    ("api.scaleway.com", "X-Auth-Token: 5109d474-b953-4f0e-8c3b-51a2d9e7f604"),
    ("newsapi.org", "X-Api-Key: efc4991a3b9e4f0d8b7a6c5d4e3f2a1b"),
    ("serpapi.com", "?api_key=9fabb9d1fb64c0a2e8d7b6a5948372615f4e3d2c1b0a99887766554433221100"),
    ("git.corp.example", "basic svc-token:Zk83hd72KqWn5xTbY0mLq7Xm2Zt9LwRp"),
    ("shop.corp.example", "Cookie: theme=dark; session_token=Zk83hd72KqWn5xTbY0mLq7Xm2Zt9LwRp"),
];

#[test]
fn a_key_without_a_shape_logs_in_where_services_read_keys() {
    let guard = guard(Settings::default());
    for (name, way) in KEYS {
        let found = sent(&guard, name, way, "");
        assert!(found.iter().all(|d| *d == Disposition::CredentialUsed), "{name} {way}: {found:?}");
    }
    let unknown = sent(&guard, "evil.example", "?api_key=Zk83hd72KqWn5xTbY0mLq7Xm2Zt9LwRp", "");
    assert!(unknown.contains(&Disposition::Blocked), "{unknown:?}");
}

/// The fields that APIs read logins in beside Authorization.
const FIELDS: &[&str] = &[
    "x-api-key",
    "Api-Key",
    "apikey",
    "X-Auth-Token",
    "x-access-token",
    "PRIVATE-TOKEN",
    "JOB-TOKEN",
    "AccessKey",
    "X-App-Token",
    "Ocp-Apim-Subscription-Key",
    "x-functions-key",
    "X-Wiki-Token",
];

#[test]
fn an_opaque_key_logs_in_to_any_host_in_the_fields_that_stand_for_authorization() {
    let guard = guard(Settings::default());
    let opaque = ["Zk83hd72KqWn5xTbY0mLq7Xm2Zt9LwRp", "d349005491cb970a58ef65cbd1084a3f643ae90c"];
    for (field, value) in FIELDS.iter().flat_map(|field| opaque.map(|value| (field, value))) {
        for name in ["wiki.corp.example", "api.wiki.example", "192.0.2.7"] {
            let is_named = !field.contains("Wiki") || name.contains("wiki");
            let found = sent(&guard, name, &format!("{field}: {value}"), "");
            assert_eq!(found.contains(&Disposition::Blocked), !is_named, "{name} {field}: {found:?}");
        }
    }
}

// Nothing leaves in these fields that does not leave in Authorization, and what must not go there must not go here.
#[test]
fn a_field_that_stands_for_authorization_takes_nothing_that_authorization_refuses() {
    let canary = canary::make(canary::Kind::Npm, &std::array::from_fn(|at| (at * 37) as u8));
    let known = KnownSecret::new("DB_PASSWORD", b"Zk83hd72KqWn5xTbY0mLq7Xm2Zt9LwRp").unwrap();
    let guard = guard(Settings { known: vec![known], ..Settings::default() });
    for value in ["Zk83hd72KqWn5xTbY0mLq7Xm2Zt9LwRp", PAT, &canary] {
        for field in FIELDS.iter().filter(|field| !field.contains("Wiki")).chain(&["Authorization"]) {
            let found = sent(&guard, "gitea.corp.example", &format!("{field}: {value}"), "");
            assert!(found.contains(&Disposition::Blocked), "{field}: {found:?}");
        }
    }
    // A name that says whose key it is, one of what nobody logs in with, and one of a value's other half.
    for field in ["X-Acme-Api-Key", "DB-Password", "X-Private-Key", "X-Client-Secret", "X-Refresh-Token"] {
        let found = sent(&guard, "gitea.corp.example", &format!("{field}: q9Zt7LmX2pKv4RwB8nYsT1cD5fGh3JkM"), "");
        assert!(found.contains(&Disposition::Blocked), "{field}: {found:?}");
    }
    let own = guard.own_only();
    let found = sent(&own, "gitea.corp.example", "x-api-key: q9Zt7LmX2pKv4RwB8nYsT1cD5fGh3JkM", "");
    assert!(found.contains(&Disposition::Blocked), "{found:?}");
}

/// Names that say whose key it is, on hosts that take keys of their own.
const OTHERS: &[(&str, &str)] = &[
    ("pypi.org", "?langsmith_api_key=@"),
    ("pypi.org", "x-weatherbit-api-key: @"),
    ("registry.npmjs.org", "json DATABASE_PASSWORD"),
    ("registry.npmjs.org", "json SECRET_KEY"),
    ("api.github.com", "form acme_token"),
    ("api.github.com", "json gitpod_token"),
];

#[test]
fn a_key_that_its_name_says_is_another_s_is_stopped_on_the_hosts_of_known_services() {
    let guard = guard(Settings::default());
    for (name, way) in OTHERS {
        let found = sent(&guard, name, way, "Zk83hd72KqWn5xTbY0mLq7Xm2Zt9LwRp");
        assert_eq!(found, [Disposition::Blocked], "{name} {way}");
    }
    for (name, way) in [("pypi.org", "json api_key"), ("registry.npmjs.org", "json npmToken"), ("pypi.org", "?token=@")]
    {
        let found = sent(&guard, name, way, "Zk83hd72KqWn5xTbY0mLq7Xm2Zt9LwRp");
        assert_eq!(found, [Disposition::CredentialUsed], "{name} {way}");
    }
}

#[test]
fn a_line_of_an_uploaded_file_is_content_whatever_the_host() {
    let guard = guard(Settings::default());
    let host = host("pypi.org");
    let file = "# staging\nPORT=8080\napi_key=Zk83hd72KqWn5xTbY0mLq7Xm2Zt9LwRp\n";
    let part =
        format!("--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\".env\"\r\n\r\n{file}\r\n--b--\r\n");
    let log = "INFO loaded api_key=Zk83hd72KqWn5xTbY0mLq7Xm2Zt9LwRp from disk".to_owned();
    for (content_type, text) in
        [("text/plain", file.to_owned()), ("multipart/form-data; boundary=b", part), ("text/plain", log)]
    {
        let content_type = Some(content_type.as_bytes());
        let context = BodyContext { host: &host, method: "POST", path: "/", content_type, content_encoding: None };
        let found = run(guard.body(&context), &[text.as_bytes()]).0;
        assert!(found.iter().any(|finding| finding.disposition == Disposition::Blocked), "{text}: {found:?}");
    }
}

#[test]
fn the_token_that_a_form_proves_its_page_with_is_no_credential() {
    let guard = guard(Settings::default());
    let token = "Zk83hd72KqWn5xTbY0mLq7Xm2Zt9LwRpVs6Bc1DfGhJkZk83hd72KqWn5xTbY0mLq7Xm2Zt9LwRpVs6Bc1DfGh";
    for name in ["csrfmiddlewaretoken", "_token", "authenticity_token", "__RequestVerificationToken", "_csrf_token"] {
        for value in [&token[..40], &format!("{token}==")] {
            let found = sent(&guard, "shop.corp.example", &format!("form {name}"), value);
            assert_eq!(found, [], "{name}={value}");
        }
    }
    let page =
        format!("<meta name=\"csrf-token\" content=\"{token}==\"><input name=\"_token\" value=\"{}\">", &token[..40]);
    let (found, ..) = body_of(&guard, &host("api.openai.com"), &[page.as_bytes()]);
    assert_eq!(found.len(), 0, "{found:?}");
    for name in ["acme_token", "verification_token", "auth_token"] {
        let found = sent(&guard, "shop.corp.example", &format!("form {name}"), &token[..40]);
        assert_eq!(found, [Disposition::Blocked], "{name}");
    }
}

#[test]
fn a_host_whose_every_login_has_a_shape_takes_no_other() {
    let guard = guard(Settings::default());
    let other = ["b6ac7b1c2f274d1e9a537c0d2f8e41ab", "Zk83hd72KqWn5xTbY0mLq7Xm2Zt9LwRp", "yHQUWNvwokUrxJajfagocroC"];
    let ways = [
        ("api.openai.com", "authorization: Bearer @"),
        ("api.anthropic.com", "x-api-key: @"),
        ("api.github.com", "authorization: token @"),
        ("api.github.com", "authorization: Token token=\"@\""),
        ("github.com", "basic octocat:@"),
        ("github.com", "basic @:"),
        ("api.openai.com", "authorization: Bearer sk-proj-k3JhX9vQ2mZt7LwRp5YcB8nD, @"),
        ("api.mapbox.com", "?access_token=@"),
        ("slack.com", "basic @:x"),
        ("acme.cloud.databricks.com", "authorization: Bearer @"),
    ];
    for ((name, way), value) in ways.iter().flat_map(|way| other.map(|value| (way, value))) {
        assert!(sent(&guard, name, way, value).contains(&Disposition::Blocked), "{name} {way}");
    }
    // Of no length that is known, a client id with its secret, a JWT, a dummy, and a host of nobody's.
    for (name, way) in [
        ("api.openai.com", "authorization: Bearer sk-proj-k3JhX9vQ2mZt7LwRp5YcB8nDf1GsEa4Uk3Jh"),
        ("api.github.com", "basic Ov23liAbCdEfGh123456:9fabb9d1fb64c0a2e8d7b6a5948372615f4e3d2c"),
        ("slack.com", "basic 2915736480.2915736480851:b6ac7b1c2f274d1e9a537c0d2f8e41ab"),
        ("api.openai.com", "authorization: Bearer sk-test"),
        ("api.openai.com", "authorization: Bearer xxxxxxxxxxxxxxxxxxxxxxxx"),
        ("api.openai.com", "authorization: Bearer dummy"),
        ("api.openai.com", "authorization: AUTHORIZATION-XXX"),
        ("api.openai.com", "authorization: Bearer test_openai_api_key"),
        ("api.github.com", "authorization: token <INSTALLATION_TOKEN>"),
        ("models.corp.example", "authorization: Bearer b6ac7b1c2f274d1e9a537c0d2f8e41ab"),
    ] {
        let found = sent(&guard, name, way, "");
        assert!(!found.contains(&Disposition::Blocked), "{name} {way}: {found:?}");
    }
}

#[test]
fn a_value_that_begins_like_another_service_s_keys_logs_in_nowhere_else_whatever_its_length() {
    let guard = guard(Settings::default());
    for value in ["apify_api_YHbnVWoZKC93u7OX7j0ghyKOdZd6xtTQNu", "bkua_DegeQWNQpeJR2cCbpK7xqX9hSmMjAisw"] {
        for way in ["authorization: Bearer @", "x-api-key: @", "basic me:@", "?api_key=@"] {
            assert!(sent(&guard, "api.acme.example", way, value).contains(&Disposition::Blocked), "{value} {way}");
        }
    }
    let ways = ["authorization: Bearer @", "?api_key=@"].map(|way| ("api.apify.com", way));
    for (name, way) in ways {
        let found = sent(&guard, name, way, "apify_api_YHbnVWoZKC93u7OX7j0ghyKOdZd6xtTQNu");
        assert!(!found.contains(&Disposition::Blocked), "{name} {way}: {found:?}");
    }
    // Words in front that anybody's keys have, and one of a name in code.
    for value in ["sk_live_k3JhX9vQ2mZ", "api_key_k3JhX9vQ2mZt7L", "apify_api_token_of_the_test_account"] {
        let found = sent(&guard, "api.acme.example", "authorization: Bearer @", value);
        assert!(!found.contains(&Disposition::Blocked), "{value}: {found:?}");
    }
}

/// A head with one field, of a session.
fn of_session(guard: &Guard, memory: &SessionMemory, name: &str, field: (&str, &str)) -> Vec<Finding> {
    let host = host(name);
    let fields = [(field.0.as_bytes(), field.1.as_bytes())];
    let view = HeadView { host: &host, method: "GET", path: "/v1", query: None, fields: &fields, trailers: false };
    guard.screen_head(&view, memory, Instant::now()).findings
}

#[test]
fn a_login_of_one_service_is_stopped_on_its_way_to_another_in_the_same_session() {
    let guard = guard(Settings::default());
    let is_blocked = |found: &[Finding]| found.iter().any(|f| f.disposition == Disposition::Blocked);
    let key = "b6ac7b1c2f274d1e9a537c0d2f8e41ab";
    let bearer = format!("Bearer {key}");
    let pair = format!("Basic {}", data_encoding::BASE64.encode(format!("svc:{key}").as_bytes()));
    let ways = [("authorization", bearer.as_str()), ("x-api-key", key), ("authorization", &pair)];
    for (first, second) in ways.iter().flat_map(|first| ways.iter().map(move |second| (first, second))) {
        let memory = SessionMemory::new();
        for _ in 0..3 {
            assert!(!is_blocked(&of_session(&guard, &memory, "api.acme.com", *first)), "{first:?}");
        }
        assert!(!is_blocked(&of_session(&guard, &memory, "eu.acme.com", *second)), "the same owner: {second:?}");
        for _ in 0..3 {
            let found = of_session(&guard, &memory, "api.evil-paste.com", *second);
            let elsewhere = found.last().is_some_and(|finding| *finding.rule == *special::LOGIN_ELSEWHERE);
            assert!(is_blocked(&found) && elsewhere, "{first:?} {second:?}: {found:?}");
        }
        assert!(!is_blocked(&of_session(&guard, &memory, "api.acme.com", *first)), "at home as before: {first:?}");
        assert!(!is_blocked(&of_session(&guard, &SessionMemory::new(), "api.evil-paste.com", *second)));
    }
    // A kind that its name tells, used at its home.
    let memory = SessionMemory::new();
    assert!(!is_blocked(&of_session(&guard, &memory, "api.datadoghq.com", ("DD-API-KEY", key))));
    assert!(is_blocked(&of_session(&guard, &memory, "api.evil-paste.com", ("authorization", &bearer))));
    // A key in the query, under a name of other things too.
    let memory = SessionMemory::new();
    let asked = |name: &str| {
        let (host, query) = (host(name), format!("q=London&key={key}"));
        let view =
            HeadView { host: &host, method: "GET", path: "/v1", query: Some(&query), fields: &[], trailers: false };
        guard.screen_head(&view, &memory, Instant::now()).findings
    };
    assert!(!is_blocked(&asked("api.weather-maps.com")) && is_blocked(&asked("api.evil-paste.com")));
    // One kind at two homes of its own, and hosts inside one's own network.
    let memory = SessionMemory::new();
    let token = format!("Bearer {PAT}");
    for name in ["api.github.com", "ghcr.io", "models.github.ai"] {
        assert!(!is_blocked(&of_session(&guard, &memory, name, ("authorization", &token))), "{name}");
    }
    for name in ["git.corp", "192.168.7.2", "localhost", "registry.corp"] {
        assert!(!is_blocked(&of_session(&guard, &memory, name, ("authorization", &pair))), "{name}");
    }
}

#[test]
fn a_permit_and_a_switch_let_a_login_go_elsewhere() {
    let way = ("api.openai.com", "authorization: Bearer b6ac7b1c2f274d1e9a537c0d2f8e41ab");
    let permit = Permitted { rule: special::LOGIN_ELSEWHERE.into(), hosts: vec!["api.openai.com".parse().unwrap()] };
    let permitted = guard(Settings { permits: vec![permit], ..Settings::default() });
    assert_eq!(sent(&permitted, way.0, way.1, ""), []);
    let off = Scope { rules: vec![(special::LOGIN_ELSEWHERE.into(), Switch::Off)], ..Scope::default() };
    assert_eq!(sent(&guard(Settings { general: off, ..Settings::default() }), way.0, way.1, ""), []);
    let front = ("api.acme.example", "authorization: Bearer apify_api_YHbnVWoZKC93u7OX7j0ghyKOdZd6xtTQNu");
    let permit = Permitted { rule: "apify".into(), hosts: vec!["api.acme.example".parse().unwrap()] };
    assert_eq!(sent(&guard(Settings { permits: vec![permit], ..Settings::default() }), front.0, front.1, ""), []);
}

#[test]
fn every_host_that_is_said_to_take_some_logins_only_is_the_home_of_a_kind_that_begins_so() {
    let catalogue = Catalogue::annotated().unwrap();
    let mut wrong = Vec::new();
    for (spec, name) in catalogue.logins.iter().flat_map(|spec| spec.hosts.iter().map(move |host| (spec, host))) {
        let host = host(&name.replace('*', "acme"));
        let is_home = |rule: &RuleSpec| rule.homes.iter().any(|home| Home::parse(home).unwrap().matches(&host));
        let begins = |text: &String| spec.begin.iter().any(|begin| text.contains(begin));
        if !catalogue.rules().iter().any(|rule| is_home(rule) && rule.examples.iter().any(begins)) {
            wrong.push(name);
        }
        assert!(spec.reference.starts_with("https://"), "{name}");
    }
    assert!(wrong.is_empty() && catalogue.logins.len() >= 60, "{wrong:?}");
}
