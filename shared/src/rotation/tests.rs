//! Both ladders against each other: crashes before and after every write, lost calls, lost answers, repeated calls.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::tunnel::{PresharedKey, PrivateKey};

/// What becomes of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    /// The call does not reach the edge.
    CallLost,
    /// The edge has computed and dies, or finds its disk full, before it writes.
    EdgeFailsBeforeWriting,
    /// The edge has written and dies before it answers.
    EdgeDiesAfterWriting,
    /// The call arrives twice, the first answer is lost.
    CallRepeated,
    /// Home has its event and dies, or finds its disk full, before it writes.
    HomeFailsBeforeWriting,
    /// An epoch that waits for its proof carries nothing.
    Unproven,
}

const FATES: [Fate; 7] = [
    Fate::Done,
    Fate::CallLost,
    Fate::EdgeFailsBeforeWriting,
    Fate::EdgeDiesAfterWriting,
    Fate::CallRepeated,
    Fate::HomeFailsBeforeWriting,
    Fate::Unproven,
];

/// Two disks; the programs read them anew at every step, as after a crash.
struct World {
    home: String,
    edge: String,
    /// The epochs that home has asked the edge to drop.
    retired: BTreeSet<EpochId>,
    /// The epochs that have been in COMMITTED on home's disk.
    committed: BTreeSet<EpochId>,
}

impl World {
    fn joined() -> Self {
        let (home_key, edge_key) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        let preshared_key = PresharedKey::generate().unwrap();
        let edge = EdgeLadder::new(EdgeEpoch {
            epoch: EpochId::FIRST,
            home_key: home_key.public(),
            edge_key: edge_key.clone(),
            preshared_key: preshared_key.clone(),
        });
        let home = HomeLadder::new(HomeEpoch {
            epoch: EpochId::FIRST,
            edge_key: edge_key.public(),
            home_key,
            preshared_key,
            since: 0,
        });
        let (home, edge) = (serde_json::to_string(&home).unwrap(), serde_json::to_string(&edge).unwrap());
        Self { home, edge, retired: BTreeSet::new(), committed: BTreeSet::new() }
    }

    fn home(&self) -> HomeLadder {
        serde_json::from_str(&self.home).unwrap()
    }

    fn edge(&self) -> EdgeLadder {
        serde_json::from_str(&self.edge).unwrap()
    }

    fn write_home(&mut self, next: &HomeLadder) {
        let before = self.home();
        let kept: Vec<EpochId> = next.usable().iter().map(|keys| keys.epoch).collect();
        let gone = before.usable().into_iter().filter(|keys| !kept.contains(&keys.epoch));
        for gone in gone.filter(|gone| gone.epoch <= before.current().epoch) {
            assert!(self.committed.contains(&EpochId(gone.epoch.0 + 1)), "home deletes what it may need");
        }
        if next.step() == Step::Committed {
            self.committed.insert(next.target());
        }
        self.home = serde_json::to_string(next).unwrap();
    }

    fn write_edge(&mut self, next: &EdgeLadder) {
        let kept: Vec<EpochId> = next.accepted().iter().map(|keys| keys.epoch).collect();
        for gone in self.edge().accepted().iter().filter(|keys| !kept.contains(&keys.epoch)) {
            assert!(self.retired.contains(&gone.epoch), "the edge drops what home has not retired");
        }
        self.edge = serde_json::to_string(next).unwrap();
    }

    /// What home may use, the edge accepts with the very same keys.
    fn check(&self) {
        let (home, edge) = (self.home(), self.edge());
        for keys in home.usable() {
            let is_same = |accepted: &&EdgeEpoch| {
                accepted.epoch == keys.epoch
                    && accepted.home_key == keys.home_key.public()
                    && accepted.edge_key.public() == keys.edge_key
                    && accepted.preshared_key == keys.preshared_key
            };
            assert!(edge.accepted().into_iter().any(|accepted| is_same(&accepted)), "{home:?} {edge:?}");
        }
        assert!(edge.accepted().len() <= 2);
    }

