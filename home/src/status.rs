//! `postern-home status`: how home is, in one picture, with what a person should look at.
//!
//! In: the running services. Out: a [`Status`], as JSON and as text. Warnings do not stop any service; the command ends
//! with status 3 when there are some.

mod conditions;

use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;

use jiff::Timestamp;
use postern_message::address::DomainName;
use postern_shared::cli::write_row;
use postern_store::directory::DnsHosting;
use serde::{Deserialize, Serialize};

use crate::admin::Admin;
use crate::link::{LinkStatus, Protection};
use crate::mta_sts;
use crate::notices::Condition;
use crate::relay::warm_up::Plan;
use crate::reputation::rates::Rate;
use crate::reputation::{self, Naming, Standing};
use crate::survey::Seen;
use crate::zone::publish::Report;

pub use conditions::little_room;

/// How home is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// What home is called.
    pub hostname: DomainName,
    /// The tunnel and the edge.
    pub link: LinkStatus,
    /// Domains, in alphabetical order.
    pub domains: Vec<DomainName>,
    /// Their zones as they were signed.
    #[serde(default)]
    pub zones: Report,
    /// How the world sees the domains' DNS.
    #[serde(default)]
    pub dns: Vec<Seen>,
    /// How many users there are.
    pub users: usize,
    /// How many aliases there are.
    pub aliases: usize,
    /// How many messages wait to be delivered.
    pub queued: u64,
    /// Whether the mail is encrypted on the disk.
    #[serde(default)]
    pub sealed: bool,
    /// Each service and the address it listens on.
    pub listeners: Vec<Listener>,
    /// The certificate that is shown.
    pub certificate: Certificate,
    /// What other servers are told of TLS here, for each domain.
    #[serde(default)]
    pub mta_sts: Vec<mta_sts::Report>,
    /// What the world thinks of the address that mail leaves from.
    #[serde(default)]
    pub reputation: reputation::Report,
    /// What the destinations that put off or refused most took today.
    #[serde(default)]
    pub sent_today: Vec<Rate>,
    /// How much goes directly to large receivers today while the edge's address is young.
    #[serde(default)]
    pub warm_up: Vec<Plan>,
    /// Sentences about what a person should look at.
    pub warnings: Vec<String>,
}

/// Destinations in a status.
const DESTINATIONS: usize = 10;

/// One listening service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// `smtp`, `submissions`, `submission`, `imaps`, `pop3s`, `pop3` or `https`.
    pub service: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether that is inside the tunnel only; otherwise it is on this machine.
    #[serde(default)]
    pub tunnel: bool,
}

/// What is listened on, and what could not be.
#[derive(Debug, Clone, Default)]
pub struct Listening {
    /// Each service and the address it listens on.
    pub listeners: Vec<Listener>,
    /// Sentences about addresses that could not be listened on.
    pub warnings: Vec<String>,
}

/// The certificate that is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Whether home made it itself.
    pub self_signed: bool,
    /// SHA-256 of its DER, in hexadecimal with colons.
    pub fingerprint: String,
    /// When it ends; absent where the certificate does not say so in a way that is understood.
    pub expires: Option<Timestamp>,
}

/// Gathers the status, and what in it a person should look at; blocks on the disk.
pub fn gather(admin: &Admin) -> (Status, Vec<Condition>) {
    let snapshot = admin.directory.snapshot();
    let queued = admin.queue.len();
    let mut status = Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        hostname: admin.hostname.current(),
        link: admin.link.status(),
        domains: snapshot.domains().cloned().collect(),
        zones: admin.zones.borrow().clone(),
        dns: admin.survey.outlook(),
        users: snapshot.users().count(),
        aliases: snapshot.aliases().count(),
        queued: *queued.as_ref().unwrap_or(&0),
        sealed: admin.store.is_sealed(),
        listeners: admin.listening.listeners.clone(),
        certificate: Certificate {
            self_signed: admin.tls.is_self_signed(),
            fingerprint: admin.tls.fingerprint(),
            expires: admin.tls.expires(),
        },
        mta_sts: policies(admin),
        reputation: admin.reputation.borrow().clone(),
        sent_today: admin.tally.worst(DESTINATIONS),
        warm_up: admin.relays.plans(Timestamp::now()),
        warnings: Vec::new(),
    };
    let conditions = conditions::of(&status, admin, queued);
    status.warnings = conditions.iter().map(|condition| condition.text.clone()).collect();
    (status, conditions)
}

/// How the policy of each domain is.
pub fn policies(admin: &Admin) -> Vec<mta_sts::Report> {
    let seen = admin.web.borrow();
    seen.iter().map(|(domain, seen)| seen.report(domain, admin.enforce_after)).collect()
}

