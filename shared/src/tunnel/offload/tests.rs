//! Packets made by hand, octet by octet and with checksums by definition, and the property that holds both ways together.

use proptest::prelude::*;

use super::checksum::tests::by_definition;
use super::segment::Malformed;
use super::vnet::Gso;
use super::*;

/// A TCP packet as a test thinks of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    pub is_v6: bool,
    pub port: u16,
    pub identification: u16,
    pub sequence: u32,
    pub acknowledgement: u32,
    pub flags: u8,
    pub payload: Vec<u8>,
}

impl Sample {
    /// Data of so many octets.
    pub fn data(is_v6: bool, port: u16, octets: usize) -> Self {
        let payload = (0..octets).map(|i| (i ^ (i >> 8)) as u8).collect();
        let (identification, sequence) = (0xfffe, 0xffff_ff00);
        Self { is_v6, port, identification, sequence, acknowledgement: 7, flags: 0x10, payload }
    }

    /// The same data in segments.
    pub fn cut(&self, octets: usize) -> Vec<Sample> {
        let count = self.payload.len().div_ceil(octets);
        let cut = |(index, payload): (usize, &[u8])| Sample {
            identification: self.identification.wrapping_add(index as u16),
            sequence: self.sequence.wrapping_add((index * octets) as u32),
            flags: if index + 1 == count { self.flags } else { self.flags & 0x10 },
            payload: payload.to_vec(),
            ..self.clone()
        };
        self.payload.chunks(octets).enumerate().map(cut).collect()
    }

    /// The packet: IP, TCP with the timestamp option, payload.
    pub fn packet(&self) -> Vec<u8> {
        let mut tcp = Vec::new();
        tcp.extend(993u16.to_be_bytes());
        tcp.extend(self.port.to_be_bytes());
        tcp.extend(self.sequence.to_be_bytes());
        tcp.extend(self.acknowledgement.to_be_bytes());
        tcp.extend([0x80, self.flags, 1, 0xf5, 0, 0, 0, 0]);
        tcp.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
        tcp.extend(&self.payload);
        let length = tcp.len() as u16;
        let addresses: Vec<u8> = (1..=if self.is_v6 { 32 } else { 8 }).collect();
        let mut pseudo = addresses.clone();
        pseudo.extend([0, 6]);
        pseudo.extend(length.to_be_bytes());
        pseudo.extend(&tcp);
        let checksum = !by_definition(&pseudo);
        tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
        let mut packet = if self.is_v6 {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend(length.to_be_bytes());
            header.extend([6, 64]);
            header
        } else {
            let mut header = vec![0x45, 0];
            header.extend((length + 20).to_be_bytes());
            header.extend(self.identification.to_be_bytes());
            header.extend([0x40, 0, 64, 6, 0, 0]);
            let checksum = !by_definition(&[&header[..], &addresses].concat());
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
            header
        };
        packet.extend(addresses);
        packet.extend(tcp);
        packet
    }
}

/// What `segment` gives out.
pub fn split(header: VnetHeader, packet: &mut [u8]) -> Result<Vec<Vec<u8>>, Malformed> {
    split_at(usize::MAX, header, packet)
}

/// What `segment` gives out where the path takes packets up to a limit.
pub fn split_at(limit: usize, header: VnetHeader, packet: &mut [u8]) -> Result<Vec<Vec<u8>>, Malformed> {
    let mut packets = Vec::new();
    segment(header, packet, limit, |packet| packets.push(packet.to_vec()))?;
    Ok(packets)
}

/// What the device gets for these packets in one turn.
fn coalesce(packets: &[Vec<u8>]) -> Vec<(VnetHeader, Vec<u8>)> {
    let mut coalescer = Coalescer::new();
    let mut written = Vec::new();
    let mut write =
        |header, packet: Pieces<'_>| written.push((header, packet.iter().flatten().copied().collect()));
    for packet in packets {
        coalescer.room(packet.len() + 16, &mut write)[..packet.len()].copy_from_slice(packet);
        coalescer.push(packet.len(), &mut write);
    }
    coalescer.flush(write);
    written
}

/// The packets of one flow.
fn of_port(packets: &[Vec<u8>], port: u16) -> Vec<Vec<u8>> {
    let has_port = |packet: &&Vec<u8>| {
        let at = if packet[0] >> 4 == 6 { 42 } else { 22 };
        packet[at..at + 2] == port.to_be_bytes()
    };
    packets.iter().filter(has_port).cloned().collect()
}

#[test]
fn interleaved_flows_become_one_super_packet_each() {
    let (one, other) = (Sample::data(false, 1, 14_000), Sample::data(true, 2, 14_000));
    let packets: Vec<_> =
        one.cut(1400).iter().zip(&other.cut(1400)).flat_map(|(a, b)| [a.packet(), b.packet()]).collect();
    let written = coalesce(&packets);
    assert_eq!(written.len(), 2);
    assert_eq!(written[0].1.len(), 14_000 + 52);
    assert_eq!(written[0].0.gso, Some((Gso::TcpV4, 1400)));
    assert_eq!(written[1].0.gso, Some((Gso::TcpV6, 1400)));
}

