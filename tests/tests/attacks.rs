//! The attacks on SMTP that can be seen from outside, each from a host on the internet, from the edge through the tunnel, from
//! home's network, and from loopback. docs/attacks.md says which test stands for which attack, here and elsewhere.

use anyhow::{Result, ensure};
use postern_lab::{Host, Lab};

/// The attacks, octet by octet.
const ATTACKS: &str = include_str!("../clients/attacks.py");
/// From where to what address.
const POSITIONS: [(Host, &str); 4] = [
    (Host::Cafe, "mail.home.example"),
    (Host::Edge, "10.118.0.2"),
    (Host::Isp, "192.168.1.20"),
    (Host::Home, "127.0.0.1"),
];

fn attack(lab: &Lab, name: &str) -> Result<()> {
    for (host, server) in POSITIONS {
        let output = lab.host(host).run(["python3", "-c", ATTACKS, name, server])?;
        ensure!(output.code() == 0, "{name} from {host} to {server}: {}{}", output.stdout, output.stderr);
    }
    Ok(())
}

#[test]
fn no_end_of_data_but_the_one_begins_a_second_message() -> Result<()> {
    let lab = Lab::joined()?;
    attack(&lab, "smuggling")?;
    ensure!(lab.search_subject("smuggled")?.is_empty(), "a smuggled message was delivered");
    Ok(())
}

#[test]
fn what_is_not_to_be_is_refused_in_the_session() -> Result<()> {
    let lab = Lab::joined()?;
    for name in ["starttls", "chunks", "sizes", "backscatter", "injection", "identities", "loris"] {
        attack(&lab, name)?;
    }
    ensure!(lab.search_subject("two authors")?.is_empty(), "a message of two authors was delivered");
    let queue = lab.host(Host::Home).run(["postern-home", "queue", "list", "--json"])?.success()?;
    ensure!(queue.stdout.trim() == "[]", "somebody is written to: {}", queue.stdout);
    Ok(())
}
