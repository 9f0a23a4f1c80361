use super::*;
use crate::net::{Authority, Path, Scheme};
use http::Method;

fn target(method: &str, path: &str) -> Option<Target> {
    Some(Target {
        scheme: Scheme::Https,
        authority: Authority::parse_or(b"service.test", 443).unwrap(),
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        path: Path::parse(path.as_bytes()).ok()?,
    })
}

fn scope(service: Service, access: Access, repos: &[&str]) -> Scope {
    let repos = if repos.is_empty() { Repos::ALL } else { Repos::only(service, repos).unwrap() };
    Scope { service, access, repos, preset: None }
}

/// Whether a scope lets a request through, by its body if need be.
fn lets(scope: &Scope, method: &str, path: &str) -> bool {
    target(method, path).is_some_and(|target| scope.allows(&target) != Allowed::No)
}

fn told(service: Service, method: &str, path: &str) -> String {
    let action = scope(service, Access::Read, &[]).action(&target(method, path).unwrap());
    format!("{} {action}", action.access.as_str())
}

#[test]
fn what_clients_send_is_told_for_what_it_does() {
    use Service::*;
    for (service, method, path, expected) in [
        (GitHub, "GET", "/acme/site.git/info/refs?service=git-upload-pack", "read git fetch of acme/site"),
        (GitHub, "POST", "/acme/site/git-upload-pack", "read git fetch of acme/site"),
        (GitHub, "GET", "/Acme/Site.git/info/refs?service=git-receive-pack", "write git push to acme/site"),
        (GitHub, "POST", "/acme/site.git/git-receive-pack", "write git push to acme/site"),
        (GitHub, "PUT", "/acme/site.git/info/lfs/objects/abc", "write git lfs push to acme/site"),
        (GitHub, "GET", "/acme/site/releases/download/v1/x.tgz", "read a read of acme/site"),
        (GitHub, "GET", "/acme/site.wiki.git/info/refs", "read git fetch of acme/site.wiki"),
        (GitHubApi, "GET", "/repos/acme/site/pulls?state=open", "read a read of acme/site"),
        (GitHubApi, "PUT", "/repos/acme/site/contents/a/b.txt", "write a commit by the API to acme/site"),
        (GitHubApi, "POST", "/repos/acme/site/releases/1/assets?name=x", "write a release upload to acme/site"),
        (GitHubApi, "POST", "/repos/acme/site/issues", "write an API write to acme/site"),
        (GitHubApi, "POST", "/repos/acme/site/hooks", "admin a change of settings of acme/site"),
        (GitHubApi, "PUT", "/repos/acme/site/collaborators/eve", "admin a change of settings of acme/site"),
        (GitHubApi, "PATCH", "/repos/acme/site", "admin a change of settings of acme/site"),
        (GitHubApi, "PUT", "/repos/acme/site/actions/secrets/X", "admin a change of settings of acme/site"),
        (GitHubApi, "POST", "/repos/acme/site/actions/workflows/1/dispatches", "write an API write to acme/site"),
        (GitHubApi, "POST", "/repos/acme/site/forks", "admin a new repository"),
        (GitHubApi, "POST", "/gists", "write a gist"),
        (GitHubApi, "POST", "/user/repos", "write a new repository"),
        (GitHubApi, "POST", "/user/keys", "admin a request that is not recognised"),
        (GitHubRaw, "GET", "/acme/site/main/README.md", "read a read of acme/site"),
        (GitLab, "POST", "/acme/team/site.git/git-receive-pack", "write git push to acme/team/site"),
        (GitLab, "GET", "/acme/team/site/-/blob/main/x", "read a read of acme/team/site"),
        (GitLab, "POST", "/api/v4/projects/acme%2Fsite/issues", "write an API write to acme/site"),
        (GitLab, "PUT", "/api/v4/projects/acme%2Fsite", "admin a change of settings of acme/site"),
        (GitLab, "POST", "/api/v4/projects/7/issues", "write an API write"),
        (GitLab, "PUT", "/acme/site.git/gitlab-lfs/objects/ab/3", "write git lfs push to acme/site"),
        (Bitbucket, "POST", "/acme/site.git/git-receive-pack", "write git push to acme/site"),
        (BitbucketApi, "POST", "/2.0/repositories/acme/site/pullrequests", "write an API write to acme/site"),
        (BitbucketApi, "POST", "/2.0/repositories/acme/site/hooks", "admin a change of settings of acme/site"),
        (HuggingFace, "GET", "/acme/model/resolve/main/x.bin", "read a read of acme/model"),
        (HuggingFace, "GET", "/gpt2/resolve/main/x.bin", "read a read of gpt2"),
        (HuggingFace, "GET", "/datasets/acme/d/resolve/main/x", "read a read of datasets/acme/d"),
        (HuggingFace, "POST", "/api/models/acme/model/commit/main", "write a commit by the API to acme/model"),
        (HuggingFace, "POST", "/api/models/acme/model/paths-info/main", "read a read of acme/model"),
        (HuggingFace, "POST", "/api/repos/create", "write a new repository"),
        (HuggingFace, "POST", "/acme/model.git/git-receive-pack", "write git push to acme/model"),
        (Npm, "GET", "/@acme%2fsite", "read a read of @acme/site"),
        (Npm, "PUT", "/@acme%2fsite", "write a publish of @acme/site"),
        (Npm, "PUT", "/left-pad", "write a publish of left-pad"),
        (Npm, "DELETE", "/left-pad/-rev/3-abc", "write an unpublish of left-pad"),
        (Npm, "DELETE", "/@acme/site/-/site-1.0.0.tgz/-rev/3-abc", "write an unpublish of @acme/site"),
        (Npm, "PUT", "/-/package/@acme%2fsite/dist-tags/beta", "write a dist-tag of @acme/site"),
        (Npm, "PUT", "/left-pad/-rev/3-abc", "admin a change of owners or access of left-pad"),
        (Npm, "POST", "/-/package/left-pad/access", "admin a change of owners or access of left-pad"),
        (Npm, "POST", "/-/npm/v1/security/advisories/bulk", "read a read"),
        (Npm, "POST", "/-/npm/v1/tokens", "admin a request that is not recognised"),
        (Npm, "PUT", "/-/user/org.couchdb.user:eve", "admin a request that is not recognised"),
        (PyPi, "POST", "/legacy/", "write an upload"),
        (PyPi, "GET", "/simple/Acme_Site/", "read a read of acme-site"),
        (Crates, "PUT", "/api/v1/crates/new", "write a publish"),
        (Crates, "DELETE", "/api/v1/crates/Acme_Site/1.0.0/yank", "write a yank of acme-site"),
        (Crates, "PUT", "/api/v1/crates/acme/owners", "admin a change of owners or access of acme"),
        (Crates, "GET", "/ac/me/acme-site", "read a read of acme-site"),
        (RubyGems, "POST", "/api/v1/gems", "write a publish"),
        (RubyGems, "DELETE", "/api/v1/gems/yank", "write a yank"),
        (RubyGems, "POST", "/api/v1/gems/rails/owners", "admin a change of owners or access of rails"),
        (Oci, "GET", "/v2/", "read a read"),
        (Oci, "GET", "/v2/acme/site/manifests/latest", "read a pull of acme/site"),
        (Oci, "PUT", "/v2/acme/site/manifests/latest", "write a push to acme/site"),
        (Oci, "POST", "/v2/acme/site/blobs/uploads/", "write a push to acme/site"),
        (Oci, "PATCH", "/v2/acme/site/blobs/uploads/1-2", "write a push to acme/site"),
        (Oci, "DELETE", "/v2/acme/site/blobs/sha256:ab", "write a delete in acme/site"),
        (Oci, "POST", "/v2/acme/site/blobs/uploads/?mount=sha256:ab&from=evil/x", "write a push"),
    ] {
        assert_eq!(told(service, method, path), expected, "{} {method} {path}", service.as_str());
    }
}