    fn begin(&mut self) {
        if let Some(next) = self.home().after(Event::Begin(OfferSecrets::generate().unwrap())) {
            self.write_home(&next);
        }
    }

    /// One step of home with its fate.
    fn step(&mut self, fate: Fate) {
        if let Some(event) = self.event(fate)
            && let Some(next) = self.home().after(event)
            && fate != Fate::HomeFailsBeforeWriting
        {
            self.write_home(&next);
        }
        self.check();
    }

    fn event(&mut self, fate: Fate) -> Option<Event> {
        match self.home().todo() {
            Todo::Rest => None,
            Todo::AwaitProof { .. } if fate == Fate::Unproven => {
                Some(Event::Unproven(OfferSecrets::generate().unwrap()))
            }
            Todo::AwaitProof { .. } => Some(Event::DataBothWays),
            Todo::AwaitDrain { .. } => Some(Event::Idle),
            Todo::Offer(offer) => {
                let answer = self.call(fate, |edge| edge.offered(&offer, Entropy::draw().unwrap()));
                answer.map(|answer| Event::Answered(answer, 7))
            }
            Todo::Commit(commit) => {
                self.call(fate, |edge| Ok((edge.committed(&commit)?, ()))).map(|()| Event::CommitAcknowledged)
            }
            Todo::Retire(epoch) => {
                self.retired.insert(epoch);
                self.call(fate, |edge| Ok((edge.retired(epoch)?, ()))).map(|()| Event::RetireAcknowledged)
            }
        }
    }

