//! Cuts a super-packet into packets, in its own buffer.
//!
//! Each packet's headers are written just before its payload, over octets of the packet before, which is done with by then:
//!
//! ```text
//! headers | payload 0 | payload 1 | payload 2
//!           headers | payload 1
//!                       headers | payload 2
//! ```
//!
//! So no payload is copied. The header of the device is trusted for nothing that the packet itself can tell.

use super::checksum::Sum;
use super::tcp::{CWR, FIN, Layout, MAX_HEADER_OCTETS, PSH, RST, SYN, URG};
use super::vnet::{UnfinishedChecksum, VnetHeader};

/// The header of the device contradicts its packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Gives out the packets that a packet of the device stands for, complete with their checksums, TCP in packets of at most
/// `limit` octets: so a flow whose ends still believe in a wider path passes a narrow one, and needs no ICMP to be told.
pub fn segment(
    header: VnetHeader,
    packet: &mut [u8],
    limit: usize,
    emit: impl FnMut(&[u8]),
) -> Result<(), Malformed> {
    if header.gso.is_none()
        && packet.len() > limit
        && let Some(layout) = Layout::of(packet).filter(|layout| may_shorten(*layout, header, packet))
    {
        shorten(layout, packet, limit, emit);
        return Ok(());
    }
    match (header.gso, header.checksum) {
        (None, None) => emit_whole(packet, emit),
        (None, Some(checksum)) => {
            finish(packet, checksum).ok_or(Malformed)?;
            emit_whole(packet, emit);
        }
        (Some((gso, octets)), _) => {
            let layout = Layout::of(packet).filter(|layout| layout.gso == gso).ok_or(Malformed)?;
            let octets = usize::from(octets);
            if octets == 0 {
                return Err(Malformed);
            }
            cut(layout, packet, octets.min(payload_octets(layout, limit)), emit);
        }
    }
    Ok(())
}

/// Data only, with a checksum that will be right or is: a damaged packet must not get one that verifies.
fn may_shorten(layout: Layout, header: VnetHeader, packet: &[u8]) -> bool {
    layout.flags(packet) & (SYN | RST | URG) == 0 && (header.checksum.is_some() || layout.verifies(packet))
}

/// Cuts a single packet that is too long into even parts.
fn shorten(layout: Layout, packet: &mut [u8], limit: usize, emit: impl FnMut(&[u8])) {
    let payload = packet.len() - layout.payload;
    let parts = payload.div_ceil(payload_octets(layout, limit));
    cut(layout, packet, payload.div_ceil(parts.max(1)).max(1), emit);
}

/// The octets of payload that fit a packet of `limit`; at least one.
fn payload_octets(layout: Layout, limit: usize) -> usize {
    limit.saturating_sub(layout.payload).max(1)
}

fn emit_whole(packet: &[u8], mut emit: impl FnMut(&[u8])) {
    emit(packet);
}

/// Finishes the checksum of a single packet.
fn finish(packet: &mut [u8], checksum: UnfinishedChecksum) -> Option<()> {
    let start = usize::from(checksum.start);
    let cover = packet.get_mut(start..)?;
    // UDP, whose checksum lies at 6, writes a zero sum as all ones (RFC 768).
    let finished = match (Sum::of(cover).complement(), checksum.offset) {
        (0, 6) => 0xffff,
        (finished, _) => finished,
    };
    let at = usize::from(checksum.offset);
    cover.get_mut(at..at + 2)?.copy_from_slice(&finished.to_be_bytes());
    Some(())
}

/// Cuts TCP data into segments of `octets` of payload (RFC 9293 §3.7.1); the last may be shorter.
fn cut(layout: Layout, packet: &mut [u8], octets: usize, mut emit: impl FnMut(&[u8])) {
    let mut headers = [0; MAX_HEADER_OCTETS];
    let Some(headers) = headers.get_mut(..layout.payload) else { return };
    headers.copy_from_slice(packet.get(..layout.payload).unwrap_or_default());
    let first = Ends {
        sequence: layout.sequence(headers),
        identification: layout.identification(headers),
        flags: layout.flags(headers),
    };
    let payload = packet.len() - layout.payload;
    let count = payload.div_ceil(octets).max(1);
    for index in 0..count {
        let start = index * octets;
        let end = layout.payload + (start + octets).min(payload);
        let Some(segment) = packet.get_mut(start..end) else { return };
        first.write_headers(layout, headers, segment, start, index, count);
        emit(segment);
    }
}

/// What the super-packet's own headers say of its two ends.
struct Ends {
    sequence: u32,
    identification: u16,
    flags: u8,
}

