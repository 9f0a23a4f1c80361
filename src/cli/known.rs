//! Known secrets as the command line names them: `--known` and `--home`.

use crate::config::{SecretSource, read_known};
use crate::net::HostPattern;
use crate::secrets::KnownSecret;
use anyhow::{Context as _, bail};
use std::sync::Arc;

/// Which values are registered for a session, and where they may go.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct KnownArgs {
    /// A value that may not go out but to its home: env:NAME, or file:PATH of a secret, .env, .netrc, .npmrc, AWS
    /// credentials, Docker config.json or gh hosts.yml
    #[arg(long, value_name = "SOURCE")]
    pub(super) known: Vec<SecretSource>,
    /// A host where a known secret belongs, for one whose kind no rule knows: NAME=HOST
    #[arg(long, value_name = "NAME=HOST", value_parser = home)]
    pub(super) home: Vec<(Arc<str>, HostPattern)>,
}

impl KnownArgs {
    /// Reads the values.
    pub(super) fn read(&self) -> anyhow::Result<Vec<KnownSecret>> {
        let mut all = Vec::new();
        for source in &self.known {
            all.extend(read_known(source).with_context(|| format!("--known {source}"))?);
        }
        Ok(all)
    }

    /// Gives values the homes that were named. A home for a name that no value has is a mistake.
    pub(super) fn send_home(&self, known: Vec<KnownSecret>) -> anyhow::Result<Vec<KnownSecret>> {
        for (name, _) in &self.home {
            if !known.iter().any(|secret| secret.name() == &**name) {
                let mut names: Vec<&str> = known.iter().map(KnownSecret::name).collect();
                names.sort_unstable();
                names.dedup();
                let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                bail!("--home {name}: there is no known secret of this name; there are: {names}");
            }
        }
        let with_homes = |secret: KnownSecret| {
            let homes = self.home.iter().filter(|(name, _)| secret.name() == &**name).map(|(_, host)| host.clone());
            homes.collect::<Vec<_>>().into_iter().fold(secret, KnownSecret::at_home)
        };
        Ok(known.into_iter().map(with_homes).collect())
    }
}

fn home(text: &str) -> Result<(Arc<str>, HostPattern), String> {
    let (name, host) = text.split_once('=').ok_or("a home is written NAME=HOST")?;
    let host = host.parse().map_err(|error| format!("`{host}`: {error}"))?;
    Ok((name.into(), host))
}
