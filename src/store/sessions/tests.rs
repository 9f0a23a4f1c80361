use super::*;
use crate::session::TokenDigest;
use crate::store::{Embedded, Memory};
use std::sync::Mutex;

const HOUR: Duration = Duration::from_secs(3600);

fn new(ttl: Option<Duration>) -> New {
    New { policy: "agent".into(), ttl, task: None, labels: Labels::new(), known: Vec::new() }
}

fn configured(id: &str, token: &str) -> Session {
    Session {
        id: id.parse().unwrap(),
        policy: "agent".into(),
        task: None,
        labels: Labels::new(),
        created_at: Timestamp::now(),
        expires_at: None,
        digest: TokenDigest::of(token),
        known: 0,
    }
}

async fn in_memory(configured: Vec<Session>) -> Sessions {
    Sessions::open(Arc::new(Memory), configured).await.unwrap()
}

async fn in_file(folder: &tempfile::TempDir) -> Sessions {
    Sessions::open(Arc::new(Embedded::open(&Embedded::path_in(folder.path())).unwrap()), Vec::new()).await.unwrap()
}

fn basic(sessions: &Sessions, id: &str, token: &str) -> Option<String> {
    sessions.authenticate(&Credentials::Basic { id, token }).map(|live| live.session.id.to_string())
}

fn bearer(sessions: &Sessions, token: &str) -> Option<String> {
    sessions.authenticate(&Credentials::Bearer(token)).map(|live| live.session.id.to_string())
}

/// A test that waits for what never comes fails instead of hanging.
async fn soon<T>(coming: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(5), coming).await.unwrap()
}

async fn ended(live: &Live) {
    soon(live.ended.cancelled()).await;
}

/// A store whose writes fail when it is told so.
#[derive(Default)]
struct Failing {
    fails: Mutex<bool>,
    kept: Mutex<Vec<Session>>,
}

impl Failing {
    fn check(&self) -> Result<(), Error> {
        if *self.fails.lock().unwrap() { Err(Error::Stopped) } else { Ok(()) }
    }
}

impl Store for Failing {
    fn load(&self) -> Result<Vec<Session>, Error> {
        Ok(self.kept.lock().unwrap().clone())
    }

    fn put(&self, session: &Session) -> Result<(), Error> {
        self.check()?;
        self.kept.lock().unwrap().push(session.clone());
        Ok(())
    }

    fn remove(&self, ids: &[SessionId]) -> Result<usize, Error> {
        self.check()?;
        let mut kept = self.kept.lock().unwrap();
        let before = kept.len();
        kept.retain(|session| !ids.contains(&session.id));
        Ok(before - kept.len())
    }
}

#[tokio::test]
async fn a_session_is_proved_by_its_own_token_only() {
    let sessions = in_memory(vec![configured("dev", "dev-token")]).await;
    let one = sessions.create(new(Some(HOUR))).await.unwrap();
    let two = sessions.create(new(None)).await.unwrap();
    let (id, other) = (one.session.id.to_string(), two.session.id.to_string());
    let (token, other_token) = (one.token.reveal(), two.token.reveal());

    assert_eq!(basic(&sessions, &id, &token), Some(id.clone()));
    assert_eq!(bearer(&sessions, &token), Some(id.clone()));
    assert_eq!(basic(&sessions, "dev", "dev-token"), Some("dev".into()));
    assert_eq!(bearer(&sessions, &other_token), Some(other.clone()));
    assert_eq!(basic(&sessions, &id, &other_token), None);
    assert_eq!(basic(&sessions, "dev", &token), None);
    assert_eq!(basic(&sessions, &id, &token[..42]), None);
    assert_eq!(basic(&sessions, &id, &format!("{}x", *token)), None);
    assert_eq!(basic(&sessions, &id.to_uppercase(), &token), None);
    assert_eq!(basic(&sessions, &id, ""), None);
    assert_eq!(basic(&sessions, "", ""), None);
    assert_eq!(basic(&sessions, "unknown", &token), None);
    assert_eq!(bearer(&sessions, ""), None);
    assert_eq!(bearer(&sessions, "dev"), None);
    assert_eq!(sessions.count(), 3);
}

