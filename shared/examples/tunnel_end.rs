//! One end of a tunnel and nothing else: the daemon that `make bench-tunnel` measures.
//!
//! `tunnel_end edge` waits on UDP port 51820; `tunnel_end home ADDRESS:PORT` dials it. Run it as root in a network namespace
//! of its own. The keys are fixed and worth nothing. It runs until it is killed.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use postern_shared::netlink::Interface;
use postern_shared::tunnel::{
    Admission, EpochConfig, EpochId, HeartbeatAddresses, PresharedKey, PrivateKey, Role, Tunnel, TunnelConfig,
};

const INTERFACE: &str = "tunnel0";
const PORT: u16 = 51820;
const MTU: u16 = 1380;
/// The inner addresses of edge and home.
const V4: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 118, 0, 1), Ipv4Addr::new(10, 118, 0, 2)];
const V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd70, 0x6f73, 0x7465, 0, 0, 0, 0, 1),
    Ipv6Addr::new(0xfd70, 0x6f73, 0x7465, 0, 0, 0, 0, 2),
];
/// The port of the load generator at home.
const SERVICE: u16 = 5201;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (role, us, peer) = match arguments.next().as_deref() {
        Some("edge") => (Role::Edge, 0, 1),
        Some("home") => (Role::Home, 1, 0),
        _ => return Err("usage: tunnel_end edge | home ADDRESS:PORT".into()),
    };
    let endpoint: Option<SocketAddr> = arguments.next().map(|address| address.parse()).transpose()?;
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let port = if role == Role::Edge { PORT } else { 0 };
    let tunnel = Tunnel::spawn(TunnelConfig { role, interface: INTERFACE.into(), port })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let interface = Interface::open(INTERFACE)?;
        interface.bring_up(MTU).await?;
        interface.add_address(V4[us].into(), V4[peer].into()).await?;
        interface.add_address(V6[us].into(), V6[peer].into()).await
    })?;
    tunnel.set_epochs(vec![epoch(role, us, peer, endpoint)]);
    runtime.block_on(tunnel.ended());
    Ok(())
}

fn epoch(role: Role, us: usize, peer: usize, endpoint: Option<SocketAddr>) -> EpochConfig {
    let keys = [PrivateKey::from_octets([1; 32]), PrivateKey::from_octets([2; 32])];
    let addresses = |end: usize| -> [IpAddr; 2] { [V4[end].into(), V6[end].into()] };
    EpochConfig {
        id: EpochId::FIRST,
        private_key: keys[us].clone(),
        peer: keys[peer].public(),
        preshared_key: PresharedKey::from_octets([3; 32]),
        endpoint,
        allowed_ips: addresses(peer).into_iter().map(Into::into).collect(),
        admission: match role {
            Role::Edge => Admission::Everything,
            Role::Home => Admission::Services { addresses: addresses(us).to_vec(), tcp_ports: vec![SERVICE] },
        },
        heartbeat: HeartbeatAddresses { local: V4[us], peer: V4[peer] },
    }
}
