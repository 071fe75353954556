//! The name system of the small internet: zones, their signatures, and the servers' configuration.
//!
//! The root, `test` and `example` are signed with keys made at each start, and the resolver validates with
//! the root's key as its only trust anchor, and so does home. `home.example` is delegated to the edge, at first without DS (insecure, RFC
//! 4035 §5.2); [`crate::Lab::secure_delegation`] does the registrar's part. `stranger.test` is delegated to the
//! stranger without DS, as are the reverse zones. The stranger takes mail for two more domains, which are a part of `test`
//! and so are signed: `dane.test` has a TLSA record of its certificate, `sts.test` an MTA-STS policy.

use std::fs;
use std::net::Ipv6Addr;
use std::path::Path;

use anyhow::{Context, Result};

use crate::authority::Identity;
use crate::shell;
use crate::topology::Host;

/// The domain that home serves.
pub const HOME_DOMAIN: &str = "home.example";
/// The domain of the mail system we did not write.
pub const STRANGER_DOMAIN: &str = "stranger.test";

/// How long the lab's own signatures count, in seconds from the start: longer than home's, so that a test sees those end.
const LIFETIME: &str = "+10368000";

/// The signed zones and the root's trust anchor, ready to be given to the servers.
pub struct Names {
    /// The root zone, signed.
    pub root: String,
    /// (origin, text) of every zone that the registry serves.
    pub registry: Vec<(String, String)>,
    /// (path, text) of what the registry needs to sign `example` again, relative to where its zones stand.
    pub example: Vec<(String, String)>,
    /// The root's DS record in presentation form.
    pub trust_anchor: String,
    /// The root's DNSKEY record in presentation form.
    pub root_key: String,
}

impl Names {
    /// Makes keys, signs the zones from the leaves up, and returns them. `scratch` receives the keys. `stranger` is the
    /// certificate that the stranger's TLSA record is of.
    pub fn sign(scratch: &Path, stranger: &Identity) -> Result<Names> {
        fs::create_dir_all(scratch)?;
        let (test, test_ds) = sign_zone(scratch, "test.", &test_zone(&key_digest(scratch, stranger)?))?;
        let (example, example_ds) = sign_zone(scratch, "example.", &example_zone())?;
        let resign = signing_files(scratch, "example")?;
        let (root, trust_anchor) = sign_zone(scratch, ".", &root_zone(&(test_ds + &example_ds)))?;
        let mut registry = vec![(String::from("test"), test), (String::from("example"), example)];
        registry.extend(reverse_zones());
        let key = signing_files(scratch, "")?.into_iter().find(|(path, _)| path.ends_with(".key"));
        let (_, root_key) = key.context("the root's key")?;
        Ok(Names { root, registry, example: resign, trust_anchor, root_key })
    }
}

/// The SHA-256 digest of a certificate's public key, in hexadecimal.
fn key_digest(scratch: &Path, identity: &Identity) -> Result<String> {
    fs::write(scratch.join("stranger.pem"), &identity.certificate)?;
    let digest =
        "openssl x509 -in stranger.pem -noout -pubkey | openssl pkey -pubin -outform der | sha256sum";
    let digest = shell::output(shell::command("sh").current_dir(scratch).args(["-ec", digest]))?;
    Ok(digest.split_whitespace().next().context("a digest")?.to_owned())
}

/// Signs one zone with one fresh key; returns the signed zone and its DS record.
fn sign_zone(scratch: &Path, origin: &str, zone: &str) -> Result<(String, String)> {
    let key = shell::output(
        shell::command("dnssec-keygen").current_dir(scratch).args(["-q", "-a", "13", "-f", "KSK", origin]),
    )?;
    let key = key.trim();
    let file = format!("zone-{}", origin.trim_end_matches('.'));
    fs::write(scratch.join(&file), format!("{zone}$INCLUDE {key}.key\n"))?;
    let signed = format!("{file}.signed");
    // -z: the one key signs everything, whatever its flags.
    shell::output(
        shell::command("dnssec-signzone")
            .current_dir(scratch)
            .args(["-z", "-q", "-e", LIFETIME, "-o", origin, "-f", &signed, &file, key]),
    )?;
    let ds = shell::output(shell::command("dnssec-dsfromkey").current_dir(scratch).args(["-2", key]))?;
    let text = fs::read_to_string(scratch.join(signed)).context("reading a signed zone")?;
    Ok((text, ds))
}

