//! Measures home's three kinds of inner network in the lab: the figures of docs/rootless.md.
//!
//! `rootless_figures PROGRAMS [KIND…]` starts a lab for each kind with the programs of that directory, puts 20 ms of delay and a
//! share of loss each way on home's line, and measures one IMAP download and one submission; then it opens 1,000 TLS
//! connections from 250 addresses and looks at home's memory. Needs root and the packages of `make test`.
//!
//! The line is a relay on the router in front of home, this program again: it holds every datagram for its delay and drops
//! some, one by one, where the firewall would see whole runs of them.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use postern_lab::lab::{ANA, ANA_PASSWORD};
use postern_lab::{HomeRights, Host, Lab, Options, mail};

/// One way; the round trip is twice this.
const DELAY: Duration = Duration::from_millis(20);
/// Losses in a thousand, and the octets of the attachment to measure with.
const LINES: [(u64, usize); 3] = [(0, 24 << 20), (1, 8 << 20), (10, 3 << 20)];
/// Packets that the line holds at most, as a router's queue does.
const QUEUE: usize = 4000;

/// Octets that may wait for the relay itself, so that it loses none by chance.
const BUFFER: usize = 16 << 20;

const KINDS: [(&str, HomeRights); 3] =
    [("tun", HomeRights::Root), ("namespace", HomeRights::User), ("userspace", HomeRights::UserWithoutTun)];

const IDLE_CONNECTIONS: &str = r#"
import socket, ssl, sys, time
context = ssl.create_default_context()
held = []
for number in range(1000):
    source = '198.18.7.%d' % (2 + number % 250)
    port = 993 if number < 500 else 465
    tcp = socket.create_connection(('192.0.2.10', port), 20, source_address=(source, 0))
    held.append(context.wrap_socket(tcp, server_hostname='mail.home.example'))
    held[-1].recv(1000)
print('held', len(held), flush=True)
sys.stdin.read()
"#;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["line", listen, edge, loss] => line(listen.parse()?, edge.parse()?, loss.parse()?),
        [programs, ref kinds @ ..] => figures(&PathBuf::from(programs).canonicalize()?, kinds),
        _ => anyhow::bail!("usage: rootless_figures PROGRAMS [KIND…]"),
    }
}

fn figures(programs: &PathBuf, kinds: &[&str]) -> Result<()> {
    println!("| kind | loss | download, Mbit/s | upload, Mbit/s |\n|---|---|---|---|");
    let mut memory = Vec::new();
    for (kind, rights) in KINDS.into_iter().filter(|(kind, _)| kinds.is_empty() || kinds.contains(kind)) {
        let mut options = Options::new(format!("figures-{kind}"), programs);
        options.home_rights = rights;
        options.edge_config += "[limits]\nclients_per_minute = 0\n";
        let lab = Lab::start(options)?;
        lab.join().and_then(|()| lab.set_up_home()).map_err(|error| lab.explain(error))?;
        memory.push(format!("| {kind} | {} |", idle_memory(&lab)?));
        for (loss, octets) in LINES {
            let _line = Line::lay(&lab, loss)?;
            let (down, up) = (download(&lab, octets, loss)?, upload(&lab, octets)?);
            println!("| {kind} | {} % | {down:.1} | {up:.1} |", loss as f64 / 10.0);
        }
    }
    println!(
        "\n| kind | home's RSS, MB: before, with 1,000 idle connections | TCP's pages in the kernel |\n|---|---|---|"
    );
    memory.iter().for_each(|row| println!("{row}"));
    Ok(())
}

/// The relay, between home and the edge as long as this value lives.
struct Line<'a> {
    lab: &'a Lab,
    relay: Child,
}

impl<'a> Line<'a> {
    fn lay(lab: &'a Lab, loss: u64) -> Result<Self> {
        let program = std::env::current_exe()?.display().to_string();
        let relay = lab.host(Host::Isp).spawn([
            &program,
            "line",
            "0.0.0.0:5555",
            "192.0.2.10:51820",
            &loss.to_string(),
        ])?;
        lab.host(Host::Isp).sh(
            "nft 'add table ip line; add chain ip line way { type nat hook prerouting priority -150; };
             add rule ip line way iifname lan0 udp dport 51820 redirect to :5555'",
        )?;
        // A new flow takes the new way: home dials again after a restart.
        lab.stop_daemon(Host::Home, "postern-home", postern_lab::Signal::Terminate)?;
        lab.start_daemon(Host::Home, "postern-home")?;
        postern_lab::wait_until("home is connected", Duration::from_secs(60), || lab.is_connected())?;
        Ok(Self { lab, relay })
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let _ = self.lab.host(Host::Isp).sh("nft delete table ip line");
        drop(self.relay.stdin.take());
        let _ = self.relay.wait();
    }
}

