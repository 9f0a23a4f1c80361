//! `exeat policy`: asks a policy, explains it, makes one of a journal, compares two, lists presets, prints the schemas.

mod diff;
mod suggest;

use crate::config::{self, Config, Diagnostics, RUN_POLICY, Ruleset, RunOptions, preset};
use crate::net::{Authority, Path, Scheme, Target};
use crate::policy::{Explanation, Permit, TlsMode};
use crate::reason::Denial;
use anyhow::{Context, bail};
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Ask policies, and show what they are made of.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Would a request be allowed? Exit code 0: yes; 1: no.
    Test(Question),
    /// Which rules decide a request, and which are near.
    Explain(Question),
    Suggest(suggest::Args),
    Diff(diff::Args),
    /// List the presets, or show one.
    Presets(Presets),
    /// Print the JSON schema of a policy file.
    Schema(Schema),
}

#[derive(Debug, ClapArgs)]
struct Question {
    /// The URL, such as https://api.github.com/repos/acme/x
    url: String,
    /// The method.
    #[arg(long, default_value = "GET")]
    method: String,
    /// A policy file, or the name of a policy of the configuration; left out: `agent`.
    #[arg(long, value_name = "FILE|NAME")]
    policy: Option<String>,
    /// The configuration; left out: the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A host to allow as well, with or without a port, or a preset, with or without a repository.
    #[arg(long, value_name = "HOST[:PORT]|PRESET[:REPO]")]
    allow: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, ClapArgs)]
struct Presets {
    /// Show this one.
    name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, ClapArgs)]
struct Schema {
    /// Of a policy file, or of a whole configuration file.
    #[arg(long, value_enum, default_value = "policy")]
    of: SchemaOf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SchemaOf {
    Policy,
    File,
}

/// Exit code 1 for a refused request, 2 for a question that can't be asked.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut out = Vec::new();
    let code = match args.verb {
        Verb::Test(question) => ask(&mut out, &question, false)?,
        Verb::Explain(question) => ask(&mut out, &question, true)?,
        Verb::Suggest(args) => suggest::run(&mut out, &args).map(|()| ExitCode::SUCCESS)?,
        Verb::Diff(args) => diff::run(&mut out, &args)?,
        Verb::Presets(presets) => show_presets(&mut out, &presets)?,
        Verb::Schema(schema) => {
            let schema = match schema.of {
                SchemaOf::Policy => config::policy_schema(),
                SchemaOf::File => config::file_schema(),
            };
            writeln!(out, "{schema:#}")?;
            ExitCode::SUCCESS
        }
    };
    super::check::print_out(&out)?;
    Ok(code)
}

fn ask(out: &mut impl Write, question: &Question, explain: bool) -> anyhow::Result<ExitCode> {
    let target = match target(&question.url, &question.method) {
        Ok(target) => target,
        Err(error) => {
            eprintln!("exeat: {error:#}");
            return Ok(ExitCode::from(2));
        }
    };
    let ruleset = match ruleset(question) {
        Ok(ruleset) => ruleset,
        Err(errors) => {
            super::check::print(&errors)?;
            return Ok(ExitCode::from(2));
        }
    };
    let explanation = ruleset.policy.explain(&target);
    let verdict = explanation.tunnel.clone().and_then(Result::err).map_or(explanation.request.clone(), Err);
    if question.json {
        writeln!(out, "{:#}", as_json(&target, &explanation, &verdict, explain))?;
    } else {
        write_answer(out, &target, &verdict)?;
        if explain {
            if let Some(action) = &explanation.action {
                writeln!(out, "does      {action} ({})", action.access.as_str())?;
            }
            write_rules(out, &explanation)?;
        }
    }
    Ok(if verdict.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn ruleset(question: &Question) -> Result<Arc<Ruleset>, Diagnostics> {
    let options =
        RunOptions { config: question.config.as_deref(), policy: question.policy.as_deref(), allow: &question.allow };
    let config = Config::for_run(options)?;
    // `for_run` always makes it.
    config.rulesets.get(RUN_POLICY).cloned().ok_or_else(Diagnostics::default)
}

/// A target from a URL, by the same strict parsers that read requests.
fn target(url: &str, method: &str) -> anyhow::Result<Target> {
    let (scheme, rest) = match url.split_once("://") {
        Some(("http", rest)) => (Scheme::Http, rest),
        Some(("https", rest)) => (Scheme::Https, rest),
        Some(_) => bail!("the URL starts with http:// or https://"),
        // What people type.
        None => (Scheme::Https, url),
    };
    let path_at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path_at);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(Target {
        scheme,
        authority: Authority::parse_or(authority.as_bytes(), scheme.default_port()).context("the URL")?,
        method: Method::from_bytes(method.as_bytes()).context("the method")?,
        path: Path::parse(path.as_bytes()).context("the URL")?,
    })
}

fn write_answer(out: &mut impl Write, target: &Target, verdict: &Result<Permit, Denial>) -> std::io::Result<()> {
    let asked = format!("{} {}://{}{}", target.method, target.scheme.as_str(), target.authority, target.path);
    match verdict {
        Ok(permit) => match permit.observed() {
            None => {
                writeln!(out, "allowed   {asked}\nby        {} ({})", permit.rule(), tls(permit))?;
                match permit.provided() {
                    Some(_) => writeln!(out, "provided  its body only reads"),
                    None => Ok(()),
                }
            }
            Some(denial) => {
                writeln!(out, "observed  {asked}\nwould be  {}: {}", denial.reason, denial.reason.sentence())
            }
        },
        Err(denial) => {
            writeln!(out, "denied    {asked}\nreason    {}: {}", denial.reason, denial.reason.sentence())?;
            if let Some(rule) = &denial.rule {
                writeln!(out, "rule      {rule}")?;
            }
            if let Some(detail) = &denial.detail {
                writeln!(out, "detail    {detail}")?;
            }
            if let Some(argument) = &denial.permitted_by {
                writeln!(out, "permit    exeat run --allow {argument}")?;
            }
            Ok(())
        }
    }
}

fn write_rules(out: &mut impl Write, explanation: &Explanation) -> std::io::Result<()> {
    if explanation.considered.is_empty() {
        return writeln!(out, "rules     none for this host or one like it");
    }
    for rule in &explanation.considered {
        let kind = if rule.denies { "deny" } else { "allow" };
        let outcome = match rule.miss {
            None => "matches".to_owned(),
            Some(miss) => format!("another {}", miss.as_str()),
        };
        let bound = rule.bound.as_ref().map(|bound| format!(", {bound}")).unwrap_or_default();
        writeln!(out, "{kind:<9} {} {}{bound} ({outcome})", rule.rule, rule.host)?;
    }
    Ok(())
}

fn tls(permit: &Permit) -> &'static str {
    match permit.tls() {
        TlsMode::Intercept => "intercept",
        TlsMode::Tunnel => "tunnel",
    }
}

