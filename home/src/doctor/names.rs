//! Rows of what the world's names say: the parent zone, the domains' servers, the edge's address.

use postern_message::address::DomainName;
use postern_shared::secondary::SecondaryStatus;

use super::code::Code;
use super::row::{Row, Verdict};
use crate::link::ZonePush;
use crate::reputation::{Naming, Standing};
use crate::survey::delegation::{Finding, Noted, State};
use crate::survey::difference::{Deviation, View};
use crate::survey::{Delegation, Difference};

/// Record sets that one row names.
const NAMED: usize = 6;

/// The edge's copy of each zone, and what hinders the signing.
pub fn zones(zones: &[ZonePush], troubles: &[String]) -> Vec<Row> {
    let row = |zone: &ZonePush| {
        let origin = zone.origin.trim_end_matches('.');
        let serial = zone.serial;
        if zone.accepted {
            return Row::well(Code::Zone, origin, format!("the edge serves serial {serial}"));
        }
        let why = zone.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        let verdict = if zone.error.is_some() { Verdict::Failed } else { Verdict::Waiting };
        Row::well(Code::Zone, origin, format!("the edge does not serve serial {serial} yet{why}"))
            .but(verdict)
            .mend("It is pushed again by itself; where the edge refuses it, `postern-home dns show` shows what is in it.")
    };
    let trouble = |text: &String| Row::well(Code::Zone, "", text.clone()).but(Verdict::Failed);
    zones.iter().map(row).chain(troubles.iter().map(trouble)).collect()
}

/// Name servers, their addresses and the DS record, as the parent zone has them.
pub fn delegation(domain: &DomainName, looked: Result<Delegation, String>) -> Vec<Row> {
    let unknown = |why: String| vec![Row::well(Code::Delegation, domain, why).but(Verdict::Unknown)];
    let delegation = match looked {
        Ok(delegation) => delegation,
        Err(error) => return unknown(error),
    };
    if let Some(trouble) = delegation.trouble {
        return unknown(trouble);
    }
    let parent = delegation.parent.clone().unwrap_or_default();
    let registrar = &delegation.registrar;
    let glue: Vec<String> = registrar
        .glue
        .iter()
        .map(|host| {
            let addresses: Vec<String> = host.addresses.iter().map(ToString::to_string).collect();
            format!("{} {}", host.host, addresses.join(" "))
        })
        .collect();
    let ds: Vec<String> = registrar.keys.iter().map(|key| key.line.clone()).collect();
    let is_delegated = !delegation.findings.iter().any(|noted| noted.finding == Finding::NotDelegated);
    let part = |code: Code, expected: String, well: &str| {
        let of_code: Vec<&Noted> =
            delegation.findings.iter().filter(|noted| code_of(&noted.finding) == code).collect();
        match of_code.iter().map(|noted| noted.state).max() {
            None => Row::well(code, domain, format!("{parent} {well}")),
            Some(worst) => {
                let advice: Vec<&str> = of_code.iter().map(|noted| noted.advice.as_str()).collect();
                Row::well(code, domain, advice.join(" ")).but(verdict(code, worst)).expected(expected)
            }
        }
    };
    let mut rows = vec![part(
        Code::Delegation,
        registrar.name_servers.join(", "),
        "names the right servers, and they answer",
    )];
    if is_delegated {
        if !glue.is_empty() {
            rows.push(part(Code::Glue, glue.join("; "), "has their addresses"));
        }
        if delegation.parent_signed {
            rows.push(part(Code::Ds, ds.join("; "), "vouches for the zone's key"));
        } else {
            let found = format!("{parent} is not signed, so a DS record would mean nothing");
            rows.push(Row::well(Code::Ds, domain, found));
        }
    }
    rows
}

