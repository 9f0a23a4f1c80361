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
    /// Which of them the tests run through a gateway, and the test's module under `tests/e2e`.
    pub tested: &'static [(&'static str, &'static str)],
}

/// The clients that `exeat run` sets variables for, after what each documents.
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
        tested: &[("HTTP/1.1", "clients/curl"), ("HTTP/2", "clients/http2")],
    },
    Client {
        name: "wget",
        variables: &["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "SYSTEM_WGETRC"],
        note: "the CA comes from a wgetrc of the run, for GnuTLS reads no variable; wget2 needs `--ca-certificate`",
        tested: &[("wget", "clients/wget")],
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
        tested: &[("git", "clients/git"), ("git over SSH", "clients/ssh")],
    },
    Client {
        name: "Python: urllib, requests, httpx",
        variables: &["http_proxy", "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"],
        note: "aiohttp reads the proxy with `trust_env=True` only",
        tested: &[("urllib, requests, httpx", "clients/python"), ("websockets, aiohttp", "websocket/clients")],
    },
    Client {
        name: "pip, pipx, poetry",
        variables: &["PIP_PROXY", "PIP_CERT", "https_proxy", "REQUESTS_CA_BUNDLE"],
        note: "",
        tested: &[("pip", "clients/python")],
    },
    Client {
        name: "uv",
        variables: &["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"],
        note: "",
        tested: &[("uv", "clients/uv")],
    },
    Client {
        name: "apt, apt-get",
        variables: &["http_proxy", "https_proxy", "APT_CONFIG"],
        note: "an `APT_CONFIG` that is set already stays, a proxy in `/etc/apt` wins; write a flat archive `deb URL /`, for the dot of `./` is refused",
        tested: &[("apt-get", "clients/apt")],
    },
    Client {
        name: "conda, mamba",
        variables: &["https_proxy", "CONDA_SSL_VERIFY", "REQUESTS_CA_BUNDLE"],
        note: "",
        tested: &[],
    },
    Client {
        name: "Node.js (`fetch`, `node:https`)",
        variables: &["NODE_USE_ENV_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS"],
        note: "Node 22.21 or 24.5 and later (`fetch` from 24.0); older ones ignore the proxy unless the program sets one",
        tested: &[("node:https, fetch", "clients/node"), ("ws, undici", "websocket/clients")],
    },
    Client {
        name: "npm, npx",
        variables: &["npm_config_proxy", "npm_config_https_proxy", "npm_config_noproxy", "npm_config_cafile"],
        note: "",
        tested: &[("npm", "clients/npm")],
    },
    Client {
        name: "pnpm",
        variables: &["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS"],
        note: "",
        tested: &[("pnpm", "clients/pnpm")],
    },
    Client {
        name: "yarn (classic and berry)",
        variables: &["YARN_HTTP_PROXY", "YARN_HTTPS_PROXY", "NODE_EXTRA_CA_CERTS"],
        note: "`YARN_HTTPS_CA_FILE_PATH` is replaced where it was set, and not set otherwise: yarn 2 stops at settings that it \
               does not know",
        tested: &[("both", "clients/yarn")],
    },
    Client {
        name: "Deno",
        variables: &["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "DENO_CERT", "DENO_TLS_CA_STORE"],
        note: "",
        tested: &[],
    },
    Client {
        name: "Bun",
        variables: &["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS"],
        note: "",
        tested: &[],
    },
    Client {
        name: "Electron's download of itself",
        variables: &["ELECTRON_GET_USE_PROXY", "HTTPS_PROXY"],
        note: "",
        tested: &[],
    },
    Client {
        name: "cargo",
        variables: &["CARGO_HTTP_PROXY", "CARGO_HTTP_CAINFO"],
        note: "",
        tested: &[("cargo", "clients/cargo")],
    },
    Client {
        name: "rustup, reqwest",
        variables: &["HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE"],
        note: "",
        tested: &[],
    },
    Client {
        name: "Go, gh, terraform, kubectl",
        variables: &["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"],
        note: "Go never sends loopback to a proxy; on macOS it reads the keychain, not `SSL_CERT_FILE`",
        tested: &[("go, net/http", "clients/go")],
    },
    Client {
        name: "Java",
        variables: &["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"],
        note: "the JDK's own HTTP clients need code to offer proxy credentials, and are refused with 407 without it; a JDK \
               8 gets no credentials at all",
        tested: &[("HttpClient, HttpURLConnection", "clients/java")],
    },
    Client {
        name: "Maven",
        variables: &["JAVA_TOOL_OPTIONS", "MAVEN_ARGS"],
        note: "by global settings of the run; a proxy in `~/.m2/settings.xml` wins",
        tested: &[],
    },
    Client {
        name: "Gradle, sbt, coursier",
        variables: &["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"],
        note: "a proxy in `gradle.properties` wins",
        tested: &[],
    },
    Client {
        name: "Ruby, gem, bundler",
        variables: &["http_proxy", "https_proxy", "SSL_CERT_FILE", "BUNDLE_SSL_CA_CERT"],
        note: "",
        tested: &[],
    },
    Client {
        name: "PHP, composer",
        variables: &["http_proxy", "https_proxy", "COMPOSER_CAFILE", "SSL_CERT_FILE"],
        note: "",
        tested: &[],
    },
    Client {
        name: ".NET, nuget, PowerShell",
        variables: &["http_proxy", "https_proxy", "SSL_CERT_FILE"],
        note: "",
        tested: &[],
    },
    Client {
        name: "Elixir's hex",
        variables: &["HTTP_PROXY", "HTTPS_PROXY", "HEX_CACERTS_PATH"],
        note: "",
        tested: &[],
    },
    Client {
        name: "Julia",
        variables: &["http_proxy", "https_proxy", "JULIA_SSL_CA_ROOTS_PATH"],
        note: "",
        tested: &[],
    },
    Client {
        name: "Perl's LWP",
        variables: &["http_proxy", "https_proxy", "PERL_LWP_SSL_CA_FILE"],
        note: "",
        tested: &[],
    },
    Client {
        name: "nix",
        variables: &["https_proxy", "NIX_SSL_CERT_FILE"],
        note: "the daemon of a multi-user nix has its own environment",
        tested: &[],
    },
    Client { name: "aws, boto3", variables: &["HTTPS_PROXY", "AWS_CA_BUNDLE"], note: "", tested: &[] },
    Client { name: "az", variables: &["HTTPS_PROXY", "REQUESTS_CA_BUNDLE"], note: "", tested: &[] },
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
        tested: &[],
    },
    Client {
        name: "gRPC (C core, Python, Node.js)",
        variables: &["grpc_proxy", "no_proxy", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"],
        note: "",
        tested: &[("grpcio", "clients/http2")],
    },
    Client { name: "rsync (daemon protocol)", variables: &["RSYNC_PROXY"], note: "", tested: &[] },
    Client {
        name: "Claude Code, Gemini CLI, Copilot CLI, opencode",
        variables: &["HTTPS_PROXY", "NODE_EXTRA_CA_CERTS"],
        note: "",
        tested: &[],
    },
    Client {
        name: "Codex CLI",
        variables: &["HTTPS_PROXY", "CODEX_CA_CERTIFICATE"],
        note: "0.146 and later; older ones offer no proxy credentials",
        tested: &[],
    },
    Client {
        name: "docker",
        variables: &["HTTPS_PROXY"],
        note: "the client alone; what the daemon pulls and what runs in containers has the daemon's settings",
        tested: &[],
    },
    Client {
        name: "any program",
        variables: &["EXEAT_SESSION", "HTTP_PROXY", "FTP_PROXY"],
        note: "`EXEAT_SESSION` tells that it runs behind exeat",
        tested: &[],
    },
];

/// The table of the README.
#[must_use]
pub fn table() -> String {
    let mut text = String::from("| client | variables | remark | run by the tests |\n| --- | --- | --- | --- |\n");
    for client in CLIENTS {
        let variables: Vec<_> = client.variables.iter().map(|name| format!("`{name}`")).collect();
        let tested: Vec<_> = client.tested.iter().map(|(what, module)| format!("{what}: `{module}.rs`")).collect();
        let (variables, tested) = (variables.join(", "), tested.join(", "));
        let _ = writeln!(text, "| {} | {variables} | {} | {tested} |", client.name, client.note);
    }
    text
}
