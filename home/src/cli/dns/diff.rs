//! `postern-home dns diff`: what the world's servers answer beside what home publishes.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use postern_message::address::DomainName;
use postern_shared::cli::{Exit, Failure, time_text, write_row};

use super::{Client, delegation};
use crate::survey::Difference;
use crate::survey::delegation::State;
use crate::survey::difference::{Deviation, View};

/// Where the values begin.
const INDENT: usize = 13;

pub(super) fn show(client: &Client, domain: &DomainName) -> Result<Exit, Failure> {
    let difference: Difference = client.fetch(&format!("/v1/dns/{domain}/diff"))?;
    client.print(&difference, Report(&difference))?;
    Ok(delegation::exit(difference.state))
}

struct Report<'a>(&'a Difference);

impl Display for Report<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self(difference) = self;
        if let Some(serial) = difference.serial {
            write_row(formatter, INDENT, "here", format_args!("{}, serial {serial}", difference.domain))?;
        }
        difference.views.iter().try_for_each(|view| write_view(formatter, view))?;
        write_outcome(formatter, difference)
    }
}

fn write_view(formatter: &mut Formatter<'_>, view: &View) -> fmt::Result {
    let View { host, address, serial, right, deviations, fault } = view;
    let (label, name) = match host {
        Some(host) => ("server", format!("{host} ({address})")),
        None => ("resolver", address.to_string()),
    };
    let serial = serial.map(|serial| format!(", serial {serial}")).unwrap_or_default();
    let said = match fault {
        Some(fault) => fault.to_string(),
        None => format!("{right} record sets right, {} not", deviations.len()),
    };
    write_row(formatter, INDENT, label, format_args!("{name}{serial}: {said}"))?;
    deviations.iter().try_for_each(|deviation| write_deviation(formatter, deviation))
}

/// What the servers said is a stranger's word: one line each, without control characters.
fn write_deviation(formatter: &mut Formatter<'_>, deviation: &Deviation) -> fmt::Result {
    let Deviation { kind, owner, record_type, here, there, ttl, needed: _ } = deviation;
    writeln!(formatter, "  {kind:<11}{owner} {record_type}")?;
    let mut line = |label: &str, data: &str| {
        writeln!(formatter, "    {label:<9}{}", data.replace(char::is_control, " "))
    };
    here.iter().try_for_each(|data| line("here", data))?;
    there.iter().try_for_each(|data| line("there", data))?;
    match ttl {
        Some(ttl) => line("kept for", &time_text(Duration::from_secs((*ttl).into()))),
        None => Ok(()),
    }
}

fn write_outcome(formatter: &mut Formatter<'_>, difference: &Difference) -> fmt::Result {
    if let Some(trouble) = &difference.trouble {
        return write_row(formatter, INDENT, &format!("{}:", difference.state), trouble);
    }
    let next = match (difference.state, difference.serial) {
        (State::Right, _) => "The world sees what home publishes. There is nothing to do.",
        (State::Waiting, _) => {
            "The domain's own servers are right. The resolver still keeps what it learnt before; that passes by itself."
        }
        (State::Unknown, _) => "None of the servers could be asked.",
        (State::Todo | State::Broken, Some(_)) => {
            "A server that has an older serial gets the new zone within minutes while the link is up: see `postern-home status`. \
             Servers with other faults: see `postern-home dns delegation`."
        }
        (State::Todo | State::Broken, None) => {
            "Enter what is missing or different at the provider that has the DNS, and remove what is extra: `postern-home dns \
             show` has the records, with `--form web` as the fields of a web page."
        }
    };
    write_row(formatter, INDENT, &format!("{}:", difference.state), next)
}
