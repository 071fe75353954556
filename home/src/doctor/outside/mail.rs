//! Rows of what port 25 takes, whether mail can leave, what the edge's name server says, and whether what senders are told holds.

use super::{Code, Row, Verdict, Wanted, port_name};
use crate::link::NotAsked;
use crate::look::Outside;
use crate::look::names::{NameServerSeen, NoSerial};
use crate::look::outbound::OutboundLook;
use crate::look::promises::{DaneSeen, PolicySeen};
use crate::look::relay::RelaySeen;

const SMTP: u16 = 25;

pub fn rows(seen: &Outside, wanted: &Wanted) -> Vec<Row> {
    let mut rows: Vec<Row> = seen.name_servers.iter().filter_map(|seen| name_server(seen, wanted)).collect();
    if let Some((_, relay)) = &seen.relay {
        rows.push(open_relay(relay));
    }
    rows.extend(seen.dane.as_ref().and_then(dane));
    rows.extend(seen.policies.iter().map(policy));
    rows.push(outbound(&seen.outbound));
    rows
}

fn open_relay(seen: &RelaySeen) -> Row {
    let named = |found: String| Row::well(Code::OpenRelay, port_name(SMTP), found);
    let RelaySeen { tried, accepted, ended } = seen;
    match (accepted.first(), ended) {
        (Some(first), _) => named(format!("a stranger may send to strangers: {} of {tried} forms are taken, {first}", accepted.len()))
            .but(Verdict::Failed)
            .expected("a refusal of every one")
            .mend("Home itself relays for nobody: see what answers at port 25 in its place. Shut it until then; spammers find it within hours."),
        (None, Some(why)) => named(format!("of the forms {tried} were refused, then the test ended: {why}")).but(Verdict::Unknown),
        (None, None) => named(format!("refuses a stranger's mail to strangers in all {tried} forms")),
    }
}

fn outbound(seen: &OutboundLook) -> Row {
    let named = |found: String| Row::well(Code::Outbound, "", found);
    let OutboundLook { servers, edge, tunnel, .. } = seen;
    if servers.found.is_empty() {
        let names: Vec<String> = servers.unknown.iter().map(ToString::to_string).collect();
        return named(format!("not tried: the DNS names no mail server of {}", names.join(", ")))
            .but(Verdict::Unknown)
            .mend("Name domains of your choice: `mail_servers` in the section `[doctor]` of home.toml.");
    }
    let through = match tunnel {
        Some(Ok(greeting)) => Ok(greeting),
        Some(Err(error)) => Err(error.clone()),
        None => Err("not tried".to_owned()),
    };
    let seen = match edge {
        Ok(seen) => seen,
        Err(error) => return by_tunnel_only(named, error, through),
    };
    let heard = seen.iter().filter(|seen| seen.greeting.is_some()).count();
    let all = seen.len();
    match (heard, through) {
        (0, _) => {
            let reasons: Vec<String> =
                seen.iter().filter_map(|seen| Some(format!("{} {}", seen.server, seen.error.as_ref()?))).collect();
            named(format!("the edge itself reaches none of {all} mail servers at port 25: {}", reasons.join("; ")))
                .but(Verdict::Failed)
                .expected("a greeting")
                .mend(
                    "The edge's provider does not let mail out. Ask it to (AWS: \"request to remove email sending \
                     limitations\"), or send by a relay: `postern-home relay add`.",
                )
        }
        (_, Err(error)) => named(format!("the edge reaches {heard} of {all} mail servers, but home does not through the tunnel: {error}"))
            .but(Verdict::Failed)
            .expected("a greeting")
            .mend("See that 25 is in `home_may_connect_to` in edge.toml, and what `postern-edge status` says of other firewalls."),
        (_, Ok(greeting)) => named(format!("{heard} of {all} mail servers greet the edge, and home through it: `{greeting}`")),
    }
}

fn by_tunnel_only(named: impl Fn(String) -> Row, error: &NotAsked, through: Result<&String, String>) -> Row {
    match through {
        Ok(greeting) => named(format!("a mail server greets home through the edge: `{greeting}`")),
        Err(why) => named(format!(
            "no mail server greets home through the edge: {why}; the edge was not asked: {error}"
        ))
        .but(Verdict::Failed)
        .expected("a greeting")
        .mend("The edge's provider may block port 25: ask it, or send by a relay: `postern-home relay add`."),
    }
}

