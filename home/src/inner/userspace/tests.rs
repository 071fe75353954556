//! Two stacks on one wire that can lose packets, with a clock moved by hand.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{IpProtocol, IpRepr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;

use super::flow::{BUFFER, map_buffers_apart};
use super::port::HEADER;
use super::stack::Stack;
use super::stream::Stream;

const MTU: u16 = 1380;
const SMTP: u16 = 25;

/// Home listens, the peer connects. Both have one address of each family.
struct Wire {
    home: Stack,
    peer: Stack,
    accepted: mpsc::Receiver<Stream>,
    now: Instant,
    /// One packet of so many is lost.
    lost_of: usize,
    passed: usize,
}

fn addresses(last: u8) -> Vec<IpAddr> {
    vec![IpAddr::from([10, 118, 0, last]), format!("fd70:6f73:7465::{last}").parse().expect("an address")]
}

fn home(family: usize) -> SocketAddr {
    SocketAddr::new(addresses(2)[family], SMTP)
}

impl Wire {
    fn new() -> Self {
        let now = Instant::from_secs(1);
        let stack = |last| {
            let mut stack = Stack::new(now).expect("random numbers");
            stack.set_mtu(MTU, now).expect("random numbers");
            stack.set_addresses(addresses(last), now).expect("random numbers");
            stack
        };
        let (mut home, peer) = (stack(2), stack(9));
        let (queue, accepted) = mpsc::channel(16);
        home.listen(SMTP, queue);
        Self { home, peer, accepted, now, lost_of: usize::MAX, passed: 0 }
    }

    /// Moves the clock in steps and carries what there is.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(5);
            self.carry();
        }
    }

    fn carry(&mut self) {
        for stack in [&mut self.home, &mut self.peer] {
            stack.handle_rings(self.now);
            while stack.handle_timeout(self.now) {}
        }
        loop {
            let there =
                move_packets(&mut self.peer, &mut self.home, self.now, self.lost_of, &mut self.passed);
            let back = move_packets(&mut self.home, &mut self.peer, self.now, self.lost_of, &mut self.passed);
            if there + back == 0 {
                return;
            }
        }
    }

    /// An open connection: the peer's end, home's end.
    fn connection(&mut self, family: usize) -> (Stream, Stream) {
        let source = addresses(9)[family];
        let ours = self.peer.connect(source, home(family), self.now).expect("begun");
        self.pass(Duration::from_millis(50));
        (ours, self.accepted.try_recv().expect("accepted"))
    }
}

fn move_packets(from: &mut Stack, to: &mut Stack, now: Instant, lost_of: usize, passed: &mut usize) -> usize {
    let mut count = 0;
    while let Some(packet) = from.port().front().map(|packet| packet[HEADER..].to_vec()) {
        assert!(packet.len() <= usize::from(MTU));
        from.port().pop();
        *passed += 1;
        count += 1;
        if !passed.is_multiple_of(lost_of) {
            to.handle_packet(&packet, now);
        }
    }
    count
}

fn write(stream: &mut Stream, octets: &[u8]) -> Poll<std::io::Result<usize>> {
    AsyncWrite::poll_write(Pin::new(stream), &mut Context::from_waker(Waker::noop()), octets)
}

/// What can be read now: the octets, whether the end was reached, or the error.
fn read(stream: &mut Stream) -> Result<(Vec<u8>, bool), std::io::ErrorKind> {
    let mut came = Vec::new();
    let mut room = [0; 4096];
    loop {
        let mut buffer = ReadBuf::new(&mut room);
        match Pin::new(&mut *stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Ok((came, true)),
            Poll::Ready(Ok(())) => came.extend_from_slice(buffer.filled()),
            Poll::Ready(Err(error)) => return Err(error.kind()),
            Poll::Pending => return Ok((came, false)),
        }
    }
}

