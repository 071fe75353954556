//! Seals that dkimpy, which we did not write, and our own validator believe.

use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use postern_arc::{Dns, NoAnswer};
use postern_store::directory::DkimKey;

use super::*;

const MESSAGE: &[u8] = b"DKIM-Signature: v=1; a=rsa-sha256; d=far.example; s=s; h=from; bh=YQ==; b=YQ==\r\n\
    From: Bob <bob@far.example>\r\nTo: ana@home.example\r\nSubject:  two\r\n  words\r\n\r\nbody  \r\n\r\n";

/// Prints what dkimpy says of the chain.
const DKIMPY: &str = "
import sys, dkim
name, record = sys.argv[1].split('=', 1)
def txt(asked, timeout=5):
    return record.encode() if asked.decode().rstrip('.') == name else b''
verdict, results, reason = dkim.arc_verify(sys.stdin.buffer.read(), dnsfunc=txt)
print(verdict.decode(), len(results))
";

struct OneKey<'a>(&'a DkimKey);

impl OneKey<'_> {
    fn name(&self) -> String {
        format!("{}._domainkey.{}", self.0.selector, self.0.domain)
    }

    fn record(&self) -> String {
        format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(&self.0.public_key))
    }
}

impl Dns for OneKey<'_> {
    async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, NoAnswer> {
        Ok(if name == self.name() { vec![self.record().into_bytes()] } else { Vec::new() })
    }
}

fn dkimpy(key: &OneKey<'_>, message: &[u8]) -> String {
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", DKIMPY, &format!("{}={}", key.name(), key.record())])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 with python3-dkim is installed");
    python.stdin.take().expect("piped").write_all(message).expect("written");
    let output = python.wait_with_output().expect("ended");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

#[tokio::test]
async fn another_implementation_believes_one_seal_and_two() {
    let state = tempfile::tempdir().expect("a directory");
    let directory = Directory::open(state.path()).expect("opened");
    let domain = "home.example".parse().expect("a domain");
    directory.add_domain(&domain).expect("added");
    let keys = directory.dkim_signing_keys(&domain);
    let key = keys.iter().find(|key| key.algorithm == DkimAlgorithm::RsaSha256).expect("an RSA key");
    let dns = OneKey(key);
    let seal = |message: &[u8], status: &Status| {
        let results = " mail.home.example;\r\n\tspf=pass smtp.mailfrom=far.example;\r\n\tdkim=none\r\n";
        let sealing = Sealing { domain: "home.example", selector: &key.selector, results, status, now: 1 };
        let set = postern_arc::seal(message, &sealing, |octets| dkim::sign_octets(key, octets));
        set.expect("signed").map(|set| [&set, message].concat())
    };
    let once = seal(MESSAGE, &Status::None).expect("sealed");
    assert_eq!(postern_arc::check(&dns, &once, 2).await.status, Status::Pass);
    assert_eq!(dkimpy(&dns, &once), "pass 1");
    let passed_on =
        [b"Received: from a by b; now\r\nDelivered-To: x@y.example\r\n".as_slice(), &once].concat();
    let twice = seal(&passed_on, &Status::Pass).expect("sealed");
    assert_eq!(postern_arc::check(&dns, &twice, 2).await.status, Status::Pass);
    assert_eq!(dkimpy(&dns, &twice), "pass 2");

    let text = String::from_utf8(twice).expect("text");
    for (from, to) in
        [("two", "three"), ("spf=pass", "spf=fail"), ("body", "other"), ("; b=YQ==", "; b=Yg==")]
    {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        assert!(
            matches!(postern_arc::check(&dns, changed.as_bytes(), 2).await.status, Status::Fail(_)),
            "{from}"
        );
        assert!(!dkimpy(&dns, changed.as_bytes()).starts_with("pass"), "{from}");
    }
    let broken = Status::Fail(postern_arc::Fault::TooLong);
    assert_eq!(seal(text.as_bytes(), &broken), None, "nobody would believe it");
}

#[test]
fn an_address_recognizes_what_it_has_sent_on() {
    let by: EmailAddress = "ana@home.example".parse().expect("an address");
    let message = format!("Received: x\r\n{}\r\nbody", passed(&by));
    assert!(has_passed(message.as_bytes(), &"Ana@HOME.example".parse().expect("an address")));
    assert!(!has_passed(message.as_bytes(), &"bo@home.example".parse().expect("an address")));
    assert!(!has_passed(b"Subject: x\r\n\r\nDelivered-To: ana@home.example\r\n", &by));
}
