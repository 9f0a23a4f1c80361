//! One name to its addresses: A and AAAA side by side, aliases followed.

use super::Error;
use hickory_resolver::TokioResolver;
use hickory_resolver::proto::op::{OpCode, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

/// No answer is kept for longer, whatever its TTL says.
const LONGEST: Duration = Duration::from_secs(60);
/// How long the second family may take once the first has addresses (RFC 8305 §3 says 50 ms; the
/// answer is kept for several connections here).
const GRACE: Duration = Duration::from_millis(200);
/// How long an answer of one family is kept when the other failed or came late.
const PARTIAL: Duration = Duration::from_secs(5);
/// Aliases that are followed. Honest names have three or four.
const CHAIN: usize = 16;

/// The addresses of a name, and how long they may be used for new flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) lifetime: Duration,
}

/// Asks for both families. One that fails doesn't fail the other, and one that is late is not waited for.
pub(super) async fn lookup(resolver: &TokioResolver, name: &str) -> Result<Answer, Error> {
    // With the dot at the end no search list is applied.
    let name = Name::from_ascii(format!("{name}.")).map_err(|error| Error::Broken(error.to_string()))?;
    let v4 = query(resolver, &name, RecordType::A);
    let v6 = query(resolver, &name, RecordType::AAAA);
    both(v4, v6).await
}

async fn both(
    v4: impl Future<Output = Result<Answer, Error>>,
    v6: impl Future<Output = Result<Answer, Error>>,
) -> Result<Answer, Error> {
    let (mut v4, mut v6) = (pin!(v4), pin!(v6));
    let (first, second) = tokio::select! {
        first = &mut v4 => match first {
            Ok(answer) => (Ok(answer), tokio::time::timeout(GRACE, v6).await.unwrap_or(Err(Error::Timeout))),
            Err(error) => (Err(error), v6.await),
        },
        first = &mut v6 => match first {
            Ok(answer) => (Ok(answer), tokio::time::timeout(GRACE, v4).await.unwrap_or(Err(Error::Timeout))),
            Err(error) => (Err(error), v4.await),
        },
    };
    merge(first, second)
}

fn merge(first: Result<Answer, Error>, second: Result<Answer, Error>) -> Result<Answer, Error> {
    match (first, second) {
        (Ok(mut first), Ok(second)) => {
            first.addresses.extend(second.addresses);
            first.lifetime = first.lifetime.min(second.lifetime);
            Ok(first)
        }
        // The other family has no records: that is an answer too.
        (Ok(answer), Err(Error::NoAddress | Error::NoSuchName))
        | (Err(Error::NoAddress | Error::NoSuchName), Ok(answer)) => Ok(answer),
        (Ok(answer), Err(_)) | (Err(_), Ok(answer)) => Ok(Answer { lifetime: answer.lifetime.min(PARTIAL), ..answer }),
        (Err(first), Err(second)) => Err(first.or(second)),
    }
}

async fn query(resolver: &TokioResolver, name: &Name, kind: RecordType) -> Result<Answer, Error> {
    let found = resolver.lookup(name.clone(), kind).await?;
    let message = found.message();
    // The resolver believes addresses beside NXDOMAIN, and the answer to another operation: neither tells of this name.
    match message.response_code {
        _ if message.op_code != OpCode::Query => Err(Error::Broken("the answer is to another operation".to_owned())),
        ResponseCode::NoError => follow(name, found.answers()),
        ResponseCode::NXDomain => Err(Error::NoSuchName),
        code => Err(Error::ServerFailed(code)),
    }
}

