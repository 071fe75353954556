//! What in the status a person should look at.
//!
//! In: the status, the disk, the queue. Out: conditions, each with the sentences that `status` shows as a warning and that a
//! notice tells. A condition that says how to mend itself names the command.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use postern_shared::bans::RefusedBan;
use postern_shared::secondary::{SecondaryStatus, SecondaryZone};
use postern_store::queue::Queue;

use super::Status;
use crate::admin::Admin;
use crate::backup;
use crate::link::{LinkState, LinkStatus};
use crate::notices::{Condition, Kind};
use crate::relay::Relays;
use crate::relay::overflow::Diversion;
use crate::reputation::{Listing, Naming, Standing};

/// Certificate authorities renew well before this.
const EXPIRY_NOTICE: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Mail that waits so long is not only greylisted.
const LONG_WAIT: SignedDuration = SignedDuration::from_hours(24);
/// Less than this part of a disk is little, where it is less than [`ROOM_OCTETS`] too.
const ROOM_PART: u64 = 20;
/// Of a large disk a small part is enough.
const ROOM_OCTETS: u64 = 5 << 30;

/// All of them; blocks on the disk.
pub(super) fn of(
    status: &Status,
    admin: &Admin,
    queued: Result<u64, postern_store::Error>,
) -> Vec<Condition> {
    let now = Timestamp::now();
    let mut found = of_link(&status.link);
    found.extend(of_setup(status));
    found.extend(of_dns(status));
    found.extend(of_bans(&status.link));
    found.extend(of_certificate(status, now));
    found.extend(admin.resolver.warning().map(|warning| Condition::new(Kind::Dns, "resolver", warning)));
    let certificates = admin.certificates.borrow().warnings(now);
    found.extend(certificates.into_iter().map(|text| Condition::new(Kind::Certificate, "renewal", text)));
    let listening = admin.listening.warnings.iter();
    found.extend(listening.map(|text| Condition::new(Kind::Setup, "listen", text)));
    found.extend(of_queue(&admin.queue, queued, now));
    found.extend(of_distrust(&admin.relays, now));
    found.extend(status.reputation.addresses.iter().flat_map(of_standing));
    found.extend(of_disk(&admin.state_dir));
    found.extend(of_journal(admin.journal.lost()));
    found.extend(
        admin.backup_every.into_iter().flat_map(|every| backup::conditions(&admin.state_dir, every, now)),
    );
    found
}

fn of_link(link: &LinkStatus) -> Vec<Condition> {
    let edge = |text: String| Condition::new(Kind::Tunnel, "edge", text);
    let mut found = Vec::new();
    match link.state {
        LinkState::Unjoined => found.push(Condition::new(
            Kind::Setup,
            "edge",
            "No edge is joined, so nobody can reach this home. Run `postern-edge invite` there and `postern-home join` here.",
        )),
        LinkState::Joining => found.push(Condition::new(Kind::Setup, "edge", "The edge is being joined.")),
        LinkState::Connecting => found.push(edge(format!(
            "The edge does not answer{}.",
            link.last_error.as_ref().map(|error| format!(": {error}")).unwrap_or_default()
        ))),
        LinkState::Connected => {}
        LinkState::Fenced => found.extend(link.fenced_warning().map(edge)),
    }
    if let Some(error) = link.keys.as_ref().and_then(|keys| keys.error.as_ref()) {
        let text = format!("The renewal of the tunnel's keys waits, and is tried again: {error}.");
        found.push(Condition::new(Kind::Tunnel, "keys", text));
    }
    found.extend(link.clock_warning().map(|text| Condition::new(Kind::Tunnel, "clock", text)));
    found
}

fn of_setup(status: &Status) -> Option<Condition> {
    if status.domains.is_empty() {
        let text = "There is no domain. Add one: `postern-home domain add home.example`.";
        return Some(Condition::new(Kind::Setup, "domain", text));
    }
    let text = "There is no user, so all mail is refused, even to postmaster. Add one: `postern-home user add \
                ana@home.example`.";
    (status.users == 0).then(|| Condition::new(Kind::Setup, "user", text))
}

