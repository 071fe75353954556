//! Name servers to compare with, and ours, all with one zone.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::rr::{Name, RecordType};
use hickory_proto::serialize::binary::BinEncodable;
use postern_edge::config::Dns;
use postern_edge::dns::cookie::Cookies;
use postern_edge::dns::respond::{Asker, Context, Transport, respond};
use postern_edge::dns::{NameServer, Served, ServedZone, SharedSecondaries, SharedZones, ZoneSet};
use postern_shared::zone::{Record, Zone};
use tempfile::TempDir;

/// The zone that all serve.
const ORIGIN: &str = "home.example.";

/// What is asked, and the size and DO of its OPT record.
#[derive(Debug, Clone)]
pub struct Question {
    pub name: String,
    pub record_type: RecordType,
    pub edns: Option<(u16, bool)>,
}

/// Whether the zone gets signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    Signed,
    Unsigned,
}

/// A zone on disk as the servers read it.
pub struct ZoneFiles {
    directory: TempDir,
}

impl ZoneFiles {
    /// Writes `text`, signed with a key of its own where wanted.
    pub fn new(text: &str, signing: Signing) -> Self {
        let directory = tempfile::Builder::new().prefix("authorities").tempdir().unwrap();
        let path = directory.path();
        fs::write(path.join("plain"), text).unwrap();
        match signing {
            Signing::Signed => {
                let key = run(path, "dnssec-keygen", &["-q", "-a", "13", "-f", "KSK", ORIGIN]);
                let key = key.trim();
                fs::write(path.join("plain"), format!("{text}\n$INCLUDE {key}.key\n")).unwrap();
                // -P: signatures that our own zone would not have are not asked for; -z: one key signs all.
                run(path, "dnssec-signzone", &["-P", "-z", "-q", "-o", ORIGIN, "-f", "zone", "plain", key]);
            }
            Signing::Unsigned => {
                fs::copy(path.join("plain"), path.join("zone")).unwrap();
            }
        }
        Self { directory }
    }

    /// The same zone as home pushes it.
    pub fn zone(&self) -> Zone {
        // RFC 3597 §5: every type as octets.
        let types = [
            "A", "AAAA", "CAA", "CNAME", "DNSKEY", "DS", "MX", "NS", "NSEC", "PTR", "RRSIG", "SOA", "SRV",
            "TLSA", "TXT",
        ];
        let options: Vec<&str> = types.iter().flat_map(|name| ["-u", name]).chain(["zone"]).collect();
        let text = run(self.path(), "ldns-read-zone", &options);
        let records: Vec<Record> = text.lines().filter_map(record).collect();
        let soa = records.iter().find(|record| record.record_type == "TYPE6").unwrap();
        let serial = soa.rdata[soa.rdata.len() - 20..][..4].try_into().unwrap();
        Zone { origin: ORIGIN.to_owned(), serial: u32::from_be_bytes(serial), records }
    }