fn as_json(target: &Target, explanation: &Explanation, verdict: &Result<Permit, Denial>, explain: bool) -> Value {
    let asked = json!({
        "scheme": target.scheme.as_str(),
        "host": target.authority.host.to_string(),
        "port": target.authority.port,
        "method": target.method.as_str(),
        "path": target.path.path(),
    });
    let denial = |denial: &Denial| json!({ "reason": denial.reason.code(), "rule": denial.rule, "detail": denial.detail, "permitted_by": denial.permitted_by });
    let mut answer = match verdict {
        Ok(permit) => json!({
            "verdict": if permit.observed().is_some() { "observed" } else { "allowed" },
            "rule": permit.rule(),
            "tls": tls(permit),
            "provided_body_reads": permit.provided().is_some(),
            "denial": permit.observed().map(denial),
        }),
        Err(refused) => json!({ "verdict": "denied", "denial": denial(refused) }),
    };
    answer["target"] = asked;
    if explain {
        answer["action"] = explanation
            .action
            .as_ref()
            .map_or(Value::Null, |action| json!({ "text": action.to_string(), "access": action.access.as_str() }));
        let rules = explanation.considered.iter().map(|rule| {
            json!({
                "rule": rule.rule,
                "kind": if rule.denies { "deny" } else { "allow" },
                "host": rule.host,
                "bound": rule.bound,
                "matches": rule.miss.is_none(),
                "miss": rule.miss.map(|miss| miss.as_str()),
            })
        });
        answer["rules"] = rules.collect();
    }
    answer
}

fn show_presets(out: &mut impl Write, args: &Presets) -> anyhow::Result<ExitCode> {
    if let Some(name) = &args.name {
        let Some((name, text)) = preset::named(name).and_then(|(name, _)| Some((name, preset::text(name)?))) else {
            eprintln!("exeat: there is no preset {name}; exeat policy presets lists them");
            return Ok(ExitCode::from(2));
        };
        if args.json {
            writeln!(out, "{:#}", preset_json(name)?)?;
        } else {
            write!(out, "{text}")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if args.json {
        let all = preset::names().map(preset_json).collect::<anyhow::Result<Vec<_>>>()?;
        writeln!(out, "{:#}", Value::from(all))?;
    } else {
        for name in preset::names() {
            let preset = preset::load(name).context("the preset is gone")??;
            let mark = if preset.tells_access() { "*" } else { "" };
            writeln!(out, "{:<16} {}", format!("{name}{mark}"), preset.description)?;
        }
        writeln!(
            out,
            "\n*: tells reading from writing: NAME-write, or {{preset: NAME, access: write, repos: [acme/*]}}"
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

fn preset_json(name: &str) -> anyhow::Result<Value> {
    let preset = preset::load(name).context("the preset is gone")??;
    let mut hosts: Vec<String> = preset.rules.iter().map(|rule| rule.host.to_string()).collect();
    hosts.dedup();
    Ok(json!({
        "name": preset.name,
        "description": preset.description,
        "documentation": preset.documentation,
        "tells_access": preset.tells_access(),
        "hosts": hosts,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_becomes_the_target_that_a_request_would() {
        for (url, shown) in [
            ("https://a.test", "GET https://a.test:443/"),
            ("https://a.test?x=1", "GET https://a.test:443/?x=1"),
            ("http://A.test:8080/x?y", "GET http://a.test:8080/x?y"),
            ("a.test/x", "GET https://a.test:443/x"),
            ("https://[::1]/", "GET https://[::1]:443/"),
        ] {
            assert_eq!(target(url, "GET").unwrap().to_string(), shown);
        }
        for url in ["ftp://a.test/", "https://", "https://u@a.test/", "https://a.test/../x", "https://127.1/"] {
            assert!(target(url, "GET").is_err(), "{url}");
        }
    }
}
