//! Conversions killed at every call that changes the disk, and begun again; strace counts the calls.
//!
//! The child is this test program itself, run again with `POSTERN_SEAL_CRASH` naming the state directory and what to do.

use std::path::Path;
use std::process::{Command, Stdio};

use super::tests::{Home, found_in, secret};
use super::*;

const CHILD: &str = "POSTERN_SEAL_CRASH";
/// Calls that change the disk, and which of them a test kills at: of the many that fill a copy, which is not yet in its place, some.
const CALLS: [(&str, usize); 7] = [
    ("pwrite64", 23),
    ("write", 7),
    ("fsync,fdatasync", 3),
    ("rename,renameat,renameat2", 1),
    ("unlink,unlinkat", 1),
    ("ftruncate", 1),
    ("mkdir,mkdirat", 1),
];

/// The child's whole life. Does nothing in an ordinary test run.
#[test]
fn child() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let (direction, state_dir) = task.split_once(' ').unwrap();
    let state_dir = Path::new(state_dir);
    match direction {
        "seal" => seal(state_dir, &secret(), &mut |_| {}).unwrap(),
        _ => unseal(state_dir, &secret(), &mut |_| {}).unwrap(),
    }
}

/// Runs a conversion that is killed at the call of this number; gives whether it came to its end.
fn killed_at(direction: &str, state_dir: &Path, call: &str, number: usize) -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e"]).arg(format!("trace={call}"));
    strace.arg("-e").arg(format!("inject={call}:signal=KILL:when={number}"));
    strace.arg(std::env::current_exe().unwrap());
    strace.args(["--exact", "seal::crash::child", "--test-threads=1"]);
    strace.env(CHILD, format!("{direction} {}", state_dir.display()));
    let status = strace.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.expect("strace is needed for this test (Debian package strace)").success()
}

fn copy_all(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// Kills a conversion at every call, then ends it. `is_right` looks at what it made.
fn killed_everywhere(direction: &str, original: &Path, is_right: impl Fn(&Path)) -> usize {
    let mut kills = 0;
    for (call, step) in CALLS {
        for number in (1..).step_by(step) {
            let directory = tempfile::tempdir().unwrap();
            let state_dir = directory.path().join("state");
            copy_all(original, &state_dir);
            if killed_at(direction, &state_dir, call, number) {
                break;
            }
            kills += 1;
            // While a part is sealed nothing opens it, with the key or without.
            if let Some(envelope) = Envelope::of(&state_dir).unwrap()
                && envelope.phase() != Phase::Sealed
            {
                assert!(envelope.unseal(&state_dir, &secret()).is_err());
                assert!(crate::Store::open(state_dir.as_path()).is_err());
            }
            match direction {
                "seal" => seal(&state_dir, &secret(), &mut |_| {}).unwrap(),
                _ if Envelope::is_in(&state_dir) => unseal(&state_dir, &secret(), &mut |_| {}).unwrap(),
                _ => {}
            }
            is_right(&state_dir);
        }
    }
    kills
}

fn is_whole(place: &Place, contents: &[Vec<u8>]) {
    let home = Home::open(place);
    assert_eq!(home.contents(), contents);
    assert_eq!(home.account.verify().unwrap(), Vec::<String>::new());
}

/// One message in a row, one in a file, both queued too; gives what is there.
fn filled(place: &Place) -> Vec<Vec<u8>> {
    let home = Home::open(place);
    home.fill_with(&[10, 70_000], &[1]);
    home.contents()
}

/// Files below a directory whose names a conversion must not leave.
fn left_over(state_dir: &Path) -> Vec<String> {
    let listed = Command::new("find").arg(state_dir).args(["-name", "*.new*"]).output().unwrap();
    String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn sealing_is_killed_at_every_call_and_ends() {
    let directory = tempfile::tempdir().unwrap();
    let original = directory.path().join("state");
    let contents = filled(&Place::from(&original));
    let kills = killed_everywhere("seal", &original, |state_dir| {
        assert_eq!(found_in(state_dir), Vec::<&str>::new());
        assert_eq!(left_over(state_dir), Vec::<String>::new());
        let envelope = Envelope::of(state_dir).unwrap().unwrap();
        is_whole(&envelope.unseal(state_dir, &secret()).unwrap(), &contents);
    });
    assert!(kills > 15, "only {kills} kills");
}

#[test]
fn unsealing_is_killed_at_every_call_and_ends() {
    let directory = tempfile::tempdir().unwrap();
    let original = directory.path().join("state");
    std::fs::create_dir(&original).unwrap();
    let contents = filled(&super::tests::sealed(&original));
    let kills = killed_everywhere("unseal", &original, |state_dir| {
        assert_eq!(left_over(state_dir), Vec::<String>::new());
        is_whole(&Place::from(state_dir), &contents);
    });
    assert!(kills > 15, "only {kills} kills");
}