fn of_dns(status: &Status) -> Vec<Condition> {
    let mut found = Vec::new();
    for zone in status.link.zones.iter().filter(|zone| !zone.accepted) {
        let why = zone.error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
        let origin = zone.origin.trim_end_matches('.');
        let text = format!("The edge does not serve the newest zone {origin} yet{why}.");
        found.push(Condition::new(Kind::Dns, origin, text));
    }
    found.extend(status.link.secondaries.iter().flat_map(of_secondary));
    let troubles = status.zones.troubles.iter();
    found.extend(troubles.map(|text| Condition::new(Kind::Dns, "signing", text)));
    let of_domain =
        |seen: &crate::survey::Seen| Some(Condition::new(Kind::Dns, &seen.domain, seen.warning.clone()?));
    found.extend(status.dns.iter().filter_map(of_domain));
    found
}

fn of_secondary(secondary: &SecondaryStatus) -> Vec<Condition> {
    let name = &secondary.name;
    let condition = |text: String| Condition::new(Kind::Dns, name, text);
    let refused = secondary.error.iter();
    let refused =
        refused.map(|error| condition(format!("The secondary name server {name} cannot transfer: {error}.")));
    let behind = secondary.zones.iter().filter(|zone| zone.is_behind());
    let behind = behind.filter_map(|SecondaryZone { origin, error, serial, .. }| {
        // A new zone is there within seconds; what is wrong is said only when it is.
        let error = error.as_ref()?;
        let has = serial.map_or("does not serve".to_owned(), |serial| format!("has only serial {serial} of"));
        Some(condition(format!("The secondary name server {name} {has} {origin}: {error}.")))
    });
    refused.chain(behind).collect()
}

fn of_bans(link: &LinkStatus) -> Vec<Condition> {
    let refused = link.protection.iter().flat_map(|protection| &protection.refused);
    let condition = |RefusedBan { network, why }: &RefusedBan| {
        let text = format!("The edge does not take a ban: {why}. `postern-home bans remove` ends it here.");
        Condition::new(Kind::Tunnel, network, text)
    };
    refused.map(condition).collect()
}

fn of_certificate(status: &Status, now: Timestamp) -> Vec<Condition> {
    let self_signed = "The certificate is self-signed, so mail programs ask whether to trust it. `postern-home cert list` says \
                       what happens next.";
    let self_signed = status.certificate.self_signed.then(|| self_signed.to_owned());
    let texts =
        self_signed.into_iter().chain(status.certificate.expires.and_then(|end| expiry_warning(end, now)));
    texts.map(|text| Condition::new(Kind::Certificate, &status.hostname, text)).collect()
}

fn expiry_warning(end: Timestamp, now: Timestamp) -> Option<String> {
    let left = end.duration_since(now);
    let day = end.strftime("%Y-%m-%d");
    let renew = "`postern-home cert list` says why it is not renewed; files named in the section `[tls]` are yours to renew.";
    if left.is_negative() {
        Some(format!("The certificate ended on {day}, so mail programs refuse it. {renew}"))
    } else if left < EXPIRY_NOTICE {
        Some(format!("The certificate ends on {day}. {renew}"))
    } else {
        None
    }
}

fn of_queue(queue: &Queue, queued: Result<u64, postern_store::Error>, now: Timestamp) -> Option<Condition> {
    let oldest = queued.and_then(|_| queue.list(None, 1));
    let text = match oldest {
        Err(error) => format!("The queue cannot be read: {error}."),
        Ok(oldest) => {
            let arrived: Timestamp = oldest.first()?.arrived.parse().ok()?;
            if now.duration_since(arrived) < LONG_WAIT {
                return None;
            }
            let since = arrived.strftime("%Y-%m-%d %H:%M UTC");
            format!("Outgoing mail waits since {since}. `postern-home queue list` says where to, and why.")
        }
    };
    Some(Condition::new(Kind::Queue, "waiting", text))
}

fn of_journal(lost: u64) -> Option<Condition> {
    let text = format!(
        "`postern-home trace` does not tell {lost} event(s) since the start: the journal's disk did not keep up, or took nothing. \
         No mail was lost by that."
    );
    (lost > 0).then(|| Condition::new(Kind::Disk, "journal", text))
}

