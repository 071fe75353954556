//! A relay of the operator's: Postfix, which takes mail for others from who logs in (Dovecot says who that is), and a destination
//! that distrusts the edge's address in the words of a large receiver.

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::lab::ANA;
use postern_lab::{Host, Lab, Signal, mail, wait_until};
use serde_json::Value;

const PASSWORD: &str = "a word for relays";
/// Where the cafe's mail server puts what it took.
const TAKEN: &str = "/run/taken";

/// Who may send by the stranger's Postfix.
const DOVECOT: &str = "\
protocols =
ssl = no
base_dir = /run/relay-auth
log_path = /dev/stderr
default_internal_user = root
default_login_user = nobody
auth_mechanisms = plain login scram-sha-256
disable_plaintext_auth = no
first_valid_uid = 0
passdb {
  driver = passwd-file
  args = /etc/postfix/relay.users
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=/tmp
}
service auth {
  user = root
  unix_listener /var/spool/postfix/private/auth {
    mode = 0666
  }
}
";

/// Makes Postfix a relay for who logs in.
const POSTFIX: &str = "
postconf -e smtpd_tls_cert_file=/etc/postfix/tls/issued.pem smtpd_tls_key_file=/etc/postfix/tls/issued.key
for service in smtps submission; do
    postconf -M $service/inet=\"$service inet n - n - - smtpd\"
    postconf -P $service/inet/smtpd_sasl_auth_enable=yes $service/inet/smtpd_sasl_type=dovecot
    postconf -P $service/inet/smtpd_sasl_path=private/auth $service/inet/smtpd_tls_auth_only=yes
    postconf -P $service/inet/smtpd_relay_restrictions=permit_sasl_authenticated,reject
done
postconf -P smtps/inet/smtpd_tls_wrappermode=yes submission/inet/smtpd_tls_security_level=encrypt
";

/// The cafe's mail server: it distrusts one address until it is told better, and takes mail of all others.
const DISTRUSTFUL: &str = "
import os, socketserver, sys
words, distrusted, taken = sys.argv[1].encode(), sys.argv[2], sys.argv[3]
class Server(socketserver.StreamRequestHandler):
    def handle(self):
        if self.client_address[0] == distrusted and not os.path.exists(taken + '.trusts'):
            self.wfile.write(words + b'\\r\\n')
            return
        self.wfile.write(b'220 cafe.test ESMTP\\r\\n')
        while line := self.rfile.readline():
            command = line.split()[0].upper()
            if command == b'DATA':
                self.wfile.write(b'354 go\\r\\n')
                content = []
                while (line := self.rfile.readline()) != b'.\\r\\n':
                    content.append(line[1:] if line.startswith(b'..') else line)
                with open(taken + '.new', 'wb') as file:
                    file.write(b''.join(content))
                os.rename(taken + '.new', taken)
            self.wfile.write(b'221 bye\\r\\n' if command == b'QUIT' else b'250 ok\\r\\n')
            if command == b'QUIT':
                return
