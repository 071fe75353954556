//! The services that mail programs are told of: those alone that the world reaches.

use postern_message::address::DomainName;

use crate::config::ServiceKind;

/// Where a mail program finds its services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The mail host.
    pub host: DomainName,
    /// What is reached there.
    pub services: Vec<Service>,
}

/// One service for mail programs. The user's name in all of them is the whole address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// The protocol.
    pub protocol: Protocol,
    /// The port at the mail host.
    pub port: u16,
    /// How TLS begins.
    pub security: Security,
}

/// What a mail program speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 3501.
    Imap,
    /// RFC 1939.
    Pop3,
    /// RFC 6409.
    Submission,
}

/// How TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// With the first octet (RFC 8314 §3).
    Implicit,
    /// By STARTTLS (RFC 3207) or STLS (RFC 2595).
    StartTls,
}

impl Offer {
    /// What these services are to mail programs, the preferred ones first (RFC 8314 §5.1).
    pub fn new(host: DomainName, offered: &[ServiceKind]) -> Self {
        Self { host, services: offered.iter().copied().filter_map(service).collect() }
    }

    /// The preferred service of a protocol.
    pub fn preferred(&self, protocol: Protocol) -> Option<Service> {
        self.services.iter().copied().find(|service| service.protocol == protocol)
    }
}

fn service(kind: ServiceKind) -> Option<Service> {
    let (protocol, security) = match kind {
        ServiceKind::Imaps => (Protocol::Imap, Security::Implicit),
        ServiceKind::Pop3s => (Protocol::Pop3, Security::Implicit),
        ServiceKind::Pop3 => (Protocol::Pop3, Security::StartTls),
        ServiceKind::Submissions => (Protocol::Submission, Security::Implicit),
        ServiceKind::Submission => (Protocol::Submission, Security::StartTls),
        ServiceKind::Smtp | ServiceKind::Https => return None,
    };
    Some(Service { protocol, port: kind.public_port(), security })
}
