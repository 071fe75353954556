//! `postern-home dns ds`: the DS records that the parent zone shall have, one a line, as a master file has them.

use std::fmt::{self, Display, Formatter};

use postern_message::address::DomainName;
use postern_shared::cli::{Exit, Failure};
use postern_store::directory::DnsHosting;

use super::{Client, zone};
use crate::admin::wire::dns::DomainDns;

pub(super) fn show(client: &Client, domain: &DomainName) -> Result<Exit, Failure> {
    let dns = zone::fetch(client, domain)?;
    match dns.dns {
        DnsHosting::Here => client.print(&dns.ds, Ds(&dns)),
        DnsHosting::External => Err(Failure::failed(format!(
            "the DNS of {domain} is elsewhere: whoever serves it signs it and has its DS records. Ask there; Postern has none."
        ))),
    }
}

/// Lines of a master file, which every registry understands.
struct Ds<'a>(&'a DomainDns);

impl Display for Ds<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> =
            self.0.ds.iter().map(|ds| format!("{}. IN DS {ds}", self.0.domain)).collect();
        formatter.write_str(&lines.join("\n"))
    }
}
