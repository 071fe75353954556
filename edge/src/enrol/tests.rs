//! A home asks, an edge answers, and the file is opened again at every step.

use postern_shared::identity::Identity;
use postern_shared::rotation::Commit;
use postern_shared::rotation::kem::{RandomPart, Seed};

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn terms() -> Terms {
    let inner = InnerAddresses {
        edge_v4: [10, 118, 0, 1].into(),
        home_v4: [10, 118, 0, 2].into(),
        edge_v6: "fd70:6f73:7465::1".parse().unwrap(),
        home_v6: "fd70:6f73:7465::2".parse().unwrap(),
    };
    Terms { inner, mtu: 1380, control_port: 8053, public_addresses: vec![[192, 0, 2, 1].into()] }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_900_000_000 + seconds)
}

/// A home that asks, with its identity and its key of epoch 1.
struct Asking {
    identity: Identity,
    key: PrivateKey,
    _directory: tempfile::TempDir,
}

impl Asking {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let identity = Identity::load_or_generate(&directory.path().join("identity.key")).unwrap();
        Self { identity, key: PrivateKey::generate().unwrap(), _directory: directory }
    }

    fn ask(
        &self,
        edge: &mut Enrolment,
        code: &JoinCode,
        counter: u64,
        now: SystemTime,
    ) -> Result<EnrolResponse, Refusal> {
        let request = EnrolRequest {
            identity: self.identity.public(),
            invite: code.edge_key,
            home_key: self.key.public(),
        };
        let body = serde_json::to_vec(&request).unwrap();
        let signature = self.identity.sign_request("POST", ENROL_PATH, &body, counter).to_string();
        edge.accept(&body, Some(&signature), &terms(), now)
    }

    fn authorized(&self, edge: &mut Enrolment, counter: u64) -> Result<(), NotAuthorized> {
        let signature = self.identity.sign_request("PUT", "/v1/forward", b"{}", counter).to_string();
        edge.authorize("PUT", "/v1/forward", b"{}", Some(&signature))
    }
}

fn invited() -> (tempfile::TempDir, Enrolment, JoinCode) {
    let directory = tempfile::tempdir().unwrap();
    let mut edge = Enrolment::open(directory.path()).unwrap();
    let code = edge.invite("192.0.2.1:51820".parse().unwrap(), HOUR, at(0)).unwrap();
    (directory, edge, code)
}

#[test]
fn a_home_joins_and_the_edge_remembers_it() {
    let (directory, mut edge, code) = invited();
    let home = Asking::new();
    let answer = home.ask(&mut edge, &code, 1, at(1)).unwrap();
    edge.confirm().unwrap();
    let edge = Enrolment::open(directory.path()).unwrap();
    let epoch = edge.epochs(&terms().inner, at(100_000)).pop().unwrap();
    assert_eq!(epoch.private_key.public(), answer.edge_key);
    assert_eq!((epoch.peer, epoch.preshared_key), (home.key.public(), answer.preshared_key));
    let status = edge.status(at(2));
    assert_eq!((status.home, status.confirmed), (Some(home.identity.public().fingerprint()), true));
    assert_eq!(status.invite_expires, None);
}

#[test]
fn a_lost_answer_is_given_again_to_the_same_home_only() {
    let (directory, mut edge, code) = invited();
    let home = Asking::new();
    let first = home.ask(&mut edge, &code, 1, at(1)).unwrap();
    let mut edge = Enrolment::open(directory.path()).unwrap();
    assert_eq!(home.ask(&mut edge, &code, 2, at(2)).unwrap(), first);
    assert_eq!(Asking::new().ask(&mut edge, &code, 1, at(3)), Err(Refusal::Used));
    let renewed = Asking { key: PrivateKey::generate().unwrap(), ..home };
    assert_ne!(renewed.ask(&mut edge, &code, 3, at(4)).unwrap(), first);
    edge.confirm().unwrap();
    assert_eq!(renewed.ask(&mut edge, &code, 4, at(5)), Err(Refusal::Used));
}

