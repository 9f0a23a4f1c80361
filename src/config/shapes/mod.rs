//! The file as it is typed. What it means is made of it by `compile`; nothing else sees these.
//!
//! The comments here are what editors show: they end up in the JSON schema.

mod secrets;

pub(super) use secrets::{ActionWord, GroupsShape, PermitShape, SecretsHostShape, SecretsShape, SwitchWord};

use crate::config::entrances::ListenShape;
use crate::config::placed::Placed;
use crate::config::secret::SecretSource;
use crate::config::units::{Size, Span, Written};
use crate::config::words::{MethodWords, Named, NameserverWords, PortWord, PresetWord, ServiceWord};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// The configuration of an exeat gateway. Relative paths start at this file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileShape {
    /// Where the gateway listens.
    pub(super) listen: Option<ListenShape>,
    /// The certificate authority that intercepts TLS; made at first start.
    pub(super) ca: Option<CaShape>,
    /// The control API.
    pub(super) control: Option<ControlShape>,
    /// How names become addresses.
    pub(super) resolver: Option<ResolverShape>,
    /// The way to destinations.
    pub(super) upstream: Option<UpstreamShape>,
    /// The record of every flow.
    pub(super) flows: Option<FlowsShape>,
    /// The folder of what must outlive a restart: minted sessions, the key of the fingerprints.
    pub(super) state: Option<String>,
    /// The policies by name.
    pub(super) policies: Option<Named<PolicyShape>>,
    /// Sessions that are there from the start; most are minted at run time.
    pub(super) sessions: Option<Vec<Placed<SessionShape>>>,
    /// How long flows may go on after a request to stop.
    pub(super) drain: Option<Written<Span>>,
    /// Bounds of the whole process.
    pub(super) limits: Option<LimitsShape>,
}

/// The certificate authority's files.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CaShape {
    /// The certificate, PEM.
    pub(super) certificate: String,
    /// Its key, PEM, mode 0600.
    pub(super) key: String,
}

/// The control API.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ControlShape {
    /// The operators' bearer key: `env:NAME` or `file:PATH`. A file is made at first start.
    pub(super) key: Option<Written<SecretSource>>,
}

/// How names become addresses.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResolverShape {
    /// `system`, or a list of ADDRESS:PORT.
    pub(super) nameservers: Option<NameserverWords>,
    /// Names that are dialled at a given address, without DNS.
    pub(super) connect: Option<Vec<ConnectShape>>,
}

/// One name that is dialled elsewhere, like curl's --connect-to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectShape {
    /// Which names: exact, `*.x`, `**.x` or `**`.
    pub(super) host: Placed<String>,
    /// Where: ADDRESS[:PORT] or NAME[:PORT]; without a port the target's own.
    pub(super) to: Placed<String>,
}

/// The way to destinations.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpstreamShape {
    /// Whose certificates are trusted: `system` and PEM files. Only what is listed is.
    pub(super) trust: Option<Vec<Placed<String>>>,
    /// A proxy that destinations are reached through. Left out: none.
    pub(super) parent: Option<ParentShape>,
}

/// A proxy that destinations are reached through.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ParentShape {
    /// http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT. It is asked for tunnels only.
    pub(super) url: Placed<String>,
    /// NAME:PASSWORD, as `env:NAME` or `file:PATH`.
    pub(super) credentials: Option<Placed<Written<SecretSource>>>,
    /// Hosts that are dialled without it.
    pub(super) bypass: Option<Vec<Placed<String>>>,
}

/// The record of every flow.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FlowsShape {
    /// The journal's folder.
    pub(super) journal: Option<String>,
    /// When a record counts as written.
    pub(super) durability: Option<DurabilityWord>,
}

/// When a record counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DurabilityWord {
    /// In the file; synced to the disk about once a second.
    Batched,
    /// On the disk, before the answer ends.
    Each,
}