/// A segment to home with its checksums. `change` makes it what it shall be; without, it is a SYN.
fn segment(source: SocketAddr, change: impl FnOnce(&mut TcpRepr<'static>)) -> Vec<u8> {
    let mut tcp = TcpRepr {
        src_port: source.port(),
        dst_port: SMTP,
        control: TcpControl::Syn,
        seq_number: TcpSeqNumber(7),
        ack_number: None,
        window_len: 1000,
        window_scale: None,
        max_seg_size: Some(1300),
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    change(&mut tcp);
    let (source, destination) = (source.ip().into(), home(0).ip().into());
    let ip = IpRepr::new(source, destination, IpProtocol::Tcp, tcp.buffer_len(), 64);
    let mut packet = vec![0; ip.buffer_len()];
    ip.emit(&mut packet[..], &ChecksumCapabilities::default());
    let mut segment = TcpPacket::new_unchecked(&mut packet[ip.header_len()..]);
    tcp.emit(&mut segment, &source, &destination, &ChecksumCapabilities::default());
    packet
}

/// A SYN from an address that answers nothing.
fn syn(number: u32) -> Vec<u8> {
    let source = IpAddr::from([203, 0, 113, (number % 250) as u8]);
    segment(SocketAddr::new(source, 1024 + (number / 250) as u16), |_| {})
}

fn discard_output(stack: &mut Stack) {
    while stack.port().front().is_some() {
        stack.port().pop();
    }
}

fn control() -> impl Strategy<Value = TcpControl> {
    use TcpControl::{Fin, None, Psh, Rst, Syn};
    prop::sample::select(vec![None, None, Psh, Fin, Rst, Syn])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever a peer sends after its SYN, in whatever order, nothing breaks, and another peer is served.
    #[test]
    fn no_segment_breaks_the_stack(
        script in prop::collection::vec(
            (control(), -3..200i32, prop::option::of(-3..5i32), any::<u16>(), 0..100usize, 0..3000u64), 0..40
        ),
        garbage in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        static OCTETS: [u8; 100] = [7; 100];
        let mut wire = Wire::new();
        let source: SocketAddr = "203.0.113.9:40000".parse().expect("an address");
        wire.home.handle_packet(&segment(source, |_| {}), wire.now);
        let answer = wire.home.port().front().map(|packet| packet[HEADER + 20..].to_vec()).expect("SYN-ACK");
        let theirs = TcpPacket::new_checked(&answer[..]).expect("TCP").seq_number();
        for (control, seq, ack, window_len, octets, pause) in script {
            let packet = segment(source, |tcp| {
                tcp.control = control;
                tcp.seq_number = TcpSeqNumber(8i32.wrapping_add(seq));
                tcp.ack_number = ack.map(|ack| TcpSeqNumber(theirs.0.wrapping_add(1).wrapping_add(ack)));
                tcp.window_len = window_len;
                tcp.payload = &OCTETS[..octets];
            });
            wire.home.handle_packet(&packet, wire.now);
            wire.home.handle_packet(&garbage, wire.now);
            wire.now += Duration::from_millis(pause);
            wire.home.handle_rings(wire.now);
            while wire.home.handle_timeout(wire.now) {
                discard_output(&mut wire.home);
            }
            discard_output(&mut wire.home);
        }
        while wire.accepted.try_recv().is_ok() {}
        let (mut peer, mut served) = wire.connection(1);
        prop_assert!(write(&mut peer, b"through").is_ready());
        wire.pass(Duration::from_millis(50));
        prop_assert_eq!(read(&mut served), Ok((b"through".to_vec(), false)));
    }
}

#[test]
fn octets_pass_both_ways_in_both_families_and_end() {
    for family in 0..2 {
        let mut wire = Wire::new();
        let (mut peer, mut served) = wire.connection(family);
        assert_eq!(served.peer_addr(), peer.local_addr(), "the client's true address");
        assert_eq!(served.local_addr(), home(family));
        assert!(write(&mut served, b"220 ready\r\n").is_ready());
        assert!(write(&mut peer, b"EHLO there\r\n").is_ready());
        wire.pass(Duration::from_millis(50));
        assert_eq!(read(&mut peer), Ok((b"220 ready\r\n".to_vec(), false)));
        assert_eq!(read(&mut served), Ok((b"EHLO there\r\n".to_vec(), false)));
        assert!(write(&mut served, b"221 bye\r\n").is_ready());
        drop(served);
        wire.pass(Duration::from_millis(50));
        assert_eq!(
            read(&mut peer),
            Ok((b"221 bye\r\n".to_vec(), true)),
            "what was written before the close comes"
        );
        drop(peer);
        wire.pass(Duration::from_secs(15));
        assert_eq!((wire.home.len(), wire.peer.len()), (0, 0), "nothing is left behind");
    }
}

#[test]
fn a_wire_that_loses_packets_loses_no_octet() {
    let mut wire = Wire::new();
    let (mut peer, mut served) = wire.connection(0);
    wire.lost_of = 37;
    let sent: Vec<u8> = (0..2_000_000u32).map(|number| (number % 251) as u8).collect();
    for (from, to) in [(0, 1), (1, 0)] {
        let ends = [&mut peer, &mut served];
        let [one, other] = ends;
        let (sender, receiver) = if (from, to) == (0, 1) { (one, other) } else { (other, one) };
        let (mut written, mut came) = (0, Vec::new());
        for _ in 0..100_000 {
            if let Poll::Ready(Ok(count)) = write(sender, &sent[written..]) {
                written += count;
            }
            came.extend(read(receiver).expect("open").0);
            if came.len() == sent.len() {
                break;
            }
            wire.pass(Duration::from_millis(20));
        }
        assert!(came == sent, "{} of {} octets", came.len(), sent.len());
    }
}

#[test]
fn who_does_not_read_makes_the_sender_wait() {
    let mut wire = Wire::new();
    let (mut peer, mut served) = wire.connection(0);
    let chunk = vec![7; 64 * 1024];
    let mut written = 0;
    for _ in 0..100 {
        if let Poll::Ready(Ok(count)) = write(&mut peer, &chunk) {
            written += count;
        }
        wire.pass(Duration::from_millis(20));
    }
    // The sender's buffer and the receiver's.
    assert!((BUFFER..=2 * BUFFER).contains(&written), "{written}");
    assert!(write(&mut peer, &chunk).is_pending());
    let mut came = 0;
    for _ in 0..400 {
        came += read(&mut served).expect("open").0.len();
        wire.pass(Duration::from_millis(50));
    }
    assert_eq!(came, written, "the window opens again");
    assert!(write(&mut peer, &chunk).is_ready());
}

#[test]
fn a_flood_of_syns_takes_bounded_room_and_keeps_nobody_out() {
    let mut wire = Wire::new();
    for number in 0..20_000 {
        wire.home.handle_packet(&syn(number), wire.now);
        discard_output(&mut wire.home);
        assert!(wire.home.len() <= 1024, "{} half-open connections", wire.home.len());
    }
    assert_eq!(wire.home.len(), 1024);
    let (mut peer, mut served) = wire.connection(0);
    assert!(write(&mut peer, b"through").is_ready());
    wire.pass(Duration::from_millis(50));
    assert_eq!(read(&mut served), Ok((b"through".to_vec(), false)));
    wire.pass(Duration::from_secs(61));
    assert_eq!(wire.home.len(), 1, "who never answers is forgotten");
}

/// Memory of this process that is in use and no file's, octets.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("readable");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("there");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

#[test]
fn half_open_connections_take_no_memory_for_buffers() {
    map_buffers_apart();
    let mut wire = Wire::new();
    let before = memory();
    for number in 0..5_000 {
        wire.home.handle_packet(&syn(number), wire.now);
        discard_output(&mut wire.home);
    }
    let taken = memory().saturating_sub(before);
    println!("{} half-open connections take {taken} octets", wire.home.len());
    assert!(taken < 1024 * 16 * 1024, "{taken} octets for {} half-open connections", wire.home.len());
}

#[test]
fn a_port_that_nobody_listens_on_is_refused_and_so_is_a_foreign_source() {
    let mut wire = Wire::new();
    let closed = SocketAddr::new(home(0).ip(), 26);
    let mut refused = wire.peer.connect(addresses(9)[0], closed, wire.now).expect("begun");
    wire.pass(Duration::from_millis(50));
    assert_eq!(read(&mut refused), Err(std::io::ErrorKind::ConnectionReset));
    let foreign = wire.peer.connect(IpAddr::from([192, 0, 2, 1]), home(0), wire.now);
    assert_eq!(foreign.expect_err("refused").kind(), std::io::ErrorKind::AddrNotAvailable);
}

#[test]
fn idle_connections_live_and_dead_peers_do_not_hold_them_for_ever() {
    let mut wire = Wire::new();
    let (mut peer, mut served) = wire.connection(0);
    wire.now += Duration::from_secs(3600);
    assert!(write(&mut served, b"* 1 EXISTS\r\n").is_ready());
    wire.pass(Duration::from_millis(50));
    assert_eq!(read(&mut peer), Ok((b"* 1 EXISTS\r\n".to_vec(), false)), "an hour of silence is nothing");

    wire.lost_of = 1;
    assert!(write(&mut served, b"* 2 EXISTS\r\n").is_ready());
    wire.pass(Duration::from_secs(14 * 60));
    assert_eq!(read(&mut served), Ok((vec![], false)), "a break of the tunnel is outlived");
    wire.pass(Duration::from_secs(2 * 60));
    assert_eq!(read(&mut served), Err(std::io::ErrorKind::ConnectionReset));
    drop(served);
    wire.pass(Duration::from_secs(1));
    assert_eq!(wire.home.len(), 0);
}

#[test]
fn an_address_that_goes_takes_its_connections_along() {
    let mut wire = Wire::new();
    let (_peer, mut served) = wire.connection(0);
    wire.home.set_addresses(vec![IpAddr::from([10, 119, 0, 2])], wire.now).expect("random numbers");
    assert_eq!(read(&mut served), Err(std::io::ErrorKind::ConnectionReset));
    assert_eq!(wire.home.len(), 0);
}

/// Octets a second that one connection carries from home over a line with 20 ms each way.
fn rate(lost_of: usize) -> f64 {
    let mut wire = Wire::new();
    let (mut peer, mut served) = wire.connection(0);
    let mut line: [std::collections::VecDeque<(Instant, Vec<u8>)>; 2] = Default::default();
    let chunk = vec![7; 64 * 1024];
    let (mut came, mut passed, start) = (0, 0usize, wire.now);
    while wire.now < start + Duration::from_secs(20) {
        wire.now += Duration::from_millis(1);
        while let Poll::Ready(Ok(_)) = write(&mut served, &chunk) {}
        came += read(&mut peer).expect("open").0.len();
        for (stack, way) in [(&mut wire.home, 0), (&mut wire.peer, 1)] {
            stack.handle_rings(wire.now);
            loop {
                while let Some(packet) = stack.port().front().map(|packet| packet[HEADER..].to_vec()) {
                    stack.port().pop();
                    passed += 1;
                    if !passed.is_multiple_of(lost_of) {
                        line[way].push_back((wire.now + Duration::from_millis(20), packet));
                    }
                }
                if !stack.handle_timeout(wire.now) {
                    break;
                }
            }
        }
        for (stack, way) in [(&mut wire.peer, 0), (&mut wire.home, 1)] {
            while line[way].front().is_some_and(|(due, _)| *due <= wire.now) {
                let (_, packet) = line[way].pop_front().expect("there");
                stack.handle_packet(&packet, wire.now);
            }
        }
    }
    came as f64 / 20.0
}

/// The limits that docs/rootless.md names: far more than a line at home sends where nothing is lost, and no SACK.
#[test]
fn loss_slows_a_connection_and_does_not_stop_it() {
    for (lost_of, least) in [(usize::MAX, 15.0), (1000, 5.0), (100, 1.5)] {
        let rate = rate(lost_of) * 8.0 / 1e6;
        println!("one packet lost of {lost_of}: {rate:.1} Mbit/s");
        assert!(rate > least, "one packet lost of {lost_of}: {rate} Mbit/s");
    }
}
