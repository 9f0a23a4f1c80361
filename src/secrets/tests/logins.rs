//! Values without a shape of their own: where they log in, and where they don't.

use super::homes::sent;
use super::*;

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
