//! First light: what `lab demo` shows and the scenario `first_light` asserts.
//!
//! Each act does its part in a running lab and returns the facts that it has seen, for people to read. An act
//! that does not see what it must see is an error.

use std::net::IpAddr;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::lab::{ANA, ANA_PASSWORD, Lab};
use crate::mail::{self, SAM};
use crate::options::Options;
use crate::topology::Host;

/// The octets of the attachment.
const ATTACHMENT: usize = 5 * 1024 * 1024;
/// The subject of the stranger's message.
const PICTURES: &str = "Holiday pictures";

/// The facts that an act has seen, a line each.
pub type Facts = Vec<String>;

/// Runs the acts one after the other and tells of each; returns the lab, still up.
///
/// # Errors
/// When an act fails; the logs' ends have been added.
pub fn run(options: Options) -> Result<Lab> {
    println!("Postern's first light, in a small internet of Linux namespaces\n");
    let start = Instant::now();
    let lab = narrate(
        "the internet is up: name servers, a stranger's Postfix, a NAT router, edge and home",
        || Ok((Lab::start(options)?, Facts::new())),
    )?;
    acts(&lab).map_err(|error| lab.explain(error))?;
    println!("All of it took {:.1} s.", start.elapsed().as_secs_f64());
    Ok(lab)
}

fn acts(lab: &Lab) -> Result<()> {
    narrate("home has joined the edge, and the world resolves home.example", || Ok(((), enrol(lab)?)))?;
    let sent = narrate("the stranger's message with a 5 MB attachment is at home", || receive(lab))?;
    narrate("ana has read it from the cafe, byte for byte", || Ok(((), read(lab, &sent)?)))?;
    narrate("ana's answer is at the stranger's: SPF, DKIM and DMARC pass", || Ok(((), answer(lab)?)))
}

/// Does one act and prints its tick, its time and its facts.
fn narrate<T>(what: &str, act: impl FnOnce() -> Result<(T, Facts)>) -> Result<T> {
    let start = Instant::now();
    let (value, facts) = act().inspect_err(|_| println!("✗ not seen: {what}"))?;
    println!("✓ {what} ({:.1} s)", start.elapsed().as_secs_f64());
    for fact in facts {
        println!("    {fact}");
    }
    Ok(value)
}

/// Home enrols at the edge, pushes its zone, and the world resolves it through the real delegation.
///
/// # Errors
/// When a command fails, or the world sees something else.
pub fn enrol(lab: &Lab) -> Result<Facts> {
    lab.join()?;
    lab.set_up_home()?;
    let mut facts = Vec::new();
    for (name, kind) in [
        ("home.example", "MX"),
        ("mail.home.example", "A"),
        ("mail.home.example", "AAAA"),
        ("home.example", "TXT"),
    ] {
        let answer = lab.resolve(name, kind)?;
        facts.push(format!("{name} {kind} {}", answer.join(", ")));
    }
    ensure!(
        lab.resolve("mail.home.example", "A")? == [Host::Edge.v4().to_string()],
        "the A record is not the edge's"
    );
    Ok(facts)
}

/// The stranger's Postfix sends a message with an attachment to ana; returns it as it was sent.
///
/// # Errors
/// When it does not arrive, arrives in clear text, or does not show the stranger's true address.
pub fn receive(lab: &Lab) -> Result<(String, Facts)> {
    let message = mail::message_with_attachment(SAM, ANA, PICTURES, ATTACHMENT);
    lab.send_from_stranger(ANA, &message)?;
    let stored = lab.await_ana_message(PICTURES)?;
    let received = mail::header_values(&stored, "Received");
    let trace = received.first().context("home wrote no Received field")?;
    let seen = [
        IpAddr::from(Host::Stranger.v4()),
        IpAddr::from(Host::Stranger.v6().context("the stranger has IPv6")?),
    ];
    ensure!(
        seen.iter().any(|address| trace.contains(&address.to_string())),
        "home saw another sender: {trace}"
    );
    ensure!(trace.contains("ESMTPS"), "home was not reached over TLS: {trace}");
    let mut facts = vec![format!("home saw: Received: {trace}")];
    let results = mail::header_values(&stored, "Authentication-Results");
    facts.extend(results.iter().map(|result| format!("Authentication-Results: {result}")));
    Ok((message, facts))
}

/// Ana reads the message from the cafe with curl and with mbsync; both copies have the body that was sent.
///
/// # Errors
/// When a client fails or an octet differs.
pub fn read(lab: &Lab, sent: &str) -> Result<Facts> {
    let body = mail::body_of(sent.as_bytes())?;
    let uid = lab.search_subject(PICTURES)?.pop().context("the message is gone")?;
    let by_curl = lab.fetch_by_curl(uid)?;
    ensure!(mail::body_of(&by_curl)? == body, "curl fetched another body");
    let by_mbsync = lab.mbsync_messages(PICTURES)?.pop().context("mbsync has not brought it")?;
    ensure!(mail::body_of(&by_mbsync)? == body, "mbsync fetched another body");
    Ok(vec![
        format!(
            "curl imaps://mail.home.example: {} octets; the body is the one sent, CRLF for LF",
            by_curl.len()
        ),
        format!("mbsync: the same in a Maildir, the {ATTACHMENT} octets of the attachment unchanged"),
    ])
}

/// Ana answers with swaks over port 465, and the stranger's verifiers judge what arrives.
///
/// # Errors
/// When it does not arrive, does not come from the edge's address, or a verdict is not a pass.
pub fn answer(lab: &Lab) -> Result<Facts> {
    let subject = format!("Re: {PICTURES}");
    lab.submit(465, ANA, SAM, &mail::plain_message(ANA, SAM, &subject))?.success()?;
    let message = lab.await_stranger_message(&subject)?;
    let verdict = lab.authenticate(&message)?;
    verdict.require_pass()?;
    ensure!(verdict.ip == Host::Edge.v4().to_string(), "it came from {}, not from the edge", verdict.ip);
    let signature = |signature: &mail::Signature| {
        format!("DKIM {} by {} with {}: {}", signature.result, signature.d, signature.s, signature.a)
    };
    let mut facts = vec![format!("it came from {} ({}): SPF {}", verdict.ip, verdict.helo, verdict.spf)];
    facts.extend(verdict.dkim.iter().map(signature));
    facts.push(format!("DMARC {}", verdict.dmarc));
    let told = lab.log_text(Host::Home) + &lab.log_text(Host::Edge);
    ensure!(!told.contains(ANA_PASSWORD), "the password stands in a log");
    Ok(facts)
}
