//! Every refusal and failure there is, in one table: stable code, status, RFC 9209 type, sentence.
//!
//! `proxy/refusal.rs` alone turns a reason into a response, `flow/recorder.rs` alone into a record.
//! The README's reference is printed from [`Reason::ALL`] and held to it by a test.

use std::fmt;
use std::sync::Arc;

macro_rules! reasons {
    ($($name:ident $code:literal $status:literal $proxy_error:literal $kind:ident $sentence:literal $hint:literal;)*) => {
        /// Why a flow was refused or failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $(#[doc = $sentence] $name,)*
        }

        impl Reason {
            /// All of them, in the order of the reference.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The stable code: what scripts and agents match on.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Reason::$name => $code,)* }
            }

            /// The HTTP status of the answer.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Reason::$name => $status,)* }
            }

            /// The proxy error type of `Proxy-Status` (RFC 9209 §2.3).
            #[must_use]
            pub const fn proxy_error(self) -> &'static str {
                match self { $(Reason::$name => $proxy_error,)* }
            }

            /// Whether this is a decision against the agent or a failure of the way.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Reason::$name => Kind::$kind,)* }
            }

            /// What happened, in one sentence.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(Reason::$name => $sentence,)* }
            }

            /// What would help, written for an agent to read.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self { $(Reason::$name => $hint,)* }
            }
        }
    };
}

/// Whose doing a reason is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Exeat decided against the request: verdict `denied`.
    Denied,
    /// The way failed, here, downstream or upstream: verdict `failed`.
    Failed,
}

