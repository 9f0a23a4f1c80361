//! `exeat session`: sessions of a running gateway, made, listed, shown and revoked.

mod client;
mod output;

use super::known::KnownArgs;
use crate::config::{self, SecretSource};
use crate::control::{KeyError, OperatorKey};
use crate::secrets::KnownSecret;
use anyhow::{Context, Result, bail};
use client::{Client, Endpoint, Failure};
use http::Method;
use serde_json::{Map, Value};
use std::io::{ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Makes, lists, shows and revokes sessions of a running gateway.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  eval \"$(exeat session new --policy agent --ttl 1h --task 'Fix issue 12')\"
  exeat session new --policy agent --label team=core --label run=12 --json
  exeat session new --policy agent --known env:GITHUB_TOKEN --known file:.env --home ACME_TOKEN=api.acme.dev
  exeat session list --control http://127.0.0.1:3129 --key certs/control.key
  exeat session revoke s-0ttemgvefz";

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Makes a session and prints the environment that uses it; its token is shown this once.
    #[command(after_help = "Example:\n  eval \"$(exeat session new --policy agent --ttl 8h)\" && claude")]
    New(New),
    /// Lists the live sessions.
    List(Common),
    /// Shows one session.
    Show {
        /// The session.
        id: String,
        #[command(flatten)]
        common: Common,
    },
    /// Registers known secrets for a live session, in the place of those that it had: after a restart of the gateway,
    /// which holds them in memory only, its requests are refused until then.
    Known {
        /// The session.
        id: String,
        #[command(flatten)]
        known: KnownArgs,
        #[command(flatten)]
        common: Common,
    },
    /// Ends sessions and their live flows at once.
    Revoke {
        /// The sessions.
        #[arg(required = true)]
        ids: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
struct New {
    /// The policy that judges the session.
    #[arg(long, value_name = "NAME")]
    policy: String,
    /// How long it lives: 90s, 30m, 1h, 7d; at most 30 days.
    #[arg(long, value_name = "TIME", default_value = "1h")]
    ttl: String,
    /// What the agent is to do, for the records of its flows.
    #[arg(long, value_name = "TEXT")]
    task: Option<String>,
    /// A label for the records of its flows; may come up to 16 times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    #[command(flatten)]
    known: KnownArgs,
    #[command(flatten)]
    common: Common,
}

/// How a running gateway is found and spoken to.
#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// Prints JSON.
    #[arg(long)]
    pub(super) json: bool,
    /// The gateway's configuration file: tells where its control API and its key are.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The gateway's control API; else as the configuration says.
    #[arg(long, value_name = "URL")]
    control: Option<String>,
    /// The file with the operator's key; else as the configuration says.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Runs the verb.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    // What was done is printed even if the rest failed.
    let mut out = Vec::new();
    let done = execute(args, &mut out).await;
    std::io::stdout().write_all(&out)?;
    done
}

async fn execute(args: Args, out: &mut impl Write) -> Result<ExitCode> {
    match args.verb {
        Verb::New(new) => make(new, out).await,
        Verb::List(common) => {
            let listed = ask(&common, Method::GET, "/v1/sessions", None).await?;
            if common.json {
                output::json(out, &listed)?
            } else {
                output::list(out, &listed)?
            }
            Ok(ExitCode::SUCCESS)
        }
        Verb::Show { id, common } => {
            let shown = ask(&common, Method::GET, &path(&id)?, None).await?;
            if common.json {
                output::json(out, &shown)?
            } else {
                output::show(out, &shown)?
            }
            Ok(ExitCode::SUCCESS)
        }
        Verb::Known { id, known, common } => {
            let known = known.send_home(known.read()?)?;
            let wanted = serde_json::json!({"known": written(&known)?});
            ask(&common, Method::PUT, &format!("{}/known", path(&id)?), Some(&wanted)).await?;
            if common.json {
                output::json(out, &serde_json::json!({"id": id, "known": known.len()}))?
            } else {
                writeln!(out, "{id}: {} known secrets", known.len())?
            }
            Ok(ExitCode::SUCCESS)
        }
        Verb::Revoke { ids, common } => revoke(&ids, &common, out).await,
    }
}

async fn make(new: New, out: &mut impl Write) -> Result<ExitCode> {
    let mut labels = Map::new();
    for (key, value) in new.labels {
        if labels.insert(key.clone(), value.into()).is_some() {
            bail!("--label {key} is there twice");
        }
    }
    let known = new.known.send_home(new.known.read()?)?;
    let wanted = serde_json::json!({
        "policy": new.policy, "ttl": new.ttl, "task": new.task, "labels": labels, "known": written(&known)?,
    });
    let made = ask(&new.common, Method::POST, "/v1/sessions", Some(&wanted)).await?;
    if new.common.json {
        output::json(out, &made)?
    } else {
        output::exports(out, &made)?
    }
    Ok(ExitCode::SUCCESS)
}

/// Known secrets as the control API takes them.
fn written(known: &[KnownSecret]) -> Result<Vec<Value>> {
    let one = |secret: &KnownSecret| {
        let value = std::str::from_utf8(secret.expose()).ok();
        let value = value.with_context(|| format!("the value of {} is not UTF-8", secret.name()))?;
        let homes: Vec<String> = secret.homes().iter().map(ToString::to_string).collect();
        Ok(serde_json::json!({"name": secret.name(), "value": value, "homes": homes}))
    };
    known.iter().map(one).collect()
}

/// Revokes as many as it can; fails at the end if one was left.
async fn revoke(ids: &[String], common: &Common, out: &mut impl Write) -> Result<ExitCode> {
    let (mut revoked, mut failures) = (Vec::new(), Vec::new());
    for id in ids {
        match ask(common, Method::DELETE, &path(id)?, None).await {
            Ok(_) => revoked.push(id.as_str()),
            Err(error) => failures.push(format!("{id}: {error:#}")),
        }
    }
    if common.json {
        output::json(out, &serde_json::json!({"revoked": revoked}))?;
    } else {
        for id in revoked {
            writeln!(out, "revoked {id}")?;
        }
    }
    if failures.is_empty() { Ok(ExitCode::SUCCESS) } else { bail!("{}", failures.join("\n")) }
}

/// One request to the gateway's control API.
pub(super) async fn ask(common: &Common, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
    let (endpoint, key) = locate(common)?;
    match Client::new(&endpoint, &key).send(method, path, body).await {
        Ok(answer) => Ok(answer),
        Err(error @ Failure::Unreachable { .. }) => Err(error).context(format!(
            "no gateway answers at {endpoint}: start it with `exeat serve`, or say where it is with --config FILE or --control URL"
        )),
        Err(error) => Err(error.into()),
    }
}

/// Where the gateway's control API is, and its key: as the options say, else as the configuration
/// does, else where `exeat serve` puts them by itself.
fn locate(common: &Common) -> Result<(Endpoint, OperatorKey)> {
    if let (Some(control), Some(key)) = (&common.control, &common.key) {
        return Ok((control.parse()?, load_key(key)?));
    }
    let config = config::load_places(common.config.as_deref())?;
    let endpoint = match &common.control {
        Some(control) => control.parse()?,
        None => endpoint(config.listen.control)?,
    };
    let key = match (&common.key, &config.control_key) {
        (Some(path), _) | (None, SecretSource::File(path)) => load_key(path)?,
        (None, source @ SecretSource::Env(_)) => OperatorKey::new(source.read()?.as_str().into())?,
    };
    Ok((endpoint, key))
}

fn endpoint(listen: SocketAddr) -> Result<Endpoint> {
    if listen.port() == 0 {
        bail!("the configuration leaves the port of the control API open: say it with --control http://HOST:PORT");
    }
    // Every address of this machine: the nearest of them.
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(format!("http://{}", SocketAddr::new(ip, listen.port())).parse()?)
}

fn load_key(path: &Path) -> Result<OperatorKey> {
    match OperatorKey::load(path) {
        Err(KeyError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => bail!(
            "there is no control key at {}: `exeat serve` makes it at its first start, or name it with --key",
            path.display()
        ),
        key => Ok(key?),
    }
}

/// A name is checked here, so that it can't lead to another resource.
fn path(id: &str) -> Result<String> {
    let id: crate::session::SessionId = id.parse().with_context(|| format!("{id:?} is no session"))?;
    Ok(format!("/v1/sessions/{id}"))
}

fn label(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("a label is written KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests;