/// The agent tries every spelling by which a server could be brought to write, or to touch what is not its.
#[test]
fn a_read_of_acme_lets_no_spelling_of_a_write_through() {
    use Service::*;
    for (service, method, path) in [
        (GitHub, "POST", "/acme/site.git/git-receive-pack"),
        (GitHub, "POST", "/acme/site/git-receive-pack/"),
        (GitHub, "POST", "//acme/site/git-receive-pack"),
        (GitHub, "POST", "/acme/site//git-receive-pack"),
        (GitHub, "POST", "/acme%2Fsite/git-receive-pack"),
        (GitHub, "POST", "/acme/site/git%2Dreceive%2Dpack"),
        (GitHub, "POST", "/acme/site/git-receive-pack;x=/git-upload-pack"),
        (GitHub, "POST", "/acme/site/git-receive-pack%2Fgit-upload-pack"),
        (GitHub, "POST", "/acme/site/git-upload-pack?_method=PUT"),
        (GitHub, "GET", "/acme/site/info/refs?service=git-receive-pack"),
        (GitHub, "GET", "/acme/site/info/refs?service=git%2Dreceive%2Dpack"),
        (GitHub, "GET", "/acme/site/info/refs?service=git-upload-pack&service=git-receive-pack"),
        (GitHub, "GET", "/acme/site/info/refs?x=1&service=git-receive-pack"),
        (GitHub, "GET", "/acme/site/issues?_method=delete"),
        (GitHub, "GET", "/acme/site/issues?%5Fmethod=delete"),
        (GitHub, "GET", "/acme/site/issues?.method=delete"),
        (GitHub, "PUT", "/acme/site.git/info/lfs/objects/x"),
        (GitHub, "POST", "/acme/site/issues"),
        (GitHub, "post", "/acme/site/git-upload-pack"),
        (GitHubApi, "POST", "/graphql?query=mutation%7Ba%7D"),
        (GitHubApi, "GET", "/graphql?query=mutation%7Ba%7D"),
        (GitHubApi, "POST", "/graphql/"),
        (GitHubApi, "PUT", "/repos/acme/site/contents/x"),
        (GitHubApi, "POST", "/repos/acme/site/git/refs"),
        (GitHubApi, "MERGE", "/repos/acme/site"),
        (GitLab, "POST", "/api/v4/projects/acme%2Fsite/repository/commits"),
        (GitLab, "GET", "/api/v4/projects/acme%2Fsite?_method=PUT"),
        (Npm, "PUT", "/acme"),
        (Npm, "POST", "/-/npm/v1/security%2F..%2F..%2F..%2F..%2Facme"),
        (Oci, "GET", "/v2/acme/site/blobs/uploads/7"),
        (Oci, "POST", "/v2/acme/site/blobs/uploads"),
        (Storage, "PUT", "/x"),
    ] {
        let read = scope(service, Access::Read, if matches!(service, Npm | Storage) { &[] } else { &["acme/*"] });
        assert!(!lets(&read, method, path), "{} {method} {path}", service.as_str());
    }
}