#[test]
fn expired_replaced_and_forged_requests_are_refused_and_change_nothing() {
    let (directory, mut edge, code) = invited();
    let before = std::fs::read(directory.path().join("enrolment.json")).unwrap();
    let home = Asking::new();
    assert_eq!(home.ask(&mut edge, &code, 1, at(3600)), Err(Refusal::Expired));
    let request =
        EnrolRequest { identity: home.identity.public(), invite: code.edge_key, home_key: home.key.public() };
    let body = serde_json::to_vec(&request).unwrap();
    let forged = Asking::new().identity.sign_request("POST", ENROL_PATH, &body, 1).to_string();
    assert_eq!(edge.accept(&body, Some(&forged), &terms(), at(1)), Err(Refusal::BadSignature));
    assert_eq!(edge.accept(&body, None, &terms(), at(1)), Err(Refusal::BadSignature));
    assert_eq!(edge.accept(b"{", Some(&forged), &terms(), at(1)), Err(Refusal::Malformed));
    assert_eq!(std::fs::read(directory.path().join("enrolment.json")).unwrap(), before);
    edge.invite("192.0.2.1:51820".parse().unwrap(), HOUR, at(5)).unwrap();
    assert_eq!(home.ask(&mut edge, &code, 1, at(6)), Err(Refusal::UnknownInvite));
}

#[test]
fn a_new_invite_replaces_the_home_once_it_is_accepted() {
    let (_directory, mut edge, code) = invited();
    let (old, new) = (Asking::new(), Asking::new());
    old.ask(&mut edge, &code, 1, at(1)).unwrap();
    edge.confirm().unwrap();
    let code = edge.invite("192.0.2.1:51820".parse().unwrap(), HOUR, at(2)).unwrap();
    old.authorized(&mut edge, 2).unwrap();
    new.ask(&mut edge, &code, 1, at(3)).unwrap();
    assert!(matches!(old.authorized(&mut edge, 3), Err(NotAuthorized::Signature(_))));
    new.authorized(&mut edge, 2).unwrap();
    assert_eq!(edge.epochs(&terms().inner, at(4)).len(), 2);
}

#[test]
fn counters_must_grow_also_over_a_restart() {
    let (directory, mut edge, code) = invited();
    let home = Asking::new();
    assert!(matches!(home.authorized(&mut edge, 1), Err(NotAuthorized::NotJoined)));
    home.ask(&mut edge, &code, 5, at(1)).unwrap();
    assert!(matches!(home.authorized(&mut edge, 5), Err(NotAuthorized::Replayed { got: 5, last: 5 })));
    home.authorized(&mut edge, 9).unwrap();
    let mut edge = Enrolment::open(directory.path()).unwrap();
    assert!(matches!(home.authorized(&mut edge, 9), Err(NotAuthorized::Replayed { .. })));
    assert!(matches!(edge.authorize("PUT", "/", b"", None), Err(NotAuthorized::Unsigned)));
}

#[test]
fn the_bootstrap_epoch_matches_the_code_and_ends() {
    let (_directory, edge, code) = invited();
    let epochs = edge.epochs(&terms().inner, at(0));
    let keys = code.secret.bootstrap_keys();
    assert_eq!(epochs.len(), 1);
    assert_eq!(epochs[0].peer, keys.home_key.public());
    assert_eq!(epochs[0].preshared_key, keys.preshared_key);
    assert!(edge.epochs(&terms().inner, at(7200)).is_empty());
}

#[test]
fn every_rung_of_a_rotation_survives_a_restart_and_a_repetition() {
    let (directory, mut edge, code) = invited();
    let home = Asking::new();
    let reopened = || Enrolment::open(directory.path()).unwrap();
    let offer = Offer {
        epoch: EpochId(2),
        home_key: PrivateKey::generate().unwrap().public(),
        encapsulation_key: Seed::generate().unwrap().encapsulation_key(),
        random: RandomPart::generate().unwrap(),
    };
    let accepted = |edge: &Enrolment| {
        let epochs = edge.epochs(&terms().inner, at(100_000));
        epochs.iter().map(|epoch| epoch.id.0).collect::<Vec<_>>()
    };
    assert!(matches!(edge.offer(&offer), Err(StepError::NotJoined)));
    home.ask(&mut edge, &code, 1, at(1)).unwrap();
    edge.confirm().unwrap();
    let answer = edge.offer(&offer).unwrap();
    let commit = Commit { epoch: EpochId(2), home_key: offer.home_key, edge_key: answer.edge_key };
    let mut edge = reopened();
    assert_eq!(edge.offer(&offer).unwrap(), answer);
    assert_eq!(accepted(&edge), [1, 2]);
    assert!(edge.commit(&commit).unwrap().changed);
    let mut edge = reopened();
    assert!(!edge.commit(&commit).unwrap().changed);
    assert_eq!(accepted(&edge), [2, 1]);
    assert!(matches!(edge.retire(EpochId(2)), Err(StepError::Ladder(LadderError::InUse(_)))));
    assert!(edge.retire(EpochId(1)).unwrap().changed);
    let mut edge = reopened();
    assert!(!edge.retire(EpochId(1)).unwrap().changed);
    assert_eq!(accepted(&edge), [2]);
    let places: Vec<_> = edge.status(at(2)).epochs.iter().map(|keys| (keys.id.0, keys.place)).collect();
    assert_eq!(places, [(2, EpochPlace::Preferred)]);
    home.authorized(&mut edge, 2).unwrap();
}

