//! What a taken-over edge can reach at home: the listed mail ports, and nothing else.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use postern_lab::keys::{CONVERGENCE, quick_rotation};
use postern_lab::lab::scenario_options;
use postern_lab::{Host, HostHandle, Lab, Signal, wait_until};

const PACKETS: &str = include_str!("../clients/rogue_packets.py");
const CONTROL: &str = include_str!("../clients/rogue_control.py");

/// Home's inner addresses.
const INNER: [&str; 2] = ["10.118.0.2", "fd70:6f73:7465::2"];

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
    for inner in INNER {
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

/// A process on a host that says when it is ready.
struct Beside {
    process: Child,
    told: BufReader<ChildStdout>,
}

impl Beside {
    fn start(host: &HostHandle, command: &[&str], ready: &str) -> Result<Self> {
        let mut process = host.spawn(command)?;
        let mut told = BufReader::new(process.stdout.take().context("piped")?);
        let mut line = String::new();
        told.read_line(&mut line)?;
        ensure!(line.trim() == ready, "{command:?} says {line:?}");
        Ok(Self { process, told })
    }

    fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Ends one that ends with its standard input.
    fn end(mut self) -> Result<()> {
        drop(self.process.stdin.take());
        self.process.wait()?;
        Ok(())
    }
}

/// Ends the edge's daemon and puts a program with these keys of its in its place.
fn take_over(lab: &Lab, keys: &str) -> Result<Beside> {
    Beside::start(&lab.host(Host::Edge), &["rogue-edge", keys], "ready")
}

fn epochs_alive(lab: &Lab) -> Result<Vec<(u64, bool)>> {
    let status = lab.json(Host::Home, &["postern-home", "tunnel", "status"])?;
    let epochs = status["epochs"].as_array().context("epochs")?;
    let of = |epoch: &serde_json::Value| Some((epoch["id"].as_u64()?, epoch["alive"].as_bool()?));
    epochs.iter().map(|epoch| of(epoch).context("an epoch")).collect()
}

#[test]
fn a_taken_over_edge_is_answered_by_the_listed_ports_only() -> Result<()> {
    let lab = Lab::joined()?;
    let (edge, home, isp) = (lab.host(Host::Edge), lab.host(Host::Home), lab.host(Host::Isp));
    let service = Beside::start(&home, &["python3", "-c", OTHER_SERVICE], "listening")?;
    isp.sh("nft add table inet watch
         nft 'add chain inet watch lan { type filter hook prerouting priority 0; }'
         nft 'add rule inet watch lan iifname lan0 meta l4proto { tcp, icmp } counter'")?;
    edge.sh("cp /var/lib/postern-edge/enrolment.json /run/stolen.json")?;
    lab.stop_daemon(Host::Edge, "postern-edge", Signal::Kill)?;
    edge.sh("nft flush ruleset")?;
    let rogue = take_over(&lab, "/run/stolen.json")?;
    wait_until("home takes the rogue for its edge", CONVERGENCE, || {
        ensure!(epochs_alive(&lab)? == [(1, true)], "{:?}", epochs_alive(&lab)?);
        Ok(())
    })?;
    // Not the MTU, which the path may change meanwhile.
    let routes = "ip -4 route show table all; ip -6 route show table all; ip -6 address show scope global | grep inet6";
    let before = home.sh(routes)?.stdout;

    let (lan, neighbour) = (Host::Home.v4().to_string(), postern_lab::topology::ISP_LAN_V4.to_string());
    let output = edge.run(["python3", "-c", PACKETS, &lan, &neighbour])?.success()?;
    let answers: BTreeSet<(String, String, u16)> = serde_json::from_str(&output.stdout)?;
    let listed = INNER.iter().flat_map(|inner| {
        [25, 443, 465, 587, 993, 995].map(|port| ("syn-ack".to_owned(), (*inner).to_owned(), port))
    });
    assert_eq!(answers, listed.collect(), "what answers a taken-over edge");
    assert_eq!(home.sh(routes)?.stdout, before, "the edge has changed home's routes");
    let leaked = isp.sh("nft list table inet watch")?.stdout;
    assert!(leaked.contains("counter packets 0 bytes 0"), "something reached home's own network: {leaked}");
    lab.json(Host::Home, &["postern-home", "status"])?;
    service.kill()?;
    rogue.end()
}

#[test]
fn home_bears_the_lies_and_the_old_keys_of_a_taken_over_edge() -> Result<()> {
    let lab = Lab::start(quick_rotation(scenario_options()?))?;
    lab.join().and_then(|()| lab.set_up_home()).map_err(|error| lab.explain(error))?;
    let (edge, home) = (lab.host(Host::Edge), lab.host(Host::Home));
    edge.sh("cp /var/lib/postern-edge/enrolment.json /run/old.json")?;
    home.run(["postern-home", "tunnel", "rotate"])?.success()?;
    lab.await_rest_on(2)?;
    edge.sh("cp /var/lib/postern-edge/enrolment.json /run/stolen.json")?;
    lab.stop_daemon(Host::Edge, "postern-edge", Signal::Kill)?;
    edge.sh("nft flush ruleset")?;

    // Keys from before the rotation open nothing.
    let rogue = take_over(&lab, "/run/old.json")?;
    wait_until("home hears nobody", CONVERGENCE, || {
        ensure!(epochs_alive(&lab)? == [(2, false)], "{:?}", epochs_alive(&lab)?);
        Ok(())
    })?;
    rogue.end()?;

    let rogue = take_over(&lab, "/run/stolen.json")?;
    let mut liar = Beside::start(&edge, &["python3", "-c", CONTROL], "lying")?;
    let mut watcher = home.spawn(["postern-home", "tunnel", "rotate"])?;
    let (mut told, start) = (BTreeSet::new(), Instant::now());
    while told.len() < 10 {
        let mut line = String::new();
        liar.told.read_line(&mut line)?;
        let (call, lie) = line.trim().split_once(" - ").with_context(|| format!("{line:?}"))?;
        ensure!(start.elapsed() < CONVERGENCE * 2, "home has stopped to ask after {told:?}");
        told.insert(lie.to_owned());
        let asked = Instant::now();
        let status = lab.json(Host::Home, &["postern-home", "status"])?;
        assert!(
            asked.elapsed() < Duration::from_secs(1),
            "{call} - {lie}: status took {:?}",
            asked.elapsed()
        );
        let public = status.pointer("/link/addresses/public").and_then(|public| public.as_array());
        assert!(public.context("addresses")?.len() <= 16, "{lie}");
        // A change makes home ask again at once.
        home.run(["postern-home", "domain", "add", &format!("d{}.example", told.len())])?;
    }
    let banner = first_words(&lab.host(Host::Isp), &Host::Home.v4().to_string(), "25")?;
    assert!(banner.starts_with("220 "), "a client in home's own network: {banner:?}");
    let memory = home.sh("awk '/VmHWM/ { print $2 }' /proc/$(pgrep -xo postern-home)/status")?;
    assert!(memory.stdout.trim().parse::<u64>()? < 200_000, "home took {} kB", memory.stdout);

    // The true edge, rebuilt or cleaned, is taken back, and takes signed calls.
    liar.end()?;
    rogue.end()?;
    watcher.kill()?;
    watcher.wait()?;
    lab.start_daemon(Host::Edge, "postern-edge")?;
    lab.await_rest_on(3)
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
