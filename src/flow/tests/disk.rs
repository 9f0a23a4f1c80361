//! Disks that are full, slow or gone (T34, R8, R9).

use super::*;
use crate::reason::Reason;
use std::io::{BufRead as _, BufReader, Lines, Read as _};
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Resolves once nothing is wrong any more.
async fn recovered(journal: &Journal) {
    timeout(Duration::from_secs(10), journal.recovered()).await.expect("the journal stays broken");
}

#[tokio::test]
async fn a_file_that_can_not_be_opened_refuses_new_flows_and_closes_tunnels_until_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    write_records(&journal, 2).await;
    let live = directory.path().join(LIVE_FILE);
    fs::rename(&live, directory.path().join("flows-000000000001.jsonl")).unwrap();
    fs::create_dir(&live).unwrap();
    let tunnels: Vec<_> = (0..3).map(|_| recorder(&journal)).collect();
    let began = Instant::now();
    assert_eq!(recorder(&journal).finish_durable().await, Err(Unavailable::Failing));
    assert!(began.elapsed() < Duration::from_secs(1));
    let refused = Recorder::open(&journal, downstream()).unwrap_err();
    assert_eq!((refused, refused.reason()), (Unavailable::Failing, Reason::LogUnavailable));
    assert!(!journal.healthy());
    journal.broken().await;
    assert!(began.elapsed() < Duration::from_secs(5));
    tunnels.into_iter().for_each(Recorder::finish);
    fs::remove_dir(&live).unwrap();
    recovered(&journal).await;
    assert!(journal.healthy());
    write_records(&journal, 1).await;
    journal.close().await.unwrap();
    assert_eq!(verified(directory.path()).records, 7, "nothing was lost in between");
}

#[tokio::test]
async fn closing_a_journal_that_can_not_be_written_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    fs::remove_file(directory.path().join(LIVE_FILE)).unwrap();
    fs::create_dir(directory.path().join(LIVE_FILE)).unwrap();
    recorder(&journal).finish_durable().await.unwrap_err();
    assert_eq!(journal.close().await, Err(Unavailable::Failing));
}

/// The name of the directory on a disk of 1 MiB, for the test that runs again inside a mount namespace.
const SMALL_DISK: &str = "EXEAT_TEST_SMALL_DISK";

#[test]
fn a_full_disk_refuses_new_flows_and_loses_nothing() {
    let can_mount = Command::new("unshare").args(["-rm", "true"]).output().is_ok_and(|output| output.status.success());
    if !can_mount {
        eprintln!("SKIPPED: a_full_disk_refuses_new_flows_and_loses_nothing needs `unshare -rm`");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(["-rm", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs \"$0\" && exec \"$@\""])
        .arg(directory.path())
        .arg(std::env::current_exe().unwrap())
        .args(["flow::tests::disk::on_a_small_disk", "--exact", "--nocapture", "--test-threads=1"])
        .env(SMALL_DISK, directory.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("the small disk was full"), "{told}");
}

/// Runs inside [`a_full_disk_refuses_new_flows_and_loses_nothing`]; elsewhere it has nothing to do.
#[tokio::test]
async fn on_a_small_disk() {
    let Some(directory) = std::env::var_os(SMALL_DISK).map(std::path::PathBuf::from) else { return };
    let ballast = directory.join("ballast");
    fs::write(&ballast, vec![0; 700 << 10]).unwrap();
    let journal = open(&directory);
    let mut handed_over = 0;
    // Batches of many records, so that one is cut somewhere in its midst.
    let failed_at = loop {
        let held: Vec<_> = (0..40).map_while(|_| Recorder::open(&journal, downstream()).ok()).collect();
        handed_over += held.len() + 1;
        let Ok(last) = Recorder::open(&journal, downstream()) else { panic!("the failure was not waited for") };
        held.into_iter().for_each(Recorder::finish);
        if last.finish_durable().await.is_err() {
            break Instant::now();
        }
    };
    assert_eq!(Recorder::open(&journal, downstream()).unwrap_err(), Unavailable::Failing);
    journal.broken().await;
    assert!(failed_at.elapsed() < Duration::from_secs(5), "{:?}", failed_at.elapsed());
    let bytes = fs::read(directory.join(LIVE_FILE)).unwrap();
    assert_eq!(bytes.last(), Some(&b'\n'), "no cut line stays");
    fs::remove_file(&ballast).unwrap();
    let freed_at = Instant::now();
    recovered(&journal).await;
    assert!(freed_at.elapsed() < Duration::from_secs(5));
    write_records(&journal, 1).await;
    journal.close().await.unwrap();
    assert_eq!(verified(&directory).records, handed_over as u64 + 1);
    println!("the small disk was full after {handed_over} records");
}

fn pipe() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    nix::unistd::mkfifo(&directory.path().join(LIVE_FILE), nix::sys::stat::Mode::S_IRWXU).unwrap();
    directory
}

