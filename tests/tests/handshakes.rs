//! Who may be home: a home whose clock is wrong, a copy of home beside the living one, another WireGuard in the place of
//! either end.

use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use postern_lab::lab::{ANA, ANA_PASSWORD};
use postern_lab::{Host, HostHandle, Lab, Signal, mail, wait_until};
use serde_json::Value;

const IDLE: &str = include_str!("../clients/idle.py");

/// What the tunnel may take after a cold start with any clock.
const COLD_START: Duration = Duration::from_secs(15);

/// What the tunnel may take after a restart, once the program answers: how fast that starts is the machine's affair.
const RESTART: Duration = Duration::from_secs(5);

/// What a program may take until it answers, on a machine that has much else to do.
const START: Duration = Duration::from_secs(30);

const HOME: [&str; 4] = ["postern-home", "run", "--config", "/etc/postern/home.toml"];

/// Runs a program whose time of day is what the file `/run/clock` says; clocks that only count go right.
const UNDER_A_CLOCK: &str = "
export FAKETIME_TIMESTAMP_FILE=/run/clock FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1
export LD_PRELOAD=\"$(echo /usr/lib/*/faketime/libfaketimeMT.so.1)\"
exec \"$@\"";

/// A program on a host of the lab, which is not one of the lab's daemons.
struct Program {
    host: HostHandle,
    pid: String,
    child: Child,
}

impl Program {
    /// Starts it; what it prints goes to `/run/NAME.log`.
    fn start(host: HostHandle, name: &str, command: &[&str]) -> Result<Program> {
        let script = format!("echo $$ > /run/{name}.pid; exec >> /run/{name}.log 2>&1; exec \"$@\"");
        let child = host.spawn([&["sh", "-ec", &script, "sh"], command].concat())?;
        let pid = wait_until(&format!("{name} has started"), START, || {
            let pid = String::from_utf8(host.read(&format!("/run/{name}.pid"))?)?;
            ensure!(pid.ends_with('\n'), "no process id yet");
            Ok(pid.trim().to_owned())
        })?;
        host.sh(&format!("rm /run/{name}.pid"))?;
        Ok(Program { host, pid, child })
    }

    fn stop(mut self, signal: &str) -> Result<()> {
        self.host.run(["kill", &format!("-{signal}"), &self.pid])?.success()?;
        self.child.wait()?;
        Ok(())
    }
}

/// What this home's daemon says of its link.
fn link(host: HostHandle) -> Result<Value> {
    let output = host.run(["postern-home", "tunnel", "status", "--json"])?;
    serde_json::from_str(&output.stdout).with_context(|| output.stderr.clone())
}

fn is_in_state(host: HostHandle, state: &str) -> Result<Value> {
    let link = link(host)?;
    ensure!(link.get("state").and_then(Value::as_str) == Some(state), "{link}");
    Ok(link)
}

fn assert_mail_arrives(lab: &Lab, subject: &str) -> Result<()> {
    lab.send_from_stranger(ANA, &mail::plain_message(mail::SAM, ANA, subject))?;
    wait_until(&format!("{subject:?} has arrived"), Duration::from_secs(60), || {
        lab.host(Host::Stranger).run(["postqueue", "-f"])?.success()?;
        lab.search_subject(subject)?.pop().context("not there").map(drop)
    })
}

#[test]
fn the_tunnel_comes_up_whatever_the_clock_at_home_says() -> Result<()> {
    let lab = Lab::joined()?;
    let home = lab.host(Host::Home);
    lab.stop_daemon(Host::Home, "postern-home", Signal::Kill)?;
    let under_a_clock = [&["sh", "-c", UNDER_A_CLOCK, "sh"], &HOME[..]].concat();
    for clock in ["-1h", "+10y", "+0", "@1970-01-01 00:00:20"] {
        home.write("/run/clock", clock.as_bytes())?;
        let program = Program::start(home, "home", &under_a_clock)?;
        wait_until("home answers", START, || link(home))?;
        let told = wait_until("home is connected", COLD_START, || is_in_state(home, "connected"));
        told.with_context(|| format!("with the clock at {clock}")).map_err(|error| lab.explain(error))?;
        assert_mail_arrives(&lab, &format!("with the clock at {clock}"))?;
        let status = home.run(["postern-home", "status"])?.stdout;
        assert_eq!(status.contains("This machine's clock is"), clock != "+0", "{status}");
        if clock == "+10y" {
            home.write("/run/clock", b"+0")?;
            assert_mail_arrives(&lab, "after the clock was put right")?;
            home.write("/run/clock", clock.as_bytes())?;
            // By home's clock the code is ten years old.
            lab.join().map_err(|error| lab.explain(error))?;
        }
        program.stop("KILL")?;
    }
    let log = String::from_utf8(home.read("/run/home.log")?)?;
    assert!(log.contains("2036-") && log.contains("1970-"), "the control: home did see those clocks\n{log}");
    Ok(())
}

