//! `postern-home domain`.

use postern_message::address::{AddressError, DomainName, EmailAddress};
use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;
use postern_store::directory::DnsHosting;

use super::client::Client;
use super::table::Table;
use super::{DomainCommand, user};
use crate::admin::wire::{AddDomain, CatchAll, Domain, Done, RemoveDomain, Removed, SetDns};
use crate::mta_sts::Report;

const PATH: &str = "/v1/domains";

pub(super) fn execute(client: &Client, command: DomainCommand) -> Result<Exit, Failure> {
    match command {
        DomainCommand::Add { name, dns } => {
            let dns = DnsHosting::from(dns);
            let done: Done = client.call(Method::POST, PATH, &AddDomain { name: name.clone(), dns })?;
            let next = next(&name, dns);
            client.print(&done, format_args!("The domain {name} is here now, with two DKIM keys. {next}"))
        }
        DomainCommand::Dns { name, place, now } => {
            let dns = DnsHosting::from(place);
            let done: Done = client.call(Method::PUT, PATH, &SetDns { name: name.clone(), dns, now })?;
            client.print(&done, next(&name, dns))
        }
        DomainCommand::CatchAll { name, user } => {
            let request = CatchAll { domain: name, user: user.0 };
            let done: Done = client.call(Method::PUT, "/v1/catch-all", &request)?;
            client.print(&done, catch_all(&request))
        }
        DomainCommand::List => {
            let domains: Vec<Domain> = client.fetch(PATH)?;
            client.print(&domains, table(&domains))
        }
        DomainCommand::Remove { name, with_users, mail } => {
            let request = RemoveDomain { name: name.clone(), with_users, mail: mail.into() };
            let removed: Removed = client.call(Method::DELETE, PATH, &request)?;
            client.print(&removed, format_args!("The domain {name} is removed.{}", user::kept_mail(&removed)))
        }
    }
}

/// Whoever gets a domain's catch-all; `off` is nobody.
#[derive(Debug, Clone)]
pub struct CatchAllOf(Option<EmailAddress>);

/// Reads the argument of `domain catch-all`.
pub(super) fn parse_catch_all(text: &str) -> Result<CatchAllOf, AddressError> {
    if text == "off" { Ok(CatchAllOf(None)) } else { text.parse().map(|user| CatchAllOf(Some(user))) }
}

fn catch_all(request: &CatchAll) -> String {
    let CatchAll { domain, user } = request;
    match user {
        Some(user) => format!(
            "{user} gets what is sent to addresses of {domain} that nobody has, and may send as any such address."
        ),
        None => format!("Addresses of {domain} that nobody has are unknown again."),
    }
}

/// What a person does after the place of a domain's DNS was chosen.
fn next(name: &DomainName, dns: DnsHosting) -> String {
    match dns {
        DnsHosting::Here => format!("`postern-home dns delegation {name}` says what to give the registrar."),
        DnsHosting::External => format!(
            "Its DNS is elsewhere: publish there what `postern-home dns show {name}` prints, then look with `postern-home dns \
             diff {name}`. The edge does not serve it; the registrar must name the other provider's servers, and no DS record \
             of a key that was here."
        ),
    }
}

fn table(domains: &[Domain]) -> Table {
    let mut table = Table::new(["DOMAIN", "USERS", "CATCH-ALL", "DNS", "DKIM KEYS", "MTA-STS"]);
    for domain in domains {
        let Domain { name, users, catch_all, dns, dkim_selectors, mta_sts } = domain;
        let catch_all = catch_all.as_ref().map_or_else(String::new, ToString::to_string);
        let policy = mta_sts.as_ref().map_or_else(String::new, Report::in_short);
        let selectors = dkim_selectors.join(", ");
        table.row([
            name.to_string(),
            users.to_string(),
            catch_all,
            dns.as_str().to_owned(),
            selectors,
            policy,
        ]);
    }
    table
}
