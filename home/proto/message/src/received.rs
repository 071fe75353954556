//! The trace field that each server puts on top: `Received`.
//!
//! In: what the session knows of the client and of itself. Out: the folded field with its last CRLF. Refused:
//! nothing; every text that came from the network is reduced to harmless characters here.
//!
//! Implements RFC 5321 §4.4 (`Time-stamp-line`), RFC 3848 and RFC 6531 §4.3 (protocol types).
//! The TLS parameters stand in a comment, as Postfix and others write them; RFC 8314 §4.3 has a clause for the
//! cipher that no reader is known to use.

use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;

use jiff::Timestamp;

use crate::{address::EmailAddress, date};

/// A `Received` field to be written.
#[derive(Clone, Debug)]
pub struct Received<'a> {
    /// The argument of HELO or EHLO.
    pub helo: &'a str,
    /// The client, unless it is to stay unknown.
    pub client: Option<Client<'a>>,
    /// TLS version and cipher suite, where there was TLS.
    pub tls: Option<(&'a str, &'a str)>,
    /// Our own name.
    pub by: &'a str,
    /// How the message came.
    pub protocol: Protocol,
    /// The session, as in the log.
    pub id: &'a str,
    /// The recipient, only where there is exactly one: more would tell blind recipients (RFC 5321 §7.6).
    pub recipient: Option<&'a EmailAddress>,
    /// When the message came.
    pub time: Timestamp,
}

/// Who connected.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// The address.
    pub address: IpAddr,
    /// The name that the DNS gives for the address, where it was looked up and confirmed.
    pub name: Option<&'a str>,
}

/// The facts that make the protocol type (RFC 3848 §2, RFC 6531 §4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protocol {
    /// EHLO, not HELO.
    pub extended: bool,
    /// TLS was up.
    pub tls: bool,
    /// The client had authenticated.
    pub authenticated: bool,
    /// The transaction used SMTPUTF8.
    pub smtp_utf8: bool,
}

impl Display for Protocol {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.smtp_utf8, self.extended || self.tls || self.authenticated) {
            (true, _) => "UTF8SMTP",
            (false, true) => "ESMTP",
            (false, false) => "SMTP",
        })?;
        f.write_str(if self.tls { "S" } else { "" })?;
        f.write_str(if self.authenticated { "A" } else { "" })
    }
}

impl Display for Received<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Received: from {}", harmless(self.helo))?;
        if let Some(Client { address, name }) = self.client {
            let name = name.map_or(String::new(), |name| format!("{} ", harmless(name)));
            match address {
                IpAddr::V4(v4) => write!(f, " ({name}[{v4}])")?,
                IpAddr::V6(v6) => write!(f, " ({name}[IPv6:{v6}])")?,
            }
        }
        if let Some((version, cipher)) = self.tls {
            write!(f, "\r\n\t(using {} with cipher {})", harmless(version), harmless(cipher))?;
        }
        write!(f, "\r\n\tby {} with {} id {}", harmless(self.by), self.protocol, harmless(self.id))?;
        if let Some(recipient) = self.recipient {
            write!(f, "\r\n\tfor <{recipient}>")?;
        }
        write!(f, ";\r\n\t{}\r\n", date::format(self.time))
    }
}

/// Letters, digits and what names, address literals and identifiers are made of; the rest becomes `?`.
fn harmless(text: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    text.chars().take(255).map(|c| if keep(c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Received<'static> {
        Received {
            helo: "mx.stranger.example",
            client: Some(Client { address: IpAddr::from([192, 0, 2, 7]), name: Some("mx.stranger.example") }),
            tls: Some(("TLSv1.3", "TLS_AES_256_GCM_SHA384")),
            by: "mail.home.example",
            protocol: Protocol { extended: true, tls: true, ..Protocol::default() },
            id: "1a.2",
            recipient: None,
            time: "2026-11-02T03:04:05Z".parse().expect("valid"),
        }
    }

    #[test]
    fn the_whole_field() {
        let ana: EmailAddress = "ana@home.example".parse().expect("valid");
        assert_eq!(
            Received { recipient: Some(&ana), ..sample() }.to_string(),
            "Received: from mx.stranger.example (mx.stranger.example [192.0.2.7])\r\n\
             \t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n\
             \tby mail.home.example with ESMTPS id 1a.2\r\n\
             \tfor <ana@home.example>;\r\n\
             \tMon, 2 Nov 2026 03:04:05 +0000\r\n"
        );
    }

    #[test]
    fn ipv6_and_no_client() {
        let v6 = Client { address: "2001:db8::1".parse().expect("valid"), name: None };
        let field = Received { client: Some(v6), ..sample() }.to_string();
        assert!(field.starts_with("Received: from mx.stranger.example ([IPv6:2001:db8::1])\r\n"));
        let field = Received { client: None, tls: None, ..sample() }.to_string();
        assert!(field.starts_with("Received: from mx.stranger.example\r\n\tby "));
    }

    #[test]
    fn protocol_types() {
        let name = |extended, tls, authenticated, smtp_utf8| {
            Protocol { extended, tls, authenticated, smtp_utf8 }.to_string()
        };
        assert_eq!(name(false, false, false, false), "SMTP");
        assert_eq!(name(true, false, false, false), "ESMTP");
        assert_eq!(name(true, true, true, false), "ESMTPSA");
        assert_eq!(name(true, true, false, true), "UTF8SMTPS");
    }

    #[test]
    fn nothing_can_be_injected() {
        let field = Received { helo: "a\r\nBcc: x (", ..sample() }.to_string();
        assert!(field.starts_with("Received: from a??Bcc:?x?? ("));
    }
}
