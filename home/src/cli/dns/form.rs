//! The forms in which records are shown: aligned columns, a master file (RFC 1035 §5.1), and the fields of the web pages on
//! which DNS providers have records entered.
//!
//! A web page wants names relative to the domain, `@` for the domain itself, the priority of MX and SRV by itself, and the
//! text of a TXT record in one piece without quotation marks: the page cuts it as the protocol demands.

use std::fmt::{self, Display, Formatter};

use clap::ValueEnum;
use postern_message::address::DomainName;

use super::Table;
use crate::admin::wire::dns::DnsRecord;

/// How records are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Aligned columns
    Table,
    /// A master file, which most providers and every name server read
    File,
    /// The fields of a provider's web page
    Web,
}

impl Form {
    pub(super) fn show(self, domain: &DomainName, records: &[DnsRecord]) -> String {
        match self {
            Self::Table => table(records).to_string(),
            Self::File => MasterFile(records).to_string(),
            Self::Web => web(domain, records).to_string(),
        }
    }
}

/// Records in columns.
pub(super) fn table(records: &[DnsRecord]) -> Table {
    let mut table = Table::new(["NAME", "TTL", "TYPE", "DATA"]);
    for record in records {
        let DnsRecord { owner, ttl, record_type, data } = record.clone();
        table.row([owner, ttl.to_string(), record_type, data]);
    }
    table
}

/// Records as a master file.
pub(super) struct MasterFile<'a>(pub(super) &'a [DnsRecord]);

impl Display for MasterFile<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|record| {
            let DnsRecord { owner, ttl, record_type, data } = record;
            writeln!(formatter, "{owner} {ttl} IN {record_type} {data}")
        })
    }
}

fn web(domain: &DomainName, records: &[DnsRecord]) -> Table {
    let mut table = Table::new(["NAME", "TYPE", "TTL", "PRIORITY", "VALUE"]);
    for DnsRecord { owner, ttl, record_type, data } in records {
        let (priority, value) = match record_type.as_str() {
            "MX" | "SRV" => data.split_once(' ').unwrap_or(("", data)),
            _ => ("", data.as_str()),
        };
        let value = if record_type == "TXT" { unquoted(value) } else { value.to_owned() };
        let name = relative(domain, owner);
        table.row([name, record_type.clone(), ttl.to_string(), priority.to_owned(), value]);
    }
    table
}

fn relative(domain: &DomainName, owner: &str) -> String {
    let owner = owner.trim_end_matches('.');
    match owner.strip_suffix(domain.as_str()) {
        Some("") => "@".to_owned(),
        Some(label) => label.trim_end_matches('.').to_owned(),
        None => owner.to_owned(),
    }
}

/// What becomes of an SPF record at the domain itself, which is published as a part of Postern's; `None` for all others.
pub(super) fn joining_spf(
    domain: &DomainName,
    owner: &str,
    record_type: &str,
    data: &str,
) -> Option<&'static str> {
    let is_spf = record_type == "TXT" && unquoted(data).to_ascii_lowercase().starts_with("v=spf1");
    (is_spf && relative(domain, owner) == "@")
        .then_some("its senders join Postern's SPF record, which ends with -all whatever this one says")
}

/// Character-strings in presentation form as one text; octets that are no ASCII keep their decimal form.
fn unquoted(data: &str) -> String {
    let (mut text, mut quoted) = (String::new(), false);
    let mut characters = data.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => quoted = !quoted,
            '\\' => match characters.next() {
                Some(digit) if digit.is_ascii_digit() => text.extend(['\\', digit]),
                Some(escaped) => text.push(escaped),
                None => {}
            },
            other if quoted => text.push(other),
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(owner: &str, record_type: &str, data: &str) -> DnsRecord {
        let [owner, record_type, data] = [owner, record_type, data].map(str::to_owned);
        DnsRecord { owner, ttl: 3600, record_type, data }
    }

    #[test]
    fn a_web_page_gets_its_fields() {
        let domain = "home.example".parse().expect("a domain");
        let records = [
            record("home.example.", "MX", "10 mail.home.example."),
            record("home.example.", "TXT", "\"v=spf1 ip4:192.0.2.1 -all\""),
            record("r1._domainkey.home.example.", "TXT", "\"v=DKIM1; p=AA\" \"BB \\\"\\\\\""),
            record("_imaps._tcp.home.example.", "SRV", "0 1 993 mail.home.example."),
        ];
        let shown = Form::Web.show(&domain, &records);
        let lines: Vec<Vec<&str>> = shown
            .lines()
            .map(|line| line.split("  ").map(str::trim).filter(|it| !it.is_empty()).collect())
            .collect();
        assert_eq!(lines[0], ["NAME", "TYPE", "TTL", "PRIORITY", "VALUE"]);
        assert_eq!(lines[1], ["@", "MX", "3600", "10", "mail.home.example."]);
        assert_eq!(lines[2], ["@", "TXT", "3600", "v=spf1 ip4:192.0.2.1 -all"]);
        assert_eq!(lines[3], ["r1._domainkey", "TXT", "3600", "v=DKIM1; p=AABB \"\\"]);
        assert_eq!(lines[4], ["_imaps._tcp", "SRV", "3600", "0", "1 993 mail.home.example."]);
    }

    #[test]
    fn a_master_file_has_a_line_for_each_record() {
        let domain = "home.example".parse().expect("a domain");
        let shown = Form::File.show(&domain, &[record("home.example.", "MX", "10 mail.home.example.")]);
        assert_eq!(shown, "home.example. 3600 IN MX 10 mail.home.example.\n");
    }
}
