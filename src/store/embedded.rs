//! Sessions kept in one file.

use super::{Error, Store, kept};
use crate::session::{Session, SessionId};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const SESSIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sessions");

/// The file is small; redb would let its cache grow to a gigabyte.
const CACHE: usize = 4 << 20;

/// Sessions kept in one file, which one process at a time can open.
pub struct Embedded {
    database: Database,
}

impl Embedded {
    /// Opens the file, or makes it and its folder; nobody but the owner may read it. Blocks.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let open = |source| Error::Open { path: path.to_owned(), source };
        let unusable = |source: redb::Error| Error::Unusable { path: path.to_owned(), source: Box::new(source) };
        make_private(path).map_err(open)?;
        let database = match Database::builder().set_cache_size(CACHE).create(path) {
            Ok(database) => database,
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(Error::InUse(path.to_owned())),
            Err(error) => return Err(unusable(error.into())),
        };
        make_table(&database).map_err(unusable)?;
        Ok(Self { database })
    }

    /// Where the file lies in a state folder.
    #[must_use]
    pub fn path_in(folder: &Path) -> PathBuf {
        folder.join("sessions.redb")
    }
}

impl Store for Embedded {
    fn load(&self) -> Result<Vec<Session>, Error> {
        Ok(load(&self.database).map_err(Box::new)?)
    }

    fn put(&self, session: &Session) -> Result<(), Error> {
        let row = kept::encode(session)?;
        Ok(put(&self.database, session.id.as_str(), &row).map_err(Box::new)?)
    }

    fn remove(&self, ids: &[SessionId]) -> Result<usize, Error> {
        Ok(remove(&self.database, ids).map_err(Box::new)?)
    }
}

fn make_private(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    OpenOptions::new().create(true).truncate(false).write(true).read(true).mode(0o600).open(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))
}

fn make_table(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(SESSIONS)?;
    Ok(transaction.commit()?)
}

fn load(database: &Database) -> Result<Vec<Session>, redb::Error> {
    let table = database.begin_read()?.open_table(SESSIONS)?;
    let mut sessions = Vec::new();
    for row in table.iter()? {
        let (id, row) = row?;
        match kept::decode(id.value(), row.value()) {
            Some(session) => sessions.push(session),
            None => tracing::warn!(session.id = id.value(), "a kept session can't be read and is left out"),
        }
    }
    Ok(sessions)
}

fn put(database: &Database, id: &str, row: &[u8]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(SESSIONS)?.insert(id, row)?;
    Ok(transaction.commit()?)
}

fn remove(database: &Database, ids: &[SessionId]) -> Result<usize, redb::Error> {
    if ids.is_empty() {
        return Ok(0);
    }
    let transaction = database.begin_write()?;
    let mut removed = 0;
    {
        let mut table = transaction.open_table(SESSIONS)?;
        for id in ids {
            removed += usize::from(table.remove(id.as_str())?.is_some());
        }
    }
    transaction.commit()?;
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Labels, TokenDigest};
    use jiff::Timestamp;

    fn session(id: &str) -> Session {
        Session {
            id: id.parse().unwrap(),
            policy: "agent".into(),
            task: Some("Fix issue 12".into()),
            labels: Labels::from([("team".into(), "core".into())]),
            created_at: Timestamp::from_second(1_800_000_000).unwrap(),
            expires_at: Some(Timestamp::from_second(1_800_003_600).unwrap()),
            digest: TokenDigest::of("token"),
            known: 0,
        }
    }

    #[test]
    fn sessions_survive_a_reopening_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = Embedded::path_in(&folder.path().join("made/on the way"));
        let store = Embedded::open(&path).unwrap();
        assert_eq!(store.load().unwrap(), []);
        store.put(&session("a")).unwrap();
        store.put(&Session { expires_at: None, task: None, ..session("b") }).unwrap();
        store.put(&session("c")).unwrap();
        assert_eq!(store.remove(&["c".parse().unwrap(), "d".parse().unwrap()]).unwrap(), 1);
        drop(store);
        let store = Embedded::open(&path).unwrap();
        assert_eq!(store.load().unwrap(), [session("a"), Session { expires_at: None, task: None, ..session("b") }]);
    }

    #[test]
    fn a_session_with_known_secrets_is_kept_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(&Embedded::path_in(folder.path())).unwrap();
        store.put(&Session { known: 3, ..session("a") }).unwrap();
        assert_eq!(store.load().unwrap()[0].known, 3);
        let row = String::from_utf8(kept::encode(&Session { known: 3, ..session("a") }).unwrap()).unwrap();
        assert!(row.contains("\"schema\":2"), "an older version would take it for one without: {row}");
    }

    #[test]
    fn the_file_holds_no_token_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = Embedded::path_in(folder.path());
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let store = Embedded::open(&path).unwrap();
        let token = crate::session::Token::from_random(&[7; 32]);
        store.put(&Session { digest: token.digest(), ..session("a") }).unwrap();
        drop(store);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (bytes, token) = (fs::read(&path).unwrap(), token.reveal());
        assert!(bytes.windows(12).all(|window| window != &token.as_bytes()[..12]));
    }

    #[test]
    fn a_file_that_is_in_use_or_no_store_is_told_in_plain_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = Embedded::path_in(folder.path());
        let _open = Embedded::open(&path).unwrap();
        let error = Embedded::open(&path).err().unwrap();
        assert!(matches!(error, Error::InUse(_)), "{error}");
        assert!(error.to_string().contains("in use by another exeat"), "{error}");

        let other = folder.path().join("other");
        fs::write(&other, "what is this?".repeat(1000)).unwrap();
        assert!(matches!(Embedded::open(&other).err().unwrap(), Error::Unusable { .. }));
        assert!(matches!(Embedded::open(folder.path()).err().unwrap(), Error::Open { .. }));
    }

    #[test]
    fn a_row_of_another_version_is_left_out_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(&Embedded::path_in(folder.path())).unwrap();
        store.put(&session("a")).unwrap();
        let row = String::from_utf8(kept::encode(&session("b")).unwrap()).unwrap();
        put(&store.database, "b", row.replace("\"schema\":1", "\"schema\":9").as_bytes()).unwrap();
        put(&store.database, "c", b"{").unwrap();
        assert_eq!(store.load().unwrap(), [session("a")]);
        assert_eq!(store.remove(&["b".parse().unwrap()]).unwrap(), 1);
    }
}