#[test]
fn a_rung_that_cannot_be_written_is_not_taken() {
    let (directory, mut edge, code) = invited();
    Asking::new().ask(&mut edge, &code, 1, at(1)).unwrap();
    let offer = Offer {
        epoch: EpochId(2),
        home_key: PrivateKey::generate().unwrap().public(),
        encapsulation_key: Seed::generate().unwrap().encapsulation_key(),
        random: RandomPart::generate().unwrap(),
    };
    // A directory stands where the file's next content is to be written.
    let blocked = directory.path().join("enrolment.json.new");
    std::fs::create_dir_all(blocked.join("full")).unwrap();
    assert!(matches!(edge.offer(&offer), Err(StepError::NotStored(_))));
    assert_eq!(edge.status(at(2)).epochs.len(), 1);
    assert!(edge.status(at(2)).not_stored.is_some_and(|error| error.contains("enrolment.json")));
    std::fs::remove_dir_all(blocked).unwrap();
    edge.offer(&offer).unwrap();
    assert_eq!(edge.status(at(2)).epochs.len(), 2);
    assert_eq!(edge.status(at(2)).not_stored, None);
}

/// The code that a home derives for an edge that waits for it; only its keys count.
fn waiting_code(identity: &Identity) -> JoinCode {
    JoinCode {
        endpoint: "192.0.2.1:51820".parse().unwrap(),
        edge_key: waiting_keys(&identity.public()).edge_key.public(),
        secret: Secret::generate().unwrap(),
        expires: 0,
    }
}

#[test]
fn an_awaited_home_joins_once_and_only_it() {
    let directory = tempfile::tempdir().unwrap();
    let reopened = || Enrolment::open(directory.path()).unwrap();
    let (home, stranger) = (Asking::new(), Asking::new());
    let code = waiting_code(&home.identity);
    reopened().await_home(home.identity.public(), at(0)).unwrap();
    let mut edge = reopened();
    let key = edge.status(at(0)).awaits.unwrap().edge_key;
    edge.await_home(home.identity.public(), at(1)).unwrap();
    assert_eq!(edge.status(at(1)).awaits.unwrap().edge_key, key, "the key outlives a restart");
    assert_eq!(edge.epochs(&terms().inner, at(1_000_000_000)).len(), 1, "the wait does not end");
    assert_eq!(stranger.ask(&mut edge, &code, 1, at(2)), Err(Refusal::OtherHome));
    let answer = home.ask(&mut edge, &code, 5, at(3)).unwrap();
    assert_eq!(answer.edge_key, key);
    assert!(edge.confirm().unwrap());
    assert!(!edge.confirm().unwrap());
    assert_eq!(home.ask(&mut edge, &code, 6, at(4)), Err(Refusal::UnknownInvite));
    let mut edge = reopened();
    edge.await_home(home.identity.public(), at(5)).unwrap();
    let epochs = edge.epochs(&terms().inner, at(5));
    assert_eq!(epochs.iter().map(|epoch| epoch.id).collect::<Vec<_>>(), [EpochId::FIRST]);
}

#[test]
fn an_older_request_of_the_same_home_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut edge = Enrolment::open(directory.path()).unwrap();
    let home = Asking::new();
    let code = waiting_code(&home.identity);
    edge.await_home(home.identity.public(), at(0)).unwrap();
    home.ask(&mut edge, &code, 4, at(1)).unwrap();
    let renewed = Asking { key: PrivateKey::generate().unwrap(), ..home };
    renewed.ask(&mut edge, &code, 5, at(2)).unwrap();
    assert_eq!(renewed.ask(&mut edge, &code, 4, at(3)), Err(Refusal::Replayed));
    assert_eq!(edge.epochs(&terms().inner, at(3)).pop().unwrap().peer, renewed.key.public());
}

#[test]
fn an_open_code_goes_before_a_wait_and_a_code_replaces_one() {
    let (_directory, mut edge, _code) = invited();
    let home = Asking::new();
    edge.await_home(home.identity.public(), at(1)).unwrap();
    assert_eq!(edge.status(at(1)).awaits, None);
    edge.await_home(home.identity.public(), at(3600)).unwrap();
    assert!(edge.status(at(3600)).awaits.is_some());
    edge.invite("192.0.2.1:51820".parse().unwrap(), HOUR, at(3601)).unwrap();
    assert_eq!(edge.status(at(3601)).awaits, None);
}
