//! Messages and the stock programs that send, read and judge them.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::host::Output;
use crate::hosts::STRANGER_USER;
use crate::lab::{ANA, ANA_PASSWORD, Lab};
use crate::topology::Host;
use crate::wait::wait_until;

/// How long a message may take from one mail system to the other.
pub const DELIVERY_LIMIT: Duration = Duration::from_secs(60);
/// The stranger's address.
pub const SAM: &str = "sam@stranger.test";
/// The script that judges a message with verifiers that we did not write.
const AUTHENTICATE: &str = include_str!("../clients/authenticate.py");

/// mbsync's configuration for ana at the cafe.
const MBSYNCRC: &str = "\
IMAPAccount home
Host mail.home.example
User ana@home.example
PassCmd \"cat /var/lib/ana/password\"
SSLType IMAPS

IMAPStore far
Account home

MaildirStore near
SubFolders Verbatim
Path /var/lib/ana/mail/
Inbox /var/lib/ana/mail/INBOX

Channel home
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
";

/// A message with an attachment of `octets` octets that no compression shortens; lines end with LF.
pub fn message_with_attachment(from: &str, to: &str, subject: &str, octets: usize) -> String {
    let encoded = STANDARD.encode(noise(octets));
    let mut text = format!(
        "From: {from}\nTo: {to}\nSubject: {subject}\nMIME-Version: 1.0\n\
         Content-Type: multipart/mixed; boundary=\"part\"\n\n\
         --part\nContent-Type: text/plain; charset=us-ascii\n\nThe holiday pictures.\n\
         --part\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\
         Content-Disposition: attachment; filename=\"pictures.bin\"\n\n"
    );
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(76));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text + "--part--\n"
}

/// A short plain message; lines end with LF.
pub fn plain_message(from: &str, to: &str, subject: &str) -> String {
    format!("From: {from}\nTo: {to}\nSubject: {subject}\n\nHello.\n")
}