/// An address that this machine has no way to is passed over: others are asked as well.
fn name_server(seen: &NameServerSeen, wanted: &Wanted) -> Option<Row> {
    let named =
        |found: String| Row::well(Code::NameServer, &seen.domain, format!("{}: {found}", seen.address));
    let serial = wanted.serials.get(&seen.domain);
    match (&seen.udp, &seen.tcp) {
        (Err(NoSerial::NoWay), _) | (_, Err(NoSerial::NoWay)) => None,
        (Ok(udp), Ok(tcp)) if udp == tcp && serial.is_none_or(|serial| serial == udp) => {
            Some(named(format!("answers by UDP and TCP with serial {udp}")))
        }
        (Ok(udp), Ok(tcp)) => Some(
            named(format!("answers with serial {udp} by UDP and {tcp} by TCP"))
                .but(Verdict::Warning)
                .expected(serial.map_or("the same by both".to_owned(), |serial| format!("serial {serial}")))
                .mend("Ask again in a moment; if it stays so, something on the way answers from its memory."),
        ),
        (udp, tcp) => {
            let part = |name: &str, outcome: &Result<u32, NoSerial>| match outcome {
                Ok(serial) => format!("by {name} serial {serial}"),
                Err(error) => format!("by {name} it {error}"),
            };
            Some(
                named(format!("{}; {}", part("UDP", udp), part("TCP", tcp)))
                    .but(Verdict::Failed)
                    .expected("an answer by both")
                    .mend("Open port 53, UDP and TCP, in the firewall of the edge's provider; some lines at home also meddle with port 53."),
            )
        }
    }
}

fn dane(seen: &DaneSeen) -> Option<Row> {
    let named = |found: String| Row::well(Code::Dane, port_name(SMTP), found);
    Some(match seen {
        DaneSeen::None => return None,
        DaneSeen::Matches(records) => named(format!("the certificate that is shown is one of the {records} that the TLSA records name")),
        DaneSeen::Differs(error) => named(format!("the certificate that is shown is none that the TLSA records name: {error}"))
            .but(Verdict::Failed)
            .expected("one that they name: senders who look at them do not deliver otherwise")
            .mend("See `postern-home cert list`; the DNS may show old records for some hours after a change that was not announced."),
        DaneSeen::Unknown(error) => named(format!("whether TLSA records fit is not known: {error}")).but(Verdict::Unknown),
    })
}

fn policy(seen: &PolicySeen) -> Row {
    let named = |found: String| Row::well(Code::PolicyFetched, &seen.domain, found);
    let in_one_line = |text: &str| text.lines().collect::<Vec<_>>().join(", ");
    match &seen.fetched {
        Ok(text) if *text == seen.published => {
            named(format!("the MTA-STS policy is fetched as it is published, {}", seen.way))
        }
        Ok(text) => named(format!("another MTA-STS policy is fetched: {}", in_one_line(text)))
            .but(Verdict::Failed)
            .expected(in_one_line(&seen.published))
            .mend("Another server answers at port 443 in home's place."),
        Err(error) => named(format!("the MTA-STS policy cannot be fetched: {error}"))
            .but(Verdict::Failed)
            .mend("See the rows `port` and `presented` of 443, and `postern-home cert list`."),
    }
}

#[cfg(test)]
mod tests {
    use postern_shared::look::ServerSeen;

    use super::*;
    use crate::look::outbound::Servers;

    fn server(greeting: Option<&str>) -> ServerSeen {
        ServerSeen {
            server: "198.51.100.25".parse().expect("an address"),
            from: None,
            milliseconds: 4000,
            greeting: greeting.map(str::to_owned),
            error: greeting.is_none().then(|| "no answer to the connection within 4 s".to_owned()),
        }
    }

    fn looked(edge: Result<Vec<ServerSeen>, NotAsked>, tunnel: Result<&str, &str>) -> Row {
        let found = vec![("stranger.test".parse().expect("a name"), server(None).server)];
        outbound(&OutboundLook {
            servers: Servers { found, unknown: Vec::new() },
            edge,
            tunnel: Some(tunnel.map(str::to_owned).map_err(str::to_owned)),
            own_line: None,
        })
    }

    #[test]
    fn who_keeps_mail_in_is_told_apart() {
        let blocked = looked(Ok(vec![server(None)]), Err("late"));
        assert!(
            blocked.verdict == Verdict::Failed && blocked.mend.is_some_and(|mend| mend.contains("provider"))
        );
        let between = looked(Ok(vec![server(Some("220 mx"))]), Err("late"));
        assert!(between.mend.is_some_and(|mend| mend.contains("home_may_connect_to")));
        assert_eq!(looked(Ok(vec![server(Some("220 mx"))]), Ok("220 mx")).verdict, Verdict::Well);
        assert_eq!(looked(Err(NotAsked::TooOld), Ok("220 mx")).verdict, Verdict::Well);
        assert_eq!(looked(Err(NotAsked::TooOld), Err("late")).verdict, Verdict::Failed);
    }

    #[test]
    fn one_form_that_is_taken_makes_an_open_relay_and_an_early_end_nothing_certain() {
        let seen = |accepted: &[&str], ended: Option<&str>| RelaySeen {
            tried: 7,
            accepted: accepted.iter().map(|form| (*form).to_owned()).collect(),
            ended: ended.map(str::to_owned),
        };
        assert_eq!(open_relay(&seen(&[], None)).verdict, Verdict::Well);
        assert_eq!(open_relay(&seen(&[], Some("421"))).verdict, Verdict::Unknown);
        assert_eq!(open_relay(&seen(&["from <> to <a@b>"], Some("421"))).verdict, Verdict::Failed);
    }
}