#[tokio::test]
async fn without_sessions_nobody_is_let_in() {
    let sessions = in_memory(Vec::new()).await;
    assert_eq!(bearer(&sessions, "x"), None);
    assert_eq!(basic(&sessions, "default", ""), None);
    assert!(sessions.list().is_empty());
}

#[tokio::test]
async fn a_revoked_session_is_dead_at_once_and_its_flows_end() {
    let sessions = in_memory(Vec::new()).await;
    let created = sessions.create(new(Some(HOUR))).await.unwrap();
    let token = created.token.reveal();
    let live = sessions.authenticate(&Credentials::Bearer(&token)).unwrap();
    assert!(live.is_live());
    assert!(sessions.revoke(&created.session.id).await.unwrap());
    ended(&live).await;
    assert!(!live.is_live());
    assert_eq!(bearer(&sessions, &token), None);
    assert!(sessions.show(created.session.id.as_str()).is_none());
    assert!(!sessions.revoke(&created.session.id).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_expired_session_is_dead_at_its_second_and_its_flows_end() {
    let sessions = in_memory(Vec::new()).await;
    let shutdown = CancellationToken::new();
    let owner = tokio::spawn(sessions.clone().expire(shutdown.clone()));
    let long = sessions.create(new(Some(HOUR))).await.unwrap();
    tokio::task::yield_now().await;
    let short = sessions.create(new(Some(Duration::from_secs(10)))).await.unwrap();
    let (long, short) = (long.token.reveal(), short.token.reveal());
    let live = sessions.authenticate(&Credentials::Bearer(&short)).unwrap();

    tokio::time::advance(Duration::from_millis(9_999)).await;
    assert!(bearer(&sessions, &short).is_some());
    tokio::time::advance(Duration::from_millis(2)).await;
    assert!(bearer(&sessions, &short).is_none());
    ended(&live).await;
    assert!(bearer(&sessions, &long).is_some());
    assert_eq!(sessions.count(), 1);

    tokio::time::advance(HOUR).await;
    assert!(bearer(&sessions, &long).is_none());
    assert!(sessions.list().is_empty());
    shutdown.cancel();
    soon(owner).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_expired_session_is_refused_even_if_nobody_cleans_up() {
    let sessions = in_memory(Vec::new()).await;
    let created = sessions.create(new(Some(HOUR))).await.unwrap();
    let token = created.token.reveal();
    tokio::time::advance(HOUR).await;
    assert!(bearer(&sessions, &token).is_none());
    assert!(sessions.list().is_empty());
    assert!(sessions.show(created.session.id.as_str()).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_session_without_an_end_lives_on() {
    let sessions = in_memory(Vec::new()).await;
    let endless = sessions.create(new(None)).await.unwrap().token.reveal();
    let too_long = sessions.create(new(Some(Duration::MAX))).await.unwrap().token.reveal();
    tokio::time::advance(Duration::from_secs(400 * 24 * 3600)).await;
    assert!(bearer(&sessions, &endless).is_some());
    assert!(bearer(&sessions, &too_long).is_some());
}

#[tokio::test]
async fn sessions_outlive_a_restart_and_revoked_ones_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let sessions = in_file(&folder).await;
    let kept = sessions.create(new(Some(HOUR))).await.unwrap();
    let revoked = sessions.create(new(Some(HOUR))).await.unwrap();
    sessions.revoke(&revoked.session.id).await.unwrap();
    drop(sessions);
    let sessions = in_file(&folder).await;
    assert_eq!(sessions.count(), 1);
    let live = sessions.authenticate(&Credentials::Bearer(&kept.token.reveal())).unwrap();
    assert_eq!(live.session, kept.session);
    assert_eq!(bearer(&sessions, &revoked.token.reveal()), None);
}

#[tokio::test]
async fn what_expired_while_the_gateway_was_down_is_forgotten() {
    let store = Arc::new(Failing::default());
    let now = Timestamp::now();
    let past = Session {
        created_at: now - SignedDuration::from_hours(2),
        expires_at: Some(now - SignedDuration::from_hours(1)),
        ..configured("past", "past-token")
    };
    store.put(&past).unwrap();
    let sessions = Sessions::open(Arc::clone(&store) as Arc<dyn Store>, Vec::new()).await.unwrap();
    assert_eq!(bearer(&sessions, "past-token"), None);
    assert!(store.load().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_set_back_gives_no_session_more_than_its_life() {
    let store = Arc::new(Failing::default());
    let future = Timestamp::now() + SignedDuration::from_hours(24 * 365);
    let session = Session {
        created_at: future,
        expires_at: Some(future + SignedDuration::from_hours(1)),
        ..configured("a", "t")
    };
    store.put(&session).unwrap();
    let sessions = Sessions::open(store, Vec::new()).await.unwrap();
    tokio::time::advance(HOUR - Duration::from_secs(1)).await;
    assert!(bearer(&sessions, "t").is_some());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(bearer(&sessions, "t").is_none());
}

#[tokio::test]
async fn a_session_that_can_not_be_kept_is_not_made() {
    let store = Arc::new(Failing::default());
    let sessions = Sessions::open(Arc::clone(&store) as Arc<dyn Store>, Vec::new()).await.unwrap();
    *store.fails.lock().unwrap() = true;
    assert!(sessions.create(new(Some(HOUR))).await.is_err());
    assert_eq!(sessions.count(), 0);
}

#[tokio::test]
async fn a_revocation_that_fails_on_disk_still_kills_and_can_be_repeated() {
    let store = Arc::new(Failing::default());
    let sessions = Sessions::open(Arc::clone(&store) as Arc<dyn Store>, Vec::new()).await.unwrap();
    let created = sessions.create(new(Some(HOUR))).await.unwrap();
    *store.fails.lock().unwrap() = true;
    assert!(sessions.revoke(&created.session.id).await.is_err());
    assert_eq!(bearer(&sessions, &created.token.reveal()), None);
    *store.fails.lock().unwrap() = false;
    assert!(sessions.revoke(&created.session.id).await.unwrap());
    assert!(store.load().unwrap().is_empty());
}

#[tokio::test]
async fn configured_sessions_have_names_and_tokens_of_their_own() {
    let open = |configured| Sessions::open(Arc::new(Memory), configured);
    let error = open(vec![configured("a", "1"), configured("a", "2")]).await.err().unwrap();
    assert_eq!(error.to_string(), "the session a is there twice");
    let error = open(vec![configured("a", "1"), configured("b", "1")]).await.err().unwrap();
    assert_eq!(error.to_string(), "the sessions a and b have the same token");
}

#[tokio::test]
async fn a_configured_session_wins_over_a_kept_one_and_is_not_kept() {
    let store = Arc::new(Failing::default());
    store.put(&configured("dev", "old")).unwrap();
    let sessions = Sessions::open(Arc::clone(&store) as Arc<dyn Store>, vec![configured("dev", "new")]).await.unwrap();
    assert_eq!(bearer(&sessions, "new"), Some("dev".into()));
    assert_eq!(bearer(&sessions, "old"), None);
    assert!(store.load().unwrap().is_empty());
    assert_eq!(sessions.show("dev").unwrap().origin, Origin::Configured);
}

#[tokio::test]
async fn budgets_are_not_shared() {
    let sessions = in_memory(vec![configured("a", "1"), configured("b", "2")]).await;
    let limits = crate::session::Limits { upload: Some(10), ..Default::default() };
    let (a, b) = (sessions.show("a").unwrap(), sessions.show("b").unwrap());
    a.budget.upload(&limits, 10).unwrap();
    assert!(a.budget.upload(&limits, 1).is_err());
    b.budget.upload(&limits, 10).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_made_in_parallel_have_names_of_their_own() {
    let sessions = in_memory(Vec::new()).await;
    let making: Vec<_> = (0..200)
        .map(|_| {
            let sessions = sessions.clone();
            tokio::spawn(async move { sessions.create(new(Some(HOUR))).await.unwrap().session.id })
        })
        .collect();
    let mut names = std::collections::HashSet::new();
    for made in making {
        assert!(names.insert(made.await.unwrap()));
    }
    assert_eq!(sessions.count(), 200);
}