#[test]
fn a_scope_of_one_owner_reaches_no_other_by_any_spelling() {
    use Service::*;
    for (service, method, path) in [
        (GitHub, "POST", "/evil/site.git/git-receive-pack"),
        (GitHub, "POST", "/acme/site/../../evil/x/git-receive-pack"),
        (GitHub, "POST", "/acme%2F..%2F..%2Fevil/x/git-receive-pack"),
        (GitHub, "POST", "/evil/x/acme/site/git-receive-pack"),
        (GitHub, "POST", "/acme/site/evil/x/git-receive-pack"),
        (GitHub, "POST", "/git-receive-pack"),
        (GitHub, "POST", "/acme/git-receive-pack"),
        (GitHub, "POST", "/acme.git/site/git-receive-pack"),
        (GitHub, "GET", "//evil/site"),
        (GitHub, "GET", "/acme//evil/site"),
        (GitHub, "GET", "/acmeevil/site"),
        (GitHub, "GET", "/search?q=acme/site"),
        (GitHubApi, "GET", "/repositories/123"),
        (GitHubApi, "PATCH", "/repositories/123/contents/x"),
        (GitHubApi, "GET", "/repos//acme/site"),
        (GitHubApi, "GET", "/repos/acme%2Fsite/x"),
        (GitHubApi, "GET", "/repos/acme%252Fsite/evil"),
        (GitHubApi, "GET", "/search/code?q=repo:acme/site"),
        (GitHubApi, "POST", "/repos/acme/site/forks"),
        (GitHubApi, "POST", "/repos/acme/site/transfer"),
        (GitHubApi, "POST", "/repos/acme/site/generate"),
        (GitHubApi, "POST", "/gists"),
        (GitHubApi, "POST", "/user/repos"),
        (GitHubApi, "POST", "/graphql"),
        (GitHubApi, "POST", "/repos/acme/site/hooks"),
        (GitHubApi, "PATCH", "/repos/acme/site"),
        (GitHubRaw, "GET", "/evil/site/main/x"),
        (GitLab, "POST", "/api/v4/projects/7/issues"),
        (GitLab, "POST", "/api/v4/projects/evil%2Fsite/issues"),
        (GitLab, "POST", "/api/v4/projects/acme%2fsite%2f..%2fx/issues"),
        (GitLab, "POST", "/api/graphql"),
        (GitLab, "POST", "/evil/acme/site.git/git-receive-pack"),
        (HuggingFace, "POST", "/api/repos/create"),
        (HuggingFace, "POST", "/api/models/evil/m/commit/main"),
        (HuggingFace, "POST", "/datasets/acme/d.git/git-receive-pack"),
        (Npm, "PUT", "/@evil%2fsite"),
        (Npm, "PUT", "/acme%2fsite"),
        (Npm, "PUT", "/"),
        (PyPi, "POST", "/legacy/"),
        (Crates, "PUT", "/api/v1/crates/new"),
        (Oci, "PUT", "/v2/evil/site/manifests/x"),
        (Oci, "PUT", "/v2/acme/site/x/manifests/x"),
        (Oci, "POST", "/v2/acme/site/blobs/uploads/?from=evil/x&mount=sha256:a"),
        (Oci, "POST", "/v2/acme/site/blobs/uploads/?mount=sha256:a&%66rom=evil/x"),
        (Oci, "GET", "/v2/_catalog"),
        (Storage, "PUT", "/signed-by-someone"),
    ] {
        let pattern = if service == Npm { "@acme/*" } else { "acme/*" };
        let write = scope(service, Access::Write, &[pattern]);
        assert!(!lets(&write, method, path), "{} {method} {path}", service.as_str());
    }
}

