//! The tunnel and the edge outlive what happens to a home line: new addresses, NAT, restarts, a power cut, a moved edge.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use postern_lab::lab::{ANA, ANA_PASSWORD};
use postern_lab::scale::scaled;
use postern_lab::{Host, Lab, Signal, mail, wait_until};
use serde_json::Value;

const IDLE: &str = include_str!("../clients/idle.py");
const RECONNECTION: Duration = Duration::from_secs(30);

/// After an interruption mail passes again within 5 s; twice that, since the machine may carry several labs at once.
const RECOVERY: Duration = Duration::from_secs(10);

/// The edge's name in the scenarios in which it has one, and the port of its tunnel.
const EDGE_NAME: &str = "tunnel.stranger.test";
const EDGE_ENDPOINT: &str = "tunnel.stranger.test:51820";

#[test]
fn an_open_imap_connection_survives_a_new_address_of_the_router() -> Result<()> {
    let lab = Lab::joined()?;
    let idler = Idler::start(&lab)?;
    lab.change_isp_address()?;
    idler.hears_of_mail(&lab, "after the change")
}

/// A connection that waits in IDLE.
struct Idler {
    client: Child,
    told: BufReader<ChildStdout>,
}

impl Idler {
    fn start(lab: &Lab) -> Result<Self> {
        let idle = ["python3", "-c", IDLE, "mail.home.example", ANA, ANA_PASSWORD, "180"];
        let mut client = lab.host(Host::Cafe).spawn(idle)?;
        let told = BufReader::new(client.stdout.take().context("piped")?);
        let mut idler = Self { client, told };
        let line = idler.line()?;
        ensure!(line == "idling", "{line}{}", rest_of(idler.client.stderr.take().context("piped")?)?);
        Ok(idler)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.told.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// A message comes, and the waiting connection tells of it.
    fn hears_of_mail(mut self, lab: &Lab, subject: &str) -> Result<()> {
        lab.send_from_stranger(ANA, &mail::plain_message(mail::SAM, ANA, subject))?;
        let line = self.line()?;
        let complaint = rest_of(self.client.stderr.take().context("piped")?)?;
        ensure!(line == format!("Subject: {subject}"), "{line}{complaint}");
        ensure!(self.client.wait()?.success());
        Ok(())
    }
}

/// A message of ana's that she fetches slowly.
struct Download {
    client: Child,
    sent: String,
}

impl Download {
    fn start(lab: &Lab, octets: usize, octets_a_second: &str) -> Result<Self> {
        let sent = mail::message_with_attachment(mail::SAM, ANA, "slow", octets);
        lab.send_from_stranger(ANA, &sent)?;
        lab.await_ana_message("slow")?;
        let uid = lab.search_subject("slow")?.pop().context("one message")?;
        let (user, url) =
            (format!("{ANA}:{ANA_PASSWORD}"), format!("imaps://mail.home.example/INBOX;UID={uid}"));
        let cafe = lab.host(Host::Cafe);
        let client = cafe.spawn([
            "curl",
            "-sS",
            "--user",
            &user,
            "--limit-rate",
            octets_a_second,
            "--output",
            "/run/slow",
            &url,
        ])?;
        wait_until("the download has begun", Duration::from_secs(20), || {
            let size = cafe.sh("stat -c %s /run/slow")?.stdout;
            ensure!(size.trim().parse::<u64>()? > 100_000, "{size}");
            Ok(())
        })?;
        Ok(Self { client, sent })
    }

    fn is_under_way(&mut self) -> Result<bool> {
        Ok(self.client.try_wait()?.is_none())
    }

