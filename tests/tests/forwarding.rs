//! The edge's protection and its conduct while home is silent, with clients and servers that are not ours.

use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::lab::{ANA, ANA_PASSWORD, scenario_options};
use postern_lab::{Host, HostHandle, Lab, Options, Signal, mail, wait_until};

const EDGE_V4: &str = "192.0.2.10";
const EDGE_V6: &str = "2001:db8:ed::10";

/// How long a change may take from a command at home to the edge's firewall.
const PUSH: Duration = Duration::from_secs(10);

/// Prints how a connection attempt ends and after how many milliseconds: a server's first line, or an error's name.
const ATTEMPT: &str = "
import socket, sys, time
start = time.monotonic()
try:
    c = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3]))
    outcome = c.recv(200).decode().strip() if sys.argv[2] == '25' else 'connected'
except OSError as error: outcome = type(error).__name__
print(int((time.monotonic() - start) * 1000), outcome)
";

/// Connects to port 25, and for each line of input says NOOP and prints the reply.
const STAY: &str = "
import socket, sys
f = socket.create_connection((sys.argv[1], 25), timeout=30).makefile('rw', newline='')
print(f.readline().strip(), flush=True)
for line in sys.stdin:
    f.write('NOOP\\r\\n'); f.flush()
    print(f.readline().strip(), flush=True)
";

/// How an attempt ended.
#[derive(Debug)]
struct Attempt {
    milliseconds: u64,
    outcome: String,
}

fn attempt(from: &HostHandle, to: &str, port: u16, seconds: u64) -> Result<Attempt> {
    let (port, seconds) = (port.to_string(), seconds.to_string());
    let output = from.run(["python3", "-c", ATTEMPT, to, &port, &seconds])?.success()?.stdout;
    let (milliseconds, outcome) = output.trim().split_once(' ').context("two words")?;
    Ok(Attempt { milliseconds: milliseconds.parse()?, outcome: outcome.to_owned() })
}

fn is_open(from: &HostHandle, to: &str, port: u16) -> Result<()> {
    let attempt = attempt(from, to, port, 2)?;
    ensure!(
        attempt.outcome == "connected" || attempt.outcome.starts_with("220 "),
        "{to} port {port}: {attempt:?}"
    );
    Ok(())
}

fn is_shut(from: &HostHandle, to: &str, port: u16) -> Result<()> {
    let attempt = attempt(from, to, port, 1)?;
    ensure!(attempt.outcome == "TimeoutError", "{to} port {port}: {attempt:?}");
    Ok(())
}

fn joined(change: impl FnOnce(&mut Options)) -> Result<Lab> {
    let mut options = scenario_options()?;
    change(&mut options);
    let lab = Lab::start(options)?;
    lab.join().and_then(|()| lab.set_up_home()).map_err(|error| lab.explain(error))?;
    Ok(lab)
}

fn status(lab: &Lab, host: Host, program: &str) -> Result<serde_json::Value> {
    let output = lab.host(host).run([program, "status", "--json"])?;
    serde_json::from_str(&output.stdout).with_context(|| output.stderr)
}

#[test]
fn what_home_bans_is_shut_out_at_the_edge_until_it_ends_and_at_the_next_edge_too() -> Result<()> {
    let lab = Lab::joined()?;
    let (home, cafe, stranger) = (lab.host(Host::Home), lab.host(Host::Cafe), lab.host(Host::Stranger));
    let (cafe_v4, cafe_v6) = (Host::Cafe.v4().to_string(), Host::Cafe.v6().context("has one")?.to_string());
    is_open(&cafe, EDGE_V4, 993)?;
    is_open(&cafe, EDGE_V6, 993)?;
    home.run(["postern-home", "bans", "add", &cafe_v4, "--reason", "scans"])?.success()?;
    home.run(["postern-home", "bans", "add", &cafe_v6, "--for", "6h"])?.success()?;
    wait_until("the edge shuts the café out", PUSH, || is_shut(&cafe, EDGE_V4, 993))?;
    is_shut(&cafe, EDGE_V6, 25)?;
    is_open(&stranger, EDGE_V4, 25)?;
    let listed = home.run(["postern-home", "bans", "list"])?.success()?.stdout;
    assert!(listed.contains(&format!("{cafe_v4}/32 ")) && listed.contains("2001:db8:cafe::/64"), "{listed}");

    // Over a restart of the edge, home being away, by the edge's own memory.
    lab.stop_daemon(Host::Home, "postern-home", Signal::Kill)?;
    lab.stop_daemon(Host::Edge, "postern-edge", Signal::Kill)?;
    lab.start_daemon(Host::Edge, "postern-edge")?;
    is_shut(&cafe, EDGE_V4, 993)?;

    // And by home's, where the edge has lost everything.
    lab.stop_daemon(Host::Edge, "postern-edge", Signal::Kill)?;
    lab.host(Host::Edge).sh("rm -r /var/lib/postern-edge/*; nft flush ruleset")?;
    lab.start_daemon(Host::Edge, "postern-edge")?;
    lab.start_daemon(Host::Home, "postern-home")?;
    lab.join()?;
    wait_until("the new edge shuts the café out", PUSH, || is_shut(&cafe, EDGE_V4, 993))?;

    for network in [cafe_v4.as_str(), cafe_v6.as_str()] {
        home.run(["postern-home", "bans", "remove", network])?.success()?;
    }
    wait_until("the café is let in", PUSH, || is_open(&cafe, EDGE_V4, 993))?;
    let dropped = status(&lab, Host::Edge, "postern-edge")?;
    assert!(
        dropped.pointer("/counters/dropped_banned/packets").and_then(|count| count.as_u64()) > Some(0),
        "{dropped}"
    );
    Ok(())
}

