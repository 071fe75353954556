//! `postern-home dns delegation`: what to give the registrar, and what the parent zone has of it.

use std::fmt::{self, Display, Formatter};

use postern_message::address::DomainName;
use postern_shared::cli::{Exit, Failure, time_text, write_row};
use std::time::Duration;

use super::Client;
use crate::survey::Delegation;
use crate::survey::delegation::{Asked, State};
use crate::zone::delegation::{Registrar, RegistrarKey};

/// Where the values begin.
const INDENT: usize = 15;

pub(super) fn show(client: &Client, domain: &DomainName) -> Result<Exit, Failure> {
    let delegation: Delegation = client.fetch(&format!("/v1/dns/{domain}/delegation"))?;
    client.print(&delegation, Report(&delegation))?;
    Ok(exit(delegation.state))
}

/// How a look at the world ends: 0 right, 3 to do or waiting, 1 nobody could be asked.
pub(super) fn exit(state: State) -> Exit {
    match state {
        State::Right => Exit::Done,
        State::Waiting | State::Todo | State::Broken => Exit::Warnings,
        State::Unknown => Exit::Failed,
    }
}

struct Report<'a>(&'a Delegation);

impl Display for Report<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self(delegation) = self;
        let parent = delegation.parent.as_deref().unwrap_or("the parent zone");
        writeln!(formatter, "For the registrar of {}:\n", delegation.domain)?;
        write_registrar(formatter, &delegation.registrar)?;
        writeln!(formatter, "\nWhat {parent} has:\n")?;
        delegation.parents.iter().try_for_each(|asked| write_asked(formatter, asked))?;
        delegation.servers.iter().try_for_each(|asked| write_asked(formatter, asked))?;
        writeln!(formatter)?;
        write_outcome(formatter, delegation)
    }
}

fn write_registrar(formatter: &mut Formatter<'_>, registrar: &Registrar) -> fmt::Result {
    for host in &registrar.name_servers {
        let glue = registrar.glue.iter().find(|glue| glue.host == *host);
        let addresses: Vec<String> =
            glue.iter().flat_map(|glue| &glue.addresses).map(ToString::to_string).collect();
        let value =
            if addresses.is_empty() { host.clone() } else { format!("{host}: {}", addresses.join(", ")) };
        write_row(formatter, INDENT, "name server", value)?;
    }
    registrar.keys.iter().try_for_each(|key| write_key(formatter, key))
}

/// The record as one line, then field by field, then the key for registrars that make the record themselves.
fn write_key(formatter: &mut Formatter<'_>, key: &RegistrarKey) -> fmt::Result {
    writeln!(formatter, "{:<INDENT$}{}", "DS", key.line)?;
    let mut field = |label: &str, value: &dyn Display| writeln!(formatter, "  {label:<13}{value}");
    field("key tag", &key.key_tag)?;
    field("algorithm", &format_args!("{} ({})", key.algorithm, key.algorithm_name))?;
    field("digest type", &format_args!("{} ({})", key.digest_type, key.digest_type_name))?;
    field("digest", &key.digest)?;
    field("key flags", &format_args!("{} (KSK)", key.flags))?;
    field("key protocol", &key.protocol)?;
    field("public key", &key.public_key)
}

fn write_asked(formatter: &mut Formatter<'_>, asked: &Asked) -> fmt::Result {
    let Asked { host, address, serial, fault } = asked;
    let said = match (fault, serial) {
        (Some(fault), _) => fault.to_string(),
        (None, Some(serial)) => format!("serves the zone, serial {serial}"),
        (None, None) => "answers".to_owned(),
    };
    write_row(formatter, INDENT, "asked", format_args!("{host} ({address}): {said}"))
}

fn write_outcome(formatter: &mut Formatter<'_>, delegation: &Delegation) -> fmt::Result {
    for noted in &delegation.findings {
        write_row(formatter, INDENT, &format!("{}:", noted.state), &noted.advice)?;
    }
    if let Some(trouble) = &delegation.trouble {
        return write_row(formatter, INDENT, "unknown:", trouble);
    }
    if !delegation.parent_signed {
        let sentences = "The parent zone is not signed, so it has no use for a DS record.";
        write_row(formatter, INDENT, "note:", sentences)?;
    }
    if delegation.state == State::Right {
        let sentences =
            "Name servers, addresses and DS records are as they shall be. There is nothing to do.";
        return write_row(formatter, INDENT, "right:", sentences);
    }
    let kept = time_text(Duration::from_secs(delegation.kept_seconds.into()));
    let sentences = format!(
        "What is changed at the registrar's first has to reach the parent zone; resolvers that have asked before may then keep \
         the old for up to {kept}."
    );
    write_row(formatter, INDENT, "note:", sentences)
}
