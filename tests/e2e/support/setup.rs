//! The configuration of a world, and the file that it becomes.

use super::nameserver::Nameserver;
use super::origin::Origin;
use std::fmt::Write as _;

/// What a gateway is started with.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    pub connect: Vec<(String, String)>,
    pub nameservers: Vec<String>,
    pub policies: Vec<(String, String)>,
    pub sessions: Vec<(String, String)>,
    pub durability: Option<&'static str>,
    pub extra: String,
    pub environment: Vec<(String, String)>,
    /// Proxy and control port; none: free ones.
    pub ports: Option<(u16, u16)>,
    pub every_address: bool,
    /// More keys of `listen`, each with its value.
    pub listen: Vec<String>,
    /// More entries of `upstream.trust`.
    pub trust: Vec<String>,
    /// `upstream.parent`.
    pub parent: Option<String>,
    /// More keys of sessions, by their ids.
    pub session_keys: Vec<(String, String)>,
    /// Files in the folder of the configuration.
    pub files: Vec<(String, String)>,
    /// What runs the binary: it must end in `exec`.
    pub wrapper: Vec<String>,
}

/// A policy that allows this host on loopback.
pub fn policy_for(rules: &[&str]) -> String {
    let mut text = String::from("allow:\n");
    for rule in rules {
        let _ = writeln!(text, "  - {{{rule}, addresses: [\"127.0.0.0/8\", \"::1/128\"]}}");
    }
    text
}

impl Setup {
    /// One session `dev` under one policy `agent`, which allows every name under `exeat.test`.
    pub fn new() -> Self {
        Self::bare().policy("agent", &policy_for(&["host: \"**.exeat.test\""])).session("dev", "agent")
    }

    /// One session `dev` under one policy `agent` with these rules, each on loopback.
    pub fn allowing(rules: &[&str]) -> Self {
        Self::under(&policy_for(rules))
    }

    /// One session `dev` under one policy `agent` with this text.
    pub fn under(policy: &str) -> Self {
        Self::bare().policy("agent", policy).session("dev", "agent")
    }

    /// No policy, no session.
    pub fn bare() -> Self {
        Self::default()
    }

    /// The name is dialled at that origin, whatever the port.
    pub fn origin(self, host: &str, origin: &Origin) -> Self {
        self.connect(host, &origin.address.to_string())
    }

    pub fn connect(mut self, host: &str, to: &str) -> Self {
        self.connect.push((host.into(), to.into()));
        self
    }

    pub fn nameserver(mut self, nameserver: &Nameserver) -> Self {
        self.nameservers.push(nameserver.address.to_string());
        self
    }

    pub fn policy(mut self, name: &str, text: &str) -> Self {
        self.policies.push((name.into(), text.into()));
        self
    }

    pub fn session(mut self, id: &str, policy: &str) -> Self {
        self.sessions.push((id.into(), policy.into()));
        self
    }

    /// More top-level keys.
    pub fn extra(mut self, yaml: &str) -> Self {
        self.extra.push_str(yaml);
        self.extra.push('\n');
        self
    }

    /// One key more under `listen`.
    pub fn listen(mut self, entry: &str) -> Self {
        self.listen.push(entry.into());
        self
    }

    /// Through this parent proxy: its keys.
    pub fn parent(mut self, keys: &str) -> Self {
        self.parent = Some(keys.into());
        self
    }

    /// These certificates are trusted too.
    pub fn trusting(mut self, name: &str, pem: &str) -> Self {
        self.trust.push(name.into());
        self.file(name, pem)
    }

    /// One key more of a session.
    pub fn session_key(mut self, id: &str, entry: &str) -> Self {
        self.session_keys.push((id.into(), entry.into()));
        self
    }

    /// A file beside the configuration, mode 0600.
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.into(), text.into()));
        self
    }

    pub fn durability(mut self, durability: &'static str) -> Self {
        self.durability = Some(durability);
        self
    }

    /// On these ports instead of free ones.
    pub fn listening(mut self, proxy: u16, control: u16) -> Self {
        self.ports = Some((proxy, control));
        self
    }

    /// The proxy listens on 0.0.0.0.
    pub fn on_every_address(mut self) -> Self {
        self.every_address = true;
        self
    }

    /// Runs these words of a shell before the binary takes the shell's place.
    pub fn after_shell(mut self, words: &str) -> Self {
        self.wrapper = ["sh", "-c", &format!("{words}; exec \"$@\""), "sh"].map(str::to_owned).to_vec();
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The file; tokens come from the environment.
    pub fn yaml(&self) -> String {
        let (proxy, control) = self.ports.unwrap_or_default();
        let at = if self.every_address { "0.0.0.0" } else { "127.0.0.1" };
        let more = |entries: &[String]| entries.iter().map(|entry| format!(", {entry}")).collect::<String>();
        let listen = more(&self.listen);
        let mut text = format!("listen: {{proxy: \"{at}:{proxy}\", control: \"127.0.0.1:{control}\"{listen}}}\n");
        text.push_str("ca: {certificate: ca.pem, key: ca.key}\ncontrol: {key: \"file:control.key\"}\n");
        let trust: Vec<&str> = std::iter::once("origins.pem").chain(self.trust.iter().map(String::as_str)).collect();
        let parent = self.parent.iter().map(|parent| format!(", parent: {{{parent}}}")).collect::<String>();
        let _ = writeln!(text, "upstream: {{trust: {trust:?}{parent}}}");
        let durability = self.durability.unwrap_or("batched");
        let _ = writeln!(text, "flows: {{journal: flows, durability: {durability}}}");
        text.push_str("resolver:\n");
        // Nobody listens on port 9 of 127.0.0.99: a name that is looked up against a test's will fails.
        let nameservers =
            if self.nameservers.is_empty() { vec!["127.0.0.99:9".to_owned()] } else { self.nameservers.clone() };
        let _ = writeln!(text, "  nameservers: {nameservers:?}");
        if !self.connect.is_empty() {
            text.push_str("  connect:\n");
        }
        for (host, to) in &self.connect {
            let _ = writeln!(text, "    - {{host: {host:?}, to: {to:?}}}");
        }
        if !self.policies.is_empty() {
            text.push_str("policies:\n");
        }
        for (name, policy) in &self.policies {
            let _ = writeln!(text, "  {name}:");
            policy.lines().for_each(|line| _ = writeln!(text, "    {line}"));
        }
        if !self.sessions.is_empty() {
            text.push_str("sessions:\n");
        }
        for (id, policy) in &self.sessions {
            let keys = self.session_keys.iter().filter(|(of, _)| of == id).map(|(_, entry)| entry.clone());
            let keys = more(&keys.collect::<Vec<_>>());
            let _ = writeln!(text, "  - {{id: {id}, policy: {policy}, token: \"env:{}\"{keys}}}", token_variable(id));
        }
        text.push_str(&self.extra);
        text
    }
}

/// The variable that holds a static session's token.
pub fn token_variable(id: &str) -> String {
    format!("EXEAT_TEST_TOKEN_{}", id.to_ascii_uppercase().replace(['-', '.'], "_"))
}
