//! Rows of the ports: whether a client of the world reaches each.
//!
//! | from the internet | by the mirror | then |
//! |---|---|---|
//! | answers | | well |
//! | not tried: no way there, or port 25 that the own line lets nobody's out | answers | well where strangers have come; else not known |
//! | does not answer | answers | what stands before the edge keeps it away |
//! | does not answer | does not answer | the service, the edge or the tunnel |

use super::{Code, Row, Verdict, Wanted, is_answered, mirrorless, port_name};
use crate::look::port::PortSeen;
use crate::look::way::NoConnection;
use crate::look::{Outside, PortLook};

const SMTP: u16 = 25;
const SUBMISSION: u16 = 587;

pub fn rows(seen: &Outside, wanted: &Wanted) -> Vec<Row> {
    let rows = seen.ports.iter().map(|(port, look)| {
        let row = row(seen, *port, look);
        match named_otherwise(*port, look, wanted).filter(|_| row.verdict == Verdict::Well) {
            Some(host) => row
                .but(Verdict::Warning)
                .expected(format!("`220 {host}`"))
                .mend("Another server's name: see that what answers is this home."),
            None => row,
        }
    });
    rows.collect()
}

/// The mail host, where the server greets by another name (RFC 5321 §4.2).
fn named_otherwise<'a>(port: u16, look: &PortLook, wanted: &'a Wanted) -> Option<&'a str> {
    let host = wanted.mail_host.as_str();
    let greeting = look.best()?.outcome.as_ref().ok()?.greeting.as_ref()?;
    let name = greeting.get(4..)?.split(' ').next()?;
    (matches!(port, SMTP | SUBMISSION) && !name.eq_ignore_ascii_case(host)).then_some(host)
}

fn row(seen: &Outside, port: u16, look: &PortLook) -> Row {
    let named = |found: String| Row::well(Code::Port, port_name(port), found);
    // A connection that the own line does not let out says nothing of the edge.
    let is_shut_here = port == SMTP && seen.outbound.own_line == Some(false);
    let (tried, untried): (Vec<_>, Vec<_>) = look.internet.iter().partition(|seen| {
        let is_untried = matches!(seen.outcome, Err(NoConnection::NoWay))
            || (is_shut_here && matches!(seen.outcome, Err(NoConnection::Silent | NoConnection::Refused)));
        !is_untried
    });
    let failing: Vec<_> = tried.iter().filter_map(|seen| Some((*seen, trouble(seen)?))).collect();
    let mirrored: Vec<_> = look.mirror.iter().filter_map(trouble).collect();
    if let Some((seen_failing, why)) = failing.first() {
        return failed(seen, look, named, &format!("{} {why}", seen_failing.server.ip()));
    }
    if tried.is_empty() {
        return untried_row(seen, port, look, named, &mirrored, is_shut_here);
    }
    let addresses: Vec<String> = tried.iter().map(|seen| seen.server.ip().to_string()).collect();
    let mut found = format!("answers from the internet at {}{}", addresses.join(" and "), greeting(look));
    if let Some(why) = mirrored.first() {
        found += &format!("; by the mirror it {why}");
    }
    for seen in untried {
        let ip = seen.server.ip();
        let of_family = look.mirror.iter().find(|mirror| mirror.server.is_ipv6() == seen.server.is_ipv6());
        found += &match of_family.map(trouble) {
            Some(None) => format!("; at {ip} by the mirror only, as this machine has no way there"),
            Some(Some(why)) => format!("; at {ip} by the mirror it {why}"),
            None => format!("; {ip} not tried, as this machine has no way there"),
        };
        if matches!(of_family.map(trouble), Some(Some(_))) {
            return named(found)
                .but(Verdict::Failed)
                .mend("See `postern-home status` and, at the edge, `postern-edge status`.");
        }
    }
    named(found)
}

/// Why a look did not end well; the text ends the sentence "the port …".
fn trouble(seen: &PortSeen) -> Option<String> {
    match &seen.outcome {
        Err(reason) => Some(reason.to_string()),
        Ok(answered) => answered.broken.as_ref().map(|why| format!("answers, but not as it should: {why}")),
    }
}

fn greeting(look: &PortLook) -> String {
    let answered = look.best().and_then(|seen| seen.outcome.as_ref().ok());
    let greeting = answered.and_then(|answered| answered.greeting.as_ref());
    greeting.map(|line| format!(", `{line}`")).unwrap_or_default()
}

