//! What NOTIFY tells where a part of the mailboxes cannot be seen for a while.

use postern_store::account::{Grantee, RightsChange, Sign};

use super::*;

/// Bo's connection.
const BO: u8 = 2;

impl World {
    fn told(&mut self) -> String {
        self.tell_others(0);
        String::from_utf8_lossy(&std::mem::take(&mut self.connection(BO).received)).into_owned()
    }

    /// Bo's session goes on with another store, as if what is in that one were on the disk now.
    fn bo_sees(&mut self, store: &Store) {
        self.connection(BO).backend = Some(backend(store, AccountId(2)));
    }
}

/// A store in which Ana's account cannot be opened.
fn without_ana(subscribed: &str) -> (Store, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broken = directory.path().join("accounts/1");
    std::fs::create_dir_all(&broken).expect("made");
    std::fs::write(broken.join("account.sqlite"), [b'x'; 8192]).expect("written");
    let store = Store::open(directory.path()).expect("a store");
    assert!(store.account(AccountId(1)).is_err(), "it is broken");
    store.account(AccountId(2)).expect("Bo's").subscribe(subscribed).expect("subscribed");
    (store, directory)
}

const PROJECTS: &str = "Other Users/ana@home.example/Projects";

/// Ana's account cannot be opened for a while: nothing is told to be gone, and nothing to be new when it can. What happened
/// meanwhile is told then, and what is gone then.
#[test]
fn what_cannot_be_seen_is_not_told_to_be_gone() {
    let mut world = World::new(Arrival::Whole);
    let projects = world.account.create_mailbox("Projects", None).expect("made").id;
    let rights = RightsChange::Replace("lr".parse().expect("rights"));
    let bo = Grantee::Account(AccountId(2));
    world.account.set_acl(projects, bo, Sign::Positive, rights).expect("granted");
    let store = world.store.clone();
    store.account(AccountId(2)).expect("Bo's").subscribe(PROJECTS).expect("subscribed");
    world.send(BO, b"x LOGIN bo secret\r\n");
    let notify =
        "NOTIFY SET (subtree \"Other Users\" (MessageNew MessageExpunge MailboxName SubscriptionChange))";
    world.send(BO, format!("y {notify}\r\n").as_bytes());
    world.told();
    let (broken, _directory) = without_ana(PROJECTS);
    world.bo_sees(&broken);
    assert_eq!(world.told(), "");
    world.send(BO, b"z LIST (SUBSCRIBED) \"\" *\r\n");
    let listed = world.told();
    assert!(listed.contains("\\Noselect") && !listed.contains("\\NonExistent"), "{listed}");
    world.account.append(projects, vec![append(&world)]).expect("stored");
    assert_eq!(world.told(), "");
    world.bo_sees(&store);
    let told = world.told();
    assert!(told.starts_with(&format!("* STATUS \"{PROJECTS}\" (MESSAGES 1 ")), "{told}");
    assert_eq!(told.matches("\r\n").count(), 1, "{told}");
    world.account.delete_mailbox(projects).expect("deleted");
    let told = world.told();
    assert!(told.contains("\\NonExistent") && told.contains(PROJECTS), "{told}");
}

fn append(world: &World) -> Append {
    let mut staging = world.store.stage();
    staging.write(&message("plain.eml")).expect("staging");
    let message = Arc::new(staging.finish().expect("a message"));
    Append { message, flags: Flags::default(), internal_date: Timestamp::UNIX_EPOCH }
}
