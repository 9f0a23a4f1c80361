use super::file::Error;
use super::*;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

fn append(directory: &Path, bytes: &[u8]) {
    fs::OpenOptions::new().append(true).open(directory.join(LIVE_FILE)).unwrap().write_all(bytes).unwrap();
}

#[tokio::test]
async fn nobody_else_can_read_the_journal() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("state/flows");
    let journal = open(&inner);
    write_records(&journal, 1).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&inner), 0o700);
    assert_eq!(mode(&inner.join(LIVE_FILE)), 0o600);
    journal.close().await.unwrap();
}

#[tokio::test]
async fn a_second_gateway_on_the_same_journal_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    let error = Journal::open(settings(directory.path())).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    journal.close().await.unwrap();
    open(directory.path()).close().await.unwrap();
}

#[tokio::test]
async fn a_cut_last_line_is_moved_aside_and_noted_in_the_chain() {
    for tail in [&b"{\"schema\":1,\"seq\":4,\"ts\":\"20"[..], b"{\"schema\":1,\"seq\":4}\n", &[0; 4_096], b"x\n\0\0"] {
        let directory = journal_of(3).await;
        append(directory.path(), tail);
        assert!(verify(directory.path(), false).unwrap().is_err());
        let journal = open(directory.path());
        write_records(&journal, 1).await;
        journal.close().await.unwrap();
        assert_eq!(verified(directory.path()).records, 5);
        let found = records(directory.path());
        assert_eq!((&found[3]["kind"], &found[3]["note"]), (&"note".into(), &"cut_line".into()));
        assert_eq!(found[3]["dropped_bytes"], tail.len());
        assert_eq!(found[4]["seq"], 5);
        let kept = fs::read(directory.path().join("flows.cut")).unwrap();
        assert_eq!(kept, [tail, b"\n"].concat());
    }
}

#[tokio::test]
async fn a_cut_first_line_begins_the_chain_anew() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(LIVE_FILE), b"{\"sche").unwrap();
    let journal = open(directory.path());
    write_records(&journal, 1).await;
    journal.close().await.unwrap();
    assert_eq!(verified(directory.path()).records, 2);
}

#[tokio::test]
async fn a_file_that_is_no_journal_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let text = "a letter\nto someone\n";
    fs::write(directory.path().join(LIVE_FILE), text).unwrap();
    let error = Journal::open(settings(directory.path())).unwrap_err();
    assert!(matches!(error, Error::NotAJournal { .. }), "{error}");
    assert_eq!(fs::read_to_string(directory.path().join(LIVE_FILE)).unwrap(), text);
}

#[test]
fn a_directory_that_can_not_be_made_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Journal::open(settings(&file.join("flows"))).unwrap_err();
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn files_are_moved_aside_by_size_and_the_chain_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open_rotating(directory.path(), 2_000);
    write_records(&journal, 40).await;
    journal.close().await.unwrap();
    let found = super::super::files(directory.path()).unwrap();
    assert!(found.len() > 4, "{found:?}");
    assert!(found.iter().rev().skip(1).all(|path| fs::metadata(path).unwrap().len() < 3_000));
    assert_eq!(verified(directory.path()).records, 40);
}

#[tokio::test]
async fn a_crash_between_moving_aside_and_the_first_write_keeps_the_chain() {
    let directory = journal_of(4).await;
    fs::rename(directory.path().join(LIVE_FILE), directory.path().join("flows-000000000001.jsonl")).unwrap();
    let journal = open(directory.path());
    write_records(&journal, 2).await;
    journal.close().await.unwrap();
    assert_eq!(verified(directory.path()).records, 6);
}

#[tokio::test]
async fn a_log_rotator_loses_nothing_with_or_without_the_signal() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    for (name, signals) in [("flows.jsonl.1", true), ("flows.jsonl-20261122", false)] {
        write_records(&journal, 3).await;
        fs::rename(directory.path().join(LIVE_FILE), directory.path().join(name)).unwrap();
        if signals {
            journal.reopen();
        }
        write_records(&journal, 3).await;
    }
    journal.close().await.unwrap();
    assert_eq!(super::super::files(directory.path()).unwrap().len(), 3);
    assert_eq!(verified(directory.path()).records, 12);
}

#[tokio::test]
async fn reopening_a_file_that_stands_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    write_records(&journal, 2).await;
    journal.reopen();
    write_records(&journal, 2).await;
    journal.close().await.unwrap();
    assert_eq!(super::super::files(directory.path()).unwrap().len(), 1);
    assert_eq!(verified(directory.path()).records, 4);
}

#[tokio::test]
async fn a_deleted_file_is_made_again_and_the_gap_shows() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    write_records(&journal, 2).await;
    fs::remove_file(directory.path().join(LIVE_FILE)).unwrap();
    write_records(&journal, 2).await;
    journal.close().await.unwrap();
    let seqs: Vec<_> = records(directory.path()).iter().map(|record| record["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [3, 4]);
    let fault = verify(directory.path(), false).unwrap().unwrap_err().fault;
    assert_eq!(fault, Fault::Removed { from: 1, to: 2 });
}

#[tokio::test]
async fn a_removed_directory_is_made_again_and_still_locked() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("flows");
    let journal = open(&inner);
    write_records(&journal, 1).await;
    fs::remove_dir_all(&inner).unwrap();
    write_records(&journal, 1).await;
    assert_eq!(records(&inner).len(), 1);
    assert!(matches!(Journal::open(settings(&inner)).unwrap_err(), Error::Locked { .. }));
    journal.close().await.unwrap();
}

#[tokio::test]
async fn a_line_under_way_is_no_break_while_a_gateway_writes() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    write_records(&journal, 2).await;
    append(directory.path(), b"{\"schema\":1,");
    assert_eq!(verified(directory.path()).records, 2);
    journal.close().await.unwrap();
    let fault = verify(directory.path(), false).unwrap().unwrap_err().fault;
    assert_eq!(fault, Fault::Cut);
}

#[tokio::test]
async fn a_journal_whose_handles_are_dropped_writes_what_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    let mut feed = journal.feed();
    recorder(&journal).finish();
    drop(journal);
    let mut told = 0;
    while feed.next().await.is_some() {
        told += 1;
    }
    assert_eq!(told, 1);
    assert_eq!(verified(directory.path()).records, 1);
}
