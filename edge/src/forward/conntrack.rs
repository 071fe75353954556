//! Forgets tracked connections that nobody has answered, over netlink (`nfnetlink_conntrack`).
//!
//! In: TCP ports. Out: the flows whose first packet went to one of these ports and had no answer are no longer tracked, so
//! that the next SYN is judged by the rules of now. Refused: answers of the kernel that are no netlink; they are skipped.
//!
//! Netlink carries messages of a header (length, type, flags, sequence, port), and here a family header of 4 octets and
//! attributes (length, type, value, padded to 4 octets; some nest). Numbers of the headers are in the machine's order,
//! those inside attributes in network order. linux/netfilter/nfnetlink_conntrack.h has the names.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

const NETLINK_NETFILTER: i32 = 12;
const AF_NETLINK: i32 = 16;
const AF_UNSPEC: u8 = 0;

const HEADER_OCTETS: usize = 16;
const FAMILY_HEADER_OCTETS: usize = 4;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const REQUEST: u16 = 0x001;
const ACK: u16 = 0x004;
const DUMP: u16 = 0x300;

const SUBSYSTEM_CTNETLINK: u16 = 1 << 8;
const CT_NEW: u16 = SUBSYSTEM_CTNETLINK;
const CT_GET: u16 = SUBSYSTEM_CTNETLINK | 1;
const CT_DELETE: u16 = SUBSYSTEM_CTNETLINK | 2;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_STATUS: u16 = 3;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_DST_PORT: u16 = 3;

/// The bit of CTA_STATUS that says that packets went both ways.
const SEEN_REPLY: u32 = 1 << 1;
const TCP: u8 = 6;
/// The bits of an attribute's type that are flags.
const TYPE_MASK: u16 = 0x3fff;

/// The flag of an attribute that holds attributes.
const NESTED: u16 = 0x8000;

/// How long the kernel may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Forgets the unanswered flows to these TCP ports; tells how many there were.
///
/// # Errors
/// What the system said. A flow that has ended meanwhile is none.
pub fn forget_unanswered(ports: &BTreeSet<u16>) -> io::Result<usize> {
    let mut socket =
        Socket::new(Domain::from(AF_NETLINK), Type::RAW, Some(Protocol::from(NETLINK_NETFILTER)))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = vec![0; 64 << 10];
    let mut deletions = Vec::new();
    socket.write_all(&request(CT_GET, REQUEST | DUMP, AF_UNSPEC, &[]))?;
    'dump: loop {
        let length = socket.read(&mut buffer)?;
        for message in messages(buffer.get(..length).unwrap_or_default()) {
            match message.kind {
                CT_NEW => deletions.extend(deletion(message.content, ports)),
                NLMSG_DONE => break 'dump,
                NLMSG_ERROR => return Err(error_of(message.content)),
                _ => {}
            }
        }
    }
    let mut forgotten = 0;
    for deletion in &deletions {
        socket.write_all(deletion)?;
        let length = socket.read(&mut buffer)?;
        let answer = messages(buffer.get(..length).unwrap_or_default()).next();
        let is_done = answer.is_some_and(|message| error_of(message.content).raw_os_error() == Some(0));
        forgotten += usize::from(is_done);
    }
    Ok(forgotten)
}

/// One netlink message without its header.
struct Message<'a> {
    kind: u16,
    content: &'a [u8],
}

/// The messages of one datagram; ends where they make no sense.
fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(datagram.get(..4)?.try_into().ok()?)).ok()?;
        let kind = u16::from_ne_bytes(datagram.get(4..6)?.try_into().ok()?);
        let content = datagram.get(HEADER_OCTETS..length)?;
        datagram = datagram.get(aligned(length)..).unwrap_or_default();
        Some(Message { kind, content })
    })
}