/// Opens the pipe's reading end; the journal must be opened at the same time.
fn read(directory: &Path) -> std::thread::JoinHandle<Lines<BufReader<fs::File>>> {
    let path = directory.join(LIVE_FILE);
    std::thread::spawn(move || BufReader::new(fs::File::open(path).unwrap()).lines())
}

/// The journal on a pipe, once its reader is there.
fn open_pipe(directory: &Path) -> (Journal, Lines<BufReader<fs::File>>) {
    let reader = read(directory);
    loop {
        match Journal::open(settings(directory)) {
            Ok(journal) => return (journal, reader.join().unwrap()),
            Err(_) => std::thread::yield_now(),
        }
    }
}

/// Whether this process has the file open.
fn is_open(path: &Path) -> bool {
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.filter_map(|descriptor| fs::read_link(descriptor.path()).ok()).any(|target| target == path)
}

fn seq(line: std::io::Result<String>) -> u64 {
    Link::parse(line.unwrap().as_bytes()).unwrap().seq
}

#[test]
fn a_pipe_without_a_reader_is_refused_at_start() {
    let directory = pipe();
    let error = Journal::open(settings(directory.path())).unwrap_err();
    assert!(error.to_string().contains(LIVE_FILE), "{error}");
}

#[tokio::test]
async fn a_reader_that_stops_holds_flows_up_for_two_seconds_and_loses_none() {
    let directory = pipe();
    let (journal, lines) = open_pipe(directory.path());
    let mut handed_over = 1;
    // The pipe holds 64 KiB; then the writer hangs in its write.
    let stalled = loop {
        let began = Instant::now();
        match recorder(&journal).finish_durable().await {
            Ok(()) => handed_over += 1,
            Err(error) => break (error, began.elapsed()),
        }
    };
    assert_eq!(stalled.0, Unavailable::Stalled);
    assert!((2.0..3.0).contains(&stalled.1.as_secs_f64()), "{:?}", stalled.1);
    // The write began a moment before the wait, so that by now it is known to have stalled.
    assert_eq!(Recorder::open(&journal, downstream()).unwrap_err(), Unavailable::Stalled);
    let reader = std::thread::spawn(move || lines.take(handed_over + 1).map(seq).collect::<Vec<_>>());
    journal.written(handed_over as u64).await.unwrap();
    write_records(&journal, 1).await;
    assert_eq!(reader.join().unwrap(), (1..=handed_over as u64 + 1).collect::<Vec<_>>());
    journal.close().await.unwrap();
}

