//! What Bo may do with a mailbox of Ana's: every command, with no right, with each right alone, with exactly the rights that
//! it needs, and with all but one of those (RFC 4314 §4). A check that is dropped, or that asks for another right, fails here.

use postern_store::account::{
    Append, Detail, Flags, Grantee, MailboxId, Rights, RightsChange, Sign, SystemFlags, UidSet,
};

use super::*;

/// Bo's connection.
const BO: u8 = 2;

/// Where Bo is when the command comes.
#[derive(Clone, Copy, PartialEq)]
enum At {
    /// Nowhere.
    Authenticated,
    /// In Bo's own INBOX.
    OwnInbox,
    /// In Ana's `Projects`, which Bo opened when everything was granted there.
    Projects,
}

/// A command on `P`, which stands for `Other Users/ana@home.example/Projects`; `H` is `Holder` beside it.
struct Attempt {
    command: &'static str,
    at: At,
    /// Which of the two mailboxes is tried with few rights; everything is granted in the other one.
    on: &'static str,
    needs: Need,
    /// How to tell that it was done.
    done: fn(&mut World, &str) -> bool,
}

#[derive(Clone, Copy)]
enum Need {
    All(&'static str),
    Any(&'static str),
    /// All of the former, and any of the latter.
    AllAndAny(&'static str, &'static str),
}

impl Need {
    fn letters(self) -> Rights {
        let parsed = |letters: &str| letters.parse::<Rights>().expect("rights");
        match self {
            Need::All(letters) | Need::Any(letters) => parsed(letters),
            Need::AllAndAny(all, any) => parsed(all) | parsed(any),
        }
    }

    fn is_met_by(self, rights: Rights) -> bool {
        match self {
            Need::All(_) => rights.contains(self.letters()),
            Need::Any(_) => rights.intersects(self.letters()),
            Need::AllAndAny(all, any) => Need::All(all).is_met_by(rights) && Need::Any(any).is_met_by(rights),
        }
    }
}

const fn on_projects(command: &'static str, at: At, needs: &'static str) -> Attempt {
    Attempt { command, at, on: "Projects", needs: Need::All(needs), done: said_ok }
}

const fn on_holder(command: &'static str, at: At, needs: &'static str) -> Attempt {
    Attempt { command, at, on: "Holder", needs: Need::All(needs), done: said_ok }
}

/// RFC 5464 §3.3.
const ANNOTATING: Need = Need::AllAndAny("l", "rswip");

/// One line for each command and each right that it needs.
const ATTEMPTS: &[Attempt] = &[
    Attempt { done: is_listed, ..on_projects("LIST \"\" *", At::Authenticated, "l") },
    Attempt { done: is_listed, ..on_projects("LIST \"\" * RETURN (MYRIGHTS)", At::Authenticated, "l") },
    on_projects("SELECT P", At::Authenticated, "r"),
    on_projects("EXAMINE P", At::Authenticated, "r"),
    on_projects("STATUS P (MESSAGES)", At::Authenticated, "r"),
    on_projects("GETQUOTAROOT P", At::Authenticated, "r"),
    on_projects("CREATE P/New", At::Authenticated, "k"),
    on_projects("CREATE P/New/Deep", At::Authenticated, "k"),
    on_projects("DELETE P", At::Authenticated, "x"),
    on_projects("RENAME P H/Renamed", At::Authenticated, "x"),
    on_holder("RENAME P H/Renamed", At::Authenticated, "k"),
    on_projects("GETACL P", At::Authenticated, "a"),
    on_projects("SETACL P cy@home.example lr", At::Authenticated, "a"),
    on_projects("SETACL P bo@home.example +lrswipkxtea", At::Authenticated, "a"),
    on_projects("DELETEACL P anyone", At::Authenticated, "a"),
    on_projects("LISTRIGHTS P cy@home.example", At::Authenticated, "a"),
    Attempt { needs: Need::Any("lrikxa"), ..on_projects("MYRIGHTS P", At::Authenticated, "") },
    Attempt { needs: ANNOTATING, ..on_projects("GETMETADATA P /shared/comment", At::Authenticated, "") },
    Attempt {
        needs: ANNOTATING,
        ..on_projects("SETMETADATA P (/private/comment \"x\")", At::Authenticated, "")
    },
    Attempt {
        needs: ANNOTATING,
        ..on_projects("SETMETADATA P (/shared/comment NIL)", At::Authenticated, "")
    },
    on_projects("APPEND P {plain.eml+}", At::Authenticated, "i"),
    on_projects("REPLACE 1 P {plain.eml+}", At::OwnInbox, "i"),
    on_projects("REPLACE 1 INBOX {plain.eml+}", At::Projects, "rte"),
    on_projects("UID REPLACE 1 H {plain.eml+}", At::Projects, "rte"),
    on_holder("REPLACE 1 H {plain.eml+}", At::Projects, "i"),
    on_projects("APPEND INBOX CATENATE (URL U)", At::Authenticated, "r"),
    on_projects("APPEND INBOX CATENATE (URL ;UID=1)", At::Projects, "r"),
    on_projects("COPY 1 P", At::OwnInbox, "i"),
    on_projects("MOVE 1 P", At::OwnInbox, "i"),
    on_projects("FETCH 1 (FLAGS)", At::Projects, "r"),
    on_projects("FETCH 1 (BODY[])", At::Projects, "r"),
    on_projects("UID FETCH 1 (BODY.PEEK[TEXT] ENVELOPE)", At::Projects, "r"),
    Attempt { done: is_seen, ..on_projects("FETCH 1 (BODY[])", At::Projects, "rs") },
    on_projects("SEARCH ALL", At::Projects, "r"),
    on_projects("SEARCH TEXT zebra", At::Projects, "r"),
    on_projects("SORT (SUBJECT) UTF-8 ALL", At::Projects, "r"),
    on_projects("THREAD REFERENCES UTF-8 ALL", At::Projects, "r"),
    on_projects("STORE 1 +FLAGS (\\Seen)", At::Projects, "rs"),
    on_projects("STORE 1 -FLAGS (\\Deleted)", At::Projects, "rt"),
    on_projects("STORE 1 +FLAGS (\\Flagged)", At::Projects, "rw"),
    on_projects("STORE 1 +FLAGS ($Forwarded)", At::Projects, "rw"),
    on_projects("STORE 1 FLAGS.SILENT (\\Answered)", At::Projects, "rw"),
    on_projects("EXPUNGE", At::Projects, "re"),
    on_projects("UID EXPUNGE 1", At::Projects, "re"),
    Attempt { done: is_expunged, ..on_projects("CLOSE", At::Projects, "re") },
    on_projects("COPY 1 INBOX", At::Projects, "r"),
    on_holder("COPY 1 H", At::Projects, "i"),
    on_projects("MOVE 1 INBOX", At::Projects, "rte"),
    on_projects("MOVE 1 H", At::Projects, "rte"),
    on_holder("MOVE 1 H", At::Projects, "i"),
];

fn said_ok(_: &mut World, output: &str) -> bool {
    output.lines().any(|line| line.starts_with("z OK"))
}

fn is_listed(_: &mut World, output: &str) -> bool {
    output.contains("Other Users/ana@home.example/Projects")
}

fn is_seen(world: &mut World, _: &str) -> bool {
    let mut messages = world.account.messages(world.mailbox("Projects"), &UidSet::all(), Detail::Summary);
    messages.any(|message| message.expect("a message").flags.system.contains(SystemFlags::SEEN))
}

fn is_expunged(world: &mut World, _: &str) -> bool {
    world.account.mailbox(world.mailbox("Projects")).expect("the mailbox").messages == 0
}

impl World {
    fn mailbox(&self, name: &str) -> MailboxId {
        self.account.mailbox_named(name).expect("the mailbox").id
    }

    /// Ana's two mailboxes, with a message to be expunged in one, and a message in Bo's INBOX.
    fn shared() -> World {
        let mut world = World::new(Arrival::Whole);
        for name in ["Projects", "Holder"] {
            world.account.create_mailbox(name, None).expect("made");
        }
        let deleted = Flags::from(SystemFlags::DELETED);
        world.put(&world.account.clone(), "Projects", deleted);
        let bo = world.store.account(AccountId(2)).expect("an account");
        world.put(&bo, "INBOX", Flags::default());
        world
    }

    fn put(&mut self, account: &Account, mailbox: &str, flags: Flags) {
        let mut staging = self.store.stage();
        staging.write(&message("plain.eml")).expect("staging");
        let message = Arc::new(staging.finish().expect("a message"));
        let mailbox = account.mailbox_named(mailbox).expect("the mailbox").id;
        let append = Append { message, flags, internal_date: Timestamp::UNIX_EPOCH };
        account.append(mailbox, vec![append]).expect("stored");
    }

    fn grant(&mut self, mailbox: &str, rights: Rights) {
        let mailbox = self.mailbox(mailbox);
        let (grantee, change) = (Grantee::Account(AccountId(2)), RightsChange::Replace(rights));
        self.account.set_acl(mailbox, grantee, Sign::Positive, change).expect("granted");
        self.tell_others(0);
    }

    /// What Bo is answered from a fresh connection, where `on` grants only `rights` by the time the command comes.
    fn attempt(&mut self, attempt: &Attempt, command: &str, rights: Rights) -> String {
        self.connections.remove(&BO);
        self.grant("Projects", Rights::ALL);
        self.grant("Holder", Rights::ALL);
        let at = match attempt.at {
            At::Authenticated => "y NOOP",
            At::OwnInbox => "y SELECT INBOX",
            At::Projects => "y SELECT \"Other Users/ana@home.example/Projects\"",
        };
        self.send(BO, format!("x LOGIN bo secret\r\n{at}\r\n").as_bytes());
        self.connection(BO).received.clear();
        self.grant(attempt.on, rights);
        self.send(BO, format!("z {}\r\n", with_sizes(command)).as_bytes());
        if command.contains(".eml+") {
            self.send(BO, &message("plain.eml"));
            self.send(BO, b"\r\n");
        }
        String::from_utf8_lossy(&self.connection(BO).received).into_owned()
    }
}

/// The command with the names that its letters stand for.
fn spelled(command: &str, projects: &str) -> String {
    let words = command.split(' ').map(|word| match word.split_once('/').unwrap_or((word, "")) {
        ("P", "") => format!("\"{projects}\""),
        ("P", below) => format!("\"{projects}/{below}\""),
        ("U)", "") => format!("\"/{}/;UID=1\")", projects.replace(' ', "%20")),
        ("H", "") => "\"Other Users/ana@home.example/Holder\"".to_owned(),
        ("H", below) => format!("\"Other Users/ana@home.example/Holder/{below}\""),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

const PROJECTS: &str = "Other Users/ana@home.example/Projects";

#[test]
fn every_command_needs_its_rights() {
    let mut failures = Vec::new();
    for attempt in ATTEMPTS {
        let needs = attempt.needs.letters();
        let without_one =
            Rights::each().filter(|right| needs.contains(*right)).map(|right| Rights::ALL.without(right));
        let mut tried: Vec<Rights> = vec![Rights::empty(), needs, Rights::ALL.without(needs)];
        tried.extend(Rights::each().chain(without_one));
        let mut world = World::shared();
        for rights in tried {
            let expected = attempt.needs.is_met_by(rights);
            let output = world.attempt(attempt, &spelled(attempt.command, PROJECTS), rights);
            let done = (attempt.done)(&mut world, &output);
            if done != expected {
                failures.push(format!("{} with {rights}: done {done}\n{output}", attempt.command));
            }
            if done {
                // What was done may stand in the way of the next attempt.
                world = World::shared();
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// RFC 4314 §6: who may not list a mailbox gets the same answers as if it were not there, and as if its owner were not.
#[test]
fn a_mailbox_that_is_not_listed_is_not_told_to_exist() {
    let by_name = |attempt: &&Attempt| attempt.command.contains(" P") && attempt.on == "Projects";
    for attempt in ATTEMPTS.iter().filter(by_name) {
        let mut world = World::shared();
        for rights in Rights::each().chain([Rights::empty()]) {
            if attempt.needs.is_met_by(rights) || rights == Rights::LOOKUP {
                continue;
            }
            let elsewhere =
                ["Other Users/ana@home.example/Nothing", "Other Users/nobody@home.example/Projects"];
            let refused = world.attempt(attempt, &spelled(attempt.command, PROJECTS), rights);
            for name in elsewhere {
                let missing = world.attempt(attempt, &spelled(attempt.command, name), rights);
                assert_eq!(refused, missing, "{} with {rights}", attempt.command);
            }
        }
    }
}

/// Nobody but the owner makes, and nobody at all reaches, what is above the mailboxes of a user.
#[test]
fn the_levels_above_are_nobodys() {
    let mut world = World::shared();
    world.grant("Projects", Rights::ALL);
    world.send(BO, b"x LOGIN bo secret\r\n");
    let above = ["Other Users", "Other Users/ana@home.example", "Other Users/ana@home.example/New"];
    for command in ["SELECT", "STATUS", "CREATE", "DELETE", "RENAME INBOX", "MYRIGHTS", "GETACL", "APPEND"] {
        for name in above.iter().chain(&["Other Users/bo@home.example/INBOX"]) {
            world.connection(BO).received.clear();
            let more = match command {
                "STATUS" => " (MESSAGES)",
                "APPEND" => " {1+}\r\nx",
                _ => "",
            };
            world.send(BO, format!("z {command} \"{name}\"{more}\r\n").as_bytes());
            let output = String::from_utf8_lossy(&world.connection(BO).received).into_owned();
            assert!(output.starts_with("z NO "), "{command} {name}: {output}");
        }
    }
}

/// One account that cannot be opened: what the others share is listed, and the user's own.
#[test]
fn a_broken_account_hides_no_other() {
    let mut world = World::shared();
    world.grant("Projects", Rights::ALL);
    let broken = world.directory.path().join("accounts/3");
    std::fs::create_dir_all(&broken).expect("made");
    std::fs::write(broken.join("account.sqlite"), [b'x'; 8192]).expect("written");
    assert!(world.store.account(AccountId(3)).is_err(), "it is broken");
    world.send(BO, b"x LOGIN bo secret\r\nz LIST \"\" *\r\n");
    let output = String::from_utf8_lossy(&world.connection(BO).received).into_owned();
    assert!(output.contains(" INBOX\r\n") && output.contains("ana@home.example/Projects"), "{output}");
    assert!(output.contains("z OK "), "{output}");
}

/// Who asks about another user is told the same whether that user is there, had mail, shares something else, or is not; and
/// makes no account by asking.
#[test]
fn nobody_learns_who_is_there() {
    let mut world = World::shared();
    world.send(BO, b"x LOGIN bo secret\r\n");
    for command in ["GETQUOTA", "GETQUOTAROOT", "MYRIGHTS", "SELECT"] {
        for below in ["", "/M1", "/M99", "/INBOX", "/Nothing"] {
            let mut answer = |owner: &str| {
                world.connection(BO).received.clear();
                world.send(
                    BO,
                    format!("z {command} \"Other Users/{owner}@home.example{below}\"\r\n").as_bytes(),
                );
                String::from_utf8_lossy(&world.connection(BO).received).into_owned()
            };
            let answers = ["ana", "cy", "nobody"].map(&mut answer);
            assert!(answers.iter().all(|answer| *answer == answers[0]), "{command} {below}: {answers:?}");
            assert!(answers[0].starts_with("z NO "), "{command} {below}: {answers:?}");
        }
    }
    let accounts = world.store.accounts().expect("the accounts");
    assert_eq!(accounts, [AccountId(1), AccountId(2)]);
}