/// Mbit/s of one IMAP FETCH.
fn download(lab: &Lab, octets: usize, loss: u64) -> Result<f64> {
    let subject = format!("figures-{loss}-{octets}");
    lab.submit(465, ANA, ANA, &mail::message_with_attachment(ANA, ANA, &subject, octets))?.success()?;
    lab.await_ana_message(&subject)?;
    let uid = lab.search_subject(&subject)?.pop().context("the message")?;
    let (user, url) = (format!("{ANA}:{ANA_PASSWORD}"), format!("imaps://mail.home.example/INBOX;UID={uid}"));
    let curl = [
        "curl",
        "-sS",
        "--user",
        &user,
        "-o",
        "/dev/null",
        "-w",
        "%{size_download} %{time_starttransfer} %{time_total}",
        &url,
    ];
    let told = lab.host(Host::Cafe).run(curl)?.success()?.stdout;
    let [size, first, total] = numbers(&told)?;
    ensure!(size > octets as f64, "{told}");
    Ok(size * 8.0 / 1e6 / (total - first))
}

/// Mbit/s of one submission, from the first command to the answer that it is queued.
fn upload(lab: &Lab, octets: usize) -> Result<f64> {
    let cafe = lab.host(Host::Cafe);
    cafe.write(
        "/run/message",
        mail::message_with_attachment(ANA, ANA, "upload", octets).replace('\n', "\r\n").as_bytes(),
    )?;
    let user = format!("{ANA}:{ANA_PASSWORD}");
    let curl = [
        "curl",
        "-sS",
        "--user",
        &user,
        "--mail-from",
        ANA,
        "--mail-rcpt",
        ANA,
        "-T",
        "/run/message",
        "-w",
        "%{size_upload} %{time_pretransfer} %{time_total}",
        "smtps://mail.home.example",
    ];
    let [size, first, total] = numbers(&cafe.run(curl)?.success()?.stdout)?;
    Ok(size * 8.0 / 1e6 / (total - first))
}

fn numbers(text: &str) -> Result<[f64; 3]> {
    let numbers: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    numbers.try_into().map_err(|_| anyhow::anyhow!("{text}"))
}

/// Home's memory before and with 1,000 idle connections, and the kernel's.
fn idle_memory(lab: &Lab) -> Result<String> {
    let cafe = lab.host(Host::Cafe);
    cafe.sh("for last in $(seq 2 251); do ip address replace 198.18.7.$last/24 dev eth0; done")?;
    let before = resident(lab)?;
    let mut holder = cafe.spawn(["python3", "-c", IDLE_CONNECTIONS])?;
    let mut told = [0; 9];
    std::io::Read::read_exact(&mut holder.stdout.take().context("piped")?, &mut told)?;
    ensure!(&told == b"held 1000", "{}", String::from_utf8_lossy(&told));
    let sockets = lab.host(Host::Home).sh("grep ^TCP: /proc/net/sockstat")?.stdout;
    let row = format!("{before:.1}, {:.1} | {}", resident(lab)?, sockets.trim());
    drop(holder.stdin.take());
    holder.wait()?;
    Ok(row)
}

/// MB of home's processes.
fn resident(lab: &Lab) -> Result<f64> {
    let script =
        "main=$(cat /var/lib/postern-home/lock); for pid in $main $(cat /proc/$main/task/$main/children); do
         awk '/^RssAnon/ {print $2}' /proc/$pid/status; done | awk '{sum += $1} END {print sum}'";
    Ok(lab.host(Host::Home).sh(script)?.stdout.trim().parse::<f64>()? / 1000.0)
}

/// Relays between home, whose address is learnt, and the edge, until its standard input ends.
fn line(listen: SocketAddr, edge: SocketAddr, loss: u64) -> Result<()> {
    let (inside, outside) = (UdpSocket::bind(listen)?, UdpSocket::bind("0.0.0.0:0")?);
    for socket in [&inside, &outside] {
        rustix::net::sockopt::set_socket_recv_buffer_size_force(socket, BUFFER)?;
    }
    let home = Mutex::new(None);
    let (there, back) = (Way::default(), Way::default());
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            std::process::exit(0)
        });
        scope.spawn(|| there.take_in(&inside, loss, |from| *home.lock().expect("no panic") = Some(from)));
        scope.spawn(|| back.take_in(&outside, loss, |_| {}));
        scope.spawn(|| there.give_out(|octets| drop(outside.send_to(octets, edge))));
        scope.spawn(|| {
            back.give_out(|octets| {
                if let Some(home) = *home.lock().expect("no panic") {
                    let _ = inside.send_to(octets, home);
                }
            });
        });
    });
    Ok(())
}

/// One direction of the line.
#[derive(Default)]
struct Way {
    held: Mutex<VecDeque<(Instant, Vec<u8>)>>,
    filled: Condvar,
}

impl Way {
    fn take_in(&self, socket: &UdpSocket, loss: u64, heard: impl Fn(SocketAddr)) {
        let (mut buffer, mut random) = (vec![0; 65_536], 0x9e37_79b9_7f4a_7c15_u64);
        while let Ok((octets, from)) = socket.recv_from(&mut buffer) {
            heard(from);
            // xorshift64 (Marsaglia, 2003).
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let mut held = self.held.lock().expect("no panic");
            if random % 1000 >= loss && held.len() < QUEUE {
                held.push_back((Instant::now() + DELAY, buffer[..octets].to_vec()));
                self.filled.notify_one();
            }
        }
    }

    fn give_out(&self, send: impl Fn(&[u8])) {
        loop {
            let mut held = self.held.lock().expect("no panic");
            let (due, octets) = loop {
                match held.pop_front() {
                    Some(next) => break next,
                    None => held = self.filled.wait(held).expect("no panic"),
                }
            };
            drop(held);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            send(&octets);
        }
    }
}