/// The same octets at every call: xorshift64 (Marsaglia, 2003).
fn noise(octets: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(octets + 8);
    while bytes.len() < octets {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(octets);
    bytes
}

/// The body of a message, with LF line ends.
pub fn body_of(message: &[u8]) -> Result<String> {
    let text = String::from_utf8(message.to_vec())?.replace("\r\n", "\n");
    let (_, body) = text.split_once("\n\n").context("the message has no empty line")?;
    Ok(body.to_owned())
}

/// Every value of a header field, unfolded, first one first.
pub fn header_values(message: &[u8], name: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(message).replace("\r\n", "\n");
    let header = text.split("\n\n").next().unwrap_or_default();
    let unfolded = header.replace("\n ", " ").replace("\n\t", " ");
    unfolded
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
        .collect()
}

/// The stranger's verdict on a message.
#[derive(Debug, Clone, Deserialize)]
pub struct Verdict {
    /// The address it came from.
    pub ip: String,
    /// The name its sender gave.
    pub helo: String,
    /// SPF (RFC 7208) for the reverse path's domain.
    pub spf: String,
    /// Every DKIM signature (RFC 6376, RFC 8463).
    pub dkim: Vec<Signature>,
    /// DMARC (RFC 7489).
    pub dmarc: String,
}

/// What gives a program another clock.
const PRELOAD: &str = "LD_PRELOAD=/usr/$LIB/faketime/libfaketimeMT.so.1";

/// One DKIM signature and whether it verifies.
#[derive(Debug, Clone, Deserialize)]
pub struct Signature {
    /// The algorithm.
    pub a: String,
    /// The signing domain.
    pub d: String,
    /// The selector.
    pub s: String,
    /// `pass`, or what is wrong.
    pub result: String,
}

impl Lab {
    /// Hands a message to the stranger's Postfix.
    ///
    /// # Errors
    /// When Postfix does not take it.
    pub fn send_from_stranger(&self, to: &str, message: &str) -> Result<()> {
        let sendmail = ["sendmail", "-i", "-f", SAM, to];
        self.host(Host::Stranger).run_with_input(sendmail, message.as_bytes())?.success()?;
        Ok(())
    }

    /// The stranger's messages whose subject contains `subject`, as stored.
    ///
    /// # Errors
    /// When the mailbox cannot be read.
    pub fn stranger_messages(&self, subject: &str) -> Result<Vec<Vec<u8>>> {
        self.maildir_messages(Host::Stranger, &format!("/var/mail/{STRANGER_USER}/Maildir"), subject)
    }

    /// Waits for the stranger's message with `subject`.
    ///
    /// # Errors
    /// When it does not come.
    pub fn await_stranger_message(&self, subject: &str) -> Result<Vec<u8>> {
        wait_until(&format!("{subject:?} is in the stranger's mailbox"), DELIVERY_LIMIT, || {
            self.stranger_messages(subject)?.pop().context("not there")
        })
    }

    /// Runs curl at the cafe on a mailbox of ana's: with `request` instead of curl's own command if given.
    ///
    /// # Errors
    /// When curl cannot be started.
    pub fn curl_imap(&self, path: &str, more: &[&str]) -> Result<Output> {
        let (user, url) = (format!("{ANA}:{ANA_PASSWORD}"), format!("imaps://mail.home.example/{path}"));
        let mut arguments =
            vec!["curl", "--silent", "--show-error", "--max-time", "120", "--user", &user, &url];
        arguments.extend(more);
        self.host(Host::Cafe).run(arguments)
    }

    /// The UIDs in ana's INBOX of the messages with `subject`.
    ///
    /// # Errors
    /// When curl cannot log in or search.
    pub fn search_subject(&self, subject: &str) -> Result<Vec<u32>> {
        let search = format!("UID SEARCH SUBJECT \"{subject}\"");
        let output = self.curl_imap("INBOX", &["--request", &search])?.success()?;
        let line = output.stdout.lines().find_map(|line| line.strip_prefix("* SEARCH"));
        let uids =
            line.with_context(|| format!("no SEARCH answer in {:?}", output.stdout))?.split_whitespace();
        uids.map(|uid| uid.parse().with_context(|| format!("UID {uid:?}"))).collect()
    }

    /// Waits for ana's message with `subject` and fetches it with curl, from the outside.
    ///
    /// # Errors
    /// When it does not come or curl fails.
    pub fn await_ana_message(&self, subject: &str) -> Result<Vec<u8>> {
        let uid = wait_until(&format!("{subject:?} is in ana's INBOX"), DELIVERY_LIMIT, || {
            self.search_subject(subject)?.pop().context("not there")
        })?;
        self.fetch_by_curl(uid)
    }

    /// Fetches one message of ana's INBOX with curl, from the outside.
    ///
    /// # Errors
    /// When curl fails.
    pub fn fetch_by_curl(&self, uid: u32) -> Result<Vec<u8>> {
        let file = format!("/run/message-{uid}");
        self.curl_imap(&format!("INBOX;UID={uid}"), &["--output", &file])?.success()?;
        self.host(Host::Cafe).read(&file)
    }

    /// Synchronises ana's INBOX with a Maildir at the cafe, both ways, with mbsync.
    ///
    /// # Errors
    /// When mbsync cannot be started; its own failure is in the output.
    pub fn mbsync(&self) -> Result<Output> {
        let cafe = self.host(Host::Cafe);
        cafe.sh("mkdir -p /var/lib/ana/mail")?;
        cafe.write("/var/lib/ana/mbsyncrc", MBSYNCRC.as_bytes())?;
        cafe.write("/var/lib/ana/password", ANA_PASSWORD.as_bytes())?;
        cafe.run(["mbsync", "--config", "/var/lib/ana/mbsyncrc", "--all"])
    }

    /// Synchronises, and returns the Maildir's messages with `subject`.
    ///
    /// # Errors
    /// When mbsync fails.
    pub fn mbsync_messages(&self, subject: &str) -> Result<Vec<Vec<u8>>> {
        self.mbsync()?.success()?;
        self.maildir_messages(Host::Cafe, "/var/lib/ana/mail/INBOX", subject)
    }

    fn maildir_messages(&self, host: Host, maildir: &str, subject: &str) -> Result<Vec<Vec<u8>>> {
        let host = self.host(host);
        let list = host.sh(&format!("cd '{maildir}' 2>/dev/null && find new cur -type f || true"))?;
        let messages: Result<Vec<_>> =
            list.stdout.lines().map(|file| host.read(&format!("{maildir}/{file}"))).collect();
        let has_subject =
            |message: &Vec<u8>| header_values(message, "Subject").iter().any(|s| s.contains(subject));
        Ok(messages?.into_iter().filter(has_subject).collect())
    }

    /// Submits a message as ana from the cafe with swaks, over TLS on `port`: 465 or 587.
    ///
    /// # Errors
    /// When swaks cannot be started; a refusal is in the output.
    pub fn submit(&self, port: u16, from: &str, to: &str, message: &str) -> Result<Output> {
        let tls = if port == 465 { "--tls-on-connect" } else { "--tls" };
        let port = port.to_string();
        let server = [
            "swaks",
            "--server",
            "mail.home.example",
            "--port",
            &port,
            tls,
            "--tls-verify",
            "--timeout",
            "60",
        ];
        let login = ["--auth", "PLAIN", "--auth-user", ANA, "--auth-password", ANA_PASSWORD];
        let envelope = ["--from", from, "--to", to, "--data", "-"];
        self.host(Host::Cafe).run_with_input([&server[..], &login, &envelope].concat(), message.as_bytes())
    }

    /// Judges a message of the stranger's with the verifiers on the stranger's host.
    ///
    /// # Errors
    /// When the verifiers cannot run or the message has no trace of Postfix.
    pub fn authenticate(&self, message: &[u8]) -> Result<Verdict> {
        self.authenticate_at("+0", message)
    }

    /// The same by a clock that is so far ahead, as libfaketime writes it.
    ///
    /// # Errors
    /// As [`Lab::authenticate`].
    pub fn authenticate_at(&self, time: &str, message: &[u8]) -> Result<Verdict> {
        let ahead = format!("FAKETIME={time}");
        let python = [
            "env",
            PRELOAD,
            &ahead,
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            "/usr/bin/python3",
            "-c",
            AUTHENTICATE,
        ];
        let output = self.host(Host::Stranger).run_with_input(python, message)?.success()?;
        serde_json::from_str(&output.stdout).with_context(|| output.stdout.clone())
    }
}

impl Verdict {
    /// Asks for everything: SPF, DMARC, and both signatures of home's domain.
    ///
    /// # Errors
    /// When one of them is not a pass.
    pub fn require_pass(&self) -> Result<()> {
        ensure!(self.spf == "pass", "SPF is {} for {}", self.spf, self.ip);
        ensure!(self.dmarc == "pass", "DMARC is {}", self.dmarc);
        for algorithm in ["rsa-sha256", "ed25519-sha256"] {
            match self.dkim.iter().find(|signature| signature.a == algorithm) {
                Some(signature) if signature.result == "pass" => {}
                Some(signature) => bail!("the {algorithm} signature: {}", signature.result),
                None => bail!("no {algorithm} signature"),
            }
        }
        Ok(())
    }
}