impl Display for Status {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let domains: Vec<&str> = self.domains.iter().map(DomainName::as_str).collect();
        let kind = if self.certificate.self_signed { "self-signed" } else { "issued" };
        row(formatter, "host name", &self.hostname)?;
        row(formatter, "version", &self.version)?;
        write_link(formatter, &self.link)?;
        row(formatter, "domains", &if domains.is_empty() { "none".to_owned() } else { domains.join(", ") })?;
        row(formatter, "users", &self.users)?;
        row(formatter, "aliases", &self.aliases)?;
        row(formatter, "queued", &self.queued)?;
        row(formatter, "on the disk", if self.sealed { &"sealed" } else { &"not sealed" })?;
        for listener in &self.listeners {
            let place = if listener.tunnel { ", inside the tunnel" } else { "" };
            row(formatter, &listener.service, &format_args!("{}{place}", listener.address))?;
        }
        for zone in &self.zones.zones {
            let until = zone.expires.strftime("%Y-%m-%d");
            row(
                formatter,
                "signed",
                &format_args!("{}, serial {}, until {until}", zone.domain, zone.serial),
            )?;
        }
        self.dns.iter().try_for_each(|seen| write_seen(formatter, seen))?;
        let expires =
            self.certificate.expires.map(|time| format!(", good until {}", time.strftime("%Y-%m-%d")));
        row(formatter, "certificate", &format_args!("{kind}{}", expires.unwrap_or_default()))?;
        self.mta_sts.iter().try_for_each(|policy| row(formatter, "MTA-STS", policy))?;
        self.reputation.addresses.iter().try_for_each(|standing| write_standing(formatter, standing))?;
        self.sent_today.iter().try_for_each(|rate| write_rate(formatter, rate))?;
        self.warm_up.iter().try_for_each(|plan| write_plan(formatter, plan))?;
        row(formatter, "SHA-256", &in_halves(&self.certificate.fingerprint))?;
        self.warnings.iter().try_for_each(|warning| row(formatter, "warning:", warning))
    }
}

fn write_plan(formatter: &mut Formatter<'_>, plan: &Plan) -> fmt::Result {
    let Plan { receiver, direct, volume, .. } = plan;
    row(
        formatter,
        "warm-up",
        &format_args!("{receiver}: {direct} of at most {volume} messages today went directly"),
    )
}

fn write_link(formatter: &mut Formatter<'_>, link: &LinkStatus) -> fmt::Result {
    match &link.edge {
        Some(edge) => row(formatter, "edge", &format_args!("{edge}, {}", link.state))?,
        None => row(formatter, "edge", &link.state)?,
    }
    if let Some(addresses) = &link.addresses {
        let public: Vec<String> = addresses.public.iter().map(ToString::to_string).collect();
        row(formatter, "public", &public.join(", "))?;
        row(formatter, "inner", &format_args!("{}, {}", addresses.home_v4, addresses.home_v6))?;
    }
    row(formatter, "link", &format_args!("{}", link.described_kind()))?;
    for zone in &link.zones {
        let accepted = if zone.accepted { "served" } else { "not yet served" };
        row(
            formatter,
            "zone",
            &format_args!("{}, serial {}, {accepted}", zone.origin.trim_end_matches('.'), zone.serial),
        )?;
    }
    for secondary in &link.secondaries {
        row(formatter, "secondary", secondary)?;
    }
    if let Some(protection) = &link.protection {
        write_protection(formatter, protection)?;
    }
    row(formatter, "identity", &link.identity)
}

fn write_seen(formatter: &mut Formatter<'_>, seen: &Seen) -> fmt::Result {
    let Seen { domain, dns, looked, state, warning: _ } = seen;
    let what = match dns {
        DnsHosting::Here => "delegation",
        DnsHosting::External => "DNS elsewhere, records",
    };
    let looked = looked.strftime("%Y-%m-%d %H:%M UTC");
    row(formatter, "world", &format_args!("{domain}: {what} {state}, looked at {looked}"))
}

fn write_standing(formatter: &mut Formatter<'_>, standing: &Standing) -> fmt::Result {
    let name = match &standing.name {
        Naming::Confirmed(name) => format!("named {name}"),
        Naming::Missing => "no name leads back to it".to_owned(),
        Naming::Unknown => "its name is not known".to_owned(),
    };
    let lists: Vec<&str> = standing.listed.iter().map(|listing| listing.list.as_str()).collect();
    let listed = if lists.is_empty() {
        "on no list that was asked".to_owned()
    } else {
        format!("on {}", lists.join(", "))
    };
    row(formatter, "mail from", &format_args!("{}, {name}, {listed}", standing.address))
}

fn write_rate(formatter: &mut Formatter<'_>, rate: &Rate) -> fmt::Result {
    let Rate { destination, taken, deferred, refused } = rate;
    let text = format_args!("{destination} today: taken {taken}, put off {deferred}, refused {refused}");
    row(formatter, "mail to", &text)
}

fn write_protection(formatter: &mut Formatter<'_>, protection: &Protection) -> fmt::Result {
    let count = |name: &str| protection.counters.get(name).map_or(0, |count| count.packets);
    for (public, home) in &protection.forward {
        let connections = count(&format!("port_{public}"));
        row(formatter, "forwarded", &format_args!("{public} to {home}, connections so far: {connections}"))?;
    }
    let bans =
        protection.bans.map_or("not by this edge, which is too old".to_owned(), |bans| bans.to_string());
    row(formatter, "bans", &format_args!("{bans}, packets dropped: {}", count("dropped_banned")))?;
    row(
        formatter,
        "limits",
        &format_args!("packets dropped of clients that came too fast: {}", count("dropped_limited")),
    )?;
    let [smtp, others] = ["held_smtp", "held_others"].map(count);
    row(
        formatter,
        "held",
        &format_args!("SMTP connections told to come later: {smtp}, others refused: {others}"),
    )
}

/// A fingerprint is longer than a line.
fn in_halves(fingerprint: &str) -> String {
    let middle = fingerprint.len() / 2 + 1;
    fingerprint
        .split_at_checked(middle)
        .map_or(fingerprint.to_owned(), |(left, right)| format!("{left} {right}"))
}

fn row(formatter: &mut Formatter<'_>, label: &str, value: &dyn Display) -> fmt::Result {
    write_row(formatter, 13, label, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_fits_on_two_lines() {
        let fingerprint = vec!["AB"; 32].join(":");
        let halves = in_halves(&fingerprint);
        assert!(halves.split(' ').all(|half| half.len() <= 48), "{halves}");
        assert_eq!(halves.replace(' ', ""), fingerprint);
    }
}
