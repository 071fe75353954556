//! The tunnel and the edge outlive what happens to a home line: a new address, restarts, a power cut.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::lab::{ANA, ANA_PASSWORD};
use postern_lab::{Host, Lab, Signal, mail, wait_until};

const IDLE: &str = include_str!("../clients/idle.py");
const RECONNECTION: Duration = Duration::from_secs(30);

#[test]
fn an_open_imap_connection_survives_a_new_address_of_the_router() -> Result<()> {
    let lab = Lab::joined()?;
    let mut idler =
        lab.host(Host::Cafe).spawn(["python3", "-c", IDLE, "mail.home.example", ANA, ANA_PASSWORD])?;
    let mut told = BufReader::new(idler.stdout.take().context("piped")?);
    let mut line = String::new();
    told.read_line(&mut line)?;
    ensure!(line == "idling\n", "{line}{}", rest_of(idler.stderr.take().context("piped")?)?);

    lab.change_isp_address()?;
    lab.send_from_stranger(ANA, &mail::plain_message(mail::SAM, ANA, "after the change"))?;
    line.clear();
    told.read_line(&mut line)?;
    let complaint = rest_of(idler.stderr.take().context("piped")?)?;
    assert_eq!(line.trim(), "Subject: after the change", "{complaint}");
    assert!(idler.wait()?.success());
    Ok(())
}

fn rest_of(mut stream: impl Read) -> Result<String> {
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[test]
fn a_slow_download_survives_a_new_address_of_the_router() -> Result<()> {
    let lab = Lab::joined()?;
    let sent = mail::message_with_attachment(mail::SAM, ANA, "slow", 3 << 20);
    lab.send_from_stranger(ANA, &sent)?;
    lab.await_ana_message("slow")?;
    let uid = lab.search_subject("slow")?.pop().context("one message")?;
    let cafe = lab.host(Host::Cafe);
    let (user, url) = (format!("{ANA}:{ANA_PASSWORD}"), format!("imaps://mail.home.example/INBOX;UID={uid}"));
    let curl = ["curl", "-sS", "--user", &user, "--limit-rate", "600k", "--output", "/run/slow", &url];
    let mut download = cafe.spawn(curl)?;
    wait_until("the download has begun", Duration::from_secs(20), || {
        let size = cafe.sh("stat -c %s /run/slow")?.stdout;
        ensure!(size.trim().parse::<u64>()? > 100_000, "{size}");
        Ok(())
    })?;
    lab.change_isp_address()?;
    let status = download.wait()?;
    assert!(status.success(), "{}", rest_of(download.stderr.take().context("piped")?)?);
    assert_eq!(mail::body_of(&cafe.read("/run/slow")?)?, mail::body_of(sent.as_bytes())?);
    Ok(())
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
