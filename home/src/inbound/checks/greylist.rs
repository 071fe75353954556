//! Greylisting: a doubtful stranger is asked to come again, which a mail server does and most bots do not (RFC 6647).
//!
//! In: the signs that speak against the message, what speaks for it, when it was first tried. Out: a verdict. Refused, for
//! now (451): a message that no proof comes with and against which there is a strong sign, until it comes again after the
//! wait.
//!
//! It is decided once the message is here, which costs its octets, because only then DKIM can vouch for it: who proves to
//! write as the author's domain never waits, so that a first message with a code for a login comes at once. Nor do clients
//! that a DNSWL lists, networks whose mail was taken before, and machines of this network.

use std::net::IpAddr;
use std::time::Duration;

use postern_smtp::server::Refusal;

use super::client::{Client, Relation};
use super::verdict::{Outcome, Verdict};
use crate::auth::Proof;
use crate::auth::iprev::ReverseName;

const CHECK: &str = "greylist";

/// For how long a first attempt counts: longer than the longest pauses between attempts (RFC 5321 §4.5.4.1).
pub const MEMORY: Duration = Duration::from_secs(2 * 86_400);

/// Words in names that providers give to lines of households.
const DYNAMIC_WORDS: [&str; 14] = [
    "dyn",
    "dynamic",
    "dhcp",
    "pool",
    "dsl",
    "adsl",
    "vdsl",
    "cable",
    "ppp",
    "pppoe",
    "dialup",
    "dialin",
    "broadband",
    "ftth",
];

/// What speaks against a message; empty where nothing does.
pub fn signs(client: &Client, proof: &Proof) -> Vec<&'static str> {
    let name = match &client.name {
        ReverseName::Missing => Some("no name leads to its address"),
        ReverseName::Confirmed(name) if is_dynamic(name, client.address) => {
            Some("its name is that of a household's line")
        }
        ReverseName::Confirmed(_) | ReverseName::Unknown => None,
    };
    let listed = client.listing.blocked.is_some().then_some("it is listed");
    let spf = proof.spf_failed.then_some("its address is none of the sender's");
    [name, listed, spf].into_iter().flatten().collect()
}

/// Whether somebody speaks for the message, so that it never waits.
pub fn is_spared(client: &Client, proof: &Proof) -> bool {
    proof.is_aligned || client.listing.allowed.is_some() || client.relation != Relation::Stranger
}

/// Judges an attempt that is to wait, given the time of the first one; both in seconds since 1970.
pub fn judge(wait: Duration, first: u64, now: u64, signs: &[&'static str]) -> Verdict {
    let waited = now.saturating_sub(first);
    match wait.as_secs().checked_sub(waited) {
        None | Some(0) => Verdict::pass(CHECK, format!("came again after {waited} seconds")),
        Some(seconds) => Verdict {
            check: CHECK,
            outcome: Outcome::Refuse(Refusal::Greylisted { seconds }),
            reason: format!("nothing proves who wrote it, and {}", signs.join(", ")),
        },
    }
}

/// Whether a name is made from the address, or says that it belongs to a line whose address changes.
fn is_dynamic(name: &str, address: IpAddr) -> bool {
    let name = name.to_ascii_lowercase();
    let mut words = name.split(|c: char| !c.is_ascii_alphabetic());
    words.any(|word| DYNAMIC_WORDS.contains(&word)) || holds_address(&name, address)
}

/// All four octets of an IPv4 address, in decimal and in either direction, or in hexadecimal.
fn holds_address(name: &str, address: IpAddr) -> bool {
    let IpAddr::V4(v4) = address else { return false };
    let octets = v4.octets();
    let numbers: Vec<u8> =
        name.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
    let mut backwards = octets;
    backwards.reverse();
    let hexadecimal: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    numbers.windows(4).any(|window| window == octets || window == backwards) || name.contains(&hexadecimal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::checks::lists::Listing;

    fn client(name: ReverseName) -> Client {
        let address = "9.9.0.7".parse().expect("an address");
        Client { address, relation: Relation::Stranger, name, listing: Listing::default() }
    }

    fn confirmed(name: &str) -> Client {
        client(ReverseName::Confirmed(name.to_owned()))
    }

    fn signs_of(client: &Client, proof: &Proof) -> usize {
        signs(client, proof).len()
    }

    #[test]
    fn names_of_lines_are_told_from_names_of_servers() {
        let is_dynamic = |name| is_dynamic(name, "9.9.0.7".parse().expect("an address"));
        for name in [
            "p9-9-0-7.provider.example",
            "7.0.9.9.dsl.example",
            "host-dyn-3.example",
            "pool-12.example",
            "x09090007.example",
        ] {
            assert!(is_dynamic(name), "{name}");
        }
        for name in
            ["mx.stranger.example", "mail7.dynasty.example", "o1.9.9.example", "smtp-out-9-9-0.example"]
        {
            assert!(!is_dynamic(name), "{name}");
        }
    }

    #[test]
    fn signs_speak_against_a_message_and_proofs_for_it() {
        let (nothing, proved) = (Proof::default(), Proof { is_aligned: true, spf_failed: false });
        assert_eq!(signs_of(&confirmed("mx.stranger.example"), &nothing), 0);
        assert_eq!(signs_of(&client(ReverseName::Unknown), &nothing), 0, "a missing answer is no sign");
        assert_eq!(signs_of(&client(ReverseName::Missing), &nothing), 1);
        assert_eq!(
            signs_of(&confirmed("mx.stranger.example"), &Proof { is_aligned: false, spf_failed: true }),
            1
        );
        let doubtful = client(ReverseName::Missing);
        assert!(!is_spared(&doubtful, &nothing));
        assert!(is_spared(&doubtful, &proved));
        for relation in [Relation::Near, Relation::Regular] {
            assert!(is_spared(&Client { relation, ..doubtful.clone() }, &nothing));
        }
    }

    #[test]
    fn who_comes_again_after_the_wait_is_let_in() {
        let refusal = |first, now| judge(Duration::from_secs(300), first, now, &["x"]).refusal().cloned();
        assert_eq!(refusal(1000, 1000), Some(Refusal::Greylisted { seconds: 300 }));
        assert_eq!(refusal(1000, 1299), Some(Refusal::Greylisted { seconds: 1 }));
        assert_eq!(refusal(1000, 1300), None);
        assert_eq!(refusal(1000, 90_000), None);
    }
}