#[test]
fn nobody_can_ban_the_tunnel_the_edge_or_the_local_network_and_a_ban_of_the_home_line_leaves_the_tunnel_up()
-> Result<()> {
    let lab = joined(|options| options.edge_config += "[forward]\nnever_ban = [\"198.51.100.0/24\"]\n")?;
    let home = lab.host(Host::Home);
    for (network, why) in [
        ("192.168.1.20", "private network"),
        ("10.118.0.1", "private network"),
        ("::1", "no address of a stranger"),
        (EDGE_V4, "the edge itself"),
        ("192.0.2.0/24", "the edge itself"),
    ] {
        let refused = home.run(["postern-home", "bans", "add", network])?;
        assert!(refused.code() == 1 && refused.stderr.contains(why), "{network}: {refused:?}");
    }
    // Home does not know these two; the edge does.
    let isp = postern_lab::topology::ISP_V4.to_string();
    home.run(["postern-home", "bans", "add", "198.51.100.25"])?.success()?;
    home.run(["postern-home", "bans", "add", &isp])?.success()?;
    wait_until("the edge has refused both", PUSH, || {
        let warned = home.run(["postern-home", "status"])?;
        ensure!(
            warned.code() == 3 && warned.stdout.contains(&format!("{isp}/32 is where home is now")),
            "{warned:?}"
        );
        ensure!(warned.stdout.contains("198.51.100.0/24 is listed in `never_ban`"), "{warned:?}");
        Ok(())
    })?;
    is_open(&lab.host(Host::Stranger), EDGE_V4, 25)?;

    // The line's next address can be banned, since nobody knows that it will be home's.
    let next = postern_lab::topology::ISP_OTHER_V4.to_string();
    home.run(["postern-home", "bans", "add", &next])?.success()?;
    lab.change_isp_address()?;
    wait_until("the tunnel goes on behind a banned address", Duration::from_secs(20), || {
        lab.is_connected()?;
        is_open(&lab.host(Host::Cafe), EDGE_V4, 993)
    })
}

#[test]
fn who_guesses_passwords_is_banned() -> Result<()> {
    let lab = joined(|options| options.home_config += "\n[bans]\nlogin_failures = 3\nban_for = \"2h\"\n")?;
    let cafe = lab.host(Host::Cafe);
    let guess = |user: &str, host: &HostHandle| {
        let url = "imaps://mail.home.example/INBOX";
        host.run(["curl", "-4sS", "--max-time", "20", "--user", &format!("{ANA}:{user}"), url])
    };
    assert_eq!(guess(ANA_PASSWORD, &cafe)?.code(), 0);
    for _ in 0..3 {
        // 67: curl's word for a refused login.
        assert_eq!(guess("wrong", &cafe)?.code(), 67);
    }
    wait_until("the guesser is shut out", PUSH, || is_shut(&cafe, EDGE_V4, 993))?;
    is_open(&lab.host(Host::Stranger), EDGE_V4, 993)?;
    let listed = lab.host(Host::Home).run(["postern-home", "bans", "list"])?.success()?.stdout;
    assert!(listed.contains("3 failed logins"), "{listed}");
    Ok(())
}