impl Ends {
    fn write_headers(
        &self,
        layout: Layout,
        headers: &[u8],
        segment: &mut [u8],
        offset: usize,
        index: usize,
        count: usize,
    ) {
        let length = segment.len();
        let Some(place) = segment.get_mut(..headers.len()) else { return };
        place.copy_from_slice(headers);
        layout.set_ip(segment, length, self.identification.wrapping_add(index as u16));
        layout.set_sequence(segment, self.sequence.wrapping_add(offset as u32));
        layout.set_flags(segment, self.flags & mask(index, count));
        layout.set_checksum(segment, 0);
        let tcp = segment.get(layout.tcp..).unwrap_or_default();
        let sum = layout.pseudo_header(segment, tcp.len()).and(Sum::of(tcp));
        layout.set_checksum(segment, sum.complement());
    }
}

/// The flags that a segment keeps: what ends the data stands on the last, CWR on the first (RFC 3168 §6.1.2).
fn mask(index: usize, count: usize) -> u8 {
    let last = if index + 1 == count { 0xff } else { !(FIN | PSH) };
    if index == 0 { last } else { last & !CWR }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Sample, split, split_at};
    use super::super::vnet::Gso;
    use super::*;

    #[test]
    fn data_is_cut_and_the_last_segment_ends_it() {
        for is_v6 in [false, true] {
            let sample = Sample { flags: 0x19, ..Sample::data(is_v6, 1, 3000) };
            let mut packet = sample.packet();
            let gso = if is_v6 { Gso::TcpV6 } else { Gso::TcpV4 };
            let header = VnetHeader { gso: Some((gso, 1400)), ..VnetHeader::default() };
            let expected: Vec<_> = sample.cut(1400).iter().map(Sample::packet).collect();
            assert_eq!(expected.len(), 3);
            assert_eq!(split(header, &mut packet), Ok(expected));
        }
    }

    #[test]
    fn an_unfinished_checksum_is_finished() {
        let whole = Sample::data(false, 1, 100).packet();
        let layout = Layout::of(&whole).unwrap();
        let mut unfinished = whole.clone();
        let pseudo = layout.pseudo_header(&whole, whole.len() - 20).unfinished();
        layout.set_checksum(&mut unfinished, pseudo);
        let checksum = Some(UnfinishedChecksum { start: 20, offset: 16 });
        assert_eq!(split(VnetHeader { checksum, ..VnetHeader::default() }, &mut unfinished), Ok(vec![whole]));
    }

    #[test]
    fn packets_for_a_wider_path_are_shortened() {
        for is_v6 in [false, true] {
            let sample = Sample { flags: 0x19, ..Sample::data(is_v6, 1, 1388) };
            let mut packet = sample.packet();
            let expected: Vec<_> = sample.cut(694).iter().map(Sample::packet).collect();
            assert_eq!(split_at(1220, VnetHeader::default(), &mut packet), Ok(expected), "in even parts");
            let gso = Some((if is_v6 { Gso::TcpV6 } else { Gso::TcpV4 }, 1388));
            let large = Sample::data(is_v6, 1, 60_000);
            let header = VnetHeader { gso, ..VnetHeader::default() };
            let packets = split_at(1220, header, &mut large.packet()).unwrap();
            let longest = packets.iter().map(Vec::len).max();
            assert_eq!(longest, Some(1220), "as full as the path allows");
            let payload: Vec<u8> = packets
                .iter()
                .flat_map(|packet| packet[Layout::of(packet).unwrap().payload..].to_vec())
                .collect();
            assert_eq!(payload, large.payload);
        }
    }

    #[test]
    fn what_is_not_sound_tcp_data_is_never_shortened() {
        let long = Sample::data(false, 1, 1388).packet();
        let mut damaged = long.clone();
        damaged[1000] ^= 1;
        let mut datagram = long;
        datagram[9] = 17;
        let opening = Sample { flags: 0x02, ..Sample::data(false, 1, 1388) }.packet();
        for packet in [damaged, datagram, opening] {
            let whole = vec![packet.clone()];
            assert_eq!(split_at(1220, VnetHeader::default(), &mut packet.clone()), Ok(whole));
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let packet = Sample::data(false, 1, 3000).packet();
        let gso = |gso, octets| VnetHeader { gso: Some((gso, octets)), ..VnetHeader::default() };
        let unfinished = |start, offset| VnetHeader {
            checksum: Some(UnfinishedChecksum { start, offset }),
            ..VnetHeader::default()
        };
        for header in [gso(Gso::TcpV4, 0), gso(Gso::TcpV6, 1400), unfinished(3052, 0), unfinished(20, 3031)] {
            assert_eq!(split(header, &mut packet.clone()).err(), Some(Malformed), "{header:?}");
        }
        let mut cut_short = packet[..30].to_vec();
        assert_eq!(split(gso(Gso::TcpV4, 1400), &mut cut_short), Err(Malformed));
    }
}