/// Copies home to the cafe, as a backup is restored on another machine.
fn restore_at_the_cafe(lab: &Lab) -> Result<HostHandle> {
    let (home, cafe) = (lab.host(Host::Home), lab.host(Host::Cafe));
    for (directory, names) in [("/var/lib", "postern-home"), ("/etc", "postern")] {
        home.sh(&format!("tar -C {directory} -cf /run/backup.tar {names}"))?;
        cafe.write("/run/backup.tar", &home.read("/run/backup.tar")?)?;
        cafe.sh(&format!("tar -C {directory} -xf /run/backup.tar"))?;
    }
    Ok(cafe)
}

fn rest_of(mut stream: impl Read) -> Result<String> {
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[test]
fn the_second_of_two_homes_is_fenced_and_the_first_does_not_notice() -> Result<()> {
    let lab = Lab::joined()?;
    let sent = mail::message_with_attachment(mail::SAM, ANA, "slow", 3 << 20);
    lab.send_from_stranger(ANA, &sent)?;
    lab.await_ana_message("slow")?;
    let uid = lab.search_subject("slow")?.pop().context("one message")?;
    let cafe = restore_at_the_cafe(&lab)?;

    let mut idler = cafe.spawn(["python3", "-c", IDLE, "mail.home.example", ANA, ANA_PASSWORD])?;
    let mut told = BufReader::new(idler.stdout.take().context("piped")?);
    let mut line = String::new();
    told.read_line(&mut line)?;
    ensure!(line == "idling\n", "{line}{}", rest_of(idler.stderr.take().context("piped")?)?);
    let (user, url) = (format!("{ANA}:{ANA_PASSWORD}"), format!("imaps://mail.home.example/INBOX;UID={uid}"));
    let curl = ["curl", "-sS", "--user", &user, "--limit-rate", "500k", "--output", "/run/slow", &url];
    let mut download = cafe.spawn(curl)?;

    let copy = Program::start(cafe, "copy", &HOME)?;
    let fenced = wait_until("the copy is fenced", COLD_START, || is_in_state(cafe, "fenced"))
        .map_err(|error| lab.explain(error))?;
    let other = fenced.pointer("/epochs/0/fenced/endpoint").and_then(Value::as_str).unwrap_or_default();
    assert!(other.starts_with("203.0.113.10:"), "the copy knows where the other is: {fenced}");
    for command in [&["postern-home", "tunnel", "status"][..], &["postern-home", "status"]] {
        let output = cafe.run(command)?;
        assert_eq!(output.code(), 3, "{}", output.stdout);
        assert!(output.stdout.contains("fenced") && output.stdout.contains(other), "{}", output.stdout);
    }
    let edge = lab.host(Host::Edge).run(["postern-edge", "status"])?.stdout;
    let cafe_v4 = Host::Cafe.v4().to_string();
    assert!(edge.contains("Two homes hold the same keys") && edge.contains(&cafe_v4), "{edge}");
    let log = String::from_utf8(cafe.read("/run/copy.log")?)?;
    assert_eq!(log.matches("this one is fenced").count(), 1, "{log}");

    assert!(download.wait()?.success(), "{}", rest_of(download.stderr.take().context("piped")?)?);
    assert_eq!(mail::body_of(&cafe.read("/run/slow")?)?, mail::body_of(sent.as_bytes())?);
    lab.send_from_stranger(ANA, &mail::plain_message(mail::SAM, ANA, "beside a copy"))?;
    line.clear();
    told.read_line(&mut line)?;
    assert_eq!(line.trim(), "Subject: beside a copy", "{}", rest_of(idler.stderr.take().context("piped")?)?);
    assert!(idler.wait()?.success());
    assert_eq!(lab.search_subject("beside a copy")?.len(), 1);
    lab.is_connected()?;

    // The first goes; the second stays fenced until somebody says that it shall take over.
    lab.stop_daemon(Host::Home, "postern-home", Signal::Kill)?;
    std::thread::sleep(Duration::from_secs(8));
    is_in_state(cafe, "fenced")?;
    copy.stop("TERM")?;
    let copy = Program::start(cafe, "copy", &HOME)?;
    wait_until("the copy answers", START, || link(cafe))?;
    let started = Instant::now();
    wait_until("the copy has taken over", COLD_START, || is_in_state(cafe, "connected"))?;
    ensure!(started.elapsed() < RESTART, "{:?}", started.elapsed());
    // Asked from elsewhere: the cafe is the copy's own machine now.
    lab.send_from_stranger(ANA, &mail::plain_message(mail::SAM, ANA, "at the copy"))?;
    let search = "UID SEARCH SUBJECT \"at the copy\"";
    let url = "imaps://mail.home.example/INBOX";
    let curl = ["curl", "-sS", "--max-time", "5", "--user", &user, url, "--request", search];
    wait_until("the message is at the copy", COLD_START, || {
        let found = lab.host(Host::Stranger).run(curl)?.success()?.stdout;
        ensure!(found.trim_start_matches("* SEARCH").trim() != "", "{found}");
        Ok(())
    })?;
    copy.stop("TERM")
}

#[test]
fn a_home_that_is_killed_is_back_within_five_seconds() -> Result<()> {
    let lab = Lab::joined()?;
    for signal in [Signal::Kill, Signal::Terminate] {
        lab.stop_daemon(Host::Home, "postern-home", signal)?;
        lab.start_daemon(Host::Home, "postern-home")?;
        let started = Instant::now();
        wait_until("home is connected", COLD_START, || lab.is_connected())?;
        ensure!(started.elapsed() < RESTART, "{:?} after {signal:?}", started.elapsed());
    }
    let log = lab.log_text(Host::Home);
    assert!(!log.contains("fenced"), "a restarted home is no second home\n{log}");
    Ok(())
}

/// The keys of one end, as `wg` takes them.
struct Keys {
    private: String,
    peer: String,
    preshared: String,
}

/// The keys of home, or of the edge, from the file in which that end keeps them.
fn keys(host: HostHandle, file: &str, [holder, private, peer]: [&str; 3]) -> Result<Keys> {
    let stored: Value = serde_json::from_slice(&host.read(file)?)?;
    let key = |name: &str| {
        let key = stored.get(holder).and_then(|end| end.get(name)).and_then(Value::as_str);
        key.map(str::to_owned).with_context(|| format!("no {name} in {file}"))
    };
    Ok(Keys { private: key(private)?, peer: key(peer)?, preshared: key("preshared_key")? })
}

/// Debian's wireguard-go with these keys, on an interface `wg0`.
fn start_wireguard_go(host: HostHandle, keys: &Keys, set: &str, addresses: [&str; 2]) -> Result<Program> {
    host.write("/run/private", keys.private.as_bytes())?;
    host.write("/run/preshared", keys.preshared.as_bytes())?;
    let program = Program::start(host, "wg", &["wireguard-go", "--foreground", "wg0"])?;
    wait_until("wireguard-go answers", START, || host.run(["wg", "show", "wg0"])?.success())?;
    let [own, other] = addresses.map(|address| format!("{address} fd70:6f73:7465::{}", &address[9..]));
    let allowed = other.replace(' ', ",");
    let mut script = format!(
        "wg set wg0 {} private-key /run/private peer {} preshared-key /run/preshared allowed-ips {allowed} {}\n",
        if set.starts_with("listen-port") { set } else { "" },
        keys.peer,
        if set.starts_with("listen-port") { "" } else { set },
    );
    for address in own.split(' ') {
        script += &format!("ip address add {address} dev wg0\n");
    }
    script += "ip link set wg0 mtu 1380 up\n";
    for address in other.split(' ') {
        script += &format!("ip route add {address} dev wg0\n");
    }
    host.sh(&script)?;
    Ok(program)
}

/// Whether echoes come back through the tunnel, of inner IPv4 and IPv6, large ones too.
fn ping(from: HostHandle, number: u8) -> Result<()> {
    for address in [format!("10.118.0.{number}"), format!("fd70:6f73:7465::{number}")] {
        from.run(["ping", "-c", "3", "-i", "0.2", "-W", "2", "-s", "1200", &address])?.success()?;
    }
    Ok(())
}

/// The endpoint of wireguard-go's peer; its handshake has succeeded.
fn endpoint(host: HostHandle) -> Result<String> {
    let handshakes = host.sh("wg show wg0 latest-handshakes | cut -f 2")?.stdout;
    ensure!(handshakes.trim() != "0", "no handshake");
    Ok(host.sh("wg show wg0 endpoints | cut -f 2")?.stdout)
}

#[test]
fn wireguard_go_in_the_place_of_home_talks_to_our_edge() -> Result<()> {
    let lab = Lab::joined()?;
    let (edge, cafe) = (lab.host(Host::Edge), lab.host(Host::Cafe));
    lab.stop_daemon(Host::Home, "postern-home", Signal::Terminate)?;
    let keys =
        keys(lab.host(Host::Home), "/var/lib/postern-home/link.json", ["edge", "home_key", "edge_key"])?;
    let edge_v6 = format!("[{}]:51820", Host::Edge.v6().context("the edge has IPv6")?);
    let set = format!("endpoint {}:51820 persistent-keepalive 5", Host::Edge.v4());
    let stock = start_wireguard_go(cafe, &keys, &set, ["10.118.0.2", "10.118.0.1"])?;
    for outer in [format!("{}:51820", Host::Edge.v4()), edge_v6] {
        cafe.sh(&format!("wg set wg0 peer {} endpoint '{outer}'", keys.peer))?;
        wait_until("packets pass to the edge", COLD_START, || ping(cafe, 1))
            .map_err(|error| lab.explain(error))?;
        ping(edge, 2)?;
        assert_eq!(endpoint(cafe)?.trim(), outer);
        let control =
            cafe.run(["curl", "-sS", "--max-time", "5", "http://10.118.0.1:8053/v1/status"])?.success()?;
        assert!(control.stdout.contains("public_addresses"), "{}", control.stdout);
        let status = edge.run(["postern-edge", "status", "--json"])?.stdout;
        let status: Value = serde_json::from_str(&status)?;
        let seen = status.pointer("/tunnel/epochs/0/endpoint").and_then(Value::as_str).unwrap_or_default();
        assert_eq!(
            seen.starts_with('['),
            outer.starts_with('['),
            "the edge answers where it is asked: {seen}"
        );
    }
    stock.stop("TERM")
}

#[test]
fn wireguard_go_in_the_place_of_the_edge_talks_to_our_home() -> Result<()> {
    let lab = Lab::joined()?;
    let edge = lab.host(Host::Edge);
    lab.stop_daemon(Host::Home, "postern-home", Signal::Terminate)?;
    lab.stop_daemon(Host::Edge, "postern-edge", Signal::Terminate)?;
    let keys = keys(edge, "/var/lib/postern-edge/enrolment.json", ["home", "edge_key", "home_key"])?;
    let stock = start_wireguard_go(edge, &keys, "listen-port 51820", ["10.118.0.1", "10.118.0.2"])?;
    // At the cafe, which has IPv6.
    let cafe = restore_at_the_cafe(&lab)?;
    let edge_v6 = format!("[{}]:51820", Host::Edge.v6().context("the edge has IPv6")?);
    for outer in [edge_v6, format!("{}:51820", Host::Edge.v4())] {
        let mut stored: Value = serde_json::from_slice(&cafe.read("/var/lib/postern-home/link.json")?)?;
        *stored.pointer_mut("/edge/endpoint").context("an endpoint")? = outer.clone().into();
        cafe.write("/var/lib/postern-home/link.json", stored.to_string().as_bytes())?;
        let home = Program::start(cafe, "home", &HOME)?;
        wait_until("packets pass to home", COLD_START, || ping(edge, 2))
            .map_err(|error| lab.explain(error))?;
        assert_eq!(endpoint(edge)?.starts_with('['), outer.starts_with('['));
        let banner = "exec 3<>/dev/tcp/10.118.0.2/25; head -1 <&3";
        let banner = edge.run(["timeout", "5", "bash", "-c", banner])?.success()?.stdout;
        assert!(banner.starts_with("220 "), "{banner:?}");

        if outer.starts_with('[') {
            home.stop("TERM")?;
            continue;
        }
        // It answers no beat: after a while home believes it nevertheless, and does not dial again and again.
        std::thread::sleep(Duration::from_secs(5));
        let before = link(cafe)?;
        std::thread::sleep(Duration::from_secs(8));
        let after = link(cafe)?;
        for link in [&before, &after] {
            assert_eq!(link.pointer("/epochs/0/alive"), Some(&Value::Bool(true)), "{link}");
            assert_eq!(link.get("state").and_then(Value::as_str), Some("connecting"), "{link}");
        }
        assert_eq!(before.pointer("/epochs/0/handshakes"), after.pointer("/epochs/0/handshakes"));
        home.stop("TERM")?;
    }
    stock.stop("TERM")
}