#[test]
fn what_is_permitted_is_let_through_in_the_spellings_of_its_clients() {
    use Service::*;
    for (service, access, repos, method, path) in [
        (GitHub, Access::Write, &["acme/site"][..], "POST", "/ACME/Site.git/git-receive-pack"),
        (GitHub, Access::Read, &["Acme/Tools-*"], "POST", "/acme/tools-x.git/git-upload-pack"),
        (GitHub, Access::Read, &["acme/*"], "POST", "/acme/site.git/info/lfs/objects/batch"),
        (GitHub, Access::Read, &[], "GET", "/topics/rust?_pjax=1&payment_method=x"),
        (GitHubApi, Access::Read, &["acme/*"], "GET", "/rate_limit"),
        (GitHubApi, Access::Read, &[], "POST", "/graphql"),
        (GitHubApi, Access::Read, &[], "GET", "/repositories/123"),
        (GitHubApi, Access::Write, &[], "POST", "/graphql"),
        (GitHubApi, Access::Admin, &["acme/*"], "POST", "/repos/acme/site/hooks"),
        (GitHubApi, Access::Admin, &[], "PUT", "/whatever"),
        (GitHubRaw, Access::Read, &["acme/*"], "GET", "/acme/site/main/a%20b//c.txt"),
        (GitLab, Access::Write, &["acme/**"], "POST", "/acme/a/b.git/git-receive-pack"),
        (GitLab, Access::Write, &["acme/site"], "POST", "/api/v4/projects/acme%2fsite/merge_requests"),
        (HuggingFace, Access::Write, &["datasets/acme/*"], "POST", "/datasets/acme/d.git/git-receive-pack"),
        (Npm, Access::Write, &["@acme/*"], "PUT", "/@acme%2fsite"),
        (PyPi, Access::Read, &["acme.site"], "GET", "/simple/acme-site/"),
        (PyPi, Access::Write, &[], "POST", "/legacy/"),
        (Oci, Access::Write, &["acme/**"], "POST", "/v2/acme/a/b/blobs/uploads/"),
        (Oci, Access::Write, &["acme/a"], "PUT", "/v2/acme/a/blobs/uploads/7?digest=sha256:ab"),
    ] {
        let scope = scope(service, access, repos);
        assert!(lets(&scope, method, path), "{} {access:?} {method} {path}", service.as_str());
    }
}