fn code_of(finding: &Finding) -> Code {
    match finding {
        Finding::NotDelegated
        | Finding::Lame { .. }
        | Finding::NameServerMissing { .. }
        | Finding::NameServerExtra { .. } => Code::Delegation,
        Finding::GlueWrong { .. } | Finding::GlueMissing { .. } => Code::Glue,
        Finding::DsUnknown { .. } | Finding::DsMissing | Finding::DsOutdated { .. } => Code::Ds,
    }
}

fn verdict(code: Code, state: State) -> Verdict {
    match (code, state) {
        (_, State::Right) => Verdict::Well,
        (_, State::Waiting) => Verdict::Waiting,
        (_, State::Unknown) => Verdict::Unknown,
        // A wrong address loses mail; a missing DS record does not.
        (Code::Glue, State::Todo) | (_, State::Broken) => Verdict::Failed,
        (_, State::Todo) => Verdict::Warning,
    }
}

/// The records at the domain's servers, beside what home publishes.
pub fn records(domain: &DomainName, looked: Result<Difference, String>) -> Vec<Row> {
    let difference = match looked {
        Ok(difference) => difference,
        Err(error) => return vec![Row::well(Code::Records, domain, error).but(Verdict::Unknown)],
    };
    if let Some(trouble) = &difference.trouble {
        let verdict = if difference.state == State::Broken { Verdict::Failed } else { Verdict::Unknown };
        return vec![Row::well(Code::Records, domain, trouble.clone()).but(verdict)];
    }
    let servers_right =
        difference.views.iter().filter(|view| view.host.is_some()).all(|view| view.deviations.is_empty());
    let rows: Vec<Row> =
        difference.views.iter().filter_map(|view| of_view(domain, view, servers_right)).collect();
    if !rows.is_empty() {
        return rows;
    }
    let most = difference.views.iter().map(|view| view.right).max().unwrap_or(0);
    vec![Row::well(
        Code::Records,
        domain,
        format!("{most} record sets are as home publishes them, at every server"),
    )]
}

/// `None` where all is right at this server.
fn of_view(domain: &DomainName, view: &View, servers_right: bool) -> Option<Row> {
    let server = view.host.clone().unwrap_or_else(|| "the resolver that home asks".to_owned());
    let about = format!("{domain} at {}", view.address);
    if let Some(fault) = &view.fault {
        // That this machine has no IPv6, say, is no fault of the server's.
        let verdict =
            if *fault == crate::survey::parent::Fault::NoRoute { Verdict::Well } else { Verdict::Warning };
        return (verdict != Verdict::Well)
            .then(|| Row::well(Code::Records, about, format!("{server} {fault}")).but(verdict));
    }
    if view.deviations.is_empty() {
        return None;
    }
    let short = |it: &Deviation| {
        let there = if it.there.is_empty() { "nothing".to_owned() } else { it.there.join(" | ") };
        format!("{} {} is {there}", it.owner.trim_end_matches('.'), it.record_type)
    };
    let wanted = |it: &Deviation| {
        let here: Vec<String> =
            it.here.iter().map(|data| format!("{} {} {data}", it.owner, it.record_type)).collect();
        if here.is_empty() { format!("no {} {}", it.owner, it.record_type) } else { here.join("; ") }
    };
    let found: Vec<String> = view.deviations.iter().take(NAMED).map(short).collect();
    let expected: Vec<String> = view.deviations.iter().take(NAMED).map(wanted).collect();
    let more = view.deviations.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let verdict = match &view.host {
        None if servers_right => Verdict::Waiting,
        _ if view.deviations.iter().any(|it| it.needed) => Verdict::Failed,
        _ => Verdict::Warning,
    };
    Some(
        Row::well(Code::Records, about, format!("{server}: {}{more}", found.join("; ")))
            .but(verdict)
            .expected(expected.join("; "))
            .mend(format!("`postern-home dns diff {domain}` shows each; `postern-home dns show {domain}` prints what to paste.")),
    )
}

