//! What another domain demands of those who send to it: DANE by its TLSA record, MTA-STS by its policy. A Postfix that fulfils
//! it gets its mail, and one that does not gets none, in clear least of all.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::lab::ANA;
use postern_lab::{Host, Lab, Signal, mail, wait_until};
use serde_json::Value;

/// Serves the policy of `sts.test`, and nothing else.
const POLICY: &str = "
import http.server, ssl
TEXT = b'version: STSv1\\r\\nmode: enforce\\r\\nmx: mx.sts.test\\r\\nmax_age: 604800\\r\\n'
class Policy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = self.path == '/.well-known/mta-sts.txt' and self.headers['Host'] == 'mta-sts.sts.test'
        self.send_response(200 if found else 404)
        self.send_header('Content-Type', 'text/plain')
        self.send_header('Content-Length', str(len(TEXT) if found else 0))
        self.end_headers()
        self.wfile.write(TEXT if found else b'')
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('/etc/postfix/tls/issued.pem', '/etc/postfix/tls/issued.key')
server = http.server.HTTPServer(('0.0.0.0', 443), Policy)
server.socket = context.wrap_socket(server.socket, server_side=True)
print('ready', flush=True)
server.serve_forever()
";

/// Takes calls of a webhook, and prints them.
const HOOK: &str = "
import http.server, ssl
class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers['Content-Length'])).decode(), flush=True)
        self.send_response(204)
        self.end_headers()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('/etc/postfix/tls/issued.pem', '/etc/postfix/tls/issued.key')
server = http.server.HTTPServer(('0.0.0.0', 443), Hook)
server.socket = context.wrap_socket(server.socket, server_side=True)
print('ready', flush=True)
server.serve_forever()
";

/// A forger between home and its name server: denies all TLSA records in the name of a zone that is not signed.
const FORGER: &str = "
import socket, sys, dns.message, dns.rrset
upstream, zone = (sys.argv[1], 53), sys.argv[2]
here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
here.bind(('127.0.0.1', 5300))
print('ready', flush=True)
while True:
    asked, client = here.recvfrom(4096)
    query = dns.message.from_wire(asked)
    if dns.rdatatype.to_text(query.question[0].rdtype) == 'TLSA':
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        answer.authority.append(dns.rrset.from_text(zone, 60, 'IN', 'SOA', 'ns.%s x.%s 1 3600 600 86400 60' % (zone, zone)))
        here.sendto(answer.to_wire(), client)
        continue
    there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    there.settimeout(5)
    there.sendto(asked, upstream)
    try:
        here.sendto(there.recv(65535), client)
    except TimeoutError:
        pass
";

/// Makes Postfix serve with these settings from now on.
fn set_up(lab: &Lab, settings: &str) -> Result<()> {
    lab.host(Host::Stranger).sh(&format!("postconf -e {settings}"))?;
    lab.stop_daemon(Host::Stranger, "postfix", Signal::Terminate)?;
    lab.start_daemon(Host::Stranger, "postfix")?;
    let speaks = "exec 3<>/dev/tcp/127.0.0.1/25; read -t 2 line <&3; [ -n \"$line\" ]";
    wait_until("Postfix answers", Duration::from_secs(20), || {
        lab.host(Host::Stranger).run(["bash", "-c", speaks])?.success()
    })?;
    Ok(())
}

const SELF_SIGNED: &str = "smtpd_tls_cert_file=/etc/postfix/tls/cert.pem smtpd_tls_key_file=/etc/postfix/tls/key.pem smtpd_tls_security_level=may";
const ISSUED: &str = "smtpd_tls_cert_file=/etc/postfix/tls/issued.pem smtpd_tls_key_file=/etc/postfix/tls/issued.key smtpd_tls_security_level=may";
const IN_CLEAR: &str = "smtpd_tls_security_level=none";

fn submit(lab: &Lab, to: &str, subject: &str) -> Result<()> {
    lab.submit(465, ANA, to, &mail::plain_message(ANA, to, subject))?.success()?;
    Ok(())
}

fn queue(lab: &Lab) -> Result<Value> {
    let listed = lab.host(Host::Home).run(["postern-home", "queue", "list", "--json"])?.success()?;
    Ok(serde_json::from_str(&listed.stdout)?)
}

/// Waits until the only message of the queue waits for a reason that holds these words, and then has it tried once more when
/// `mend` is done.
fn await_refusal(lab: &Lab, words: &[&str], mend: impl FnOnce() -> Result<()>) -> Result<()> {
    let id = wait_until("the message waits", Duration::from_secs(60), || {
        let queue = queue(lab)?;
        let message = queue.get(0).context("the queue is empty")?;
        let reply = message["last_reply"].as_str().context("not tried yet")?;
        ensure!(words.iter().all(|word| reply.contains(word)), "{reply}");
        Ok(message["id"].as_str().map_or_else(|| message["id"].to_string(), str::to_owned))
    })
    .map_err(|error| lab.explain(error))?;
    mend()?;
    lab.host(Host::Home).run(["postern-home", "queue", "retry", &id])?.success()?;
    Ok(())
}

fn delivered(lab: &Lab, subject: &str) -> Result<()> {
    let message = lab.await_stranger_message(subject).map_err(|error| lab.explain(error))?;
    let received = mail::header_values(&message, "Received").remove(0);
    ensure!(received.contains("with ESMTPS "), "it came in clear: {received}");
    Ok(())
}