#[test]
fn only_the_body_tells_a_query_from_a_mutation_and_a_download_from_an_upload() {
    let read = scope(Service::GitHubApi, Access::Read, &[]);
    let graphql = target("POST", "/graphql").unwrap();
    assert_eq!(read.allows(&graphql), Allowed::IfBodyReads(Document::GraphQl));
    assert_eq!(scope(Service::GitHubApi, Access::Write, &[]).allows(&graphql), Allowed::Yes);
    let batch = target("POST", "/acme/site.git/info/lfs/objects/batch").unwrap();
    let lfs = |access, repos: &[&str]| scope(Service::GitHub, access, repos).allows(&batch);
    assert_eq!(lfs(Access::Read, &["acme/*"]), Allowed::IfBodyReads(Document::LfsBatch));
    assert_eq!(lfs(Access::Write, &["acme/*"]), Allowed::Yes);
    assert_eq!(lfs(Access::Write, &["evil/*"]), Allowed::No);
}

const JSON: Option<&[u8]> = Some(b"application/json");

fn graphql(body: &str) -> Result<Access, Unreadable> {
    Document::GraphQl.access(JSON, body.as_bytes())
}

#[test]
fn queries_are_told_from_mutations() {
    for (query, expected) in [
        ("query { viewer { login } }", Some(Access::Read)),
        ("{ viewer { login } }", Some(Access::Read)),
        (
            "query Q($a: [String!]! = [\\\"}\\\"], $o: X = {k: {l: 1}}) @d(if: true) { f(x: $o) { ...F } }\\nfragment F on R { id }",
            Some(Access::Read),
        ),
        ("# mutation {\\n query { a }", Some(Access::Read)),
        ("query { a(x: \\\"} mutation { b }\\\") }", Some(Access::Read)),
        ("query { a(x: \\\"\\\"\\\"} mutation { b }\\\"\\\"\\\") }", Some(Access::Read)),
        ("query { mutation: a query fragment on: b }", Some(Access::Read)),
        ("mutation { a }", Some(Access::Write)),
        ("query A { a } mutation B { b }", Some(Access::Write)),
        ("subscription { a }", Some(Access::Write)),
        ("#\\rmutation { a }", Some(Access::Write)),
        (",,, mutation{a}", Some(Access::Write)),
        ("fragment F on R { id } mutation { a }", Some(Access::Write)),
        // Lexers differ about these.
        ("#\\u2028mutation { a }\\n query { a }", None),
        ("query { a } \\u00a0 mutation { b }", None),
        ("query { a(x: \\\"\\n\\\") }", None),
        ("query { a(x: \\\"\\\"\\\" \\\\\\\"\\\"\\\" \\\"\\\"\\\") }", None),
        ("query { a(x: \\\"\\\\x\\\") }", None),
        ("\\ufeffquery { a }", None),
        ("query { a", None),
        ("query { a } }", None),
        ("query ( { a }", None),
        ("query { a ] }", None),
        ("extend type X { a }", None),
        ("Query { a }", None),
        ("", None),
        ("\\u0000query { a }", None),
    ] {
        let body = format!("{{\"query\": \"{query}\", \"variables\": {{\"a\": 1}}, \"operationName\": \"A\"}}");
        assert_eq!(graphql(&body).ok(), expected, "{query}");
    }
}

