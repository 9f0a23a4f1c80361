//! How a record becomes a line: its members, in their order.

use super::json::Object;
use super::record::{Phase, Record, SessionInfo, ShownTarget, UpstreamTls, Verdict, micros};
use super::{ClientTls, Downstream, FlowId, Way};
use uuid::fmt::Hyphenated;

/// What a common record has room in.
const ROOM: usize = 1024;

impl Record {
    /// Appends the record as a JSON object, without the members that the chain adds.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let outcome = self.outcome.as_ref();
        out.reserve(ROOM);
        Object::write(out, |line| {
            line.time("ts", self.ts);
            line.number("mono", self.mono);
            id(line, "flow", self.id);
            self.parent.inspect(|parent| id(line, "parent", *parent));
            self.session.as_deref().inspect(|session| line.written("session", session.shown()));
            line.object("downstream", |out| write_downstream(out, &self.downstream, self.hello.as_ref()));
            self.target.as_ref().inspect(|target| line.object("target", |out| write_target(out, target)));
            if self.upstream.is_some() || self.tls.is_some() || self.parent_proxy.is_some() {
                line.object("upstream", |out| self.write_upstream(out));
            }
            self.mode.inspect(|mode| line.word("mode", mode.as_str()));
            line.word("verdict", outcome.map_or(Verdict::Allowed, |outcome| outcome.verdict).as_str());
            outcome.inspect(|outcome| line.word("reason", outcome.reason.code()));
            let rule = outcome.and_then(|outcome| outcome.rule.as_deref()).or(self.rule.as_deref());
            rule.inspect(|rule| line.text("rule", rule));
            let permitted_by = outcome.and_then(|outcome| outcome.permitted_by.as_deref());
            permitted_by.inspect(|argument| line.text("permitted_by", argument));
            if !self.findings.is_empty() {
                line.value("findings", &self.findings);
            }
            self.status.inspect(|status| line.number("status", *status));
            line.object("bytes", |out| write_both(out, self.up, self.down));
            self.messages
                .inspect(|messages| line.object("messages", |out| write_both(out, messages.up, messages.down)));
            line.object("timing", |out| self.write_timing(out));
            self.error.as_deref().inspect(|error| line.text("error", error));
            self.repeats.inspect(|count| line.number("repeats", *count));
            if self.truncated {
                line.value("truncated", &true);
            }
        });
    }

    fn write_upstream(&self, out: &mut Object<'_>) {
        self.upstream.inspect(|address| out.address("address", *address));
        self.tls.as_ref().inspect(|tls| out.object("tls", |out| write_tls(out, tls)));
        self.parent_proxy.as_deref().inspect(|parent| out.text("parent", parent));
    }

    /// In whole microseconds.
    fn write_timing(&self, out: &mut Object<'_>) {
        for phase in [Phase::Decide, Phase::Dns, Phase::Connect, Phase::Tls, Phase::FirstByte] {
            self.phases[phase as usize].inspect(|took| out.number(phase.as_str(), *took));
        }
        out.number("total", micros(self.started.elapsed()));
    }
}

fn id(out: &mut Object<'_>, name: &str, id: FlowId) {
    let mut text = [0; Hyphenated::LENGTH];
    let text = id.encode(&mut text);
    out.plain(name, |out| out.extend_from_slice(text.as_bytes()));
}

impl SessionInfo {
    /// The session's member of every record of it.
    fn shown(&self) -> &[u8] {
        self.shown.get_or_init(|| {
            let mut shown = Vec::new();
            Object::write(&mut shown, |out| write_session(out, self));
            shown.into()
        })
    }
}

fn write_session(out: &mut Object<'_>, session: &SessionInfo) {
    out.text("id", &session.id);
    out.text("policy", &session.policy);
    out.text("policy_hash", &session.policy_hash);
    session.task.as_deref().inspect(|task| out.text("task", task));
    if !session.labels.is_empty() {
        out.value("labels", &session.labels);
    }
}

fn write_downstream(out: &mut Object<'_>, from: &Downstream, hello: Option<&ClientTls>) {
    from.address.inspect(|address| out.address("address", *address));
    if from.way != Way::Proxy {
        out.word("way", from.way.as_str());
    }
    from.through.inspect(|through| out.address("through", *through));
    from.original.inspect(|original| out.address("original", *original));
    from.process.inspect(|process| out.value("process", process));
    hello.inspect(|hello| out.value("tls", hello));
}

fn write_target(out: &mut Object<'_>, target: &ShownTarget) {
    target.scheme.inspect(|scheme| out.word("scheme", scheme));
    out.text("host", &target.host);
    out.number("port", target.port);
    out.text("method", &target.method);
    target.path.as_deref().inspect(|path| out.text("path", path));
}

fn write_tls(out: &mut Object<'_>, tls: &UpstreamTls) {
    tls.version.as_deref().inspect(|version| out.text("version", version));
    tls.alpn.as_deref().inspect(|alpn| out.text("alpn", alpn));
    tls.sni.as_deref().inspect(|sni| out.text("sni", sni));
}

fn write_both(out: &mut Object<'_>, up: u64, down: u64) {
    out.number("up", up);
    out.number("down", down);
}
