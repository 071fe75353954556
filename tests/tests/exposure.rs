//! What a taken-over edge can reach at home: the listed mail ports, and nothing else.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::{Host, HostHandle, Lab, wait_until};

/// Listens on every address of home, as a household's other services do, and says so.
const OTHER_SERVICE: &str = "
import socket
listener = socket.create_server(('::', 8080), family=socket.AF_INET6, dualstack_ipv6=True)
print('listening', flush=True)
while True: listener.accept()[0].sendall(b'private')
";

/// Prints what a server says first, or nothing.
const FIRST_WORDS: &str = "
import socket, sys
try: print(socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).recv(80).decode())
except OSError as error: print(error, file=sys.stderr)
";

fn first_words(host: &HostHandle, address: &str, port: &str) -> Result<String> {
    Ok(host.run(["python3", "-c", FIRST_WORDS, address, port])?.success()?.stdout.trim().to_owned())
}

#[test]
fn the_edge_reaches_the_mail_ports_of_home_and_nothing_else() -> Result<()> {
    let lab = Lab::joined()?;
    let (edge, home) = (lab.host(Host::Edge), lab.host(Host::Home));
    let mut service = home.spawn(["python3", "-c", OTHER_SERVICE])?;
    let mut line = String::new();
    BufReader::new(service.stdout.take().context("piped")?).read_line(&mut line)?;
    ensure!(line == "listening\n", "{line:?}");

    let lan = Host::Home.v4().to_string();
    assert_eq!(first_words(&home, &lan, "8080")?, "private", "the control: the service answers at home");
    for inner in ["10.118.0.2", "fd70:6f73:7465::2"] {
        let banner = first_words(&edge, inner, "25")?;
        assert!(banner.starts_with("220 mail.home.example"), "{inner}: {banner:?}");
        assert_eq!(first_words(&edge, inner, "8080")?, "", "{inner} answers on a port that is not listed");
    }

    // The edge's owner may add routes; home still takes nothing for its other addresses or its neighbours.
    let isp = postern_lab::topology::ISP_LAN_V4;
    edge.sh(&format!("ip route add {lan}/32 dev postern0; ip route add {isp}/32 dev postern0"))?;
    for port in ["25", "8080"] {
        assert_eq!(first_words(&edge, &lan, port)?, "", "home's own network is reached, port {port}");
    }
    let ping = edge.run(["ping", "-c", "1", "-W", "1", &isp.to_string()])?;
    assert_ne!(ping.code(), 0, "a neighbour of home answers: {}", ping.stdout);
    service.kill()?;
    service.wait()?;
    Ok(())
}

#[test]
fn a_capture_shows_what_a_host_sends() -> Result<()> {
    let lab = Lab::joined()?;
    let file = std::env::temp_dir().join(format!("{}.pcap", lab.name()));
    let program = postern_lab::lab::programs()?.join("lab");
    let mut capture = std::process::Command::new(program)
        .args(["capture", "edge", "--lab", lab.name(), "-w"])
        .arg(&file)
        .args(["--", "udp", "port", "53"])
        .stderr(std::process::Stdio::null())
        .spawn()?;
    wait_until("the capture holds an answer of the edge", Duration::from_secs(20), || {
        lab.host(Host::Cafe).run(["dig", "@192.0.2.10", "+short", "home.example", "MX"])?.success()?;
        let packets = std::fs::read(&file)?;
        ensure!(packets.windows(4).any(|window| window == b"home"), "{} octets so far", packets.len());
        Ok(())
    })?;
    capture.kill()?;
    capture.wait()?;
    std::fs::remove_file(&file)?;
    Ok(())
}