/// Type and value of each attribute; ends where they make no sense.
fn attributes(mut octets: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(octets.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(octets.get(2..4)?.try_into().ok()?) & TYPE_MASK;
        let value = octets.get(4..length)?;
        octets = octets.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn attribute(octets: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(octets).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// The request that deletes the flow of one entry, where it is an unanswered one to these ports. The entry's own number
/// goes with it, so that no later flow between the same ends is meant.
fn deletion(entry: &[u8], ports: &BTreeSet<u16>) -> Option<Vec<u8>> {
    let family = *entry.first()?;
    let flow = entry.get(FAMILY_HEADER_OCTETS..)?;
    let protocol = attribute(attribute(flow, CTA_TUPLE_ORIG)?, CTA_TUPLE_PROTO)?;
    let port = u16::from_be_bytes(attribute(protocol, CTA_PROTO_DST_PORT)?.try_into().ok()?);
    let status = u32::from_be_bytes(attribute(flow, CTA_STATUS)?.try_into().ok()?);
    let is_meant =
        attribute(protocol, CTA_PROTO_NUM)? == [TCP] && ports.contains(&port) && status & SEEN_REPLY == 0;
    is_meant.then(|| {
        let naming: Vec<u8> = raw_attributes(flow)
            .filter(|(kind, _)| [CTA_TUPLE_ORIG, CTA_ID, CTA_ZONE].contains(kind))
            .flat_map(|(_, octets)| octets.to_vec())
            .collect();
        request(CT_DELETE, REQUEST | ACK, family, &naming)
    })
}

/// As [`attributes`], with the attribute's header and padding in the octets.
fn raw_attributes(octets: &[u8]) -> impl Iterator<Item = (u16, Vec<u8>)> {
    attributes(octets).map(|(kind, value)| {
        let nested = if kind == CTA_TUPLE_ORIG { NESTED } else { 0 };
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        let mut raw = [length.to_ne_bytes(), (kind | nested).to_ne_bytes()].concat();
        raw.extend(value);
        raw.resize(aligned(raw.len()), 0);
        (kind, raw)
    })
}

fn request(kind: u16, flags: u16, family: u8, attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER_OCTETS + FAMILY_HEADER_OCTETS + attributes.len()).unwrap_or(u32::MAX);
    let mut octets = length.to_ne_bytes().to_vec();
    octets.extend(kind.to_ne_bytes());
    octets.extend(flags.to_ne_bytes());
    octets.extend([0; 8]);
    octets.extend([family, 0, 0, 0]);
    octets.extend(attributes);
    octets
}

/// The content of NLMSG_ERROR: 0, which acknowledges, or a negated errno.
fn error_of(content: &[u8]) -> io::Error {
    match content.get(..4).and_then(|octets| octets.try_into().ok()).map(i32::from_ne_bytes) {
        Some(code) => io::Error::from_raw_os_error(code.saturating_neg()),
        None => io::ErrorKind::InvalidData.into(),
    }
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attribute_octets(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut octets = [(value.len() as u16 + 4).to_ne_bytes(), kind.to_ne_bytes()].concat();
        octets.extend(value);
        octets.resize(aligned(octets.len()), 0);
        octets
    }

    fn entry(protocol: u8, port: u16, status: u32) -> Vec<u8> {
        let protocol = [
            attribute_octets(CTA_PROTO_NUM, &[protocol]),
            attribute_octets(2, &40_000_u16.to_be_bytes()),
            attribute_octets(CTA_PROTO_DST_PORT, &port.to_be_bytes()),
        ]
        .concat();
        let tuple = attribute_octets(CTA_TUPLE_PROTO | 0x8000, &protocol);
        [
            vec![2, 0, 0, 0],
            attribute_octets(CTA_TUPLE_ORIG | 0x8000, &tuple),
            attribute_octets(CTA_STATUS, &status.to_be_bytes()),
            attribute_octets(CTA_ID, &7_u32.to_be_bytes()),
        ]
        .concat()
    }

    #[test]
    fn only_unanswered_flows_to_the_ports_are_meant() {
        let ports = BTreeSet::from([25, 993]);
        let meant = deletion(&entry(TCP, 25, 0x08), &ports).unwrap();
        let [message] = &messages(&meant).collect::<Vec<_>>()[..] else { panic!("one message expected") };
        assert_eq!((message.kind, message.content[0]), (CT_DELETE, 2));
        let named: Vec<u16> = attributes(&message.content[4..]).map(|(kind, _)| kind).collect();
        assert_eq!(named, [CTA_TUPLE_ORIG, CTA_ID]);
        for other in [entry(TCP, 25, SEEN_REPLY), entry(TCP, 22, 0), entry(17, 25, 0)] {
            assert_eq!(deletion(&other, &ports), None);
        }
    }

    proptest! {
        #[test]
        fn no_octets_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            for message in messages(&octets) {
                let _ = deletion(message.content, &BTreeSet::from([25]));
            }
            let _ = deletion(&octets, &BTreeSet::from([25]));
        }
    }
}
