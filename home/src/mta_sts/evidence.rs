//! What a look at one domain finds, and what it means for a sender that insists on the policy.
//!
//! In: the judgement of a stranger about two certificates, the MX records of the zone that was signed last, the serial that
//! the edge serves. Out: a [`Judgement`], whose text names the one thing to be done next. Pure.

use jiff::{SignedDuration, Timestamp};
use postern_message::address::DomainName;

use super::standing::Judgement;
use crate::tls::{Flaw, Life};
use crate::zone::clock::timestamp;

/// A certificate that is not renewed in its last tenth, or in its last three days, will not be: every renewal that goes
/// well comes long before.
const LAST_DAYS: SignedDuration = SignedDuration::from_hours(3 * 24);
const LAST_PART: i32 = 10;

/// When a certificate counts whose time is not looked at.
const ALL_TIME: Life = Life { from: Timestamp::MIN, until: Timestamp::MAX };

/// What a look finds.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The mail host, which alone shall be the MX.
    pub mail_host: DomainName,
    /// Its certificate.
    pub mail: Result<Life, Flaw>,
    /// The policy host: `mta-sts.DOMAIN`.
    pub policy_host: DomainName,
    /// Its certificate.
    pub policy: Result<Life, Flaw>,
    /// The zone that was signed last; `None` where there is none.
    pub zone: Option<ZoneSeen>,
    /// The serial that the edge serves; `None` where it serves no such zone.
    pub served: Option<u32>,
    /// The names at which records of the operator's stand in the place of what home would announce.
    pub own: Vec<String>,
}

/// What matters here of a signed zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneSeen {
    /// Its serial.
    pub serial: u32,
    /// Its MX hosts.
    pub mx: Vec<DomainName>,
}

impl Evidence {
    /// What it means at this time, in seconds since 1970.
    pub fn judge(&self, now: u64) -> Judgement {
        let lives = match (
            self.certificate(&self.policy_host, &self.policy),
            self.certificate(&self.mail_host, &self.mail),
        ) {
            (Ok(policy), Ok(mail)) => [(&self.policy_host, policy), (&self.mail_host, mail)],
            (Err(judgement), _) | (_, Err(judgement)) => return judgement,
        };
        if let Some(zone) = self.zone.as_ref().filter(|zone| zone.mx != [self.mail_host.clone()]) {
            let (found, wanted) = (names(&zone.mx), &self.mail_host);
            return Judgement::Wrong(format!("the zone's MX is {found} and not {wanted} alone"));
        }
        if let Some((name, life)) = lives.into_iter().find(|(_, life)| is_ending(*life, timestamp(now))) {
            let day = life.until.strftime("%Y-%m-%d");
            return Judgement::Ending(format!("the certificate for {name} ends on {day} and is not renewed"));
        }
        if let Some(own) = self.own.first() {
            return Judgement::Unproven(format!(
                "a record of your own stands at {own}, so senders are told what that says, and learn of no change here"
            ));
        }
        self.judge_edge()
    }

    /// What it means where the time is not known, and why: that alone is wrong which no other time makes right.
    pub fn judge_in_doubt(&self, now: u64, why: &str) -> Judgement {
        let timeless = |proof: &Result<Life, Flaw>| match proof {
            Err(Flaw::Untrusted | Flaw::Name(_)) => proof.clone(),
            Ok(_) | Err(Flaw::Time | Flaw::NoRoots | Flaw::Other(_)) => Ok(ALL_TIME),
        };
        let evidence = Self { mail: timeless(&self.mail), policy: timeless(&self.policy), ..self.clone() };
        match evidence.judge(now) {
            wrong @ Judgement::Wrong(_) => wrong,
            _ => Judgement::Unproven(why.to_owned()),
        }
    }

    fn certificate(&self, name: &DomainName, proof: &Result<Life, Flaw>) -> Result<Life, Judgement> {
        proof.clone().map_err(|flaw| {
            let clause = format!("the certificate for {name} {flaw}");
            // Nothing is known then, good or bad.
            if flaw == Flaw::NoRoots { Judgement::Unproven(clause) } else { Judgement::Wrong(clause) }
        })
    }

    fn judge_edge(&self) -> Judgement {
        match (&self.zone, self.served) {
            (None, _) => Judgement::Unproven("there is no signed zone yet".to_owned()),
            (Some(_), None) => Judgement::Unproven("the edge does not serve the zone".to_owned()),
            (Some(zone), Some(served)) if served != zone.serial => {
                let newest = zone.serial;
                Judgement::Unproven(format!(
                    "the edge serves serial {served} of the zone, and {newest} is the newest"
                ))
            }
            (Some(_), Some(_)) => Judgement::Right,
        }
    }
}