/// An address without a name is refused by many; one on a list by those who ask the list.
fn of_standing(standing: &Standing) -> Vec<Condition> {
    let address = standing.address;
    let nameless = (standing.name == Naming::Missing).then(|| {
        let text = format!(
            "No name leads back to {address}, from which mail leaves, so that large receivers refuse it. Have its provider set the PTR \
             record to home's host name."
        );
        Condition::new(Kind::Dns, format!("reverse name of {address}"), text)
    });
    let listed = standing.listed.iter().map(|Listing { list, words }| {
        let text = format!(
            "{address}, from which mail leaves, is on the list {list} of distrusted addresses: {words:?}. Its pages say how an address \
             comes off; until then a relay may carry the mail (docs/sending.md)."
        );
        Condition::new(Kind::Blocklist, format!("{address} on {list}"), text)
    });
    nameless.into_iter().chain(listed).collect()
}

/// One for each destination that distrusts the edge's address.
fn of_distrust(relays: &Relays, now: Timestamp) -> Vec<Condition> {
    let relay = relays.for_overflow();
    let tell = |diversion: Diversion| {
        let Diversion { destination, provider, reply, until, .. } = diversion;
        let until = until.strftime("%Y-%m-%d %H:%M UTC");
        let next = match &relay {
            Some(relay) => format!(
                "Mail to it goes by the relay {} until {until}; `postern-home relay overflow` shows it.",
                relay.name
            ),
            None => "Ask its postmaster to take the address off the list, or send mail to such destinations by a relay: \
                     `postern-home relay add`, then `postern-home relay use NAME overflow`."
                .to_owned(),
        };
        let text =
            format!("{destination} distrusts the edge's address, in words of {provider}: {reply:?}. {next}");
        Condition::new(Kind::Overflow, &destination, text)
    };
    relays.diversions(now).into_iter().map(tell).collect()
}

fn of_disk(state_dir: &Path) -> Option<Condition> {
    let place = state_dir.display();
    let text = match rustix::fs::statvfs(state_dir) {
        Err(error) => format!("The disk under {place} cannot be looked at: {error}."),
        Ok(disk) if disk.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) => format!(
            "The disk under {place} is read-only, so no mail can be taken; the system's log (`dmesg`) says why."
        ),
        Ok(disk) => {
            let octets = disk.f_bavail.saturating_mul(disk.f_frsize);
            little_room(octets, disk.f_blocks.saturating_mul(disk.f_frsize), disk.f_favail, disk.f_files)
                .map(|what| {
                    format!("The disk under {place} has {what}; without room mail is told to come later.")
                })?
        }
    };
    Some(Condition::new(Kind::Disk, "state", text))
}

/// What there is little of. File systems without a fixed number of files say that they have none.
pub fn little_room(octets: u64, all_octets: u64, files: u64, all_files: u64) -> Option<String> {
    if octets < all_octets / ROOM_PART && octets < ROOM_OCTETS {
        Some(format!("only {} MiB left", octets >> 20))
    } else if all_files > 0 && files < all_files / ROOM_PART {
        Some(format!("room for only {files} files"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_certificate_is_told_two_weeks_before() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let end = at("2026-03-15T00:00:00Z");
        assert_eq!(expiry_warning(end, at("2026-02-28T00:00:00Z")), None);
        let soon = expiry_warning(end, at("2026-03-02T00:00:00Z")).expect("a warning");
        assert!(soon.contains("ends on 2026-03-15"), "{soon}");
        let late = expiry_warning(end, at("2026-03-16T00:00:00Z")).expect("a warning");
        assert!(late.contains("ended on 2026-03-15"), "{late}");
    }

    #[test]
    fn little_room_is_told_in_octets_and_in_files() {
        const GIB: u64 = 1 << 30;
        assert_eq!(little_room(20 * GIB, 500 * GIB, 0, 0), None, "a small part of a large disk is enough");
        assert_eq!(little_room(2 * GIB, 10 * GIB, 10, 100), None);
        assert_eq!(little_room(GIB / 4, 10 * GIB, 10, 100), Some("only 256 MiB left".to_owned()));
        assert_eq!(little_room(9 * GIB, 10 * GIB, 4, 100), Some("room for only 4 files".to_owned()));
    }
}