/// Takes the addresses of `name` and of what it is an alias of; records of other owners are not
/// looked at, whoever sent them.
fn follow(name: &Name, records: &[Record]) -> Result<Answer, Error> {
    let mut owners = vec![name];
    let mut ttl = u32::MAX;
    while let Some((target, record_ttl)) = next_alias(&owners, records) {
        if owners.len() > CHAIN {
            return Err(Error::LongChain(CHAIN));
        }
        owners.push(target);
        ttl = ttl.min(record_ttl);
    }
    let mut addresses = Vec::new();
    for record in records.iter().filter(|record| owners.contains(&&record.name)) {
        let address = match &record.data {
            RData::A(address) => IpAddr::V4(address.0),
            RData::AAAA(address) => IpAddr::V6(address.0),
            _ => continue,
        };
        addresses.push(address);
        ttl = ttl.min(record.ttl);
    }
    if addresses.is_empty() {
        return Err(Error::NoAddress);
    }
    Ok(Answer { addresses, lifetime: LONGEST.min(Duration::from_secs(ttl.into())) })
}

fn next_alias<'a>(owners: &[&'a Name], records: &'a [Record]) -> Option<(&'a Name, u32)> {
    records.iter().find_map(|record| match &record.data {
        RData::CNAME(target) if owners.contains(&&record.name) && !owners.contains(&&target.0) => {
            Some((&target.0, record.ttl))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::net::Ipv4Addr;

    fn answer(address: &str, seconds: u64) -> Answer {
        Answer { addresses: vec![address.parse().unwrap()], lifetime: Duration::from_secs(seconds) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_family_that_is_late_is_not_waited_for() {
        let begun = tokio::time::Instant::now();
        let answer = both(ready(Ok(answer("203.0.113.1", 60))), pending()).await.unwrap();
        assert_eq!(begun.elapsed().as_millis(), GRACE.as_millis());
        assert_eq!(answer.addresses, [IpAddr::from([203, 0, 113, 1])]);
        assert_eq!(answer.lifetime, PARTIAL, "half an answer is not kept for long");
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_family_waits_for_the_other() {
        let late = async {
            tokio::time::sleep(GRACE * 5).await;
            Ok(answer("2001:db8::1", 60))
        };
        let answer = both(ready(Err(Error::NoAddress)), late).await.unwrap();
        assert_eq!(answer.lifetime, Duration::from_secs(60));
    }

    #[test]
    fn of_two_errors_the_one_that_may_pass_is_told() {
        let merged = |first, second| merge(Err(first), Err(second)).unwrap_err();
        assert_eq!(merged(Error::NoAddress, Error::Timeout), Error::Timeout);
        assert_eq!(merged(Error::Timeout, Error::NoSuchName), Error::Timeout);
        assert_eq!(merged(Error::NoAddress, Error::NoSuchName), Error::NoSuchName);
        assert_eq!(merged(Error::Broken("x".into()), Error::NoAddress), Error::Broken("x".into()));
    }

    #[test]
    fn only_the_names_own_records_count() {
        let name = |text: &str| Name::from_ascii(text).unwrap();
        let a = |owner: &str, last: u8, ttl| {
            Record::from_rdata(name(owner), ttl, RData::A(Ipv4Addr::new(203, 0, 113, last).into()))
        };
        let alias = |owner: &str, target: &str, ttl| {
            Record::from_rdata(name(owner), ttl, RData::CNAME(hickory_resolver::proto::rr::rdata::CNAME(name(target))))
        };
        let queried = name("a.test.");
        let records = [
            a("evil.test.", 9, 1),
            alias("b.test.", "c.test.", 30),
            alias("a.test.", "B.test.", 90),
            a("c.test.", 1, 50),
        ];
        let found = follow(&queried, &records).unwrap();
        assert_eq!(found, answer("203.0.113.1", 30));

        assert_eq!(follow(&queried, &[a("evil.test.", 9, 1)]), Err(Error::NoAddress));
        let looped = [alias("a.test.", "b.test.", 1), alias("b.test.", "a.test.", 1)];
        assert_eq!(follow(&queried, &looped), Err(Error::NoAddress));
        let long: Vec<Record> = (0..1000)
            .map(|n| {
                alias(&if n == 0 { "a.test.".into() } else { format!("n{n}.test.") }, &format!("n{}.test.", n + 1), 1)
            })
            .collect();
        assert_eq!(follow(&queried, &long), Err(Error::LongChain(CHAIN)));
        assert_eq!(follow(&queried, &[a("a.test.", 1, 86_400)]).unwrap().lifetime, LONGEST);
    }
}