/// A write that hangs, then one page of room for it, then a record that has no room in what is left.
#[tokio::test]
async fn a_flow_waits_for_a_slow_journal_for_two_seconds_in_all() {
    let directory = pipe();
    let path = directory.path().join(LIVE_FILE);
    let reader = std::thread::spawn(move || fs::File::open(path).unwrap());
    let bounds = Bounds { records: 1, ..Bounds::default() };
    let journal = loop {
        match Journal::open_bounded(settings(directory.path()), bounds) {
            Ok(journal) => break journal,
            Err(_) => std::thread::yield_now(),
        }
    };
    let mut reader = reader.join().unwrap();
    let mut handed_over = 0;
    // The pipe holds 64 KiB; then the writer hangs in its write.
    let one = async || Recorder::begin(&journal, downstream()).await?.finish_written().await;
    while timeout(Duration::from_millis(300), one()).await.is_ok() {
        handed_over += 1;
    }
    let began = Instant::now();
    let reading = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        reader.read_exact(&mut [0; 4096]).unwrap();
        reader
    });
    let mut flow = Recorder::begin(&journal, downstream()).await.expect("there is room in time");
    assert!(began.elapsed() >= Duration::from_millis(700), "it did not wait");
    flow.error("x".repeat(8000));
    assert_eq!(flow.finish_durable().await, Err(Unavailable::Stalled));
    assert!((1.9..2.5).contains(&began.elapsed().as_secs_f64()), "{:?}", began.elapsed());
    let rest = std::thread::spawn({
        let reader = reading.join().unwrap();
        move || BufReader::new(reader).lines().count()
    });
    journal.close().await.unwrap();
    drop(journal);
    assert!(rest.join().unwrap() > handed_over / 2, "the last ones came through");
}

#[tokio::test]
async fn a_disk_that_hangs_breaks_the_journal_as_one_that_fails_does() {
    let directory = pipe();
    let (journal, lines) = open_pipe(directory.path());
    while let Ok(flow) = Recorder::open(&journal, downstream()) {
        flow.finish();
    }
    timeout(Duration::from_secs(5), journal.broken()).await.expect("live flows are told");
    let reader = std::thread::spawn(move || lines.count());
    journal.close().await.unwrap();
    drop(journal);
    assert!(reader.join().unwrap() > 0);
}

#[tokio::test]
async fn the_queue_is_bounded_while_the_disk_hangs() {
    let directory = pipe();
    let (journal, lines) = open_pipe(directory.path());
    let refused = loop {
        match Recorder::open(&journal, downstream()) {
            Ok(flow) => flow.finish(),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Unavailable::Full | Unavailable::Stalled), "{refused}");
    assert!(journal.ready().await.is_err());
    let reader = std::thread::spawn(move || lines.map(seq).collect::<Vec<_>>());
    journal.close().await.unwrap();
    drop(journal);
    let seqs = reader.join().unwrap();
    assert!((4_096..5_000).contains(&seqs.len()), "{}", seqs.len());
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "none lost or reordered");
}

#[tokio::test]
async fn a_pipe_whose_reader_left_gets_whole_lines_again_from_the_next_one() {
    let directory = pipe();
    let (journal, lines) = open_pipe(directory.path());
    write_records(&journal, 2).await;
    drop(lines);
    assert_eq!(recorder(&journal).finish_durable().await, Err(Unavailable::Failing));
    let next = read(directory.path());
    recovered(&journal).await;
    let mut lines = next.join().unwrap();
    assert_eq!(seq(lines.next().unwrap()), 3);
    journal.close().await.unwrap();
}

#[tokio::test]
async fn a_pipe_that_was_left_in_the_midst_of_a_line_begins_it_anew_for_the_next_reader() {
    let directory = pipe();
    let (journal, mut lines) = open_pipe(directory.path());
    // More may have come than is let wait before the writer, on a busy machine, has written any.
    Recorder::open(&journal, downstream()).unwrap().finish();
    assert!(lines.next().is_some(), "the first reader takes some");
    let mut handed_over = 1;
    // Until the writer hangs with the pipe full, which is in the midst of a line.
    while let Ok(flow) = Recorder::open(&journal, downstream()) {
        flow.finish();
        handed_over += 1;
    }
    drop(lines);
    // A reader that comes while the writer still holds its end would see that end close, and leave again.
    while is_open(&directory.path().join(LIVE_FILE)) {
        std::thread::yield_now();
    }
    let lines = read(directory.path()).join().unwrap();
    let reader = std::thread::spawn(move || lines.map(seq).collect::<Vec<_>>());
    recovered(&journal).await;
    journal.close().await.unwrap();
    drop(journal);
    let seqs = reader.join().unwrap();
    let first = seqs[0];
    assert!(first > 1, "what the first reader took comes again");
    assert_eq!(seqs, (first..=handed_over).collect::<Vec<_>>());
}