#[test]
fn a_body_with_two_readings_is_no_read() {
    let query = "{\"query\": \"{ a }\"}";
    assert_eq!(graphql(query), Ok(Access::Read));
    for body in [
        // Batches, persisted queries, doubled keys, keys that a lax server takes for `query`.
        "[{\"query\": \"{ a }\"}, {\"query\": \"mutation { a }\"}]",
        "{\"extensions\": {\"persistedQuery\": {\"sha256Hash\": \"ab\"}}}",
        "{\"query\": \"{ a }\", \"extensions\": {}}",
        "{\"query\": \"{ a }\", \"query\": \"mutation { a }\"}",
        "{\"query\": \"{ a }\", \"qu\\u0065ry\": \"mutation { a }\"}",
        "{\"query\": \"{ a }\", \"Query\": \"mutation { a }\"}",
        "{\"id\": \"stored\"}",
        "{\"query\": null}",
        "{\"query\": \"{ a }\"} {\"query\": \"mutation { a }\"}",
        "query=mutation{a}",
        "",
    ] {
        assert_eq!(graphql(body), Err(Unreadable::Form), "{body}");
    }
    let types: [Option<&[u8]>; 5] = [
        None,
        Some(b"application/graphql"),
        Some(b"application/x-www-form-urlencoded"),
        Some(b"application/json; charset=utf-16"),
        Some(b"multipart/form-data; boundary=x"),
    ];
    for kind in types {
        assert_eq!(Document::GraphQl.access(kind, query.as_bytes()), Err(Unreadable::NotJson));
    }
    assert_eq!(
        Document::GraphQl.access(Some(b"Application/JSON; charset=\"utf-8\""), query.as_bytes()),
        Ok(Access::Read)
    );
    let long = format!("{{\"query\": \"{{ a }}{}\"}}", " ".repeat(Document::MOST));
    assert_eq!(graphql(&long), Err(Unreadable::TooLong));
}

#[test]
fn an_lfs_batch_is_a_download_only_where_every_server_reads_it_so() {
    let kind: Option<&[u8]> = Some(b"application/vnd.git-lfs+json; charset=utf-8");
    let lfs = |body: &str| Document::LfsBatch.access(kind, body.as_bytes());
    assert_eq!(lfs("{\"operation\": \"download\", \"objects\": [], \"ref\": {\"name\": \"x\"}}"), Ok(Access::Read));
    assert_eq!(lfs("{\"operation\": \"upload\", \"objects\": []}"), Ok(Access::Write));
    for body in [
        // Go's JSON reads keys without regard to case, and the last one wins.
        "{\"operation\": \"download\", \"Operation\": \"upload\"}",
        "{\"operation\": \"download\", \"operation\": \"upload\"}",
        "{\"operation\": \"Download\"}",
        "{\"objects\": []}",
    ] {
        assert_eq!(lfs(body), Err(Unreadable::Form), "{body}");
    }
}

#[test]
fn patterns_that_mean_something_else_than_they_say_are_refused() {
    for (service, pattern, error) in [
        (Service::GitHub, "acme", ReposError::NotOwnerAndRepo),
        (Service::GitHub, "acme/a/b", ReposError::NotOwnerAndRepo),
        (Service::GitHub, "**/x", ReposError::NotOwnerAndRepo),
        (Service::GitHub, "https://github.com/acme/x", ReposError::NotAName),
        (Service::GitHub, "acme/", ReposError::NotAName),
        (Service::GitHub, "acme/../evil", ReposError::NotAName),
        (Service::GitHub, "acme/{a,b}", ReposError::NotAName),
        (Service::GitLab, "acme/x**", ReposError::DoubleStar),
        (Service::Npm, "", ReposError::NotAName),
    ] {
        assert_eq!(Repos::only(service, &["a/b", pattern]).unwrap_err(), (1, error), "{pattern}");
    }
    let none = scope(Service::GitHub, Access::Admin, &[]);
    let none = Scope { repos: Repos::none(), ..none };
    assert!(none.repos.is_void() && !lets(&none, "GET", "/acme/site"));
}

#[test]
fn a_refusal_names_the_deed_the_rule_and_what_would_permit_it() {
    let scope = Scope { preset: Some("github".into()), ..scope(Service::GitHub, Access::Read, &["acme/*"]) };
    let action = scope.action(&target("POST", "/evil/repo.git/git-receive-pack").unwrap());
    assert_eq!(
        scope.refusal("github-read.allow[0]", &action),
        "git push to evil/repo is not permitted: the rule github-read.allow[0] lets acme/* be read"
    );
    assert_eq!(scope.allow_argument(&action).unwrap(), "github-write:evil/repo");
}