    fn call<T>(
        &mut self,
        fate: Fate,
        change: impl Fn(&EdgeLadder) -> Result<(EdgeLadder, T), LadderError>,
    ) -> Option<T> {
        if fate == Fate::CallLost {
            return None;
        }
        let times = if fate == Fate::CallRepeated { 2 } else { 1 };
        let mut answer = None;
        for _ in 0..times {
            let (next, given) = change(&self.edge()).expect("home's calls fit the ladder");
            if fate == Fate::EdgeFailsBeforeWriting {
                return None;
            }
            self.write_edge(&next);
            self.check();
            answer = Some(given);
        }
        answer.filter(|_| fate != Fate::EdgeDiesAfterWriting)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn any_crash_at_any_write_converges(fates in proptest::collection::vec(proptest::sample::select(&FATES[..]), 0..40)) {
        let mut world = World::joined();
        world.check();
        for fate in fates {
            world.begin();
            world.step(fate);
        }
        let target = world.home().target();
        // The longest way left is the whole ladder.
        for _ in 0..6 {
            world.step(Fate::Done);
        }
        let (home, edge) = (world.home(), world.edge());
        prop_assert_eq!(home.step(), Step::Stable);
        prop_assert_eq!(home.current().epoch, target);
        prop_assert_eq!(edge.accepted().len(), 1);
        prop_assert_eq!(edge.current().epoch, target);
    }
}

#[test]
fn every_single_fault_at_every_step_is_survived() {
    for faulty in 0..6 {
        for fate in FATES {
            let mut world = World::joined();
            world.begin();
            for step in 0..9 {
                world.step(if step == faulty { fate } else { Fate::Done });
            }
            assert_eq!((world.home().step(), world.home().current().epoch), (Step::Stable, EpochId(2)));
            assert_eq!(world.edge().accepted().len(), 1, "{fate:?} at step {faulty}");
        }
    }
}

#[test]
fn a_false_answer_is_no_dead_end() {
    let mut world = World::joined();
    world.begin();
    let (honest, false_key) = (world.edge(), PrivateKey::generate().unwrap().public());
    let Todo::Offer(offer) = world.home().todo() else { panic!("an offer is next") };
    let (accepting, answer) = honest.offered(&offer, Entropy::draw().unwrap()).unwrap();
    world.write_edge(&accepting);
    let answer = Answer { edge_key: false_key, ..answer };
    world.write_home(&world.home().after(Event::Answered(answer, 7)).unwrap());
    assert_eq!(world.home().step(), Step::Offered);
    let again = Event::Unproven(OfferSecrets::generate().unwrap());
    world.write_home(&world.home().after(again.clone()).unwrap());
    for _ in 0..6 {
        world.step(Fate::Done);
        if world.home().step() != Step::Offered {
            assert_eq!(world.home().after(again.clone()), None, "only what waits for its proof goes back");
        }
    }
    assert_eq!((world.home().step(), world.home().current().epoch), (Step::Stable, EpochId(2)));
}

#[test]
fn a_rotation_changes_all_three_keys() {
    let mut world = World::joined();
    let before = world.home().current().clone();
    world.begin();
    for _ in 0..6 {
        world.step(Fate::Done);
    }
    let after = world.home().current().clone();
    assert_ne!(before.home_key, after.home_key);
    assert_ne!(before.edge_key, after.edge_key);
    assert_ne!(before.preshared_key, after.preshared_key);
    assert_eq!((after.epoch, after.since), (EpochId(2), 7));
}

#[test]
fn a_forgotten_offer_is_replaced_and_calls_out_of_order_are_refused() {
    let world = World::joined();
    let offer = |epoch| {
        let ladder = world.home().after(Event::Begin(OfferSecrets::generate().unwrap())).unwrap();
        let Todo::Offer(offer) = ladder.todo() else { panic!("an offer is next") };
        Offer { epoch: EpochId(epoch), ..offer }
    };
    let entropy = || Entropy::draw().unwrap();
    let edge = world.edge();
    let commit = |offer: &Offer, answer: &Answer| Commit {
        epoch: offer.epoch,
        home_key: offer.home_key,
        edge_key: answer.edge_key,
    };
    let (early, late) = (offer(2), offer(2));
    let (first, forgotten) = edge.offered(&early, entropy()).unwrap();
    let (second, answer) = first.offered(&late, entropy()).unwrap();
    assert_ne!(forgotten, answer);
    assert_eq!(second.accepted().len(), 2);
    assert!(matches!(edge.offered(&offer(3), entropy()), Err(LadderError::NotNext { .. })));
    assert!(matches!(edge.offered(&offer(1), entropy()), Err(LadderError::NotNext { .. })));
    assert!(matches!(edge.committed(&commit(&late, &answer)), Err(LadderError::NotNext { .. })));
    for other in [commit(&early, &forgotten), commit(&early, &answer), commit(&late, &forgotten)] {
        assert_eq!(second.committed(&other), Err(LadderError::OtherKeys(EpochId(2))));
    }
    let committed = second.committed(&commit(&late, &answer)).unwrap();
    assert_eq!(committed.committed(&commit(&late, &answer)), Ok(committed.clone()));
    assert_eq!(committed.committed(&commit(&early, &forgotten)), Err(LadderError::OtherKeys(EpochId(2))));
    assert_eq!(committed.offered(&offer(3), entropy()), Err(LadderError::NotRetired(EpochId(1))));
    assert_eq!(committed.retired(EpochId(2)), Err(LadderError::InUse(EpochId(2))));
    let back = Commit { epoch: EpochId(1), ..commit(&late, &answer) };
    assert!(matches!(committed.committed(&back), Err(LadderError::NotNext { .. })), "never back");
    let retired = committed.retired(EpochId(1)).unwrap();
    assert_eq!(retired.retired(EpochId(1)), Ok(retired));
}

#[test]
fn files_from_before_the_first_rotation_are_epoch_one() {
    let key = serde_json::to_string(&PrivateKey::generate().unwrap()).unwrap();
    let file = format!("{{\"home_key\":{key},\"edge_key\":{key},\"preshared_key\":{key}}}");
    let home: HomeLadder = serde_json::from_str(&file).unwrap();
    assert_eq!((home.current().epoch, home.step()), (EpochId::FIRST, Step::Stable));
    let edge: EdgeLadder = serde_json::from_str(&file).unwrap();
    assert_eq!((edge.current().epoch, edge.accepted().len()), (EpochId::FIRST, 1));
}
