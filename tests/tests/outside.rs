//! `postern-home doctor` looks from outside: its rows are true while all is well, and when each thing is broken.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::lab::scenario_options;
use postern_lab::{Host, Lab, wait_until};
use serde_json::Value;

/// How long a change may take until the row tells it.
const SEEN: Duration = Duration::from_secs(60);

/// Answers every SMTP command with yes, so that it looks like an open relay.
const YES_TO_ALL: &str = "
import socketserver
class Yes(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b'220 relay.stranger.test ESMTP\\r\\n')
        for line in self.rfile:
            self.wfile.write(b'250-yes\\r\\n250 STARTTLS\\r\\n' if line.startswith(b'EHLO') else b'250 yes\\r\\n')
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(('198.51.100.25', 2525), Yes).serve_forever()
";

fn lab() -> Result<Lab> {
    let mut options = scenario_options()?;
    options.home_config += "\n[doctor]\nmail_servers = [\"stranger.test\"]\n";
    let lab = Lab::start(options)?;
    lab.join().and_then(|()| lab.set_up_home()).map_err(|error| lab.explain(error))?;
    Ok(lab)
}

/// The rows of these codes, each as `code about verdict found`.
struct Rows(Vec<Value>);

impl Rows {
    fn of(lab: &Lab) -> Result<Rows> {
        let output = lab.host(Host::Home).run(["postern-home", "doctor", "--json"])?;
        let report: Value = serde_json::from_str(&output.stdout).with_context(|| output.stderr)?;
        Ok(Rows(report["rows"].as_array().context("rows")?.clone()))
    }

    /// The one row of this code whose subject begins like that, as the verdict and what was found.
    fn one(&self, code: &str, about: &str) -> Result<(String, String)> {
        let is_meant = |row: &&Value| {
            row["code"] == code && row["about"].as_str().is_some_and(|subject| subject.starts_with(about))
        };
        let row = self.0.iter().find(is_meant);
        let row = row.with_context(|| format!("no row {code} {about:?} in {:#?}", self.0))?;
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        Ok((text("verdict"), format!("{} | {}", text("found"), text("mend"))))
    }

    fn expect(&self, code: &str, about: &str, verdict: &str, words: &str) -> Result<()> {
        let (found, text) = self.one(code, about)?;
        ensure!(
            found == verdict && text.contains(words),
            "{code} {about}: {found}: {text}, not {verdict}: {words}"
        );
        Ok(())
    }
}

/// Waits until the row says so.
fn tells(lab: &Lab, code: &str, about: &str, verdict: &str, words: &str) -> Result<()> {
    wait_until(&format!("the row {code} {about} is {verdict}"), SEEN, || {
        Rows::of(lab)?.expect(code, about, verdict, words)
    })
}

/// Rules of a router on the way, until they are flushed.
fn router(lab: &Lab, host: Host, rules: &str) -> Result<()> {
    let chains = "nft add table ip doctor
         nft 'add chain ip doctor forward { type filter hook forward priority 0; }'
         nft 'add chain ip doctor prerouting { type nat hook prerouting priority dstnat; }'
         nft flush table ip doctor\n";
    lab.host(host).sh(&format!("{chains}{rules}")).map(drop)
}

#[test]
fn what_is_seen_from_outside_is_true_when_all_is_well_and_when_it_is_not() -> Result<()> {
    let lab = lab()?;
    all_is_well(&lab).map_err(|error| lab.explain(error))?;
    a_port_is_closed_before_the_edge(&lab)?;
    mail_is_kept_in(&lab)?;
    the_own_line_lets_no_port_25_out(&lab)?;
    another_server_answers(&lab)?;
    an_open_relay_answers(&lab)?;
    home_is_itself_again(&lab)
}

fn all_is_well(lab: &Lab) -> Result<()> {
    wait_until("everything is seen", SEEN, || {
        Rows::of(lab)?.expect("port", "25 ", "well", "from the internet")
    })?;
    let rows = Rows::of(lab)?;
    for port in ["465 ", "587 ", "993 ", "995 ", "443 "] {
        rows.expect("port", port, "well", "answers from the internet at 192.0.2.10")?;
    }
    rows.expect("port", "25 ", "well", "`220 mail.home.example")?;
    // The line at home has no IPv6, so the mirror alone finds that address.
    rows.expect("port", "993 ", "well", "at 2001:db8:ed::10 by the mirror only")?;
    rows.expect(
        "presented",
        "",
        "well",
        "ports 25, 443, 465, 587, 993, 995 show home's own: for mail.home.example",
    )?;
    rows.expect("tls-versions", "", "well", "agree to TLS 1.3 and 1.2, and refuse 1.1 and 1.0")?;
    rows.expect("open-relay", "25 ", "well", "in all 15 forms")?;
    rows.expect("outbound", "", "well", "`220 mx.stranger.test")?;
    rows.expect("name-server", "home.example", "well", "192.0.2.10: answers by UDP and TCP")?;
    rows.expect("tunnel-path", "", "well", "200000 octets went to the edge and came back")?;
    rows.expect("versions", "", "well", "edge and home are")?;
    let (_, machine) = rows.one("edge", "")?;
    ensure!(machine.contains("MiB memory free") && machine.contains("stolen"), "{machine}");
    let table = lab.host(Host::Edge).sh("nft list table inet postern")?.stdout;
    ensure!(!table.contains("snat ip to"), "the mirror is shut after the look: {table}");
    Ok(())
}

