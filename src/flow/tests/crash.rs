//! Death at any moment: what was acknowledged is in the file (R7).

use super::*;
use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

/// The journal's directory, for the child that writes until it is killed.
const DIRECTORY: &str = "EXEAT_TEST_CRASH";

/// Small, so that deaths fall into rotations too.
const ROTATE_AT: u64 = 64 << 10;

/// Runs inside [`what_was_acknowledged_survives_kill_9`]; elsewhere it has nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_writes_until_it_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let journal = open_rotating(Path::new(&directory), ROTATE_AT);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        tasks.spawn(acknowledge(journal.clone()));
    }
    tasks.join_next().await.unwrap().unwrap();
}

async fn acknowledge(journal: Journal) {
    loop {
        let flow = recorder(&journal);
        let id = flow.id();
        flow.finish_durable().await.unwrap();
        writeln!(std::io::stdout(), "ack {id}").unwrap();
    }
}

/// One child's life, up to the moment when it is killed; the ids that it acknowledged.
fn live_and_die(directory: &Path, acknowledged: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["flow::tests::crash::a_child_that_writes_until_it_is_killed", "--exact", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acks = BufReader::new(child.stdout.take().unwrap())
        .split(b'\n')
        .filter_map(|line| Some(String::from_utf8(line.unwrap()).unwrap().split_once("ack ")?.1.to_owned()));
    let mut ids: Vec<_> = acks.by_ref().take(acknowledged).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    ids.extend(acks);
    // The last one may itself be cut.
    ids.retain(|id| id.len() == 36);
    ids
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = HashSet::new();
    for round in 0..20 {
        let ids = live_and_die(directory.path(), 1 + round * 37 % 400);
        assert!(!ids.is_empty());
        acknowledged.extend(ids);
        let journal = open_rotating(directory.path(), ROTATE_AT);
        write_records(&journal, 1).await;
        journal.close().await.unwrap();
        verified(directory.path());
    }
    let written = records(directory.path());
    let written: HashSet<_> = written.iter().filter_map(|record| record["flow"].as_str()).collect();
    assert!(acknowledged.iter().all(|id| written.contains(id.as_str())));
    assert!(super::super::files(directory.path()).unwrap().len() > 2, "no death came near a rotation");
}
