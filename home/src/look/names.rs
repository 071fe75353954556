//! The edge's name server, asked over this machine's own line.
//!
//! In: the edge's public addresses, the domains. Out: whether it answers by UDP and by TCP with authority (RFC 7766 §5), and
//! which serial. Refused: an answer without authority, which something on the way has made.

use std::net::{IpAddr, SocketAddr};

use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RData, RecordType};
use postern_message::address::DomainName;

use crate::survey::ask::{Audience, PORT, Question, Silence, ask, ask_by_tcp};

/// One domain at one address of the edge's.
#[derive(Debug, Clone)]
pub struct NameServerSeen {
    /// The edge's address.
    pub address: IpAddr,
    /// The domain.
    pub domain: DomainName,
    /// The serial that comes by UDP.
    pub udp: Result<u32, NoSerial>,
    /// The serial that comes by TCP.
    pub tcp: Result<u32, NoSerial>,
}

/// Why there is no serial; the text ends the sentence "the name server …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSerial {
    /// This machine has no line of its own to that address.
    #[error("cannot be asked: this machine has no way of its own to that address")]
    NoWay,
    /// No answer.
    #[error("gives no answer ({0})")]
    Silent(String),
    /// Something on the way has answered, or the zone is not there.
    #[error(
        "answers without authority: it does not serve the zone, or something on the way answers in its place"
    )]
    NotAuthoritative,
}

impl From<Silence> for NoSerial {
    fn from(silence: Silence) -> Self {
        match silence {
            Silence::NoRoute => Self::NoWay,
            Silence::Late | Silence::Failed(_) => Self::Silent(silence.to_string()),
        }
    }
}

/// Asks the edge for the serial of a domain.
pub async fn look(address: IpAddr, domain: &DomainName) -> NameServerSeen {
    let (udp, tcp) = match Name::from_ascii(format!("{domain}.")) {
        Ok(name) => {
            let question = Question { name, record_type: RecordType::SOA, audience: Audience::NameServer };
            let server = SocketAddr::new(address, PORT);
            tokio::join!(ask(server, &question), ask_by_tcp(server, &question))
        }
        Err(error) => (Err(Silence::Failed(error.to_string())), Err(Silence::Failed(error.to_string()))),
    };
    NameServerSeen { address, domain: domain.clone(), udp: serial(udp), tcp: serial(tcp) }
}

fn serial(answer: Result<Message, Silence>) -> Result<u32, NoSerial> {
    let answer = answer?;
    let soa = answer.answers.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(soa.serial),
        _ => None,
    });
    soa.filter(|_| answer.metadata.authoritative).ok_or(NoSerial::NotAuthoritative)
}