#[test]
fn a_client_that_opens_connections_too_fast_is_slowed_down_and_counted() -> Result<()> {
    let limits = "[limits]\nclients_per_minute = 2\nclients_burst = 5\n";
    let lab = joined(|options| options.edge_config += limits)?;
    let cafe = lab.host(Host::Cafe);
    let open = "import socket; s = [socket.create_connection((\"192.0.2.10\", 993), 1) for _ in range(8)]";
    assert_ne!(cafe.run(["python3", "-c", open])?.code(), 0, "eight connections at once");
    is_open(&cafe, EDGE_V4, 25)?;
    is_open(&lab.host(Host::Stranger), EDGE_V4, 993)?;
    let metrics = lab.host(Host::Edge).run(["postern-edge", "metrics"])?.success()?.stdout;
    let limited = metrics.lines().find(|line| line.contains("reason=\"limited\"")).context("a counter")?;
    assert!(!limited.ends_with(" 0"), "{limited}");
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    // A change makes home speak with the edge at once, not at its next round.
    lab.host(Host::Home).run(["postern-home", "bans", "add", "203.0.113.200"])?.success()?;
    wait_until("home knows the edge's counters", PUSH, || {
        let status = status(&lab, Host::Home, "postern-home")?;
        let count = status
            .pointer("/link/protection/counters/dropped_limited/packets")
            .and_then(|count| count.as_u64());
        ensure!(count > Some(0), "{count:?}");
        Ok(())
    })
}

#[test]
fn services_that_home_does_not_offer_are_not_forwarded_and_others_at_their_own_ports() -> Result<()> {
    let listen = "\n[listen]\nsubmission = []\nimaps = [\"[::]:1993\"]\n";
    let lab = joined(|options| options.home_config += listen)?;
    let cafe = lab.host(Host::Cafe);
    wait_until("the edge has home's port map", PUSH, || {
        let forward = status(&lab, Host::Edge, "postern-edge")?["forward"]["ports"].clone();
        ensure!(
            forward == serde_json::json!({ "25": 25, "443": 443, "465": 465, "993": 1993, "995": 995 }),
            "{forward}"
        );
        Ok(())
    })?;
    is_open(&cafe, EDGE_V4, 993)?;
    is_open(&cafe, EDGE_V6, 993)?;
    assert_eq!(attempt(&cafe, EDGE_V4, 587, 2)?.outcome, "ConnectionRefusedError");
    Ok(())
}

#[test]
fn while_home_is_silent_smtp_hears_421_the_rest_is_closed_and_home_is_back_at_once() -> Result<()> {
    let lab = joined(|options| options.edge_config += "[forward]\nhold_after_seconds = 8\n")?;
    let (cafe, stranger) = (lab.host(Host::Cafe), lab.host(Host::Stranger));
    let mut stay = cafe.spawn(["python3", "-c", STAY, EDGE_V4])?;
    let mut said = BufReader::new(stay.stdout.take().context("piped")?);
    let mut ask = stay.stdin.take().context("piped")?;
    let mut hear = |expected: &str| -> Result<()> {
        let mut line = String::new();
        said.read_line(&mut line)?;
        ensure!(line.starts_with(expected), "{line:?}");
        Ok(())
    };
    hear("220 mail.home.example")?;

    // A line that is cut, not a process that ends: an open flow has to outlast it.
    let line = |verb: &str| lab.host(Host::Isp).sh(&format!("nft {verb}"));
    line(
        "add table ip cut; nft add chain ip cut f '{ type filter hook forward priority -10; policy drop; }'",
    )?;
    wait_until("port 25 is answered for home", Duration::from_secs(20), || {
        let attempt = attempt(&stranger, EDGE_V4, 25, 2)?;
        ensure!(attempt.outcome.starts_with("421 4.3.2 "), "{attempt:?}");
        Ok(())
    })?;
    for edge in [EDGE_V4, EDGE_V6] {
        let smtp = attempt(&stranger, edge, 25, 2)?;
        assert!(smtp.outcome.starts_with("421 4.3.2 ") && smtp.milliseconds < 500, "{smtp:?}");
        let imaps = attempt(&cafe, edge, 993, 2)?;
        assert!(imaps.outcome == "ConnectionRefusedError" && imaps.milliseconds < 500, "{imaps:?}");
    }
    let edge = status(&lab, Host::Edge, "postern-edge")?;
    assert_eq!(edge["holding"], true, "{edge}");
    lab.send_from_stranger(ANA, &mail::plain_message(mail::SAM, ANA, "while home was away"))?;

    line("delete table ip cut")?;
    wait_until("home is reached again", Duration::from_secs(10), || is_open(&cafe, EDGE_V4, 993))?;
    ask.write_all(b"still there?\n")?;
    hear("250 ")?;
    wait_until("the mail that was told to wait has come", Duration::from_secs(60), || {
        stranger.run(["postqueue", "-f"])?.success()?;
        lab.search_subject("while home was away")?.pop().context("not there").map(drop)
    })
    .map_err(|error| lab.explain(error))?;
    stay.kill()?;
    stay.wait()?;
    Ok(())
}