reasons! {
    // Requests that have no single reading
    BadRequest "bad_request" 400 "http_request_error" Denied "The request is not well-formed HTTP/1.1." "Send RFC 9112 syntax; a retry of the same bytes will not help.";
    BadFraming "bad_framing" 400 "http_request_error" Denied "The request's length is ambiguous." "Send either one Content-Length or Transfer-Encoding: chunked.";
    BadTarget "bad_target" 400 "http_request_error" Denied "The request target is not in a form that a proxy takes." "Send http:// URLs in absolute form, and CONNECT host:443 for https.";
    BadAuthority "bad_authority" 400 "http_request_error" Denied "The host or port is not written in its canonical form." "Write a plain DNS name or address and a port from 1 to 65535.";
    BadHost "bad_host" 400 "http_request_error" Denied "The Host field is missing, doubled or disagrees with the target." "Send exactly one Host field, equal to the target's host.";
    AuthorityMismatch "authority_mismatch" 421 "http_request_denied" Denied "The request inside the tunnel is for another host than the tunnel." "Open a tunnel to the host that you want; it is judged on its own.";
    MethodNotSupported "method_not_supported" 405 "http_request_denied" Denied "This method is not for this place." "CONNECT works on the proxy itself only, not inside a tunnel; the proxy serves no pages of its own.";
    CodingNotSupported "transfer_coding_not_supported" 501 "http_request_error" Denied "The request uses a transfer coding other than chunked." "Send Transfer-Encoding: chunked and nothing else.";
    VersionNotSupported "version_not_supported" 505 "http_protocol_error" Denied "The request is neither HTTP/1.1 nor HTTP/1.0." "Speak HTTP/1.1 to the proxy.";
    ExpectationFailed "expectation_failed" 417 "http_request_error" Denied "The request expects something other than 100-continue." "Leave out the Expect field.";
    HeadTooLarge "head_too_large" 431 "http_request_error" Denied "The request's header section is too large." "Send smaller or fewer header fields.";
    TargetTooLong "target_too_long" 414 "http_request_error" Denied "The request target is too long." "Send long values in the body.";
    RequestCut "request_cut" 400 "http_request_error" Failed "The request ended before it was whole." "Send the whole head, and as much body as was declared.";
    RequestTimeout "request_timeout" 408 "connection_read_timeout" Failed "The request did not arrive in time." "Send the request without pauses.";

    // Who asks
    AuthRequired "proxy_auth_required" 407 "http_request_denied" Denied "No live session showed its token." "Use the proxy URL of a session: http://SESSION:TOKEN@HOST:PORT (exeat session new).";
    SessionEnded "session_ended" 403 "connection_terminated" Denied "The session has expired or was revoked." "Ask the operator for a new session.";
    KnownSecretsLost "known_secrets_lost" 403 "http_request_denied" Denied "The gateway was restarted and no longer holds the session's known secrets." "A retry will not help. The operator gives them again (exeat session known SESSION --known ...) or makes a new session.";
    QuotaExceeded "quota_exceeded" 429 "connection_limit_reached" Denied "The session has used up its budget." "Wait, then send fewer or smaller requests.";
    TooManyConnections "too_many_connections" 503 "connection_limit_reached" Denied "The gateway holds as many connections as it may." "Try again in a second.";

    Overloaded "overloaded" 503 "connection_limit_reached" Denied "The gateway has more to do than it can." "Try again in a second.";

    // Where to
    DestinationNotListed "dest_not_listed" 403 "http_request_denied" Denied "The session's policy does not list this destination." "A retry will not help. The operator can allow it: exeat run --allow HOST, or a rule in the policy.";
    RequestNotListed "request_not_listed" 403 "http_request_denied" Denied "The policy lists this host, but not this method or path." "A retry will not help. The operator can widen the rule's methods or paths.";
    DestinationDenied "dest_denied" 403 "http_request_denied" Denied "A deny rule of the session's policy names this request." "A retry will not help: deny wins over every allow.";
    PolicyChanged "policy_changed" 403 "connection_terminated" Denied "The session's policy was changed and no longer allows what was under way." "A retry is judged by the new policy.";
    AddressForbidden "dest_address_forbidden" 403 "destination_ip_prohibited" Denied "The name leads to an address inside the network." "A retry will not help. The operator can name the range under the rule's addresses.";
    SelfConnection "self_connection" 403 "destination_ip_prohibited" Denied "The destination is the gateway itself." "The gateway is no destination.";
    LoopDetected "loop_detected" 508 "proxy_loop_detected" Denied "The request went through this gateway before." "A retry will not help. The operator must keep the gateway's own traffic out of it.";
    UpgradeNotAllowed "upgrade_not_allowed" 403 "http_upgrade_failed" Denied "The request asks for another protocol on this connection." "WebSocket is all that a connection can become here. Leave out the Upgrade field.";
    BadWebSocket "bad_websocket" 400 "http_protocol_error" Denied "The WebSocket handshake or its frames are not well-formed." "Speak RFC 6455, version 13; a retry of the same bytes will not help.";

    // Tunnels
    TunnelNotTls "tunnel_not_tls" 403 "http_request_denied" Denied "What came through the tunnel is not TLS." "Speak TLS inside CONNECT; plain HTTP goes to the proxy in absolute form.";
    TunnelNotSsh "tunnel_not_ssh" 403 "http_request_denied" Denied "What came through the tunnel is not SSH." "The rule lets SSH through and nothing else.";
    SniMissing "sni_missing" 403 "http_request_denied" Denied "The ClientHello names no server." "Send SNI equal to the CONNECT host.";
    SniMismatch "sni_mismatch" 403 "http_request_denied" Denied "The ClientHello names another server than the tunnel." "Open a tunnel to the host that you want.";
    EchNotInspectable "ech_not_inspectable" 403 "http_request_denied" Denied "The ClientHello hides the server's name." "Turn off Encrypted ClientHello.";
    DownstreamTls "downstream_tls_failed" 400 "tls_protocol_error" Failed "The TLS handshake with the client failed." "Trust the gateway's CA (exeat ca env) and speak TLS 1.2 or 1.3.";

    // What is in it
    SecretInRequest "secret_in_request" 403 "http_request_denied" Denied "The request holds something that looks like a credential." "A retry will not help. Remove the credential; it may only go to its own service.";
    CredentialNotOwn "credential_not_own" 403 "http_request_denied" Denied "The request carries a credential that is not registered for this session." "A retry will not help. Use the session's own credential. The operator can register one: exeat session new --known env:NAME, or secrets.known in the policy.";
    BodyNotInspectable "body_not_inspectable" 403 "http_request_denied" Denied "The request's body can't be looked into." "Send it without a content coding, or with gzip, deflate, br or zstd.";
    InflateLimit "inflate_limit" 413 "http_request_denied" Denied "The request's body grows too much when decoded." "Send it uncompressed.";
    ScannerUnavailable "scanner_unavailable" 503 "proxy_internal_error" Failed "The secret scanner failed, so nothing goes out." "Report it to the operator.";

    // The gateway's own state
    LogUnavailable "log_unavailable" 503 "proxy_internal_error" Failed "The flow can't be recorded, so it is refused." "Report it to the operator; the journal's disk may be full.";
    ShuttingDown "shutting_down" 503 "proxy_internal_error" Failed "The gateway is shutting down." "Try again in a moment.";
    InternalError "internal_error" 500 "proxy_internal_error" Failed "The gateway failed." "Report it to the operator.";

    // The way upstream
    DnsFailed "dns_failed" 502 "dns_error" Failed "The name could not be resolved." "Check the name.";
    DnsTimeout "dns_timeout" 504 "dns_timeout" Failed "The name servers did not answer in time." "Try again later.";
    ConnectFailed "connect_failed" 502 "connection_refused" Failed "No address of the destination took the connection." "Check host and port, or try again later.";
    ConnectTimeout "connect_timeout" 504 "connection_timeout" Failed "The destination did not take the connection in time." "Try again later.";
    UpstreamParentRefused "upstream_parent_refused" 502 "connection_refused" Failed "The parent proxy did not open the way." "Tell the operator: the parent proxy refuses the destination or the gateway's credentials.";
    UpstreamParentFailed "upstream_parent_failed" 502 "proxy_internal_error" Failed "The parent proxy can't be reached or broke off." "Tell the operator, or try again later.";
    UpstreamParentTimeout "upstream_parent_timeout" 504 "connection_timeout" Failed "The parent proxy did not answer in time." "Try again later.";
    UpstreamTlsFailed "upstream_tls_failed" 502 "tls_protocol_error" Failed "The TLS handshake with the destination failed." "The destination must speak TLS 1.2 or 1.3.";
    UpstreamTlsExpired "upstream_tls_expired" 502 "tls_certificate_error" Failed "The destination's certificate has expired or is not valid yet." "Tell the destination's owner; it can't be overridden from inside.";
    UpstreamTlsWrongName "upstream_tls_wrong_name" 502 "tls_certificate_error" Failed "The destination's certificate is for another name." "Check the name; it can't be overridden from inside.";
    UpstreamTlsUntrusted "upstream_tls_untrusted" 502 "tls_certificate_error" Failed "The destination's certificate is not trusted." "The operator can add its CA under upstream.trust.";
    UpstreamClosed "upstream_closed" 502 "connection_terminated" Failed "The destination closed the connection before it had answered." "Try again if the request is safe to repeat.";
    UpstreamTimeout "upstream_timeout" 504 "http_response_timeout" Failed "The destination did not answer in time." "Try again later.";
    BadUpstreamResponse "bad_upstream_response" 502 "http_protocol_error" Failed "The destination's answer is not well-formed HTTP." "Tell the destination's owner.";

    // Seen in records only: nobody is left to answer
    ClientClosed "client_closed" 499 "connection_terminated" Failed "The client left before the flow was done." "";
}