/// Other name servers of the domains.
pub fn secondaries(secondaries: &[SecondaryStatus]) -> Vec<Row> {
    let row = |secondary: &SecondaryStatus| {
        let name = &secondary.name;
        if let Some(error) = &secondary.error {
            return Row::well(Code::Secondary, name, format!("it cannot transfer: {error}"))
                .but(Verdict::Warning)
                .mend(format!("`postern-home dns secondary show {name}` prints what its operator needs."));
        }
        let behind: Vec<String> = secondary
            .zones
            .iter()
            .filter(|zone| zone.is_behind())
            .map(|zone| match zone.serial {
                Some(serial) => format!("{} at serial {serial}", zone.origin),
                None => format!("{} not at all", zone.origin),
            })
            .collect();
        if behind.is_empty() {
            return Row::well(Code::Secondary, name, "it has the newest serial of every zone");
        }
        Row::well(Code::Secondary, name, format!("it has {}", behind.join(", "))).but(Verdict::Waiting)
    };
    secondaries.iter().map(row).collect()
}

/// Whether home's own questions are answered in full.
pub fn resolver(warning: Option<String>) -> Row {
    match warning {
        None => Row::well(Code::Resolver, "", "nothing is left out of its answers"),
        Some(warning) => Row::well(Code::Resolver, "", warning).but(Verdict::Warning),
    }
}

/// Name and standing of the addresses that mail leaves from.
pub fn reputation(addresses: &[Standing], hostname: &DomainName) -> Vec<Row> {
    addresses.iter().flat_map(|standing| [reverse_name(standing, hostname), blocklist(standing)]).collect()
}

fn reverse_name(standing: &Standing, hostname: &DomainName) -> Row {
    let row = |found: String| Row::well(Code::ReverseName, standing.address, found);
    let mend = format!(
        "Have the provider of the edge set the reverse name (PTR record) of {} to {hostname}.",
        standing.address
    );
    match &standing.name {
        Naming::Confirmed(name) if name.trim_end_matches('.').eq_ignore_ascii_case(hostname.as_str()) => {
            row(format!("{name}, which leads back"))
        }
        Naming::Confirmed(name) => row(format!("{name}, which leads back and is not what home calls itself"))
            .but(Verdict::Warning)
            .expected(hostname.to_string())
            .mend(mend),
        Naming::Missing => row("no name leads back, so that large receivers refuse its mail".to_owned())
            .but(Verdict::Failed)
            .expected(hostname.to_string())
            .mend(mend),
        Naming::Unknown => row("not looked at yet, or the DNS did not say".to_owned()).but(Verdict::Waiting),
    }
}

fn blocklist(standing: &Standing) -> Row {
    let row = |found: String| Row::well(Code::Blocklist, standing.address, found);
    if standing.listed.is_empty() {
        let silent: Vec<&str> = standing.silent.iter().map(DomainName::as_str).collect();
        return match (standing.asked, silent.as_slice()) {
            (0, _) => row("no list is asked".to_owned())
                .but(Verdict::Unknown)
                .mend("Name lists in home.toml, section `[reputation]`, key `blocklists`."),
            (asked, []) => row(format!("on none of {asked} lists")),
            (asked, silent) => row(format!("{} of {asked} lists do not say: {}", silent.len(), silent.join(", ")))
                .but(Verdict::Unknown)
                .mend(
                    "Some lists refuse whoever asks through a resolver that many use. Let home ask one of its own, such as unbound on this \
                     machine (key `resolver` in the section `[dns]`), or look the address up on the list's page.",
                ),
        };
    }
    let listed: Vec<String> =
        standing.listed.iter().map(|listing| format!("{}: {:?}", listing.list, listing.words)).collect();
    row(format!("on {}", listed.join("; "))).but(Verdict::Failed).expected("on none").mend(
        "Its pages say how an address comes off; until then a relay may carry the mail (docs/sending.md).",
    )
}