#[test]
fn who_publishes_a_key_gets_mail_under_that_key_or_none() -> Result<()> {
    let lab = Lab::joined()?;
    submit(&lab, "sam@dane.test", "the right key")?;
    delivered(&lab, "the right key")?;

    set_up(&lab, ISSUED)?;
    submit(&lab, "sam@dane.test", "the wrong key")?;
    await_refusal(&lab, &["mx.dane.test", "TLSA", "DANE"], || set_up(&lab, IN_CLEAR))?;
    await_refusal(&lab, &["mx.dane.test", "does not offer TLS", "DANE"], || {
        assert!(lab.stranger_messages("the wrong key")?.is_empty(), "it was delivered in clear");
        set_up(&lab, SELF_SIGNED)
    })?;
    delivered(&lab, "the wrong key")
}

#[test]
fn who_enforces_a_policy_gets_mail_with_a_trusted_certificate_or_none() -> Result<()> {
    let lab = Lab::joined()?;
    let mut server = serve_policy(&lab)?;
    submit(&lab, "sam@sts.test", "untrusted")?;
    await_refusal(&lab, &["mx.sts.test", "certificate", "MTA-STS"], || set_up(&lab, ISSUED))?;
    delivered(&lab, "untrusted")?;

    // Who suppresses the policy from now on gains nothing.
    server.kill()?;
    server.wait()?;
    set_up(&lab, IN_CLEAR)?;
    lab.stop_daemon(Host::Home, "postern-home", Signal::Kill)?;
    lab.start_daemon(Host::Home, "postern-home")?;
    wait_until("home is connected again", Duration::from_secs(30), || lab.is_connected())?;
    submit(&lab, "sam@sts.test", "suppressed")?;
    await_refusal(&lab, &["mx.sts.test", "does not offer TLS", "MTA-STS"], || set_up(&lab, ISSUED))?;
    delivered(&lab, "suppressed")
}

/// That another zone is not signed proves nothing of the TLSA records of one that is.
#[test]
fn a_denial_in_the_name_of_another_zone_does_not_turn_dane_off() -> Result<()> {
    let lab = Lab::joined()?;
    let home = lab.host(Host::Home);
    let resolver = Host::Resolver.v4().to_string();
    let mut forger = home.spawn(["/usr/bin/python3", "-c", FORGER, &resolver, "stranger.test."])?;
    let mut said = BufReader::new(forger.stdout.take().context("piped")?).lines();
    ensure!(said.next().context("a line")?? == "ready");
    lab.stop_daemon(Host::Home, "postern-home", Signal::Terminate)?;
    home.sh("sed -i 's/^.dns.$/[dns]\\nresolver = [\"127.0.0.1:5300\"]/' /etc/postern/home.toml")?;
    lab.start_daemon(Host::Home, "postern-home")?;
    wait_until("home is connected again", Duration::from_secs(30), || lab.is_connected())?;
    set_up(&lab, IN_CLEAR)?;
    submit(&lab, "sam@dane.test", "denied")?;
    await_refusal(&lab, &["mx.dane.test", "TLSA records cannot be found out", "DNSSEC"], || {
        assert!(lab.stranger_messages("denied")?.is_empty(), "it was delivered in clear");
        forger.kill()?;
        forger.wait()?;
        Ok(())
    })
}

/// The owner's letter lands in the mailbox, and the webhook is called over TLS.
#[test]
fn a_notice_reaches_the_owner_by_every_way() -> Result<()> {
    let lab = Lab::joined()?;
    let home = lab.host(Host::Home);
    let notices = |command: &str| home.run(["postern-home", "notices", command, "--json"]);
    let hook = "\n[notices]\nwebhook = \"https://mta-sts.sts.test/hook\"\n";
    home.sh(&format!("printf '{hook}' >> /etc/postern/home.toml"))?;
    lab.stop_daemon(Host::Home, "postern-home", Signal::Terminate)?;
    lab.start_daemon(Host::Home, "postern-home")?;
    wait_until("home is connected again", Duration::from_secs(30), || lab.is_connected())?;

    let lonely = notices("test")?;
    ensure!(lonely.code() == 1 && lonely.stdout.contains("mta-sts.sts.test cannot be reached"), "{lonely:?}");
    lab.await_ana_message("To look at: set-up, test")?;

    let (mut server, mut said) = serve(&lab, HOOK)?;
    let taken = notices("test")?.success()?;
    let outcomes: Value = serde_json::from_str(&taken.stdout)?;
    assert_eq!(outcomes[1], serde_json::json!({"way": "webhook", "error": null}), "{outcomes}");
    let call: Value = serde_json::from_str(&said.next().context("a call")??)?;
    assert_eq!((&call["host"], &call["notices"][0]["what"]), (&"mail.home.example".into(), &"begun".into()));
    server.kill()?;
    server.wait()?;
    Ok(())
}

fn serve_policy(lab: &Lab) -> Result<Child> {
    let (server, said) = serve(lab, POLICY)?;
    // What it prints later goes nowhere.
    std::thread::spawn(move || said.for_each(drop));
    Ok(server)
}

/// Starts a web server of the stranger's; gives what it prints.
fn serve(lab: &Lab, script: &str) -> Result<(Child, Lines<BufReader<ChildStdout>>)> {
    let mut server = lab.host(Host::Stranger).spawn(["python3", "-c", script])?;
    let mut said = BufReader::new(server.stdout.take().context("piped")?).lines();
    ensure!(said.next().context("a line")?? == "ready");
    Ok((server, said))
}
