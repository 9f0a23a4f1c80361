use super::chain::{Link, seal};
use super::*;
use std::path::PathBuf;

/// The chain's first break: file name, line, fault.
fn broken(directory: &Path) -> (String, u64, Fault) {
    let found = verify(directory, false).unwrap().unwrap_err();
    (found.file.file_name().unwrap().to_str().unwrap().to_owned(), found.line, found.fault)
}

fn live(directory: &TempDir) -> PathBuf {
    directory.path().join(LIVE_FILE)
}

fn edit(path: &Path, edit: impl FnOnce(&mut Vec<String>)) {
    let mut lines: Vec<_> = fs::read_to_string(path).unwrap().lines().map(|line| format!("{line}\n")).collect();
    edit(&mut lines);
    fs::write(path, lines.concat()).unwrap();
}

/// Nine records in three files.
async fn rotated() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        // Moves the file aside when it holds three records, which are longer than 350 bytes each.
        let journal = open_rotating(directory.path(), 1_050);
        write_records(&journal, 3).await;
        journal.close().await.unwrap();
    }
    let names: Vec<_> = super::super::files(directory.path()).unwrap();
    let names: Vec<_> = names.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    let aside = ["flows-000000000001.jsonl", "flows-000000000004.jsonl", "flows-000000000007.jsonl", LIVE_FILE];
    assert_eq!(names, aside);
    assert_eq!(verified(directory.path()).records, 9);
    directory
}

#[tokio::test]
async fn a_change_of_any_byte_is_found() {
    let directory = journal_of(3).await;
    let whole = fs::read(live(&directory)).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 4;
        fs::write(live(&directory), &changed).unwrap();
        assert!(verify(directory.path(), false).unwrap().is_err(), "byte {at}");
    }
}

#[tokio::test]
async fn a_changed_field_is_found_in_its_line() {
    let directory = journal_of(5).await;
    edit(&live(&directory), |lines| lines[2] = lines[2].replace("allowed", "ALLOWED"));
    assert_eq!(broken(directory.path()), (LIVE_FILE.into(), 3, Fault::Changed));
}

#[tokio::test]
async fn a_dropped_line_is_found() {
    for at in 0..4 {
        let directory = journal_of(5).await;
        edit(&live(&directory), |lines| drop(lines.remove(at)));
        let (line, missing) = (at as u64 + 1, at as u64 + 1);
        let fault = Fault::Removed { from: missing, to: missing };
        assert_eq!(broken(directory.path()), (LIVE_FILE.into(), line, fault));
    }
}

#[tokio::test]
async fn swapped_and_doubled_lines_are_found() {
    let directory = journal_of(5).await;
    edit(&live(&directory), |lines| lines.swap(1, 2));
    assert_eq!(broken(directory.path()), (LIVE_FILE.into(), 2, Fault::Removed { from: 2, to: 2 }));
    let directory = journal_of(5).await;
    edit(&live(&directory), |lines| lines.insert(3, lines[1].clone()));
    assert_eq!(broken(directory.path()), (LIVE_FILE.into(), 4, Fault::Reordered { expected: 4, found: 2 }));
}

#[tokio::test]
async fn a_forged_line_with_a_hash_of_its_own_is_found_by_the_next_one() {
    let directory = journal_of(5).await;
    edit(&live(&directory), |lines| {
        let before = Link::parse(lines[1].trim_end().as_bytes()).unwrap();
        let mut forged = Vec::new();
        seal(&mut forged, &before, br#"{"verdict":"allowed"}"#);
        lines[2] = String::from_utf8(forged).unwrap();
    });
    assert_eq!(broken(directory.path()), (LIVE_FILE.into(), 4, Fault::Replaced));
}

#[tokio::test]
async fn a_file_cut_at_its_end_is_found() {
    let directory = rotated().await;
    let second = directory.path().join("flows-000000000004.jsonl");
    let whole = fs::read(&second).unwrap();
    fs::write(&second, &whole[..whole.len() - 10]).unwrap();
    assert_eq!(broken(directory.path()), ("flows-000000000004.jsonl".into(), 3, Fault::Cut));
    fs::write(&second, &whole).unwrap();
    edit(&second, |lines| drop(lines.pop()));
    assert_eq!(broken(directory.path()), ("flows-000000000007.jsonl".into(), 1, Fault::Removed { from: 6, to: 6 }));
}

#[tokio::test]
async fn a_removed_file_is_found_unless_it_is_the_oldest_and_that_is_said_to_be_right() {
    let directory = rotated().await;
    fs::remove_file(directory.path().join("flows-000000000001.jsonl")).unwrap();
    let missing = Fault::Removed { from: 1, to: 3 };
    assert_eq!(broken(directory.path()), ("flows-000000000004.jsonl".into(), 1, missing));
    assert_eq!(verify(directory.path(), true).unwrap().unwrap().records, 6);
    let directory = rotated().await;
    fs::remove_file(directory.path().join("flows-000000000004.jsonl")).unwrap();
    assert!(verify(directory.path(), true).unwrap().is_err());
}

#[tokio::test]
async fn lines_that_are_no_records_are_found() {
    for text in ["\n", "{}\n", "{\"schema\":1,\"seq\":2}\n", "\0\0\0\0\n"] {
        let directory = journal_of(3).await;
        edit(&live(&directory), |lines| lines.insert(1, text.into()));
        assert_eq!(broken(directory.path()), (LIVE_FILE.into(), 2, Fault::Malformed), "{text:?}");
    }
}
