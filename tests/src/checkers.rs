//! What the checkers of others say of the domain that home serves: dnsviz, zonemaster, checkdmarc and testssl.sh.
//!
//! In: a lab whose name system has a root of its own, which they are told. Out: [`Finding`]s, of the level of a warning at
//! least, each under the name that its checker gives it. Each asks from the cafe, as a stranger on the internet. `make
//! checkers` installs them.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::lab::Lab;
use crate::names::HOME_DOMAIN;
use crate::topology::Host;

/// Where `tests/setup/checkers.sh` puts what Debian has not.
const ENVIRONMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/checkers");
/// The root hints, at the cafe.
const HINTS: &str = "/run/root.hints";
/// The root's DNSKEY record, at the cafe.
const ANCHOR: &str = "/run/root.key";

/// A complaint of a checker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The checker's own name for what it complains of.
    pub code: String,
    /// The complaint.
    pub text: String,
}

impl Lab {
    /// Tells the cafe of the lab's root, and of the key that everything is believed for.
    ///
    /// # Errors
    /// When the root does not answer.
    pub fn show_root_to_checkers(&self) -> Result<()> {
        let hints = self.host(Host::Resolver).read("/etc/unbound/root.hints")?;
        self.host(Host::Cafe).write(HINTS, &hints)?;
        let root = format!("@{}", Host::Root.v4());
        let key = self.host(Host::Cafe).run(["dig", "+noall", "+answer", &root, ".", "DNSKEY"])?.success()?;
        ensure!(key.stdout.contains("DNSKEY"), "the root has no key: {}", key.stdout);
        self.host(Host::Cafe).write(ANCHOR, key.stdout.as_bytes())
    }

    /// Has dnsviz follow the names from the root, with more than the usual questions (`-E`: EDNS versions, flags and options
    /// that nobody knows). Not with `-C`, which wants BADCOOKIE for each bad cookie: a server may answer (RFC 7873 §5.2.3).
    ///
    /// # Errors
    /// When it does not run to its end.
    pub fn ask_dnsviz(&self, names: &[&str], more: &[&str]) -> Result<Vec<Finding>> {
        let dnsviz = program("dnsviz")?;
        let [v4, v6] = [Host::Root.v4().to_string(), Host::Root.v6().context("an address")?.to_string()];
        let root = format!(".:a.root-servers.test={v4},a.root-servers.test=[{v6}]");
        let cafe = self.host(Host::Cafe);
        let probe = [&[&dnsviz[..], "probe", "-E", "-A", "-a", ".", "-x", &root], more, names].concat();
        let answers = cafe.run(probe)?.success()?;
        let grok = [&dnsviz[..], "grok", "-t", ANCHOR, "-l", "warning"];
        let judged = cafe.run_with_input(grok, answers.stdout.as_bytes())?.success()?;
        let Ok(Some(judgement)) = optional_json(&judged.stdout) else {
            ensure!(judged.stdout.trim().is_empty(), "dnsviz: {}{}", judged.stdout, judged.stderr);
            return Ok(Vec::new());
        };
        let mut findings = Vec::new();
        collect_dnsviz(&judgement, &mut findings);
        Ok(findings)
    }

    /// Has zonemaster make all its tests of the domain.
    ///
    /// # Errors
    /// When it does not run to its end.
    pub fn ask_zonemaster(&self) -> Result<Vec<Finding>> {
        let options = ["--level", "WARNING", "--json-stream", "--json-translate", "--no-progress"];
        let command = [&["zonemaster-cli", "--hints", HINTS], &options[..], &[HOME_DOMAIN]].concat();
        let said = self.host(Host::Cafe).run(command)?.success()?;
        said.stdout.lines().map(zonemaster_finding).collect()
    }

    /// Has testssl.sh look at the versions of TLS and the kinds of suites of one port; all that it says, each under its name,
    /// the level before the text.
    ///
    /// # Errors
    /// When it does not run to its end.
    pub fn ask_testssl(&self, port: &[&str]) -> Result<Vec<Finding>> {
        let file = format!("/run/testssl-{}.json", port.last().unwrap_or(&"").replace(':', "-"));
        let options =
            ["--quiet", "--color", "0", "--warnings", "off", "--ip", "192.0.2.10", "--jsonfile", &file];
        let looks = ["--protocols", "--std"];
        let cafe = self.host(Host::Cafe);
        let said = cafe.run([&["testssl"], &options[..], &looks[..], port].concat())?;
        let report = cafe.read(&file).with_context(|| format!("{}{}", said.stdout, said.stderr))?;
        let findings: Vec<Value> = serde_json::from_slice(&report)?;
        let finding = |found: &Value| Finding {
            code: text(found, "id"),
            text: format!("{} {}", text(found, "severity"), text(found, "finding")),
        };
        Ok(findings.iter().map(finding).collect())
    }

    /// Has checkdmarc look at everything that it knows of the domain; its whole report.
    ///
    /// # Errors
    /// When it does not run to its end.
    pub fn ask_checkdmarc(&self) -> Result<Value> {
        let checkdmarc = program("checkdmarc")?;
        let resolver = Host::Resolver.v4().to_string();
        let command = [&checkdmarc[..], HOME_DOMAIN, "--nameserver", &resolver, "--timeout", "5"];
        let said = self.host(Host::Cafe).run(command)?.success()?;
        serde_json::from_str(&said.stdout).with_context(|| said.stdout.clone())
    }
}

/// The Python of one of the environments.
///
/// # Errors
/// When it is not installed.
pub fn python_of(environment: &str) -> Result<String> {
    let path = format!("{ENVIRONMENTS}/{environment}/bin/python");
    ensure!(Path::new(&path).exists(), "{environment} is not installed; `make checkers` does that");
    Ok(path)
}

/// Where Node.js finds what is installed from npm under this name.
///
/// # Errors
/// When it is not installed.
pub fn node_modules_of(name: &str) -> Result<String> {
    let path = format!("{ENVIRONMENTS}/{name}/node_modules");
    ensure!(Path::new(&path).exists(), "{name} is not installed; `make checkers` does that");
    Ok(path)
}

fn program(name: &str) -> Result<String> {
    let path = format!("{ENVIRONMENTS}/{name}/bin/{name}");
    ensure!(Path::new(&path).exists(), "{name} is not installed; `make checkers` does that");
    Ok(path)
}

/// dnsviz prints nothing at all where it has nothing to say.
fn optional_json(text: &str) -> Result<Option<Value>> {
    if text.trim().is_empty() { Ok(None) } else { Ok(Some(serde_json::from_str(text)?)) }
}

/// Errors and warnings stand with the part of the domain that they are about, at any depth.
fn collect_dnsviz(value: &Value, findings: &mut Vec<Finding>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("errors" | "warnings", Value::Array(complaints)) => {
                        findings.extend(complaints.iter().map(dnsviz_finding));
                    }
                    _ => collect_dnsviz(member, findings),
                }
            }
        }
        Value::Array(members) => members.iter().for_each(|member| collect_dnsviz(member, findings)),
        _ => {}
    }
}

fn dnsviz_finding(complaint: &Value) -> Finding {
    Finding { code: text(complaint, "code"), text: complaint.to_string() }
}

fn zonemaster_finding(line: &str) -> Result<Finding> {
    let said: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
    let code = text(&said, "tag");
    if code.is_empty() {
        bail!("zonemaster says {line}");
    }
    Ok(Finding { code, text: format!("{} {}", text(&said, "level"), text(&said, "message")) })
}

fn text(value: &Value, member: &str) -> String {
    value.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
}
