//! `exeat flows tail`: the last flows, and those that follow.

use super::follow::Follow;
use super::{Place, show};
use crate::flow::{LIVE_FILE, Link, ReverseLines, files};
use anyhow::Context as _;
use serde_json::Value;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Show the last flows, and those that follow.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  exeat flows tail --follow
  exeat flows tail --config exeat.yaml --verdict denied -n 100
  exeat flows tail --journal /var/lib/exeat/flows --session s1 --json | jq .target.host")]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// How many flows to begin with.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    lines: usize,
    /// Go on with the flows that end from now on.
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    filter: Filter,
    /// Print the journal's own lines.
    #[arg(long)]
    json: bool,
}

/// Which flows are shown; all that is given must fit.
#[derive(Debug, Default, clap::Args)]
struct Filter {
    /// Only flows of this session.
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Only flows that ended so.
    #[arg(long, value_parser = ["allowed", "denied", "observed", "failed"])]
    verdict: Option<String>,
    /// Only flows to this host.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Only flows with this reason code.
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
}

/// How often a followed journal is looked at.
const INTERVAL: Duration = Duration::from_millis(200);

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let directory = args.place.locate()?;
    let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let show = |lines: &mut dyn Iterator<Item = String>| -> io::Result<()> {
        let mut out = io::stdout().lock();
        for line in lines {
            let shown = if args.json { show::printable(&line) } else { show::line(&line, colour) };
            writeln!(out, "{shown}")?;
        }
        out.flush()
    };
    let context = || format!("can't read {}", directory.display());
    let (last, mut follow) = last(&directory, args.lines, &args.filter).with_context(context)?;
    show(&mut last.into_iter())?;
    if !args.follow {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        tokio::time::sleep(INTERVAL).await;
        let lines = follow.step().with_context(context)?;
        show(&mut lines.into_iter().filter(|line| args.filter.fits(line)))?;
    }
}

/// The last `count` lines that fit, and where to go on behind them.
fn last(directory: &Path, count: usize, filter: &Filter) -> io::Result<(VecDeque<String>, Follow)> {
    let mut found = VecDeque::new();
    let mut paths = files(directory)?;
    let live = paths.pop_if(|path| path.ends_with(LIVE_FILE)).map(File::open).transpose()?;
    let (mut position, mut seq) = (0, None);
    if let Some(live) = &live {
        position = live.metadata()?.len();
        let mut lines = ReverseLines::before(live, position);
        while let Some(line) = lines.step()? {
            if line.last() != Some(&b'\n') {
                position -= u64::try_from(line.len()).unwrap_or(0);
                continue;
            }
            if seq.is_some() && found.len() >= count {
                break;
            }
            take(&line, count, filter, &mut found, &mut seq);
        }
    }
    for path in paths.iter().rev() {
        let mut lines = ReverseLines::new(File::open(path)?)?;
        while seq.is_none() || found.len() < count {
            let Some(line) = lines.step()? else { break };
            take(&line, count, filter, &mut found, &mut seq);
        }
    }
    Ok((found, Follow::new(directory, live, position, seq.unwrap_or(0))))
}

fn take(line: &[u8], count: usize, filter: &Filter, found: &mut VecDeque<String>, seq: &mut Option<u64>) {
    let line = line.trim_ascii_end();
    *seq = seq.or_else(|| Link::parse(line).map(|link| link.seq));
    let text = String::from_utf8_lossy(line);
    if found.len() < count && filter.fits(&text) {
        found.push_front(text.into_owned());
    }
}