impl Reason {
    /// Whether a retry of the same request can succeed without anyone changing anything.
    #[must_use]
    pub const fn may_pass_later(self) -> bool {
        matches!(self.status(), 408 | 429 | 502..=504)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A refusal: a value that travels, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub reason: Reason,
    /// The policy or secret rule that decided, as the operator finds it in the file.
    pub rule: Option<Arc<str>>,
    /// What exactly, in one sentence that holds no secret and no inner address.
    pub detail: Option<String>,
    /// Seconds after which the same request may pass, where that is known.
    pub retry_after: Option<u64>,
    /// What `exeat run --allow` takes to permit it, where that is more than the host.
    pub permitted_by: Option<String>,
}

impl Denial {
    /// A refusal that no rule stands behind.
    #[must_use]
    pub const fn new(reason: Reason) -> Self {
        Self { reason, rule: None, detail: None, retry_after: None, permitted_by: None }
    }

    /// The same with the rule that decided.
    #[must_use]
    pub fn by_rule(mut self, rule: impl Into<Arc<str>>) -> Self {
        self.rule = Some(rule.into());
        self
    }

    /// The same with the seconds after which a retry may help.
    #[must_use]
    pub const fn after(mut self, seconds: Option<u64>) -> Self {
        self.retry_after = seconds;
        self
    }

    /// The same with what `exeat run --allow` takes to permit it.
    #[must_use]
    pub fn permitted_by(mut self, argument: Option<String>) -> Self {
        self.permitted_by = argument;
        self
    }

    /// The same with what exactly was wrong.
    #[must_use]
    pub fn because(mut self, detail: impl fmt::Display) -> Self {
        self.detail = Some(detail.to_string());
        self
    }
}

impl From<Reason> for Denial {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_stable_words_and_no_two_are_alike() {
        let mut seen = HashSet::new();
        for reason in Reason::ALL {
            assert!(reason.code().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{reason}");
            assert!(seen.insert(reason.code()), "{reason}");
            assert!(reason.sentence().ends_with('.'), "{reason}");
        }
    }

    #[test]
    fn a_decision_is_never_a_server_error_of_the_upstream() {
        for reason in Reason::ALL.iter().filter(|reason| reason.kind() == Kind::Denied) {
            assert!(!matches!(reason.status(), 500 | 502 | 504), "{reason}");
        }
    }
}