/// The unsigned zone and its key, as [`sign_zone`] has left them.
fn signing_files(scratch: &Path, zone: &str) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(scratch)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name == format!("zone-{zone}") || name.starts_with(&format!("K{zone}.")) {
            files.push((name.clone(), fs::read_to_string(scratch.join(name))?));
        }
    }
    Ok(files)
}

/// The script with which the registry takes DS records from its standard input into `example` and signs it again.
pub const ADD_DS: &str = "cd /etc/nsd
    { cat zone-example; cat; } > zone-example.secure
    dnssec-signzone -z -q -e +10368000 -o example. -f example.zone zone-example.secure Kexample.*.private";

fn root_zone(delegation_signers: &str) -> String {
    let (root, registry) = (Host::Root, Host::Registry);
    let mut zone = soa(".", "a.root-servers.test.");
    zone += ". NS a.root-servers.test.\n";
    zone += &addresses("a.root-servers.test.", root);
    for child in ["test.", "example."].into_iter().map(String::from).chain(reverse_origins()) {
        zone += &format!("{child} NS ns.nic.test.\n");
    }
    zone += &addresses("ns.nic.test.", registry);
    zone += &addresses("mx.google.com.", Host::Cafe);
    zone + delegation_signers
}

fn test_zone(stranger_key: &str) -> String {
    let mut zone = soa("test.", "ns.nic.test.");
    zone += "test. NS ns.nic.test.\n";
    zone += &addresses("ns.nic.test.", Host::Registry);
    zone += &addresses("a.root-servers.test.", Host::Root);
    zone += &addresses("cafe.test.", Host::Cafe);
    zone += &addresses("acme.test.", Host::Authority);
    for domain in ["dane.test.", "sts.test."] {
        zone += &format!("{domain} MX 10 mx.{domain}\n");
        zone += &addresses(&format!("mx.{domain}"), Host::Stranger);
    }
    // Its mail is taken by a host of the name of a large receiver's.
    zone += "hosted.test. MX 10 mx.google.com.\n";
    zone += &format!("_25._tcp.mx.dane.test. TLSA 3 1 1 {stranger_key}\n");
    zone += "_mta-sts.sts.test. TXT \"v=STSv1; id=1;\"\n";
    zone += &addresses("mta-sts.sts.test.", Host::Stranger);
    // A list of distrusted addresses, which has the edge's (RFC 5782 §2.1).
    let [a, b, c, d] = Host::Edge.v4().octets();
    zone += &format!("{d}.{c}.{b}.{a}.list.test. A 127.0.0.2\n{d}.{c}.{b}.{a}.list.test. TXT \"new here\"\n");
    zone += "stranger.test. NS ns.stranger.test.\n";
    zone + &addresses("ns.stranger.test.", Host::Stranger)
}

fn example_zone() -> String {
    let mut zone = soa("example.", "ns.nic.test.");
    zone += "example. NS ns.nic.test.\n";
    for server in ["ns1.home.example.", "ns2.home.example."] {
        zone += &format!("home.example. NS {server}\n");
        zone += &addresses(server, Host::Edge);
    }
    zone
}

/// The stranger's own zone, served by itself.
pub fn stranger_zone() -> String {
    let mut zone = soa("stranger.test.", "ns.stranger.test.");
    zone += "stranger.test. NS ns.stranger.test.\n";
    zone += "stranger.test. MX 10 mx.stranger.test.\n";
    zone += "stranger.test. TXT \"v=spf1 mx -all\"\n";
    // A report has no reverse path, and is judged by the name in EHLO (RFC 7208 §2.4).
    zone += "mx.stranger.test. TXT \"v=spf1 a -all\"\n";
    zone += "_dmarc.stranger.test. TXT \"v=DMARC1; p=reject\"\n";
    zone += &addresses("mx.stranger.test.", Host::Stranger);
    zone + &addresses("ns.stranger.test.", Host::Stranger)
}

/// The hosts that have a PTR record, with the name it gives.
const REVERSE: [(Host, &str); 3] =
    [(Host::Edge, "mail.home.example."), (Host::Stranger, "mx.stranger.test."), (Host::Cafe, "cafe.test.")];