    /// The zone's key as BIND's programs take a trust anchor.
    pub fn trust_anchor(&self) -> String {
        let plain = fs::read_to_string(self.path().join("plain")).unwrap();
        let file = plain.lines().find_map(|line| line.strip_prefix("$INCLUDE ")).unwrap();
        let key = fs::read_to_string(self.path().join(file)).unwrap();
        let fields: Vec<&str> = key.lines().last().unwrap().split_whitespace().collect();
        let [_, _, _, flags, protocol, algorithm, key @ ..] = fields.as_slice() else { panic!("{key}") };
        let path = self.path().join("anchor");
        let key = key.concat();
        let anchor = format!("{ORIGIN} static-key {flags} {protocol} {algorithm} \"{key}\";");
        fs::write(&path, format!("trust-anchors {{ {anchor} }};\n")).unwrap();
        path.to_string_lossy().into_owned()
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// `owner ttl IN TYPEn \# length hex`.
fn record(line: &str) -> Option<Record> {
    let mut fields = line.split_whitespace();
    let (name, ttl, _, record_type) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let hex: String = fields.skip(2).collect();
    let octets = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
    Some(Record {
        name: name.to_owned(),
        record_type: record_type.to_owned(),
        ttl: ttl.parse().unwrap(),
        rdata: octets.collect(),
    })
}

fn run(directory: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).current_dir(directory).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; `make packages` installs it"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Our own, without a socket.
pub struct Ours {
    zones: ZoneSet,
    cookies: Cookies,
}

impl Ours {
    pub fn new(zone: &Zone) -> Self {
        let zones = ZoneSet::default().with(Arc::new(ServedZone::new(zone).unwrap()));
        Self { zones, cookies: Cookies::new([7; 16]) }
    }

    pub fn ask(&self, question: &Question) -> Vec<u8> {
        let secondaries = SharedSecondaries::default();
        let context = Context {
            zones: &self.zones,
            cookies: &self.cookies,
            nsid: "",
            secondaries: &secondaries,
            now: 0,
        };
        let asker = Asker { address: Ipv4Addr::LOCALHOST.into(), transport: Transport::Udp };
        let mut out = Vec::new();
        respond(&message(question), asker, &context, &mut out).unwrap();
        out
    }
}

/// Our own on a socket.
pub struct Listening {
    _server: NameServer,
    _runtime: tokio::runtime::Runtime,
    pub address: SocketAddr,
}

impl Listening {
    pub fn start(zone: &Zone) -> Self {
        let zones = SharedZones::default();
        zones.replace(ZoneSet::default().with(Arc::new(ServedZone::new(zone).unwrap())));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let config = Dns { listen: vec![(Ipv4Addr::LOCALHOST, 0).into()], ..Dns::default() };
        let server = {
            let _entered = runtime.enter();
            NameServer::start(&config, Served { zones, ..Served::default() }).unwrap()
        };
        Self { address: server.addresses()[0], _server: server, _runtime: runtime }
    }
}

/// A server that we did not write.
pub trait Peer {
    fn name(&self) -> &'static str;
    fn address(&self) -> SocketAddr;
}

/// NSD with no limit of its own.
pub struct Nsd(Running);

/// Knot.
pub struct Knot(Running);

struct Running {
    child: Child,
    address: SocketAddr,
}

impl Nsd {
    pub fn start(files: &ZoneFiles) -> Self {
        let (path, port) = (files.path().display(), free_port());
        let conf = format!(
            "server:\n username: \"\"\n chroot: \"\"\n zonesdir: \"{path}\"\n pidfile: \"{path}/nsd.pid\"\n database: \"\"\n \
             xfrdfile: \"{path}/xfrd.state\"\n xfrdir: \"{path}\"\n zonelistfile: \"{path}/zone.list\"\n server-count: 1\n minimal-responses: yes\n \
             ip-address: 127.0.0.1@{port}\n rrl-ratelimit: 0\n rrl-whitelist-ratelimit: 0\nremote-control:\n control-enable: no\n\
             zone:\n name: \"{ORIGIN}\"\n zonefile: zone\n"
        );
        fs::write(files.path().join("nsd.conf"), conf).unwrap();
        Self(Running::start(files, port, "nsd", &["-d", "-c", "nsd.conf"]))
    }
}

impl Knot {
    pub fn start(files: &ZoneFiles) -> Self {
        let (path, port) = (files.path().display(), free_port());
        let conf = format!(
            "server:\n    rundir: \"{path}\"\n    listen: 127.0.0.1@{port}\n    udp-workers: 1\n    tcp-workers: 1\n\
             database:\n    storage: \"{path}\"\n\
             zone:\n  - domain: {ORIGIN}\n    storage: \"{path}\"\n    file: zone\n    semantic-checks: off\n    \
             zonefile-load: whole\n    journal-content: none\n"
        );
        fs::write(files.path().join("knot.conf"), conf).unwrap();
        Self(Running::start(files, port, "knotd", &["-c", "knot.conf"]))
    }
}

impl Running {
    /// Starts a daemon and waits until it answers for the zone.
    fn start(files: &ZoneFiles, port: u16, program: &str, arguments: &[&str]) -> Self {
        let log = fs::File::create(files.path().join(format!("{program}.log"))).unwrap();
        let child = Command::new(program)
            .current_dir(files.path())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; `make packages` installs it"));
        let running = Self { child, address: (Ipv4Addr::LOCALHOST, port).into() };
        let soa = Question { name: ORIGIN.to_owned(), record_type: RecordType::SOA, edns: None };
        let deadline = Instant::now() + Duration::from_secs(20);
        while try_ask(running.address, &soa, Duration::from_millis(50)).is_none_or(|answer| answer[7] != 1) {
            let log = || fs::read_to_string(files.path().join(format!("{program}.log"))).unwrap_or_default();
            assert!(Instant::now() < deadline, "{program} does not answer: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // NSD's parent ends its children when it is asked to, not when it is killed.
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        if asked.is_ok_and(|status| status.success()) {
            self.child.wait().ok();
        }
    }
}

impl Peer for Nsd {
    fn name(&self) -> &'static str {
        "NSD"
    }

    fn address(&self) -> SocketAddr {
        self.0.address
    }
}

impl Peer for Knot {
    fn name(&self) -> &'static str {
        "Knot"
    }

    fn address(&self) -> SocketAddr {
        self.0.address
    }
}

fn free_port() -> u16 {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Asks over UDP, again after a second of silence.
pub fn ask(server: SocketAddr, question: &Question) -> Vec<u8> {
    let tries = (0..5).find_map(|_| try_ask(server, question, Duration::from_secs(1)));
    tries.unwrap_or_else(|| panic!("{server} does not answer {question:?}"))
}

fn try_ask(server: SocketAddr, question: &Question, patience: Duration) -> Option<Vec<u8>> {
    thread_local!(static SOCKET: UdpSocket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    SOCKET.with(|socket| {
        socket.set_read_timeout(Some(patience)).unwrap();
        let sent = message(question);
        socket.send_to(&sent, server).ok()?;
        let mut buffer = [0; 4096];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).ok()?;
            let question = buffer.get(12..length).unwrap_or_default();
            if from == server && question.starts_with(&sent[12..sent.len().min(12 + question_length(&sent))])
            {
                return Some(buffer[..length].to_vec());
            }
        }
    })
}

/// Octets of the question section.
fn question_length(message: &[u8]) -> usize {
    let mut at = 12;
    while message[at] != 0 {
        at += 1 + usize::from(message[at]);
    }
    at + 5 - 12
}

fn message(question: &Question) -> Vec<u8> {
    let name = Name::from_ascii(&question.name).unwrap().to_bytes().unwrap();
    let additionals = u8::from(question.edns.is_some());
    let mut octets = [&[0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, additionals][..], &name].concat();
    octets.extend(u16::from(question.record_type).to_be_bytes());
    octets.extend([0, 1]);
    if let Some((size, dnssec)) = question.edns {
        let flags = u8::from(dnssec) << 7;
        octets.extend([0, 0, 41]);
        octets.extend(size.to_be_bytes());
        octets.extend([0, 0, flags, 0, 0, 0]);
    }
    octets
}