#[test]
fn a_short_silence_passes_without_a_word() -> Result<()> {
    let lab = Lab::joined()?;
    let cafe = lab.host(Host::Cafe);
    lab.stop_daemon(Host::Home, "postern-home", Signal::Kill)?;
    let mut waiting = cafe.spawn(["python3", "-c", ATTEMPT, EDGE_V4, "25", "20"])?;
    std::thread::sleep(Duration::from_secs(4));
    lab.start_daemon(Host::Home, "postern-home")?;
    let mut line = String::new();
    BufReader::new(waiting.stdout.take().context("piped")?).read_line(&mut line)?;
    waiting.wait()?;
    assert!(line.contains("220 mail.home.example"), "{line}");
    assert_eq!(status(&lab, Host::Edge, "postern-edge")?["counters"]["held_smtp"]["packets"], 0);
    Ok(())
}

/// Home's own address, out of the prefix that the core router sends to the edge.
const ROUTED_V6: &str = "2001:db8:ed:1::25";

/// Accepts one connection on port 25 of an IPv6 address, and prints where it came from.
const WHO: &str = "
import socket
s = socket.socket(socket.AF_INET6); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('2001:db8:cafe::5', 25)); s.listen(); print('ready', flush=True)
print(s.accept()[1][0], flush=True)
";

#[test]
fn a_routed_address_takes_and_sends_mail_without_translation() -> Result<()> {
    let lab = joined(|options| options.edge_config += &format!("[tunnel]\nhome_v6 = \"{ROUTED_V6}\"\n"))?;
    lab.host(Host::Internet).sh("ip route add 2001:db8:ed:1::/64 via 2001:db8:ed::10")?;
    let (cafe, home) = (lab.host(Host::Cafe), lab.host(Host::Home));
    is_open(&cafe, ROUTED_V6, 25)?;
    is_open(&cafe, ROUTED_V6, 993)?;
    is_open(&cafe, EDGE_V6, 25)?;
    assert_eq!(attempt(&cafe, ROUTED_V6, 22, 1)?.outcome, "TimeoutError", "only the listed ports pass");
    let sessions = std::fs::read_to_string(lab.logs(Host::Home).pop().context("a log")?)?;
    assert!(sessions.contains("[2001:db8:cafe::5]:"), "home sees the client's own address: {sessions}");
    wait_until("the world finds the mail host there", PUSH, || {
        let found = lab.resolve("mail.home.example", "AAAA")?;
        ensure!(found == [ROUTED_V6], "{found:?}");
        Ok(())
    })?;
    assert_eq!(address_of_outbound(&cafe, &home, ROUTED_V6)?, ROUTED_V6);
    Ok(())
}

#[test]
fn mail_over_ipv6_leaves_from_the_edges_address() -> Result<()> {
    let lab = Lab::joined()?;
    let inner = "fd70:6f73:7465::2";
    assert_eq!(address_of_outbound(&lab.host(Host::Cafe), &lab.host(Host::Home), inner)?, EDGE_V6);
    Ok(())
}

/// The kernel of a home that has no IPv6 of its own picks the tunnel's address for any IPv6 connection.
#[test]
fn another_program_of_home_learns_at_once_that_the_tunnel_is_not_its_way_out() -> Result<()> {
    let lab = Lab::joined()?;
    let cafe_v4 = Host::Cafe.v4().to_string();
    for (inner, cafe) in [("fd70:6f73:7465::2", "2001:db8:cafe::5"), ("10.118.0.2", cafe_v4.as_str())] {
        let connect =
            format!("import socket; socket.create_connection((\"{cafe}\", 443), 5, (\"{inner}\", 0))");
        let tried = lab.host(Host::Home).run(["python3", "-c", &connect])?;
        let said = tried.stderr.trim_end().rsplit('\n').next().unwrap_or_default();
        assert!(
            ["PermissionError", "OSError: [Errno 113]"].iter().any(|told| said.starts_with(told)),
            "{said}"
        );
    }
    Ok(())
}

/// How a server at the café sees a connection that home makes to its port 25 from an inner address.
fn address_of_outbound(cafe: &HostHandle, home: &HostHandle, inner: &str) -> Result<String> {
    let mut server = cafe.spawn(["python3", "-c", WHO])?;
    let mut said = BufReader::new(server.stdout.take().context("piped")?).lines();
    ensure!(said.next().context("a line")?? == "ready");
    let connect =
        format!("import socket; socket.create_connection((\"2001:db8:cafe::5\", 25), 5, (\"{inner}\", 0))");
    home.run(["python3", "-c", &connect])?.success()?;
    let seen = said.next().context("a line")??;
    server.wait()?;
    Ok(seen)
}