fn reverse_zones() -> Vec<(String, String)> {
    let head = soa("@", "ns.nic.test.") + "@ NS ns.nic.test.\n";
    let mut v6_records = String::new();
    let mut zones = Vec::new();
    for (host, name) in REVERSE {
        let [a, b, c, d] = host.v4().octets();
        zones.push((format!("{c}.{b}.{a}.in-addr.arpa"), format!("{head}{d} PTR {name}\n")));
        v6_records.extend(host.v6().map(|v6| format!("{}.ip6.arpa. PTR {name}\n", nibbles(v6))));
    }
    zones.push((String::from("8.b.d.0.1.0.0.2.ip6.arpa"), head + &v6_records));
    zones.into_iter().map(|(origin, zone)| (origin.clone(), format!("$ORIGIN {origin}.\n{zone}"))).collect()
}

/// The nibbles of an address, last first (RFC 3596 §2.5).
fn nibbles(address: Ipv6Addr) -> String {
    let octets = address.octets();
    let nibbles = octets.iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
    nibbles.map(|nibble| format!("{nibble:x}")).collect::<Vec<_>>().join(".")
}

fn reverse_origins() -> impl Iterator<Item = String> {
    reverse_zones().into_iter().map(|(origin, _)| format!("{origin}."))
}

fn soa(owner: &str, primary: &str) -> String {
    // A negative TTL of one second (RFC 2308 §5): a test sees a change at once.
    format!("$TTL 300\n{owner} SOA {primary} hostmaster.nic.test. 1 3600 600 604800 1\n")
}

fn addresses(owner: &str, host: Host) -> String {
    let v6 = host.v6().map(|v6| format!("{owner} AAAA {v6}\n")).unwrap_or_default();
    format!("{owner} A {}\n{v6}", host.v4())
}

/// nsd's configuration for zones that stand as `/etc/nsd/ORIGIN.zone`.
pub fn nsd_conf<'a>(origins: impl IntoIterator<Item = &'a str>) -> String {
    let mut conf = String::from(
        "server:\n  username: \"\"\n  chroot: \"\"\n  pidfile: \"\"\n  database: \"\"\n  xfrdfile: \"/run/xfrd.state\"\n  \
         zonelistfile: \"/run/zone.list\"\n  xfrdir: \"/run\"\n  server-count: 1\n  verbosity: 1\nremote-control:\n  \
         control-enable: no\n",
    );
    for origin in origins {
        conf += &format!(
            "zone:\n  name: \"{origin}\"\n  zonefile: \"/etc/nsd/{}.zone\"\n",
            if origin == "." { "root" } else { origin }
        );
    }
    conf
}

/// unbound's configuration: validates from the lab's own root, and forgets soon, so that a test sees a change.
pub fn unbound_conf(trust_anchor: &str) -> String {
    let mut conf = format!(
        "server:\n  username: \"\"\n  chroot: \"\"\n  pidfile: \"\"\n  directory: \"/etc/unbound\"\n  \
         do-daemonize: no\n  use-syslog: no\n  num-threads: 1\n  interface: 0.0.0.0\n  interface: ::\n  \
         access-control: 0.0.0.0/0 allow\n  access-control: ::/0 allow\n  root-hints: \"/etc/unbound/root.hints\"\n  \
         trust-anchor: \"{}\"\n  cache-max-ttl: 2\n  cache-max-negative-ttl: 1\n  val-bogus-ttl: 1\n  infra-host-ttl: 1\n  \
         infra-keep-probing: yes\n  val-log-level: 2\n  unblock-lan-zones: yes\n  insecure-lan-zones: no\n",
        trust_anchor.trim()
    );
    // RFC 6303 and RFC 6761 answer these names locally; here they are the internet's own.
    for origin in reverse_origins().chain([String::from("test.")]) {
        conf += &format!("  local-zone: \"{origin}\" nodefault\n");
    }
    conf + "remote-control:\n  control-enable: no\n"
}

/// The root hints that point the resolver at the lab's root server.
pub fn root_hints() -> String {
    String::from(". NS a.root-servers.test.\n") + &addresses("a.root-servers.test.", Host::Root)
}