/// A policy: what its sessions may reach. What no rule allows is refused.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyShape {
    /// Whether denials stop requests or are only logged.
    pub(super) mode: Option<ModeWord>,
    /// Ready-made lists of rules (exeat policy presets): a name, or a name with access and repositories.
    pub(super) presets: Option<Vec<Placed<PresetWord>>>,
    /// What may be reached.
    pub(super) allow: Option<Vec<Placed<AllowShape>>>,
    /// What may not; wins over allow and presets.
    pub(super) deny: Option<Vec<Placed<DenyShape>>>,
    /// What happens to credentials in requests.
    pub(super) secrets: Option<SecretsShape>,
    /// What each session of this policy may spend.
    pub(super) limits: Option<SessionLimitsShape>,
}

/// Whether denials stop anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ModeWord {
    /// They do.
    Enforce,
    /// They are logged; only the guard of inner addresses stops anything.
    Observe,
}

/// What may be reached.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AllowShape {
    /// Exact, `*.x` (one label), `**.x` (any depth, not the apex), an address, or `**` for any name.
    pub(super) host: Placed<String>,
    /// Ports and ranges ("8000-8100"); left out: 443 for https, 80 for http.
    pub(super) ports: Option<Vec<PortWord>>,
    /// Methods, or `read-only` for GET, HEAD and OPTIONS; left out: all. Needs tls: intercept.
    pub(super) methods: Option<Placed<MethodWords>>,
    /// Globs over the path; left out: all. Needs tls: intercept.
    pub(super) paths: Option<Placed<Vec<Placed<String>>>>,
    /// Whether TLS is opened and its requests judged, or relayed as it is.
    pub(super) tls: Option<TlsWord>,
    /// What a relayed tunnel may carry; left out: tls.
    pub(super) protocols: Option<Vec<ProtocolWord>>,
    /// Who looks up the name where a parent proxy is asked; left out: the gateway, which vets every address.
    pub(super) resolve: Option<ResolveWord>,
    /// What the gateway shows of itself to a destination that asks for a certificate; left out: nothing.
    pub(super) client_certificate: Option<Placed<ClientCertificateShape>>,
    /// What the ClientHello of a relayed tunnel may hide: the name that policy allowed can't be checked then.
    pub(super) dangerously_allow: Option<Vec<HiddenWord>>,
    /// Non-public ranges that this rule may dial; left out: none.
    pub(super) addresses: Option<Vec<Placed<Written<Range>>>>,
    /// Whose credentials may go to their home by this rule; left out: any.
    pub(super) credentials: Option<Placed<CredentialsWord>>,
    /// What the hosts serve, so that reading is told from writing by the request. Needs tls: intercept.
    pub(super) service: Option<Placed<ServiceWord>>,
    /// With `service`: how far requests may go; left out: read.
    pub(super) access: Option<Placed<AccessWord>>,
    /// With `service`: of which repositories, packages or images: `acme/*`; left out: all.
    pub(super) repos: Option<Placed<Vec<Placed<String>>>>,
}

/// How far requests to a service may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AccessWord {
    /// Nothing is changed there.
    Read,
    /// Contents are: pushes, releases, packages, issues.
    Write,
    /// Settings, owners and what is not recognised, too.
    Admin,
}

/// A preset with a bound of its own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PresetEntryShape {
    /// Its name (exeat policy presets).
    pub(super) preset: Placed<String>,
    /// How far requests may go; left out: read.
    pub(super) access: Option<Placed<AccessWord>>,
    /// Of which repositories, packages or images: `acme/*`; left out: all.
    pub(super) repos: Option<Placed<Vec<Placed<String>>>>,
}

/// A certificate for destinations.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientCertificateShape {
    /// The certificate and its chain, PEM.
    pub(super) certificate: Placed<String>,
    /// Its key, PEM, mode 0600.
    pub(super) key: Placed<String>,
}

/// Who looks up a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ResolveWord {
    /// The gateway: every address is vetted, and the parent proxy gets one of them.
    Gateway,
    /// The parent proxy: where the name leads is its word.
    Parent,
}

/// What a relayed ClientHello may hide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum HiddenWord {
    /// Encrypted ClientHello, real or greased.
    Ech,
    /// No server name.
    MissingSni,
}