class Threads(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
server = Threads(('0.0.0.0', 25), Server)
print('ready', flush=True)
server.serve_forever()
";

const VERIFY: &str = "
import dkim, sys
message = sys.stdin.buffer.read()
verifier = dkim.DKIM(message)
count = sum(1 for line in message.split(b'\\r\\n\\r\\n')[0].split(b'\\r\\n') if line.lower().startswith(b'dkim-signature:'))
print(all([dkim.DKIM(message).verify(idx=index) for index in range(count)]), count)
";

const DISTRUST: &str = "554 5.7.1 Service unavailable; Client host [203.0.113.10] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/203.0.113.10";

fn relay(lab: &Lab, arguments: &[&str], password: &str) -> Result<postern_lab::Output> {
    let command = [&["postern-home", "relay"], arguments].concat();
    lab.host(Host::Home).run_with_input(command, format!("{password}\n").as_bytes())
}

/// Starts a program that says when it is ready; it ends with the test's namespaces.
fn start(lab: &Lab, host: Host, command: &[&str]) -> Result<Child> {
    let mut child = lab.host(host).spawn(command.iter().copied())?;
    let mut said = BufReader::new(child.stdout.take().context("piped")?).lines();
    ensure!(said.next().context("a line")?? == "ready");
    Ok(child)
}

fn start_relay(lab: &Lab) -> Result<Child> {
    let stranger = lab.host(Host::Stranger);
    stranger
        .run_with_input(["sh", "-c", "cat > /etc/postfix/dovecot.conf"], DOVECOT.as_bytes())?
        .success()?;
    stranger.sh(&format!("umask 077; echo 'home:{{PLAIN}}{PASSWORD}' > /etc/postfix/relay.users"))?;
    stranger.sh(POSTFIX)?;
    lab.stop_daemon(Host::Stranger, "postfix", Signal::Terminate)?;
    lab.start_daemon(Host::Stranger, "postfix")?;
    let dovecot = stranger.spawn(["dovecot", "-F", "-c", "/etc/postfix/dovecot.conf"])?;
    wait_until("Dovecot answers", Duration::from_secs(20), || {
        stranger.sh("test -S /var/spool/postfix/private/auth")
    })?;
    Ok(dovecot)
}

fn submit(lab: &Lab, to: &str, subject: &str) -> Result<()> {
    lab.submit(465, ANA, to, &mail::plain_message(ANA, to, subject))?.success()?;
    Ok(())
}

fn taken(lab: &Lab, subject: &str) -> Result<String> {
    wait_until(&format!("the cafe has taken {subject:?}"), Duration::from_secs(60), || {
        let message = lab.host(Host::Cafe).run(["cat", TAKEN])?.success()?.stdout;
        ensure!(message.contains(&format!("Subject: {subject}")), "{message}");
        Ok(message)
    })
    .map_err(|error| lab.explain(error))
}

#[test]
fn who_distrusts_the_edge_gets_mail_by_the_relay_and_nobody_else_does() -> Result<()> {
    let lab = Lab::joined()?;
    let mut dovecot = start_relay(&lab)?;
    let edge = Host::Edge.v4().to_string();
    let mut cafe = start(&lab, Host::Cafe, &["/usr/bin/python3", "-c", DISTRUSTFUL, DISTRUST, &edge, TAKEN])?;

    let add =
        ["add", "lab", "--host", "mx.sts.test", "--port", "465", "--login", "home", "--spf", "stranger.test"];
    let wrong = relay(&lab, &add, "a guess")?;
    ensure!(wrong.code() == 1 && wrong.stderr.contains("mx.sts.test"), "{wrong:?}");
    ensure!(
        wrong.stderr.contains("port 465") && wrong.stderr.contains("does not take the login: 535"),
        "{wrong:?}"
    );
    relay(&lab, &add, PASSWORD)?.success()?;
    relay(&lab, &["test", "lab"], "")?.success()?;
    // The same by STARTTLS.
    let starttls = ["add", "lab587", "--host", "mx.sts.test", "--port", "587", "--login", "home"];
    relay(&lab, &starttls, PASSWORD)?.success()?;
    // A server whose certificate holds another name learns no password.
    let other = ["add", "other", "--host", "mx.stranger.test", "--port", "465", "--login", "home"];
    let other = relay(&lab, &other, PASSWORD)?;
    ensure!(other.code() == 1 && other.stderr.contains("certificate"), "{other:?}");

    relay(&lab, &["use", "lab", "overflow"], "")?.success()?;
    wait_until("the world sees the SPF record", Duration::from_secs(60), || {
        let listed = relay(&lab, &["list", "--json"], "")?.success()?.stdout;
        ensure!(!listed.contains(PASSWORD), "{listed}");
        let listed: Value = serde_json::from_str(&listed)?;
        ensure!(listed[0]["waits_for_spf"] == serde_json::json!([]), "{listed}");
        Ok(())
    })
    .map_err(|error| lab.explain(error))?;

    submit(&lab, "guest@cafe.test", "by the relay")?;
    submit(&lab, mail::SAM, "directly")?;
    let message = taken(&lab, "by the relay")?;
    let received = mail::header_values(message.as_bytes(), "Received").remove(0);
    ensure!(received.contains("mail.home.example") && received.contains("ESMTPSA"), "{received}");
    let verify = ["/usr/bin/python3", "-c", VERIFY];
    let verified = lab.host(Host::Cafe).run_with_input(verify, message.as_bytes())?.success()?.stdout;
    ensure!(verified.trim() == "True 2", "DKIM: {verified}");
    let direct = lab.await_stranger_message("directly").map_err(|error| lab.explain(error))?;
    ensure!(lab.authenticate(&direct)?.ip == edge, "it went by the relay");

    let overflow = relay(&lab, &["overflow", "--json"], "")?;
    ensure!(overflow.code() == 3, "{overflow:?}");
    let listed: Value = serde_json::from_str(&overflow.stdout)?;
    ensure!(
        listed["destinations"][0]["destination"] == "cafe.test" && listed["destinations"][1].is_null(),
        "{listed}"
    );
    relay(&lab, &["overflow", "--take-back", "cafe.test"], "")?.success()?;
    ensure!(relay(&lab, &["overflow"], "")?.code() == 0);

    watched(&lab)?;
    lab.host(Host::Cafe).sh(&format!("touch {TAKEN}.trusts"))?;
    warmed_up(&lab)?;
    for child in [&mut cafe, &mut dovecot] {
        child.kill()?;
        child.wait()?;
    }
    Ok(())
}

/// What a large receiver gets directly on the first day, and how what is beyond goes.
fn warmed_up(lab: &Lab) -> Result<()> {
    let plan = || {
        let listed: Value = serde_json::from_str(&relay(lab, &["overflow", "--json"], "")?.stdout)?;
        Ok::<_, anyhow::Error>(listed["warm_up"][0].clone())
    };
    for number in 1..=20 {
        submit(lab, "guest@hosted.test", &format!("directly {number}"))?;
    }
    wait_until("the first day's volume is used", Duration::from_secs(60), || {
        let plan = plan()?;
        ensure!(plan["receiver"] == "Gmail" && plan["volume"] == 20 && plan["taken"] == 20, "{plan}");
        Ok(())
    })
    .map_err(|error| lab.explain(error))?;
    let by_relay = |message: &str| {
        mail::header_values(message.as_bytes(), "Received").remove(0).contains("mx.stranger.test")
    };
    ensure!(!by_relay(&taken(lab, "directly")?), "it went by the relay");
    submit(lab, "guest@hosted.test", "beyond the plan")?;
    ensure!(by_relay(&taken(lab, "beyond the plan")?), "it went directly");
    ensure!(plan()?["direct"] == 20);
    let status = lab.host(Host::Home).run(["postern-home", "status"])?.stdout;
    ensure!(status.contains("Gmail: 20 of at most 20 messages today went directly"), "{status}");
    relay(lab, &["overflow", "--end-warm-up", "Gmail"], "")?.success()?;
    submit(lab, "guest@hosted.test", "directly again")?;
    ensure!(!by_relay(&taken(lab, "directly again")?), "it went by the relay");
    Ok(())
}

/// What the world thinks of the edge's address, and what destinations took.
fn watched(lab: &Lab) -> Result<()> {
    let sent = lab.json(Host::Home, &["postern-home", "status"])?["sent_today"].clone();
    ensure!(
        sent[0] == serde_json::json!({"destination": "cafe.test", "taken": 0, "deferred": 1, "refused": 0}),
        "{sent}"
    );
    let home = lab.host(Host::Home);
    home.sh("printf '\\n[reputation]\\nblocklists = [\"list.test\"]\\n' >> /etc/postern/home.toml")?;
    lab.stop_daemon(Host::Home, "postern-home", Signal::Terminate)?;
    lab.start_daemon(Host::Home, "postern-home")?;
    wait_until("the edge's address has been looked at", Duration::from_secs(30), || {
        let status = lab.json(Host::Home, &["postern-home", "status"])?;
        let standing = &status["reputation"]["addresses"][0];
        ensure!(
            standing["listed"] == serde_json::json!([{"list": "list.test", "words": "new here"}]),
            "{standing}"
        );
        ensure!(status["warnings"].to_string().contains("is on the list list.test"), "{status}");
        Ok(())
    })
    .map_err(|error| lab.explain(error))
}