fn untried_row(
    seen: &Outside,
    port: u16,
    look: &PortLook,
    named: impl Fn(String) -> Row,
    mirrored: &[String],
    is_shut_here: bool,
) -> Row {
    let why = match is_shut_here {
        true => "this machine's own line lets no connection to anybody's port 25 out",
        false => "this machine has no way of its own to the edge's address",
    };
    if let Some(trouble) = mirrored.first() {
        let found = format!("not tried from the internet, as {why}; by the mirror it {trouble}");
        return named(found)
            .but(Verdict::Failed)
            .mend("See that the service listens: `postern-home status`.");
    }
    if !is_answered(look) {
        let remark = seen.mirror.as_ref().err().map(mirrorless).unwrap_or_default();
        return named(format!("not tried from the internet, as {why}. {remark}")).but(Verdict::Unknown);
    }
    match strangers(seen, port) {
        Some(strangers) if strangers > 0 => named(format!(
            "answers by the mirror{}, and {strangers} connections have come from the internet since the edge was started \
             (not tried from here, as {why})",
            greeting(look)
        )),
        _ => named(format!("answers by the mirror{}; not tried from the internet, as {why}", greeting(look)))
            .but(Verdict::Unknown)
            .mend("Have somebody write to you from elsewhere, or connect from another line; then ask again."),
    }
}

/// Connections of others to port 25 that the edge has counted; not known of other ports.
fn strangers(seen: &Outside, port: u16) -> Option<u64> {
    let counters = &seen.status.as_ref().ok()?.counters;
    let mirrored = counters.get("mirrored_smtp").filter(|_| port == SMTP)?;
    Some(counters.get("port_25")?.packets.saturating_sub(mirrored.packets))
}

