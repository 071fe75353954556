//! What a server offers, read from its reply to EHLO (RFC 5321 §4.1.1.1).

use super::reply::Reply;

/// The extensions that this client uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtp_utf8: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// DELIVERBY (RFC 2852), with the least seconds for a message that is to come back; 0 where none are named.
    pub deliver_by: Option<i64>,
    /// REQUIRETLS (RFC 8689).
    pub require_tls: bool,
    /// Most recipients of one transaction, where the server names a limit (RFC 9422, RCPTMAX).
    pub recipients_max: Option<usize>,
    /// Most transactions of one session, where the server names a limit (RFC 9422, MAILMAX).
    pub transactions_max: Option<usize>,
    /// SIZE (RFC 1870) is offered.
    pub size: bool,
    /// Most octets of a message, where the server names a limit.
    pub size_limit: Option<u64>,
    /// The SASL mechanisms of AUTH (RFC 4954 §3).
    pub mechanisms: Vec<String>,
}

/// How the content of a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// DATA.
    Data,
    /// BDAT (RFC 3030 §2).
    Chunks,
}

impl Capabilities {
    /// How content is sent. BDAT is worth it only where chunks need not wait for the reply to the one before.
    pub fn transfer(&self) -> Transfer {
        if self.chunking && self.pipelining { Transfer::Chunks } else { Transfer::Data }
    }

    /// Reads the lines after the first; keywords are case-insensitive, unknown ones are passed over.
    pub fn from_ehlo(reply: &Reply) -> Self {
        let mut capabilities = Capabilities::default();
        for line in reply.lines.iter().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
            match keyword.as_str() {
                "STARTTLS" => capabilities.starttls = true,
                "PIPELINING" => capabilities.pipelining = true,
                "CHUNKING" => capabilities.chunking = true,
                "8BITMIME" => capabilities.eight_bit_mime = true,
                "SMTPUTF8" => capabilities.smtp_utf8 = true,
                "DSN" => capabilities.dsn = true,
                "AUTH" => capabilities.mechanisms.extend(words.map(str::to_owned)),
                "DELIVERBY" => {
                    capabilities.deliver_by = Some(words.next().and_then(|n| n.parse().ok()).unwrap_or(0));
                }
                "REQUIRETLS" => capabilities.require_tls = true,
                "LIMITS" => {
                    let limits: Vec<&str> = words.collect();
                    capabilities.recipients_max = limit(&limits, "RCPTMAX");
                    capabilities.transactions_max = limit(&limits, "MAILMAX");
                }
                "SIZE" => {
                    capabilities.size = true;
                    // RFC 1870 §4: zero means that there is no fixed limit.
                    capabilities.size_limit = words.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
                }
                _ => {}
            }
        }
        capabilities
    }
}

/// The value of the limit of this name; one that is no number, or zero, says nothing (RFC 9422).
fn limit(limits: &[&str], name: &str) -> Option<usize> {
    let named = limits.iter().filter_map(|limit| limit.split_once('='));
    let mut values = named.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    values.find_map(|value| value.parse().ok().filter(|value| *value > 0))
}