impl Filter {
    fn fits(&self, line: &str) -> bool {
        let wanted = [
            (&self.session, "/session/id"),
            (&self.verdict, "/verdict"),
            (&self.host, "/target/host"),
            (&self.reason, "/reason"),
        ];
        if wanted.iter().all(|(value, _)| value.is_none()) {
            return true;
        }
        let Ok(record) = serde_json::from_str::<Value>(line) else { return false };
        wanted.iter().all(|(value, pointer)| {
            value.as_deref().is_none_or(|value| record.pointer(pointer).and_then(Value::as_str) == Some(value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Durability, Journal, Mode, Recorder, Settings};
    use crate::reason::{Denial, Reason};
    use std::fs;

    fn open(directory: &Path) -> Journal {
        Journal::open(Settings { journal: directory.into(), durability: Durability::Batched }).unwrap()
    }

    async fn write(journal: &Journal, count: usize, denial: Option<Reason>) {
        for _ in 0..count {
            let mut flow = Recorder::open(journal, std::net::SocketAddr::from(([127, 0, 0, 1], 1)).into()).unwrap();
            flow.mode(Mode::Forward);
            if let Some(reason) = denial {
                flow.denied(&Denial::new(reason));
            }
            flow.finish_durable().await.unwrap();
        }
    }

    fn seqs(lines: impl IntoIterator<Item = String>) -> Vec<u64> {
        lines.into_iter().map(|line| Link::parse(line.as_bytes()).unwrap().seq).collect()
    }

    fn move_aside(directory: &Path, name: &str) {
        fs::rename(directory.join(LIVE_FILE), directory.join(name)).unwrap();
    }

    #[tokio::test]
    async fn the_last_lines_come_in_order_out_of_several_files() {
        let directory = tempfile::tempdir().unwrap();
        let journal = open(directory.path());
        write(&journal, 3, None).await;
        move_aside(directory.path(), "flows-000000000001.jsonl");
        write(&journal, 3, None).await;
        for (count, found) in [(0, vec![]), (2, vec![5, 6]), (5, vec![2, 3, 4, 5, 6]), (9, vec![1, 2, 3, 4, 5, 6])] {
            assert_eq!(seqs(last(directory.path(), count, &Filter::default()).unwrap().0), found);
        }
        journal.close().await.unwrap();
    }

    #[tokio::test]
    async fn the_last_lines_are_counted_after_the_filter() {
        let directory = tempfile::tempdir().unwrap();
        let journal = open(directory.path());
        write(&journal, 2, Some(Reason::DestinationDenied)).await;
        write(&journal, 5, None).await;
        let denied = Filter { verdict: Some("denied".into()), ..Filter::default() };
        assert_eq!(seqs(last(directory.path(), 1, &denied).unwrap().0), [2]);
        let coded = Filter { reason: Some("dest_denied".into()), ..Filter::default() };
        assert_eq!(seqs(last(directory.path(), 9, &coded).unwrap().0), [1, 2]);
        let both = Filter { session: Some("s1".into()), ..coded };
        assert!(last(directory.path(), 9, &both).unwrap().0.is_empty());
        journal.close().await.unwrap();
    }

    #[tokio::test]
    async fn following_tells_each_new_line_once_over_rotations() {
        let directory = tempfile::tempdir().unwrap();
        let (_, mut follow) = last(directory.path(), 5, &Filter::default()).unwrap();
        assert!(follow.step().unwrap().is_empty());
        let journal = open(directory.path());
        write(&journal, 2, None).await;
        assert_eq!(seqs(follow.step().unwrap()), [1, 2]);
        write(&journal, 1, None).await;
        move_aside(directory.path(), "flows-000000000001.jsonl");
        write(&journal, 1, None).await;
        move_aside(directory.path(), "flows-000000000004.jsonl");
        assert_eq!(seqs(follow.step().unwrap()), [3], "the new file is not there yet");
        write(&journal, 1, None).await;
        assert_eq!(seqs(follow.step().unwrap()), [4, 5]);
        assert!(follow.step().unwrap().is_empty());
        journal.close().await.unwrap();
    }

    #[tokio::test]
    async fn a_line_under_way_is_told_when_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let journal = open(directory.path());
        write(&journal, 2, None).await;
        journal.close().await.unwrap();
        let live = directory.path().join(LIVE_FILE);
        let whole = fs::read(&live).unwrap();
        fs::write(&live, &whole[..whole.len() - 9]).unwrap();
        let (found, mut follow) = last(directory.path(), 5, &Filter::default()).unwrap();
        assert_eq!(seqs(found), [1]);
        assert!(follow.step().unwrap().is_empty());
        fs::write(&live, &whole).unwrap();
        assert_eq!(seqs(follow.step().unwrap()), [2]);
    }

    #[tokio::test]
    async fn lines_that_were_taken_back_are_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let journal = open(directory.path());
        write(&journal, 4, None).await;
        journal.close().await.unwrap();
        let live = directory.path().join(LIVE_FILE);
        let whole = fs::read_to_string(&live).unwrap();
        let upto = |count| whole.split_inclusive('\n').take(count).collect::<String>();
        fs::write(&live, upto(3)).unwrap();
        let mut follow = last(directory.path(), 0, &Filter::default()).unwrap().1;
        fs::write(&live, upto(1)).unwrap();
        assert!(follow.step().unwrap().is_empty());
        fs::write(&live, upto(4)).unwrap();
        assert_eq!(seqs(follow.step().unwrap()), [4]);
    }
}