    /// Waits for the end; every octet must be there.
    fn succeeds(mut self, lab: &Lab) -> Result<()> {
        let status = self.client.wait()?;
        ensure!(status.success(), "{}", rest_of(self.client.stderr.take().context("piped")?)?);
        let fetched = lab.host(Host::Cafe).read("/run/slow")?;
        ensure!(mail::body_of(&fetched)? == mail::body_of(self.sent.as_bytes())?, "another body");
        Ok(())
    }
}

fn rest_of(mut stream: impl Read) -> Result<String> {
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[test]
fn a_slow_download_survives_a_new_address_of_the_router() -> Result<()> {
    let lab = Lab::joined()?;
    let download = Download::start(&lab, 3 << 20, "600k")?;
    lab.change_isp_address()?;
    download.succeeds(&lab)
}

#[test]
fn open_connections_survive_a_new_address_of_the_router_every_second() -> Result<()> {
    let lab = Lab::joined()?;
    let changes = scaled(12, 60);
    let mut download = Download::start(&lab, changes * 80_000, "100k")?;
    let idler = Idler::start(&lab)?;
    for change in 0..changes {
        lab.change_isp_address()?;
        ensure!(change > changes / 2 || download.is_under_way()?, "the download was too fast to tell");
        thread::sleep(Duration::from_secs(1));
    }
    download.succeeds(&lab)?;
    idler.hears_of_mail(&lab, "after many changes")?;
    let moves = edge_epoch(&lab)?["roamed"].as_array().map_or(0, Vec::len);
    ensure!(moves > changes.min(16) / 2, "the edge has noticed {moves} addresses");
    Ok(())
}

#[test]
fn open_connections_survive_a_new_port_of_the_nat() -> Result<()> {
    let lab = Lab::joined()?;
    let download = Download::start(&lab, 2 << 20, "600k")?;
    let idler = Idler::start(&lab)?;
    lab.rebind_nat(20_000..=20_999)?;
    download.succeeds(&lab)?;
    idler.hears_of_mail(&lab, "through another port")?;
    let endpoint = edge_epoch(&lab)?["endpoint"].as_str().context("an endpoint")?.to_owned();
    ensure!(endpoint.starts_with("203.0.113.10:20"), "the NAT has bound anew: {endpoint}");
    Ok(())
}

#[test]
fn mail_passes_again_within_seconds_of_a_restart_of_either_side_or_both() -> Result<()> {
    let lab = Lab::joined()?;
    let edge = (Host::Edge, "postern-edge");
    let home = (Host::Home, "postern-home");
    for daemons in [&[edge][..], &[home], &[edge, home]] {
        // What is forwarded only outlives the edge; home's own end of a connection goes with home.
        let idler = (daemons == [edge]).then(|| Idler::start(&lab)).transpose()?;
        daemons.iter().try_for_each(|(host, daemon)| lab.stop_daemon(*host, daemon, Signal::Kill))?;
        let killed = Instant::now();
        daemons.iter().try_for_each(|(host, daemon)| lab.start_daemon(*host, daemon))?;
        wait_until("a new connection is served", Duration::from_secs(30), || is_served(&lab))?;
        let away = killed.elapsed();
        println!("{daemons:?}: served again after {away:?}");
        ensure!(away < RECOVERY, "{daemons:?}: away for {away:?}");
        idler.map_or(Ok(()), |idler| idler.hears_of_mail(&lab, "after the restart"))?;
    }
    Ok(())
}

/// Whether home's IMAP server greets a new client from the outside.
fn is_served(lab: &Lab) -> Result<()> {
    let script = format!(
        "import socket, ssl
plain = socket.create_connection(('{}', 993), 1)
secure = ssl._create_unverified_context().wrap_socket(plain)
assert secure.recv(16).startswith(b'* OK')",
        Host::Edge.v4()
    );
    lab.host(Host::Cafe).run(["python3", "-c", &script])?.success().map(drop)
}

#[test]
fn an_edge_that_moves_is_found_by_its_name() -> Result<()> {
    let lab = Lab::running()?;
    name_edge(&lab, "1 IN A 192.0.2.10")?;
    lab.join_at(EDGE_ENDPOINT)?;
    lab.host(Host::Edge).sh("ip address del 192.0.2.10/24 dev eth0
         ip address add 192.0.2.77/24 dev eth0
         ip route replace default via 192.0.2.1")?;
    name_edge(&lab, "1 IN A 192.0.2.77")?;
    let moved = Instant::now();
    wait_until("home has found the edge", RECONNECTION, || home_is_at(&lab, "192.0.2.77:51820"))
        .map_err(|error| lab.explain(error))?;
    println!("found after {:?}", moved.elapsed());
    ensure!(moved.elapsed() < RECOVERY, "found after {:?}", moved.elapsed());
    Ok(())
}

#[test]
fn an_edge_with_two_addresses_answers_from_the_one_that_home_dials() -> Result<()> {
    let lab = Lab::running()?;
    // The provider's NAT lets nothing pass from an address that home has not spoken to.
    lab.host(Host::Edge).sh("ip address add 192.0.2.77/24 dev eth0")?;
    lab.join_at("192.0.2.77:51820")?;
    wait_until("home is connected", RECONNECTION, || home_is_at(&lab, "192.0.2.77:51820"))
        .map_err(|error| lab.explain(error))
}

#[test]
fn a_dead_ipv6_address_of_the_edge_delays_and_does_no_more() -> Result<()> {
    let lab = Lab::running()?;
    lab.give_home_v6()?;
    name_edge(&lab, &format!("1 IN AAAA 2001:db8:ed::dead\n{EDGE_NAME}. 1 IN A 192.0.2.10"))?;
    lab.join_at(EDGE_ENDPOINT)?;
    lab.stop_daemon(Host::Home, "postern-home", Signal::Terminate)?;
    lab.start_daemon(Host::Home, "postern-home")?;
    let started = Instant::now();
    wait_until("home has found the edge", RECONNECTION, || home_is_at(&lab, "192.0.2.10:51820"))
        .map_err(|error| lab.explain(error))?;
    println!("found after {:?}", started.elapsed());
    ensure!(started.elapsed() < RECOVERY, "found after {:?}", started.elapsed());
    let tried = home_epoch(&lab)?["roamed"].to_string();
    ensure!(tried.contains("[2001:db8:ed::dead]"), "the dead address was tried: {tried}");
    Ok(())
}

/// Gives the edge's name these records, in place of those before.
fn name_edge(lab: &Lab, records: &str) -> Result<()> {
    let stranger = lab.host(Host::Stranger);
    stranger.sh(&format!(
        "sed -i '/^{EDGE_NAME}/d' /etc/nsd/stranger.test.zone
         printf '%s\\n' '{EDGE_NAME}. {records}' >> /etc/nsd/stranger.test.zone"
    ))?;
    lab.stop_daemon(Host::Stranger, "nsd", Signal::Terminate)?;
    lab.start_daemon(Host::Stranger, "nsd")?;
    wait_until("the name is served", Duration::from_secs(10), || {
        lab.host(Host::Stranger).sh(&format!("dig +short +time=1 @127.0.0.1 {EDGE_NAME} A | grep -q ."))
    })?;
    Ok(())
}

/// Octets pass between home and the edge at this endpoint.
fn home_is_at(lab: &Lab, endpoint: &str) -> Result<()> {
    let epoch = home_epoch(lab)?;
    ensure!(epoch["alive"] == true && epoch["endpoint"] == endpoint, "{epoch}");
    Ok(())
}

fn home_epoch(lab: &Lab) -> Result<Value> {
    first_epoch(lab, Host::Home, &["postern-home", "tunnel", "status", "--json"], "/epochs/0")
}

fn edge_epoch(lab: &Lab) -> Result<Value> {
    first_epoch(lab, Host::Edge, &["postern-edge", "status", "--json"], "/tunnel/epochs/0")
}

fn first_epoch(lab: &Lab, host: Host, command: &[&str], place: &str) -> Result<Value> {
    let output = lab.host(host).run(command)?;
    let status: Value = serde_json::from_str(&output.stdout).with_context(|| output.stderr.clone())?;
    status.pointer(place).cloned().with_context(|| format!("no epoch in {status}"))
}

#[test]
fn a_restarted_edge_serves_the_last_zone_without_home_and_takes_home_back() -> Result<()> {
    let lab = Lab::joined()?;
    lab.stop_daemon(Host::Home, "postern-home", Signal::Terminate)?;
    lab.stop_daemon(Host::Edge, "postern-edge", Signal::Terminate)?;
    let table = lab.host(Host::Edge).run(["nft", "list", "tables"])?.success()?.stdout;
    assert!(!table.contains("postern"), "the edge's table stays after a clean stop: {table}");

    lab.start_daemon(Host::Edge, "postern-edge")?;
    wait_until("the edge answers for the domain", RECONNECTION, || lab.resolve("home.example", "MX"))?;
    lab.start_daemon(Host::Home, "postern-home")?;
    wait_until("home is back", RECONNECTION, || lab.is_connected())?;
    assert_mail_arrives(&lab, "both restarted")
}

#[test]
fn home_and_edge_come_back_after_being_killed() -> Result<()> {
    let lab = Lab::joined()?;
    for (host, daemon) in [(Host::Home, "postern-home"), (Host::Edge, "postern-edge")] {
        lab.stop_daemon(host, daemon, Signal::Kill)?;
        lab.start_daemon(host, daemon)?;
        wait_until("home is connected again", RECONNECTION, || lab.is_connected())?;
        assert_mail_arrives(&lab, &format!("after {daemon} was killed"))?;
    }
    Ok(())
}

fn assert_mail_arrives(lab: &Lab, subject: &str) -> Result<()> {
    lab.send_from_stranger(ANA, &mail::plain_message(mail::SAM, ANA, subject))?;
    // A first try that met a closed door waits in Postfix's queue for minutes; do not wait with it.
    wait_until(&format!("{subject:?} has arrived"), Duration::from_secs(60), || {
        lab.host(Host::Stranger).run(["postqueue", "-f"])?.success()?;
        lab.search_subject(subject)?.pop().context("not there").map(drop)
    })
    .map_err(|error| lab.explain(error))
}

#[test]
fn only_mail_ports_pass_and_nothing_else_of_home_uses_the_tunnel() -> Result<()> {
    let lab = Lab::joined()?;
    let connect = |host: Host, to: &str, port: u16, from: &str| -> Result<bool> {
        let script = format!(
            "import socket; socket.create_connection(('{to}', {port}), 3, source_address=('{from}', 0))"
        );
        Ok(lab.host(host).run(["python3", "-c", &script])?.status.success())
    };
    assert!(connect(Host::Home, "198.51.100.25", 25, "10.118.0.2")?, "home's SMTP leaves through the edge");
    assert!(
        !connect(Host::Home, "198.51.100.25", 53, "10.118.0.2")?,
        "home reaches another port through the edge"
    );
    assert!(!connect(Host::Cafe, "192.0.2.10", 8053, "0.0.0.0")?, "the control port is open to the world");
    let route = lab.host(Host::Home).sh("ip route get 198.51.100.25")?.stdout;
    assert!(route.contains("eth0"), "home's own traffic goes by the tunnel: {route}");
    Ok(())
}
