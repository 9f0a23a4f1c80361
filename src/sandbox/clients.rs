//! Which client reads which variable: the README's table, and what the tests hold the environment to.

use std::fmt::Write as _;

/// A client, or a family of clients that read the same variables.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// What it is called.
    pub name: &'static str,
    /// The variables that it reads of those that are set.
    pub variables: &'static [&'static str],
    /// What else there is to know; empty when nothing.
    pub note: &'static str,
}

/// The clients that `exeat run` sets variables for, after what each documents. Tried through a gateway: curl, wget,
/// git, Python's urllib and requests, pip, npm, Node.js, cargo, aws, Java and Maven.
pub const CLIENTS: &[Client] = &[
    Client {
        name: "curl, libcurl",
        variables: &[
            "http_proxy",
            "https_proxy",
            "HTTPS_PROXY",
            "all_proxy",
            "ftp_proxy",
            "no_proxy",
            "CURL_CA_BUNDLE",
        ],
        note: "`proxy` or `noproxy` in `~/.curlrc` wins",
    },
    Client {
        name: "wget",
        variables: &["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "SYSTEM_WGETRC"],
        note: "the CA comes from a wgetrc of the run, for GnuTLS reads no variable; wget2 needs `--ca-certificate`",
    },
    Client {
        name: "git, git-lfs",
        variables: &[
            "GIT_CONFIG_COUNT",
            "GIT_CONFIG_KEY_0",
            "GIT_CONFIG_VALUE_0",
            "GIT_CONFIG_KEY_1",
            "GIT_CONFIG_VALUE_1",
            "GIT_HTTP_PROXY_AUTHMETHOD",
            "GIT_SSL_CAINFO",
        ],
        note: "`http.proxy` of your files is overridden, a `http.<url>.proxy` or `remote.<name>.proxy` wins; ssh remotes \
               do not go through a proxy",
    },
    Client {
        name: "Python: urllib, requests, httpx",
        variables: &["http_proxy", "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"],
        note: "aiohttp reads the proxy with `trust_env=True` only",
    },
    Client {
        name: "pip, pipx, poetry",
        variables: &["PIP_PROXY", "PIP_CERT", "https_proxy", "REQUESTS_CA_BUNDLE"],
        note: "",
    },
    Client {
        name: "uv",
        variables: &["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"],
        note: "",
    },
    Client { name: "conda, mamba", variables: &["https_proxy", "CONDA_SSL_VERIFY", "REQUESTS_CA_BUNDLE"], note: "" },
    Client {
        name: "Node.js (`fetch`, `node:https`)",
        variables: &["NODE_USE_ENV_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS"],
        note: "Node 22.21 or 24.5 and later (`fetch` from 24.0); older ones ignore the proxy unless the program sets one",
    },
    Client {
        name: "npm, npx",
        variables: &["npm_config_proxy", "npm_config_https_proxy", "npm_config_noproxy", "npm_config_cafile"],
        note: "",
    },
    Client { name: "pnpm", variables: &["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS"], note: "" },
    Client {
        name: "yarn (classic and berry)",
        variables: &["YARN_HTTP_PROXY", "YARN_HTTPS_PROXY", "NODE_EXTRA_CA_CERTS"],
        note: "`YARN_HTTPS_CA_FILE_PATH` is replaced where it was set, and not set otherwise: yarn 2 stops at settings that it \
               does not know",
    },
    Client {
        name: "Deno",
        variables: &["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "DENO_CERT", "DENO_TLS_CA_STORE"],
        note: "",
    },
    Client { name: "Bun", variables: &["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS"], note: "" },
    Client { name: "Electron's download of itself", variables: &["ELECTRON_GET_USE_PROXY", "HTTPS_PROXY"], note: "" },
    Client { name: "cargo", variables: &["CARGO_HTTP_PROXY", "CARGO_HTTP_CAINFO"], note: "" },
    Client { name: "rustup, reqwest", variables: &["HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE"], note: "" },
    Client {
        name: "Go, gh, terraform, kubectl",
        variables: &["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"],
        note: "Go never sends loopback to a proxy; on macOS it reads the keychain, not `SSL_CERT_FILE`",
    },
    Client {
        name: "Java",
        variables: &["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"],
        note: "the JDK's own HTTP clients need code to offer proxy credentials, and are refused with 407 without it; a JDK \
               8 gets no credentials at all",
    },
    Client {
        name: "Maven",
        variables: &["JAVA_TOOL_OPTIONS", "MAVEN_ARGS"],
        note: "by global settings of the run; a proxy in `~/.m2/settings.xml` wins",
    },
    Client {
        name: "Gradle, sbt, coursier",
        variables: &["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"],
        note: "a proxy in `gradle.properties` wins",
    },
    Client {
        name: "Ruby, gem, bundler",
        variables: &["http_proxy", "https_proxy", "SSL_CERT_FILE", "BUNDLE_SSL_CA_CERT"],
        note: "",
    },
    Client {
        name: "PHP, composer",
        variables: &["http_proxy", "https_proxy", "COMPOSER_CAFILE", "SSL_CERT_FILE"],
        note: "",
    },
    Client { name: ".NET, nuget, PowerShell", variables: &["http_proxy", "https_proxy", "SSL_CERT_FILE"], note: "" },
    Client { name: "Elixir's hex", variables: &["HTTP_PROXY", "HTTPS_PROXY", "HEX_CACERTS_PATH"], note: "" },
    Client { name: "Julia", variables: &["http_proxy", "https_proxy", "JULIA_SSL_CA_ROOTS_PATH"], note: "" },
    Client { name: "Perl's LWP", variables: &["http_proxy", "https_proxy", "PERL_LWP_SSL_CA_FILE"], note: "" },
    Client {
        name: "nix",
        variables: &["https_proxy", "NIX_SSL_CERT_FILE"],
        note: "the daemon of a multi-user nix has its own environment",
    },
    Client { name: "aws, boto3", variables: &["HTTPS_PROXY", "AWS_CA_BUNDLE"], note: "" },
    Client { name: "az", variables: &["HTTPS_PROXY", "REQUESTS_CA_BUNDLE"], note: "" },
    Client {
        name: "gcloud, gsutil",
        variables: &[
            "CLOUDSDK_PROXY_TYPE",
            "CLOUDSDK_PROXY_ADDRESS",
            "CLOUDSDK_PROXY_PORT",
            "CLOUDSDK_PROXY_USERNAME",
            "CLOUDSDK_PROXY_PASSWORD",
            "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
            "HTTPLIB2_CA_CERTS",
        ],
        note: "",
    },
    Client {
        name: "gRPC (C core, Python, Node.js)",
        variables: &["grpc_proxy", "no_proxy", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"],
        note: "",
    },
    Client { name: "rsync (daemon protocol)", variables: &["RSYNC_PROXY"], note: "" },
    Client {
        name: "Claude Code, Gemini CLI, Copilot CLI, opencode",
        variables: &["HTTPS_PROXY", "NODE_EXTRA_CA_CERTS"],
        note: "",
    },
    Client {
        name: "Codex CLI",
        variables: &["HTTPS_PROXY", "CODEX_CA_CERTIFICATE"],
        note: "0.146 and later; older ones offer no proxy credentials",
    },
    Client {
        name: "docker",
        variables: &["HTTPS_PROXY"],
        note: "the client alone; what the daemon pulls and what runs in containers has the daemon's settings",
    },
    Client {
        name: "any program",
        variables: &["EXEAT_SESSION", "HTTP_PROXY", "FTP_PROXY"],
        note: "`EXEAT_SESSION` tells that it runs behind exeat",
    },
];

/// The table of the README: client, variables, remark.
#[must_use]
pub fn table() -> String {
    let mut text = String::from("| client | variables | remark |\n| --- | --- | --- |\n");
    for client in CLIENTS {
        let variables: Vec<_> = client.variables.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(text, "| {} | {} | {} |", client.name, variables.join(", "), client.note);
    }
    text
}
