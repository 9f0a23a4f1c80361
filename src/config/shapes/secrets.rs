//! What a policy says about credentials, as it is typed.

use crate::config::placed::Placed;
use crate::config::secret::SecretSource;
use crate::config::units::Written;
use crate::config::words::Named;
use crate::net::HostPattern;
use schemars::JsonSchema;
use serde::Deserialize;

/// What happens to credentials in requests.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct SecretsShape {
    /// What is done about one that is on its way to a place where it does not belong. What is said about the rule
    /// goes before what is said about its group, and that before this; of each, what a host says goes first.
    pub(in crate::config) action: Option<ActionWord>,
    /// Groups of rules that are treated in their own way: credentials, keys, financial, generic.
    pub(in crate::config) groups: Option<GroupsShape>,
    /// Rules that are treated in their own way: ids (exeat secrets rules), or families by the part before a hyphen.
    /// `known`, `canary`, `decode-bomb`, `uninspectable` and `login-elsewhere` are rules too.
    pub(in crate::config) rules: Option<Named<Placed<SwitchWord>>>,
    /// Hosts that are treated in their own way; of several that match, the narrowest decides.
    pub(in crate::config) hosts: Option<Vec<Placed<SecretsHostShape>>>,
    /// Rules of your own: files like those of config/secrets, folders of them, or `folder/*.yaml`.
    pub(in crate::config) catalogue: Option<Vec<Placed<String>>>,
    /// More places where a credential belongs.
    pub(in crate::config) permit: Option<Vec<Placed<PermitShape>>>,
    /// Values that are matched exactly, in every encoding: `env:NAME`, `file:PATH`.
    pub(in crate::config) known: Option<Vec<Placed<Written<SecretSource>>>>,
}

/// What is done about a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum ActionWord {
    /// The request is stopped.
    Block,
    /// It is replaced by other characters of the same length, in bodies that are text.
    Mask,
    /// It is told and let through.
    Observe,
}

/// What is done about a group or a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum SwitchWord {
    /// It is looked for, with the action of the group, of the host or of the policy.
    On,
    /// It is not looked for.
    Off,
    /// The request is stopped.
    Block,
    /// It is replaced by other characters of the same length, in bodies that are text.
    Mask,
    /// It is told and let through.
    Observe,
}

/// Groups of rules that are treated in their own way.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct GroupsShape {
    /// Tokens and passwords of services.
    pub(in crate::config) credentials: Option<SwitchWord>,
    /// Private keys.
    pub(in crate::config) keys: Option<SwitchWord>,
    /// Cards, accounts, seed phrases, wallet keys.
    pub(in crate::config) financial: Option<SwitchWord>,
    /// A name that says secret and a value that looks random.
    pub(in crate::config) generic: Option<SwitchWord>,
}

/// What is said about credentials on their way to some hosts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct SecretsHostShape {
    /// Exact, `*.x` (one label), `**.x` (any depth, not the apex), an address, or `**` for any name.
    pub(in crate::config) host: Placed<String>,
    /// What is done where neither a rule nor a group says it.
    pub(in crate::config) action: Option<ActionWord>,
    /// Groups of rules.
    pub(in crate::config) groups: Option<GroupsShape>,
    /// Rules.
    pub(in crate::config) rules: Option<Named<Placed<SwitchWord>>>,
}

/// More places where a credential belongs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct PermitShape {
    /// The kind of credential (exeat secrets rules).
    pub(in crate::config) rule: Placed<String>,
    /// The hosts.
    pub(in crate::config) hosts: Vec<Written<HostPattern>>,
}