fn failed(seen: &Outside, look: &PortLook, named: impl Fn(String) -> Row, why: &str) -> Row {
    let passes = look.mirror.iter().any(|seen| trouble(seen).is_none());
    let has_arrived = look.arrived.is_some_and(|arrived| arrived > 0);
    let (found, mend) = match (&seen.mirror, passes) {
        (Ok(_), true) if look.arrived == Some(0) => (
            format!("from the internet {why}: no connection came as far as the edge, which would pass it on (the mirror answers)"),
            "Open this TCP port in the firewall of the edge's provider (at AWS the security group), and in any router before the edge.".to_owned(),
        ),
        (Ok(_), true) => (
            format!("from the internet {why}, though the mirror answers{}", if has_arrived { " and connections reach the edge" } else { "" }),
            "Something between the edge and the internet, or another firewall at the edge, keeps it away: `postern-edge status` names what it knows.".to_owned(),
        ),
        (Ok(mirror), false) => {
            let by_mirror = look.mirror.iter().find_map(trouble).unwrap_or_else(|| "is not passed on".to_owned());
            let held = mirror.held.as_ref().map(|held| format!(" The edge says: {held}")).unwrap_or_default();
            (
                format!("from the internet {why}; by the mirror it {by_mirror}"),
                format!("See that the service listens: `postern-home status`.{held}"),
            )
        }
        (Err(error), _) => (
            format!("from the internet {why}"),
            format!("Open this TCP port in the firewall of the edge's provider, and see that the service listens: `postern-home status`. {}", mirrorless(error)),
        ),
    };
    named(found).but(Verdict::Failed).expected("an answer at every public address").mend(mend)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use postern_shared::control::{Count, Status};
    use postern_shared::look::Mirror;

    use super::*;
    use crate::link::NotAsked;
    use crate::look::Way;
    use crate::look::outbound::{OutboundLook, Servers};
    use crate::look::port::Answered;

    const EDGE: &str = "192.0.2.10";

    fn seen(way: Way, port: u16, outcome: Result<Answered, NoConnection>) -> PortSeen {
        PortSeen { server: SocketAddr::new(EDGE.parse().expect("an address"), port), way, outcome }
    }

    fn wanted() -> Wanted {
        Wanted {
            mail_host: "mail.home.example".parse().expect("a name"),
            shown: Vec::new(),
            serials: Default::default(),
            path_mtu: None,
        }
    }

    /// One port, seen from the internet and by the mirror; `own_line` says whether port 25 is let out at home.
    fn judged(
        port: u16,
        internet: Result<Answered, NoConnection>,
        mirror: Result<Answered, NoConnection>,
        change: impl FnOnce(&mut Outside),
    ) -> Row {
        let look = PortLook {
            internet: vec![seen(Way::Internet, port, internet)],
            mirror: vec![seen(Way::Mirror, port, mirror)],
            arrived: Some(0),
        };
        let outbound = OutboundLook {
            servers: Servers { found: Vec::new(), unknown: Vec::new() },
            edge: Ok(Vec::new()),
            tunnel: None,
            own_line: Some(true),
        };
        let mut outside = Outside {
            status: Ok(Status::default()),
            facts: Err(NotAsked::TooOld),
            echo: Err(NotAsked::TooOld),
            mirror: Ok(Mirror::default()),
            outbound,
            ports: [(port, look)].into(),
            relay: None,
            dane: None,
            policies: Vec::new(),
            name_servers: Vec::new(),
        };
        change(&mut outside);
        rows(&outside, &wanted()).pop().expect("a row")
    }

    fn answers() -> Result<Answered, NoConnection> {
        Ok(Answered { greeting: Some("220 mail.home.example".to_owned()), ..Answered::default() })
    }

    const SILENT: Result<Answered, NoConnection> = Err(NoConnection::Silent);

    #[test]
    fn what_answers_from_the_internet_is_well() {
        let row = judged(25, answers(), answers(), |_| {});
        assert_eq!(row.found, "answers from the internet at 192.0.2.10, `220 mail.home.example`");
        assert_eq!(row.verdict, Verdict::Well);
        let other =
            Answered { greeting: Some("220 mx.elsewhere.test ESMTP".to_owned()), ..Answered::default() };
        let row = judged(25, Ok(other.clone()), Ok(other), |_| {});
        assert!(
            row.verdict == Verdict::Warning && row.expected.as_deref() == Some("`220 mail.home.example`")
        );
    }

    #[test]
    fn a_port_that_only_the_mirror_finds_is_kept_away_before_the_edge() {
        let row = judged(993, SILENT, answers(), |_| {});
        assert!(
            row.verdict == Verdict::Failed && row.found.contains("no connection came as far as the edge"),
            "{row:?}"
        );
        assert!(row.mend.is_some_and(|mend| mend.contains("provider")));
        let row = judged(993, SILENT, answers(), |outside| {
            outside.ports.values_mut().for_each(|look| look.arrived = Some(2))
        });
        assert!(row.found.contains("connections reach the edge"), "{row:?}");
        let row = judged(993, SILENT, Err(NoConnection::Refused), |_| {});
        assert!(row.mend.is_some_and(|mend| mend.contains("service listens")));
    }

    #[test]
    fn a_line_that_lets_no_port_25_out_says_nothing_of_the_edge_and_strangers_who_came_do() {
        let shut = |outside: &mut Outside| outside.outbound.own_line = Some(false);
        let row = judged(25, SILENT, answers(), shut);
        assert!(
            row.verdict == Verdict::Unknown && row.found.contains("own line lets no connection"),
            "{row:?}"
        );
        assert_eq!(judged(993, SILENT, answers(), shut).verdict, Verdict::Failed, "other ports are let out");
        let row = judged(25, SILENT, answers(), |outside| {
            shut(outside);
            let Ok(status) = &mut outside.status else { return };
            for (name, packets) in [("port_25", 9), ("mirrored_smtp", 2)] {
                status.counters.insert(name.to_owned(), Count { packets, octets: 0 });
            }
        });
        assert!(row.verdict == Verdict::Well && row.found.contains("7 connections have come"), "{row:?}");
        let row = judged(25, SILENT, SILENT, shut);
        assert_eq!(row.verdict, Verdict::Failed, "the mirror shows that nothing answers");
    }

    #[test]
    fn an_edge_without_a_mirror_leaves_what_the_internet_shows() {
        let too_old = |outside: &mut Outside| {
            outside.mirror = Err(NotAsked::TooOld);
            outside.ports.values_mut().for_each(|look| look.mirror.clear());
        };
        assert_eq!(judged(993, answers(), SILENT, too_old).verdict, Verdict::Well);
        let row = judged(993, SILENT, SILENT, too_old);
        assert!(
            row.verdict == Verdict::Failed && row.mend.as_ref().is_some_and(|mend| mend.contains("too old")),
            "{row:?}"
        );
        let row = judged(993, Err(NoConnection::NoWay), SILENT, too_old);
        assert_eq!(row.verdict, Verdict::Unknown, "{row:?}");
    }
}
