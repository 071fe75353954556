//! Rows of what is seen from outside: the edge's machine, the way to it, the ports, what they show and take, and whether mail
//! can leave.
//!
//! In: [`Outside`], and what should be. Out: rows; each says by which way it was found. Refused: to call a port closed that
//! was not tried, or open because only the mirror answers.

mod edge;
mod mail;
mod ports;
mod tls;

use std::collections::BTreeMap;

use postern_message::address::DomainName;
use rustls::pki_types::CertificateDer;

use super::code::Code;
use super::row::{Row, Verdict};
use crate::link::NotAsked;
use crate::look::{Outside, PortLook};

/// What should be seen.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The name that clients use.
    pub mail_host: DomainName,
    /// The certificates that home shows for it, its own first.
    pub shown: Vec<CertificateDer<'static>>,
    /// The serial that the edge said it serves of each domain.
    pub serials: BTreeMap<DomainName, u32>,
    /// The longest IP datagram that passes between this line and the edge in one piece, octets.
    pub path_mtu: Option<u16>,
}

/// All rows.
pub fn rows(seen: &Outside, wanted: &Wanted) -> Vec<Row> {
    let mut rows = edge::rows(seen, wanted);
    if let Err(error) = &seen.status {
        let found = format!("nothing can be looked at from outside: {error}");
        rows.push(Row::well(Code::Port, "", found).but(Verdict::Unknown));
        return rows;
    }
    rows.extend(ports::rows(seen, wanted));
    rows.extend(tls::rows(seen, wanted));
    rows.extend(mail::rows(seen, wanted));
    rows
}

/// What is to be said where the mirror could not be opened.
fn mirrorless(error: &NotAsked) -> String {
    match error {
        NotAsked::TooOld => {
            "The edge is too old to be a mirror: upgrade it, and more can be told.".to_owned()
        }
        other => format!("The edge's mirror could not be used: {other}."),
    }
}

/// The port's number, and what it is for.
fn port_name(port: u16) -> String {
    let name = match port {
        25 => "smtp",
        465 => "submissions",
        587 => "submission",
        993 => "imaps",
        995 => "pop3s",
        110 => "pop3",
        443 => "https",
        4190 => "sieve",
        _ => return port.to_string(),
    };
    format!("{port} ({name})")
}

/// Whether a port answers a client at all.
fn is_answered(look: &PortLook) -> bool {
    look.best().is_some()
}
