use super::*;
use crate::ca::TrustSettings;
use crate::net::Authority;
use crate::policy::{Mode, Policy, Rule, Rules};
use tokio::net::{TcpListener, TcpStream};

const BOUNDS: Bounds = Bounds { per_session: 4, in_all: 6 };

/// A pool with small bounds, and what it is asked with.
struct World {
    pool: Pool,
    policy: Policy,
    listener: TcpListener,
    /// The origins' ends.
    accepted: Vec<TcpStream>,
}

impl World {
    async fn new() -> Self {
        let trust = Trust::load(&TrustSettings::default()).unwrap();
        let pool = Pool { bounds: BOUNDS, ..Pool::new(trust, ClientCertificates::default()) };
        let rule = Rule {
            addresses: ["127.0.0.0/8".parse().unwrap()].into(),
            ..Rule::new("r", "*.exeat.test".parse().unwrap())
        };
        let policy = Policy::new("p", Mode::Enforce, Rules { allow: vec![rule], deny: vec![] }).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { pool, policy, listener, accepted: Vec::new() }
    }

    fn permit(&self, host: &str) -> Permit {
        let authority = Authority::parse_or(format!("{host}.exeat.test").as_bytes(), 80).unwrap();
        self.policy.decide_either(&authority).unwrap()
    }

    /// A request of this session to this host is over.
    async fn put(&mut self, session: &str, host: &str) {
        let address = self.listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        self.accepted.push(self.listener.accept().await.unwrap().0);
        let (id, permit) = (id(session), self.permit(host));
        self.pool.config(&id, &permit, Version::Http11);
        let link = Link::Http1(Wire::new(Stream::from(stream)));
        self.pool.put(&id, &permit, Upstream { link, address, tls: None, by_name: None });
    }

    /// A connection of this session to this host serves many, and nobody yet.
    async fn share(&mut self, session: &str, host: &str) {
        let address = self.listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let origin = h2::server::handshake(self.listener.accept().await.unwrap().0);
        let (streams, origin) = tokio::join!(Streams::open(Stream::from(stream), IDLE_MAX), origin);
        let mut origin = origin.unwrap();
        tokio::spawn(async move { while origin.accept().await.is_some() {} });
        let (id, permit) = (id(session), self.permit(host));
        self.pool.config(&id, &permit, Version::Http2);
        let (streams, used, _counted) = (streams.unwrap(), Instant::now(), self.pool.kept.clone());
        self.pool.share(&id, &permit, Shared { streams, address, tls: None, by_name: None, used, _counted });
    }

    /// Which of these the session has an idle connection to, or one that serves many.
    fn kept<'h>(&self, session: &str, hosts: &[&'h str]) -> Vec<&'h str> {
        let take = |host: &str, version| self.pool.take(&id(session), &self.permit(host), version);
        let has = |host: &&&str| [Version::Http2, Version::Http11].into_iter().any(|one| take(host, one).is_some());
        hosts.iter().filter(has).copied().collect()
    }
}

fn id(session: &str) -> SessionId {
    session.parse().unwrap()
}

#[tokio::test]
async fn what_was_used_last_takes_the_place_of_what_was_idle_for_longest() {
    let mut world = World::new().await;
    for host in ["a", "b", "c", "a", "d", "e"] {
        world.put("one", host).await;
    }
    assert_eq!(world.kept("one", &["a", "a", "b", "c", "d", "e"]), ["a", "c", "d", "e"]);
}

#[tokio::test]
async fn a_session_that_keeps_much_makes_room_for_one_that_keeps_nothing() {
    let mut world = World::new().await;
    for host in ["a", "b", "c", "d"] {
        world.put("one", host).await;
    }
    for (session, host) in [("two", "a"), ("two", "b"), ("three", "a"), ("three", "b")] {
        world.put(session, host).await;
    }
    assert_eq!(world.kept("one", &["a", "b", "c", "d"]), ["b", "c", "d"], "all together are too many");
    assert_eq!(world.kept("two", &["a", "b"]), ["a", "b"]);
    assert_eq!(world.kept("three", &["a", "b"]), ["b"], "who has some gives one up");
}

#[tokio::test]
async fn more_than_enough_connections_to_one_origin_cost_no_other() {
    let mut world = World::new().await;
    world.pool.bounds = super::BOUNDS;
    world.put("one", "b").await;
    for _ in 0..PER_ORIGIN + 5 {
        world.put("one", "a").await;
    }
    assert_eq!(world.kept("one", &[&["a"; PER_ORIGIN + 5][..], &["b"]].concat()).len(), PER_ORIGIN + 1);
}

#[tokio::test]
async fn of_connections_that_serve_many_those_go_that_serve_nobody() {
    let mut world = World::new().await;
    world.share("one", "a").await;
    let in_use = world.pool.take(&id("one"), &world.permit("a"), Version::Http2);
    for host in ["b", "c", "d", "e"] {
        world.share("one", host).await;
    }
    assert_eq!(world.kept("one", &["a", "b", "c", "d", "e"]), ["a", "c", "d", "e"]);
    drop(in_use);
    for (session, host) in [("two", "a"), ("two", "b"), ("three", "a")] {
        world.put(session, host).await;
    }
    assert_eq!(world.kept("one", &["a", "c", "d", "e"]).len(), 3, "all together are too many");
    assert_eq!(world.kept("two", &["a", "b"]), ["a", "b"]);
    assert_eq!(world.kept("three", &["a"]), ["a"]);
}
