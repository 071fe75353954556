//! Two shells over true sockets: nothing is allocated per packet. The memory allocator of the test program counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tokio::sync::watch;

use super::super::device::Device;
use super::super::thread::{Command, Shell, TICK};
use super::super::{EpochConfig, Role, TunnelStatus, socket};
use super::{HOME, WORLD, epoch, packet};

/// The system's allocator, which counts what each thread asks of it.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Makes the device: one that takes super-packets, or one that does not.
type Make = fn(OwnedFd) -> Device;

/// A shell with its device's other end, where the kernel would be.
struct Machine {
    shell: Shell,
    kernel: OwnedFd,
    turns: u64,
    turns_that_allocate: u64,
}

impl Machine {
    fn new(role: Role, make: Make, sockets: socket::Sockets, epoch: EpochConfig) -> Self {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (kernel, device) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let wake = Arc::new(eventfd(1, EventfdFlags::NONBLOCK).unwrap());
        let (commands, inbox) = mpsc::channel();
        commands.send(Command::SetEpochs(vec![epoch])).unwrap();
        let (publish, _) = watch::channel(TunnelStatus::default());
        let shell = Shell::new(role, make(device), sockets, wake, inbox, publish).unwrap();
        Self { shell, kernel, turns: 0, turns_that_allocate: 0 }
    }

    fn turn(&mut self) {
        let before = ALLOCATIONS.get();
        assert!(self.shell.turn().is_continue());
        self.turns += 1;
        self.turns_that_allocate += u64::from(ALLOCATIONS.get() > before);
    }
}

/// A super-packet of TCP data as the kernel hands it over: a virtio-net header, and a checksum still to be made.
fn super_packet(from: Ipv4Addr, to: Ipv4Addr, octets: usize) -> Vec<u8> {
    let [headers, segment, start, offset] = [40u16, 1340, 20, 16].map(u16::to_ne_bytes);
    let header = [[1, 1], headers, segment, start, offset].concat();
    [header, packet(from, to, &vec![7; octets])].concat()
}

/// Lets `from` send until so many octets of payload have come out at `to`.
fn transfer(from: &mut Machine, to: &mut Machine, packet: &[u8], octets: usize) {
    let (mut buffer, mut arrived) = (vec![0; 70_000], 0);
    let begin = Instant::now();
    while arrived < octets {
        assert!(begin.elapsed() < Duration::from_secs(60), "{arrived} of {octets} octets after a minute");
        let _ = rustix::io::write(&from.kernel, packet);
        from.turn();
        to.turn();
        while let Ok(length) = rustix::io::read(&to.kernel, &mut buffer[..]) {
            arrived += length - 50;
        }
    }
}

/// Edge and home, connected.
fn connected(make: Make) -> (Machine, Machine) {
    let (edge_sockets, port) = socket::open(0).unwrap();
    let (home_sockets, _) = socket::open(0).unwrap();
    let (edge, mut home) = epoch(1);
    home.endpoint = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let mut edge = Machine::new(Role::Edge, make, edge_sockets, edge);
    let mut home = Machine::new(Role::Home, make, home_sockets, home);
    // The handshake, and the first lengths of what grows once.
    transfer(&mut home, &mut edge, &super_packet(HOME, WORLD, 40_000), 400_000);
    transfer(&mut edge, &mut home, &super_packet(WORLD, HOME, 40_000), 400_000);
    for machine in [&mut edge, &mut home] {
        (machine.turns, machine.turns_that_allocate) = (0, 0);
    }
    (edge, home)
}

#[test]
fn nothing_is_allocated_per_packet() {
    for make in [Device::from_tun as Make, Device::from_packets] {
        let (mut edge, mut home) = connected(make);
        let begin = Instant::now();
        transfer(&mut home, &mut edge, &super_packet(HOME, WORLD, 40_000), 16 << 20);
        transfer(&mut edge, &mut home, &super_packet(WORLD, HOME, 40_000), 16 << 20);
        // The clock's ticks publish the status, which is made anew each time.
        let ticks = 2 + begin.elapsed().as_millis() / TICK.as_millis();
        for machine in [edge, home] {
            let (turns, allocating) = (machine.turns, machine.turns_that_allocate);
            assert!(
                u128::from(allocating) <= ticks,
                "{allocating} of {turns} turns allocate, with {ticks} ticks"
            );
            assert!(turns > 400, "{turns} turns are too few to tell");
        }
    }
}