fn a_port_is_closed_before_the_edge(lab: &Lab) -> Result<()> {
    router(lab, Host::Internet, "nft add rule ip doctor forward ip daddr 192.0.2.10 tcp dport 993 drop")?;
    tells(lab, "port", "993 ", "failed", "no connection came as far as the edge")?;
    Rows::of(lab)?.expect("port", "465 ", "well", "from the internet")
}

fn mail_is_kept_in(lab: &Lab) -> Result<()> {
    router(lab, Host::Internet, "nft add rule ip doctor forward ip saddr 192.0.2.10 tcp dport 25 drop")?;
    tells(lab, "outbound", "", "failed", "the edge itself reaches none of 1 mail servers")
}

fn the_own_line_lets_no_port_25_out(lab: &Lab) -> Result<()> {
    router(lab, Host::Internet, "")?;
    router(lab, Host::Isp, "nft add rule ip doctor forward tcp dport 25 drop")?;
    let strange = "import socket; print(socket.create_connection(('192.0.2.10', 25), 5).recv(99))";
    lab.host(Host::Stranger).run(["python3", "-c", strange])?.success()?;
    tells(lab, "port", "25 ", "well", "this machine's own line lets no connection to anybody's port 25 out")?;
    let rows = Rows::of(lab)?;
    rows.expect("port", "25 ", "well", "connections have come from the internet")?;
    rows.expect("open-relay", "25 ", "well", "in all 15 forms")?;
    rows.expect("outbound", "", "well", "220 mx.stranger.test")?;
    router(lab, Host::Isp, "")
}

fn another_server_answers(lab: &Lab) -> Result<()> {
    let old = "exec openssl s_server -accept 198.51.100.25:4465 -cert /etc/postfix/tls/cert.pem \
               -key /etc/postfix/tls/key.pem -cipher DEFAULT@SECLEVEL=0 -min_protocol TLSv1 -quiet";
    let mut server = lab.host(Host::Stranger).spawn(["sh", "-c", old])?;
    router(
        lab,
        Host::Internet,
        "nft add rule ip doctor prerouting ip saddr 203.0.113.10 ip daddr 192.0.2.10 tcp dport 465 dnat to 198.51.100.25:4465",
    )?;
    let told = tells(
        lab,
        "presented",
        "465 ",
        "failed",
        "another certificate: for no name, issued by mx.stranger.test",
    )
    .and_then(|()| tells(lab, "tls-versions", "465 ", "failed", "agrees to TLS 1.1 and TLS 1.0"));
    server.kill()?;
    server.wait()?;
    told
}

fn an_open_relay_answers(lab: &Lab) -> Result<()> {
    let mut server = lab.host(Host::Stranger).spawn(["python3", "-c", YES_TO_ALL])?;
    router(
        lab,
        Host::Internet,
        "nft add rule ip doctor prerouting ip saddr 203.0.113.10 ip daddr 192.0.2.10 tcp dport 25 dnat to 198.51.100.25:2525",
    )?;
    let told = tells(
        lab,
        "open-relay",
        "25 ",
        "failed",
        "a stranger may send to strangers: 15 of 15 forms are taken",
    );
    server.kill()?;
    server.wait()?;
    told
}

fn home_is_itself_again(lab: &Lab) -> Result<()> {
    router(lab, Host::Internet, "")?;
    tells(lab, "port", "25 ", "well", "answers from the internet")?;
    tells(lab, "presented", "", "well", "show home's own")?;
    let banned = lab.host(Host::Home).run(["postern-home", "bans", "list"])?.success()?.stdout;
    ensure!(
        !banned.contains("203.0.113.10") && !banned.contains("192.0.0.8"),
        "a look is no attack: {banned}"
    );
    Ok(())
}
