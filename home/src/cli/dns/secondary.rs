//! `postern-home dns secondary …`: other name servers that serve the zones too.
//!
//! In: a host name, addresses, domains. Out: what to put into the secondary's configuration, or a table of what each serves;
//! the exit code is 3 where one does not follow. Refused: what is no address of a name server, and what home refuses.

mod setup;

use std::net::{IpAddr, SocketAddr};

use clap::Subcommand;
use postern_message::address::DomainName;
use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;
use postern_shared::secondary::{DNS_PORT, SecondaryZone};

use super::Client;
use crate::admin::wire::Done;
use crate::admin::wire::secondary::{AddSecondary, RotateKey, SecondaryListed, SecondarySetup};
use crate::cli::table::Table;
use setup::Setup;

/// `postern-home dns secondary …`
#[derive(Debug, Subcommand)]
pub enum SecondaryCommand {
    /// Let another name server serve the zones too, and show what to put into its configuration
    #[command(
        after_help = "Examples:\n  postern-home dns secondary add ns3.home.example 203.0.113.53 2001:db8::53\n  \
                      postern-home dns secondary add puck.nether.example 203.0.113.7 --domain home.example"
    )]
    Add {
        /// Its host name: the one in the NS records
        name: DomainName,
        /// Where it is told of changes; with a port where that is not 53
        #[arg(required = true, value_parser = parse_address)]
        addresses: Vec<SocketAddr>,
        /// A domain that it serves, once for each; `all`, which is the default, means those to come too
        #[arg(long = "domain", value_name = "DOMAIN")]
        domains: Vec<String>,
    },
    /// List the secondaries and what they serve; ends with 3 where one does not follow
    #[command(after_help = "Example:\n  postern-home dns secondary list")]
    List,
    /// Show what to put into a secondary's configuration, with its key
    #[command(after_help = "Example:\n  postern-home dns secondary show ns3.home.example")]
    Show {
        /// Its host name
        name: DomainName,
    },
    /// Give a secondary a new key; the one before counts until the new one is used
    #[command(after_help = "Examples:\n  postern-home dns secondary rotate-key ns3.home.example\n  \
                      postern-home dns secondary rotate-key ns3.home.example --now")]
    RotateKey {
        /// Its host name
        name: DomainName,
        /// The key before ends at once: for one that others may have seen
        #[arg(long)]
        now: bool,
    },
    /// Let a name server transfer the zones no more, and take its name out of them
    #[command(after_help = "Example:\n  postern-home dns secondary remove ns3.home.example")]
    Remove {
        /// Its host name
        name: DomainName,
    },
}

pub(super) fn execute(client: &Client, command: SecondaryCommand) -> Result<Exit, Failure> {
    let path = |name: &DomainName| format!("/v1/secondaries/{name}");
    let show = |setup: SecondarySetup| client.print(&setup, Setup(&setup));
    match command {
        SecondaryCommand::Add { name, addresses, domains } => {
            let added = AddSecondary { name, addresses, domains: parse_domains(&domains)? };
            show(client.call(Method::POST, "/v1/secondaries", &added)?)
        }
        SecondaryCommand::List => {
            let all: Vec<SecondaryListed> = client.fetch("/v1/secondaries")?;
            client.print(&all, table(&all))?;
            Ok(if all.iter().all(is_well) { Exit::Done } else { Exit::Warnings })
        }
        SecondaryCommand::Show { name } => show(client.fetch(&path(&name))?),
        SecondaryCommand::RotateKey { name, now } => {
            show(client.call(Method::POST, &format!("{}/key", path(&name)), &RotateKey { now })?)
        }
        SecondaryCommand::Remove { name } => {
            let done: Done = client.call(Method::DELETE, &path(&name), &())?;
            client.print(&done, "Removed.")
        }
    }
}

/// An address, with the usual port where none is named.
fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let with_port = || text.parse::<SocketAddr>().ok();
    let address =
        text.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS_PORT)).ok().or_else(with_port);
    let usable = |address: &SocketAddr| {
        !address.ip().is_unspecified() && !address.ip().is_multicast() && address.port() != 0
    };
    address
        .filter(usable)
        .ok_or_else(|| format!("`{text}` is no address of a name server, such as 203.0.113.53"))
}

fn parse_domains(texts: &[String]) -> Result<Option<Vec<DomainName>>, Failure> {
    if texts.is_empty() || texts.iter().any(|text| text == "all") {
        return Ok(None);
    }
    let parse = |text: &String| {
        DomainName::parse(text).map_err(|_| Failure::usage(format!("`{text}` is not a domain name.")))
    };
    texts.iter().map(parse).collect::<Result<_, _>>().map(Some)
}

/// Whether a secondary is known to follow.
fn is_well(one: &SecondaryListed) -> bool {
    let follows = |zone: &SecondaryZone| zone.error.is_none() && !zone.is_behind();
    one.status.as_ref().is_some_and(|status| status.error.is_none() && status.zones.iter().all(follows))
}

fn table(all: &[SecondaryListed]) -> Table {
    let mut table = Table::new(["NAME", "ADDRESSES", "ZONE", "SERIAL", "STATE"]);
    for one in all {
        let addresses: Vec<String> = one.addresses.iter().map(ToString::to_string).collect();
        let zones = one.status.iter().flat_map(|status| &status.zones);
        let mut rows: Vec<[String; 3]> = zones.map(row_of).collect();
        if rows.is_empty() {
            rows.push(["-".into(), "-".into(), "the edge has not said anything of it yet".into()]);
        }
        if let (Some(error), Some([.., state])) =
            (one.status.as_ref().and_then(|status| status.error.as_ref()), rows.first_mut())
        {
            *state = format!("{state}; {error}");
        }
        for [zone, serial, state] in rows {
            table.row([one.name.to_string(), addresses.join(" "), zone, serial, state]);
        }
    }
    table
}

fn row_of(zone: &SecondaryZone) -> [String; 3] {
    let serial = zone.serial.map_or("-".to_owned(), |serial| serial.to_string());
    let state = match (&zone.error, zone.is_behind()) {
        (Some(error), _) => error.clone(),
        (None, true) => format!("waits for serial {}", zone.wanted),
        (None, false) => "up to date".to_owned(),
    };
    [zone.origin.clone(), serial, state]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port_or_gets_the_usual_one() {
        for (text, expected) in [
            ("203.0.113.53", "203.0.113.53:53"),
            ("203.0.113.53:5300", "203.0.113.53:5300"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5300", "[2001:db8::53]:5300"),
        ] {
            assert_eq!(parse_address(text).map(|address| address.to_string()), Ok(expected.to_owned()));
        }
        for wrong in ["ns3.home.example", "0.0.0.0", "203.0.113.53:0", "224.0.0.1", ""] {
            assert!(parse_address(wrong).is_err(), "{wrong}");
        }
    }
}