fn is_ending(life: Life, now: Timestamp) -> bool {
    let whole = life.until.duration_since(life.from);
    life.until.duration_since(now) < (whole / LAST_PART).min(LAST_DAYS)
}

fn names(names: &[DomainName]) -> String {
    let texts: Vec<&str> = names.iter().map(DomainName::as_str).collect();
    if texts.is_empty() { "missing".to_owned() } else { texts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const DAY: u64 = 86_400;

    fn name(text: &str) -> DomainName {
        text.parse().expect("a name")
    }

    fn life(from: u64, until: u64) -> Result<Life, Flaw> {
        Ok(Life { from: timestamp(from), until: timestamp(until) })
    }

    fn good() -> Evidence {
        Evidence {
            mail_host: name("mail.home.example"),
            mail: life(NOW - 30 * DAY, NOW + 60 * DAY),
            policy_host: name("mta-sts.home.example"),
            policy: life(NOW - 30 * DAY, NOW + 60 * DAY),
            zone: Some(ZoneSeen { serial: 7, mx: vec![name("mail.home.example")] }),
            served: Some(7),
            own: Vec::new(),
        }
    }

    fn said(evidence: &Evidence, expected: fn(String) -> Judgement) -> String {
        let judgement = evidence.judge(NOW);
        let (Judgement::Unproven(why) | Judgement::Ending(why) | Judgement::Wrong(why)) = &judgement else {
            panic!("nothing is found")
        };
        assert_eq!(judgement, expected(why.clone()));
        why.clone()
    }

    #[test]
    fn all_that_is_right_is_right() {
        assert_eq!(good().judge(NOW), Judgement::Right);
    }

    #[test]
    fn what_would_keep_mail_away_is_wrong() {
        let untrusted = Evidence { mail: Err(Flaw::Untrusted), ..good() };
        assert!(
            said(&untrusted, Judgement::Wrong)
                .starts_with("the certificate for mail.home.example is not issued")
        );
        let unfetched = Evidence { policy: Err(Flaw::Name(name("mta-sts.home.example"))), ..good() };
        assert!(
            said(&unfetched, Judgement::Wrong).contains("for mta-sts.home.example does not hold the name")
        );
        for mx in
            [vec![], vec![name("mail.home.example"), name("backup.example")], vec![name("backup.example")]]
        {
            let elsewhere = Evidence { zone: Some(ZoneSeen { serial: 7, mx }), ..good() };
            assert!(said(&elsewhere, Judgement::Wrong).contains("not mail.home.example alone"));
        }
    }

    #[test]
    fn what_home_cannot_know_is_unproven() {
        let cases = [
            Evidence { served: None, ..good() },
            Evidence { served: Some(6), ..good() },
            Evidence { zone: None, ..good() },
            Evidence { mail: Err(Flaw::NoRoots), ..good() },
            Evidence { own: vec!["_mta-sts.home.example".to_owned()], ..good() },
        ];
        cases.iter().for_each(|evidence| drop(said(evidence, Judgement::Unproven)));
    }

    #[test]
    fn no_doubt_of_the_time_excuses_what_is_wrong_at_any() {
        let doubted = |evidence: Evidence| evidence.judge_in_doubt(NOW + 4000 * DAY, "the edge is not heard");
        let doubt = Judgement::Unproven("the edge is not heard".to_owned());
        assert_eq!(doubted(good()), doubt);
        assert_eq!(doubted(Evidence { mail: Err(Flaw::Time), ..good() }), doubt);
        let elsewhere = Some(ZoneSeen { serial: 7, mx: vec![name("backup.example")] });
        for evidence in [
            Evidence { mail: Err(Flaw::Untrusted), ..good() },
            Evidence { policy: Err(Flaw::Name(name("mta-sts.home.example"))), ..good() },
            Evidence { zone: elsewhere, ..good() },
        ] {
            assert!(matches!(doubted(evidence.clone()), Judgement::Wrong(_)), "{evidence:?}");
        }
    }

    #[test]
    fn a_certificate_that_is_not_renewed_is_told_before_it_ends() {
        let of = |from, until| Evidence { mail: life(from, until), ..good() };
        assert_eq!(of(NOW - 80 * DAY, NOW + 4 * DAY).judge(NOW), Judgement::Right);
        said(&of(NOW - 87 * DAY, NOW + 3 * DAY - 1), Judgement::Ending);
        // Of six days, as some authorities issue them, the last fourteen hours.
        assert_eq!(of(NOW - 5 * DAY, NOW + DAY).judge(NOW), Judgement::Right);
        said(&of(NOW - 6 * DAY + 13 * 3600, NOW + 13 * 3600), Judgement::Ending);
    }
}