#[test]
fn what_differs_is_not_put_together() {
    let segments = Sample::data(false, 1, 2800).cut(1400);
    let second = &segments[1];
    let others = [
        Sample { acknowledgement: 8, ..second.clone() },
        Sample { sequence: second.sequence.wrapping_add(1), ..second.clone() },
        Sample { identification: second.identification.wrapping_add(1), ..second.clone() },
        Sample { flags: 0x11, ..second.clone() },
        Sample { flags: 0x30, ..second.clone() },
        Sample { flags: 0x50, ..second.clone() },
        Sample { port: 2, ..second.clone() },
        Sample { payload: Vec::new(), ..second.clone() },
        Sample { payload: vec![0; 1401], ..second.clone() },
    ];
    for other in others {
        let packets = vec![segments[0].packet(), other.packet()];
        let written = coalesce(&packets);
        assert_eq!(
            written.iter().map(|(_, packet)| packet.clone()).collect::<Vec<_>>(),
            packets,
            "{other:?}"
        );
    }
    // Another hop limit, and a damaged payload.
    for (at, value) in [(8, 63), (60, 1)] {
        let mut other = second.packet();
        other[at] ^= value;
        assert_eq!(coalesce(&[segments[0].packet(), other]).len(), 2);
    }
}

#[test]
fn a_turn_longer_than_the_store_loses_nothing() {
    let sent: Vec<_> = (0..20)
        .map(|at| Sample {
            sequence: at * 42_000,
            identification: (at * 30) as u16,
            ..Sample::data(true, 1, 42_000)
        })
        .collect();
    let packets: Vec<_> = sent.iter().flat_map(|part| part.cut(1400)).map(|part| part.packet()).collect();
    let written = coalesce(&packets);
    assert!(written.len() < 20, "{}", written.len());
    let given: Vec<_> =
        written.into_iter().flat_map(|(header, mut packet)| split(header, &mut packet).unwrap()).collect();
    assert_eq!(given, packets);
}

#[test]
fn a_packet_that_is_passed_stays_behind_what_is_held() {
    let packets: Vec<_> = Sample::data(false, 1, 4200).cut(1400).iter().map(Sample::packet).collect();
    let (mut coalescer, mut written) = (Coalescer::new(), Vec::new());
    let mut write =
        |header, packet: Pieces<'_>| written.push((header, packet.iter().flatten().copied().collect()));
    for packet in &packets[..2] {
        coalescer.room(packet.len(), &mut write).copy_from_slice(packet);
        coalescer.push(packet.len(), &mut write);
    }
    coalescer.room(packets[2].len(), &mut write).copy_from_slice(&packets[2]);
    coalescer.pass(packets[2].len(), &mut write);
    let given: Vec<Vec<u8>> = written
        .into_iter()
        .flat_map(|(header, mut packet): (_, Vec<u8>)| split(header, &mut packet).unwrap())
        .collect();
    assert_eq!(given, packets);
}

#[test]
fn more_flows_than_places_lose_nothing() {
    let flows: Vec<_> = (0..20).map(|port| Sample::data(false, port, 4200).cut(1400)).collect();
    let packets: Vec<_> = (0..3).flat_map(|at| flows.iter().map(move |flow| flow[at].packet())).collect();
    let written = coalesce(&packets);
    let given: usize =
        written.into_iter().map(|(header, mut packet)| split(header, &mut packet).unwrap().len()).sum();
    assert_eq!(given, packets.len());
}

/// Data with all that may happen to a flow: gaps, pushes, other flags, short and damaged segments.
fn any_traffic() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let step =
        (0u16..12, 1usize..6, 0usize..1500, prop::sample::select(vec![0x10u8, 0x18, 0x11, 0x90]), 0u8..10);
    prop::collection::vec(step, 1..40).prop_map(|steps| {
        let mut next = [(0xffff_f000u32, 0xfff0u16); 12];
        let mut packets = Vec::new();
        for (port, segments, last, flags, trouble) in steps {
            let flow = &mut next[usize::from(port)];
            let (sequence, identification) = *flow;
            let whole = Sample {
                sequence,
                identification,
                flags,
                ..Sample::data(port % 2 == 1, port, segments * 1400 + last)
            };
            for (index, segment) in whole.cut(1400).iter().enumerate() {
                let mut packet = segment.packet();
                match (trouble, index) {
                    (0, 1) => continue,
                    (1, 1) => *packet.last_mut().unwrap() ^= 1,
                    _ => {}
                }
                packets.push(packet);
            }
            let sent = whole.payload.len();
            *flow =
                (sequence.wrapping_add(sent as u32), identification.wrapping_add(sent.div_ceil(1400) as u16));
        }
        packets
    })
}

proptest! {
    #[test]
    fn cutting_gives_back_what_was_put_together(packets in any_traffic()) {
        let mut given = Vec::new();
        for (header, mut packet) in coalesce(&packets) {
            given.extend(split(header, &mut packet).unwrap());
        }
        prop_assert_eq!(given.len(), packets.len());
        for port in 0..12 {
            prop_assert_eq!(of_port(&given, port), of_port(&packets, port), "flow {}", port);
        }
    }

    #[test]
    fn garbage_never_panics(mut octets in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..6, first in any::<u8>()) {
        coalesce(&[octets.clone(), octets.clone()]);
        if let [_, gso, _, _, _, _, _, _, _, _, version, ..] = octets.as_mut_slice() {
            *gso = kind;
            *version = if first % 2 == 0 { 0x45 } else { 0x60 };
        }
        if let Some((header, packet)) = VnetHeader::decode(&mut octets) {
            let _ = split(header, packet);
        }
    }
}
