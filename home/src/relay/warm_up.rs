//! The warm-up plan: how much goes directly to each large receiver on a day while the edge's address is young. Pure.
//!
//! In: messages that want to go directly, and what became of them. Out: whether one may go directly now; the rest goes by the
//! relay for overflow. Refused: nothing; without a relay for overflow nobody asks.
//!
//! | the day that ended | the volume of the next one |
//! |---|---|
//! | the receiver has said that it distrusts the address | half, at least [`FIRST`] |
//! | at least half of the volume was used, and more was taken than put off or refused | twice as much |
//! | any other | the same |
//!
//! A receiver whose volume has come to [`WARM`] is warm: everything goes directly from then on. Days are those of UTC. Where the
//! edge's address changes, all begin anew.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Messages of the first day.
const FIRST: u32 = 20;
/// The volume from which a receiver has seen enough.
const WARM: u32 = 2560;

/// What became of a message that went directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// It was taken, at least for some recipients.
    Taken,
    /// It was put off or refused.
    Refused,
    /// It was refused because of the address.
    Distrusted,
}

/// The plan for one receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The receiver.
    pub receiver: String,
    /// Messages that may go directly on the day; [`WARM`] or more is any number.
    pub volume: u32,
    /// The day.
    pub day: Date,
    /// Messages that went directly on it.
    pub direct: u32,
    /// Messages that were taken.
    pub taken: u32,
    /// Messages that were put off or refused.
    pub refused: u32,
    /// Whether it has said that it distrusts the address.
    pub is_distrusted: bool,
}

/// The plans for all receivers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmUp {
    /// The addresses that are warmed up.
    addresses: Vec<IpAddr>,
    plans: BTreeMap<String, Plan>,
}

impl WarmUp {
    /// Whether another message may go directly from these addresses; it is counted if so.
    pub fn admits(&mut self, receiver: &str, addresses: &[IpAddr], today: Date) -> bool {
        if self.addresses != addresses {
            *self = WarmUp { addresses: addresses.to_vec(), plans: BTreeMap::new() };
        }
        let plan = self.plans.entry(receiver.to_owned()).or_insert_with(|| Plan::new(receiver, today));
        plan.begin(today);
        let admits = plan.is_warm() || plan.direct < plan.volume;
        plan.direct = plan.direct.saturating_add(u32::from(admits));
        admits
    }

    /// What became of a message that was admitted.
    pub fn note(&mut self, receiver: &str, came: Came, today: Date) {
        let Some(plan) = self.plans.get_mut(receiver) else { return };
        plan.begin(today);
        match came {
            Came::Taken => plan.taken = plan.taken.saturating_add(1),
            Came::Refused => plan.refused = plan.refused.saturating_add(1),
            Came::Distrusted => plan.is_distrusted = true,
        }
    }

    /// Calls a receiver warm; whether it was not.
    pub fn end(&mut self, receiver: &str) -> bool {
        let plan = self.plans.get_mut(receiver).filter(|plan| !plan.is_warm());
        plan.map(|plan| plan.volume = WARM).is_some()
    }

    /// The plans as they are on a day, without those that have come to their end.
    pub fn current(&self, today: Date) -> Vec<Plan> {
        let mut plans: Vec<Plan> = self.plans.values().cloned().collect();
        plans.iter_mut().for_each(|plan| plan.begin(today));
        plans.retain(|plan| !plan.is_warm());
        plans
    }
}

impl Plan {
    fn new(receiver: &str, day: Date) -> Self {
        let receiver = receiver.to_owned();
        Plan { receiver, volume: FIRST, day, direct: 0, taken: 0, refused: 0, is_distrusted: false }
    }

    fn is_warm(&self) -> bool {
        self.volume >= WARM
    }

    /// Begins a day, if it is another one.
    fn begin(&mut self, today: Date) {
        if today != self.day {
            let volume = self.next_volume();
            *self = Plan { volume, ..Plan::new(&self.receiver, today) };
        }
    }

    fn next_volume(&self) -> u32 {
        let was_used = self.direct >= self.volume / 2;
        if self.is_distrusted {
            (self.volume / 2).max(FIRST)
        } else if was_used && self.taken > self.refused {
            self.volume.saturating_mul(2)
        } else {
            self.volume
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    const DAY: Date = jiff::civil::date(2026, 11, 23);

    fn edge() -> Vec<IpAddr> {
        vec!["203.0.113.10".parse().unwrap()]
    }

    /// Sends so many in one day; gives how many went directly.
    fn send(warm_up: &mut WarmUp, messages: u32, came: Came, day: i32) -> u32 {
        let today = DAY + day.days();
        let mut direct = 0;
        for _ in 0..messages {
            if warm_up.admits("Gmail", &edge(), today) {
                direct += 1;
                warm_up.note("Gmail", came, today);
            }
        }
        direct
    }

    #[test]
    fn the_volume_doubles_while_it_is_used_and_taken() {
        let mut warm_up = WarmUp::default();
        let days: Vec<u32> = (0..9).map(|day| send(&mut warm_up, 5000, Came::Taken, day)).collect();
        assert_eq!(days, [20, 40, 80, 160, 320, 640, 1280, 5000, 5000]);
        assert_eq!(warm_up.current(DAY + 8.days()), []);
    }

    #[test]
    fn a_household_is_never_held_up_and_grows_no_faster_than_it_sends() {
        let mut warm_up = WarmUp::default();
        for day in 0..30 {
            assert_eq!(send(&mut warm_up, 5, Came::Taken, day), 5);
        }
        assert_eq!(warm_up.current(DAY + 30.days())[0].volume, FIRST);
    }

    #[test]
    fn who_puts_off_or_distrusts_gets_no_more() {
        let mut warm_up = WarmUp::default();
        for day in 0..3 {
            send(&mut warm_up, 100, Came::Taken, day);
        }
        assert_eq!(send(&mut warm_up, 200, Came::Refused, 3), 160);
        assert_eq!(send(&mut warm_up, 200, Came::Distrusted, 4), 160);
        assert_eq!(send(&mut warm_up, 200, Came::Distrusted, 5), 80);
        for day in 6..12 {
            send(&mut warm_up, 200, Came::Distrusted, day);
        }
        assert_eq!(send(&mut warm_up, 200, Came::Taken, 12), 20);
    }

    #[test]
    fn another_address_begins_anew_and_the_owner_may_end_it() {
        let mut warm_up = WarmUp::default();
        send(&mut warm_up, 100, Came::Taken, 0);
        assert!(!warm_up.admits("Gmail", &edge(), DAY));
        assert!(warm_up.admits("Outlook", &edge(), DAY), "each on its own");
        assert!(warm_up.admits("Gmail", &["203.0.113.11".parse().unwrap()], DAY));
        send(&mut warm_up, 100, Came::Taken, 0);
        assert!(warm_up.end("Gmail") && !warm_up.end("Gmail") && !warm_up.end("Yahoo"));
        assert_eq!(send(&mut warm_up, 5000, Came::Taken, 0), 5000);
    }
}