/// An address or a range of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range(pub(super) IpNet);

/// What may not be reached.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DenyShape {
    /// Exact, `*.x` (one label), `**.x` (any depth, not the apex), an address, or `**` for any name.
    pub(super) host: Placed<String>,
    /// Ports and ranges ("8000-8100"); left out: every port.
    pub(super) ports: Option<Vec<PortWord>>,
    /// Methods, or `read-only` for GET, HEAD and OPTIONS; left out: all.
    pub(super) methods: Option<Placed<MethodWords>>,
    /// Globs over the path; left out: all.
    pub(super) paths: Option<Placed<Vec<Placed<String>>>>,
}

/// What happens to TLS in a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum TlsWord {
    /// Opened with a minted certificate: every request is judged.
    Intercept,
    /// Relayed as it is: only the name is known.
    Tunnel,
}

/// Whose credentials may go to their home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CredentialsWord {
    /// Anybody's.
    Any,
    /// Those registered for the session or its policy; where several rules allow a request, this one counts.
    Own,
}

/// What a relayed tunnel may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ProtocolWord {
    /// TLS whose server name is the tunnel's host.
    Tls,
    /// Plain HTTP.
    Http,
    /// SSH.
    Ssh,
    /// Anything.
    Any,
}

/// What each session may spend.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionLimitsShape {
    /// Requests a minute.
    pub(super) requests_per_minute: Option<NonZeroU32>,
    /// Bytes sent over its whole life: 50MiB, 1GB.
    pub(super) upload: Option<Written<Size>>,
    /// Connections at one time.
    pub(super) connections: Option<NonZeroU32>,
}

/// A session that is there from the start.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionShape {
    /// Its name: 1 to 64 of a-z, 0-9, `.`, `_`, `-`.
    pub(super) id: Placed<String>,
    /// The policy that judges it.
    pub(super) policy: Placed<String>,
    /// Its token: `env:NAME` or `file:PATH`. May be left out where something else tells the session.
    pub(super) token: Option<Placed<String>>,
    /// Client certificates that stand for the token at `listen.tls`: SPIFFE IDs, other URIs, DNS names.
    pub(super) certificates: Option<Vec<Placed<String>>>,
    /// Addresses and ranges whose connections are this session's at `listen.transparent`.
    pub(super) sources: Option<Vec<Placed<Written<Range>>>>,
    /// What the agent is to do.
    pub(super) task: Option<Placed<String>>,
    /// Labels for the records.
    pub(super) labels: Option<Placed<BTreeMap<String, String>>>,
}

/// Bounds of the whole process.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsShape {
    /// Connections of all sessions at one time.
    pub(super) connections: Option<NonZeroU32>,
    /// Connections of one source that have not shown who they are.
    pub(super) connections_per_source: Option<NonZeroU32>,
    /// TLS handshakes with clients under way at one time.
    pub(super) handshakes: Option<NonZeroU32>,
    /// How long a request's head may take to arrive.
    pub(super) head_timeout: Option<Placed<Written<Span>>>,
    /// How long a TLS handshake may take.
    pub(super) handshake_timeout: Option<Placed<Written<Span>>>,
    /// How long a destination may take to accept a connection.
    pub(super) connect_timeout: Option<Placed<Written<Span>>>,
    /// How long a destination may think before its answer begins. Models think long.
    pub(super) response_timeout: Option<Placed<Written<Span>>>,
    /// How long a tunnel or a stream may be silent.
    pub(super) idle_timeout: Option<Placed<Written<Span>>>,
    /// How long a connection is kept for its next request.
    pub(super) keep_alive_timeout: Option<Placed<Written<Span>>>,
}

/// A preset: rules that many policies need.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PresetShape {
    /// Its name, the same as the file's.
    pub(super) name: String,
    /// What it is for, in a sentence.
    pub(super) description: String,
    /// Where the hosts are documented.
    pub(super) documentation: Vec<String>,
    /// Its rules.
    pub(super) allow: Vec<Placed<AllowShape>>,
}
