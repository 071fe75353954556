use std::sync::Arc;

use super::*;

static SCHEMA: Schema = Schema {
    name: "test",
    application_id: 0x7465_7374,
    migrations: &["CREATE TABLE item (id INTEGER PRIMARY KEY, value TEXT UNIQUE NOT NULL)"],
    durability: Durability::Everything,
};

fn open() -> (tempfile::TempDir, Database) {
    let directory = tempfile::tempdir().unwrap();
    let database =
        Database::open(crate::seal::tests::state_dir(directory.path()).join("test.sqlite"), &SCHEMA).unwrap();
    (directory, database)
}

fn insert(value: &'static str) -> impl FnOnce(&Connection) -> Result<i64> + Send {
    move |connection| {
        connection.execute("INSERT INTO item (value) VALUES (?1)", [value])?;
        Ok(connection.last_insert_rowid())
    }
}

fn values(database: &Database) -> Vec<String> {
    database
        .read(|connection| {
            let mut statement = connection.prepare("SELECT value FROM item ORDER BY value")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            Ok::<_, Error>(rows.collect::<Result<_, _>>()?)
        })
        .unwrap()
}

#[test]
fn a_write_is_seen_by_the_next_read_and_after_reopening() {
    let (directory, database) = open();
    assert_eq!(database.write(insert("a")).unwrap(), 1);
    assert_eq!(values(&database), ["a"]);
    drop(database);
    let database =
        Database::open(crate::seal::tests::state_dir(directory.path()).join("test.sqlite"), &SCHEMA).unwrap();
    assert_eq!(values(&database), ["a"]);
}

#[test]
fn pragmas_are_those_that_make_a_commit_durable() {
    let (_directory, database) = open();
    let (journal, synchronous, keys): (String, i64, i64) = database
        .write(|connection| {
            Ok::<_, Error>((
                connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?,
                connection.pragma_query_value(None, "synchronous", |row| row.get(0))?,
                connection.pragma_query_value(None, "foreign_keys", |row| row.get(0))?,
            ))
        })
        .unwrap();
    assert_eq!((journal.as_str(), synchronous, keys), ("wal", 2, 1));
}

#[test]
fn what_can_be_made_again_is_not_flushed_with_each_commit() {
    static REMADE: Schema = Schema { durability: Durability::UpToCheckpoint, ..SCHEMA };
    let directory = tempfile::tempdir().unwrap();
    let place = crate::seal::tests::state_dir(directory.path()).join("test.sqlite");
    let database = Database::open(place, &REMADE).unwrap();
    let synchronous = |connection: &Connection| {
        Ok::<_, Error>(connection.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0))?)
    };
    assert_eq!(database.write(synchronous).unwrap(), 1);
}

type Operation<T> = Box<dyn FnOnce(&Connection) -> Result<T> + Send>;

/// Holds the writer thread until all `jobs` are waiting, so that they are certain to share one transaction.
fn in_one_group<T: Send + 'static>(database: &Database, jobs: Vec<Operation<T>>) -> Vec<Result<T>> {
    let (release, held) = mpsc::channel::<()>();
    let blocker = database.submit(move |_| {
        let _ = held.recv();
        Ok::<_, Error>(())
    });
    let tickets: Vec<Ticket<T>> = jobs.into_iter().map(|job| database.submit(job)).collect();
    release.send(()).unwrap();
    let _ = blocker.wait();
    tickets.into_iter().map(Ticket::wait).collect()
}

#[test]
fn a_failed_or_panicking_operation_spoils_no_other_of_its_group() {
    let (_directory, database) = open();
    let results = in_one_group::<i64>(
        &database,
        vec![
            Box::new(insert("a")),
            Box::new(|connection| {
                insert("lost")(connection)?;
                insert("a")(connection)
            }),
            Box::new(|_| panic!("a mistake in an operation")),
            Box::new(insert("b")),
        ],
    );
    assert!(results[0].is_ok() && results[3].is_ok());
    assert!(matches!(results[1], Err(Error::Fault(_))), "{:?}", results[1]);
    assert!(matches!(results[2], Err(Error::Fault(_))));
    assert_eq!(values(&database), ["a", "b"]);
}

#[test]
fn a_failed_commit_is_answered_to_all_and_the_next_write_works() {
    let (_directory, database) = open();
    database
        .write(|connection| {
            connection.execute_batch(
                "CREATE TABLE child (parent INTEGER REFERENCES item DEFERRABLE INITIALLY DEFERRED)",
            )?;
            Ok::<_, Error>(())
        })
        .unwrap();
    let results = in_one_group::<i64>(
        &database,
        vec![
            Box::new(insert("a")),
            // Accepted by its savepoint, refused by COMMIT.
            Box::new(|connection| {
                connection.execute("INSERT INTO child VALUES (99)", [])?;
                Ok(0)
            }),
        ],
    );
    assert!(results.iter().all(Result::is_err));
    assert!(values(&database).is_empty());
    database.write(insert("b")).unwrap();
    assert_eq!(values(&database), ["b"]);
}

#[test]
fn twenty_writers_share_commits() {
    let (_directory, database) = open();
    let database = Arc::new(database);
    let threads: Vec<_> = (0..20)
        .map(|writer| {
            let database = Arc::clone(&database);
            std::thread::spawn(move || {
                for number in 0..20 {
                    let value = format!("{writer}-{number}");
                    database
                        .write(move |connection| {
                            connection.execute("INSERT INTO item (value) VALUES (?1)", [value])?;
                            Ok::<_, Error>(())
                        })
                        .unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(values(&database).len(), 400);
}

#[test]
fn a_newer_schema_and_a_foreign_file_are_refused_untouched() {
    let (directory, database) = open();
    drop(database);
    let path = directory.path().join("test.sqlite");
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 7).unwrap();
    drop(connection);
    let error = Database::open(&path, &SCHEMA).unwrap_err();
    assert!(matches!(error, Error::NewerSchema { found: 7, known: 1, .. }), "{error}");
    assert_eq!(error.to_string().lines().count(), 1);

    let foreign = directory.path().join("foreign.sqlite");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
    assert!(matches!(Database::open(&foreign, &SCHEMA), Err(Error::Permanent(_))));
}

#[test]
fn a_migration_that_fails_leaves_the_version_before_it() {
    static BROKEN: Schema = Schema {
        name: "test",
        application_id: SCHEMA.application_id,
        migrations: &[SCHEMA.migrations[0], "CREATE TABLE second (x); CREATE TABLE item (clash)"],
        durability: Durability::Everything,
    };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.sqlite");
    assert!(Database::open(&path, &BROKEN).is_err());
    let database = Database::open(&path, &SCHEMA).unwrap();
    database.write(insert("still usable")).unwrap();
}
