//! The child's environment: the inherited one without what leads past the gateway, and the way through it.

use super::{files, java};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The way out that a command is given. Holds the session's token, hence no `Debug`.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// The gateway's proxy listener.
    pub proxy: SocketAddr,
    /// The session's id: the user name for the proxy. `[a-z0-9._-]`, so it needs no escape in a URL.
    pub session: &'a str,
    /// The session's token: the password for the proxy. base64url, so it needs no escape in a URL.
    pub token: &'a str,
    /// PEM: the system's roots and the gateway's CA. For variables that replace a client's roots.
    pub ca_bundle: &'a Path,
    /// PEM: the gateway's CA alone. For variables that add to a client's roots.
    pub ca_certificate: &'a Path,
    /// The directory that holds what [`files`](super::files) made.
    pub directory: &'a Path,
}

impl Way<'_> {
    /// The proxy with the session's credentials, as most clients want it.
    #[must_use]
    pub fn proxy_url(&self) -> String {
        format!("http://{}:{}@{}", self.session, self.token, self.proxy)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// Inherited variables that never reach the child, in lower case. Compared without regard to case and with `-` as
/// `_`, as npm and curl read them. Three kinds: ways past the gateway; checks of TLS turned off, which nothing
/// needs once the CA variables are set; and settings that would win over what is set here.
const REPLACED: &[&str] = &[
    // Other proxies, and exceptions from the proxy
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "ftp_proxy",
    "socks_proxy",
    "socks5_proxy",
    "ws_proxy",
    "wss_proxy",
    "rsync_proxy",
    "grpc_proxy",
    "no_grpc_proxy",
    "cgi_http_proxy",
    "pip_proxy",
    "uv_http_proxy",
    "uv_https_proxy",
    "uv_no_proxy",
    "npm_config_proxy",
    "npm_config_http_proxy",
    "npm_config_https_proxy",
    "npm_config_noproxy",
    "npm_config_no_proxy",
    "pnpm_config_http_proxy",
    "pnpm_config_https_proxy",
    "pnpm_config_no_proxy",
    "yarn_proxy",
    "yarn_http_proxy",
    "yarn_https_proxy",
    "yarn_no_proxy",
    "cargo_http_proxy",
    "bundle_http_proxy",
    "bundle_https_proxy",
    "bundle_no_proxy",
    "cloudsdk_proxy_type",
    "cloudsdk_proxy_address",
    "cloudsdk_proxy_port",
    "cloudsdk_proxy_username",
    "cloudsdk_proxy_password",
    "cloudsdk_proxy_rdns",
    "global_agent_http_proxy",
    "global_agent_https_proxy",
    "global_agent_no_proxy",
    // Checks of TLS turned off
    "node_tls_reject_unauthorized",
    "pythonhttpsverify",
    "git_ssl_no_verify",
    "npm_config_strict_ssl",
    "pnpm_config_strict_ssl",
    "yarn_strict_ssl",
    "yarn_enable_strict_ssl",
    "bundle_ssl_verify_mode",
    "cloudsdk_auth_disable_ssl_validation",
    "azure_cli_disable_connection_verification",
    "hex_unsafe_https",
    "perl_lwp_ssl_verify_hostname",
    // Roots that some clients prefer over the ones set here
    "npm_config_ca",
    "pnpm_config_ca",
    "pnpm_config_cafile",
    "yarn_cafile",
    "yarn_ca_file_path",
    "perl_lwp_ssl_ca_path",
    "git_ssl_capath",
];

/// Whether an inherited variable is kept from the child: see the list's own comment, and everything of
/// exeat's own (`EXEAT_…`), where operators keep control keys and the tokens of other sessions.
#[must_use]
pub fn is_replaced(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let name = name.to_ascii_lowercase().replace('-', "_");
    name.starts_with("exeat_") || REPLACED.contains(&name.as_str())
}

/// The whole environment of a command: what it inherits without what [`is_replaced`], and the way out.
#[must_use]
pub fn environment(
    way: &Way<'_>,
    inherited: impl IntoIterator<Item = (OsString, OsString)>,
) -> BTreeMap<OsString, OsString> {
    let inherited: Vec<_> = inherited.into_iter().collect();
    let had_berry_ca = inherited.iter().any(|(name, _)| name == "YARN_HTTPS_CA_FILE_PATH");
    let mut child: BTreeMap<OsString, OsString> =
        inherited.into_iter().filter(|(name, _)| !is_replaced(name)).collect();
    for (name, value) in variables(way) {
        child.insert(name.into(), value);
    }
    if had_berry_ca {
        child.insert("YARN_HTTPS_CA_FILE_PATH".into(), way.ca_bundle.into());
    }
    // Read before apt's own files; one that is set already is somebody's wish
    child.entry("APT_CONFIG".into()).or_insert_with(|| way.file(files::APT).into());
    configure_git(way, &mut child);
    java::configure(way, &mut child);
    child
}

/// The variables with one value of their own. What joins on to an inherited value is done apart.
fn variables(way: &Way<'_>) -> Vec<(&'static str, OsString)> {
    let url = way.proxy_url();
    let mut set: Vec<(&'static str, OsString)> = Vec::with_capacity(64);
    for name in PROXY_URL {
        set.push((name, url.clone().into()));
    }
    // Nothing goes past the gateway, loopback neither. Empty and not unset, so that a .env file can't fill it in.
    set.push(("NO_PROXY", OsString::new()));
    set.push(("no_proxy", OsString::new()));
    // npm takes an empty variable for one that is not set, and then reads .npmrc: a name that never resolves (RFC 6761).
    set.push(("npm_config_noproxy", "none.invalid".into()));
    // rsync wants no scheme
    set.push(("RSYNC_PROXY", format!("{}:{}@{}", way.session, way.token, way.proxy).into()));
    set.push(("NODE_USE_ENV_PROXY", "1".into()));
    set.push(("ELECTRON_GET_USE_PROXY", "1".into()));
    // Without it git asks first without credentials, and each of its connections leaves a 407 in the journal
    set.push(("GIT_HTTP_PROXY_AUTHMETHOD", "basic".into()));
    set.push(("CLOUDSDK_PROXY_TYPE", "http".into()));
    set.push(("CLOUDSDK_PROXY_ADDRESS", way.proxy.ip().to_string().into()));
    set.push(("CLOUDSDK_PROXY_PORT", way.proxy.port().to_string().into()));
    set.push(("CLOUDSDK_PROXY_USERNAME", way.session.into()));
    set.push(("CLOUDSDK_PROXY_PASSWORD", way.token.into()));
    for name in REPLACES_ROOTS {
        set.push((name, way.ca_bundle.into()));
    }
    set.push((ADDS_TO_ROOTS, way.ca_certificate.into()));
    set.push(("DENO_TLS_CA_STORE", "system,mozilla".into()));
    // GnuTLS, which Debian's wget is built with, reads no variable at all; the file is ours
    set.push(("SYSTEM_WGETRC", way.file("wgetrc").into()));
    set.push(("EXEAT_SESSION", way.session.into()));
    set
}

/// Variables that hold the proxy's URL. curl reads `http_proxy` in lower case only (CGI puts a request's `Proxy`
/// field into `HTTP_PROXY`), others the other way round. `ALL_PROXY` catches other protocols: better a refusal
/// in the journal than a connection past it.
pub const PROXY_URL: [&str; 15] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "ftp_proxy",
    "FTP_PROXY",
    "grpc_proxy",
    "PIP_PROXY",
    "npm_config_proxy",
    "npm_config_https_proxy",
    "YARN_HTTP_PROXY",
    "YARN_HTTPS_PROXY",
    "CARGO_HTTP_PROXY",
];

/// Variables that replace a client's roots, so that ours alone would cut it off from what is tunnelled: for the
/// system's roots plus ours. `NODE_EXTRA_CA_CERTS` adds; it gets them too, for roots that Node's own list lacks.
pub const REPLACES_ROOTS: [&str; 20] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "npm_config_cafile",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "BUNDLE_SSL_CA_CERT",
    "COMPOSER_CAFILE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "CONDA_SSL_VERIFY",
    "NIX_SSL_CERT_FILE",
    "HTTPLIB2_CA_CERTS",
    "PERL_LWP_SSL_CA_FILE",
    "HEX_CACERTS_PATH",
    "JULIA_SSL_CA_ROOTS_PATH",
    "CODEX_CA_CERTIFICATE",
];

/// Adds to Deno's roots, and Deno refuses a file with one certificate that it can't read: for ours alone.
pub const ADDS_TO_ROOTS: &str = "DENO_CERT";

/// Git's own configuration wins over proxy variables, so `http.proxy` of a user's file must be overridden in
/// kind. And git hands working proxy credentials to the credential helper, which would keep the token on disk:
/// an empty helper for the proxy's URL empties the list of helpers.
fn configure_git(way: &Way<'_>, child: &mut BTreeMap<OsString, OsString>) {
    let first =
        child.get(OsStr::new("GIT_CONFIG_COUNT")).and_then(|count| count.to_str()?.parse::<usize>().ok()).unwrap_or(0);
    let ours = [
        ("http.proxy".to_owned(), way.proxy_url()),
        (format!("credential.http://{}.helper", way.proxy), String::new()),
    ];
    let count = first + ours.len();
    for (index, (key, value)) in (first..).zip(ours) {
        child.insert(format!("GIT_CONFIG_KEY_{index}").into(), key.into());
        child.insert(format!("GIT_CONFIG_VALUE_{index}").into(), value.into());
    }
    child.insert("GIT_CONFIG_COUNT".into(), count.to_string().into());
}

#[cfg(test)]
mod tests;
