//! Secondary name servers that we did not write: NSD at the café, Knot at the provider, BIND beside NSD, each set up with
//! what `dns secondary add` prints.

use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::names::{ADD_DS, HOME_DOMAIN};
use postern_lab::{Host, Lab, Signal, wait_until};

const PATIENCE: Duration = Duration::from_secs(20);

/// One of them.
struct Secondary {
    host: Host,
    name: &'static str,
    /// The address and port at which it listens.
    address: String,
    port: u16,
}

/// A running server of a scenario; it ends with the value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Secondary {
    fn new(host: Host, name: &'static str, port: u16) -> Self {
        Self { host, name, address: host.v4().to_string(), port }
    }

    /// `dns secondary add`: what it prints for the program whose part begins with `title`.
    fn add(&self, lab: &Lab, title: &str) -> Result<String> {
        let address = format!("{}:{}", self.address, self.port);
        home(lab, &["dns", "secondary", "add", self.name, &address])?;
        self.setup(lab, title)
    }

    fn setup(&self, lab: &Lab, title: &str) -> Result<String> {
        let shown = home(lab, &["dns", "secondary", "show", self.name])?;
        let part = shown.split(title).nth(1).with_context(|| format!("no {title} in {shown}"))?;
        let part = part.split("\n# ").next().and_then(|part| part.split("\n// ").next());
        Ok(part.and_then(|part| part.split_once('\n')).context("a part")?.1.to_owned())
    }

    fn dig(&self, lab: &Lab, question: &[&str]) -> Result<String> {
        let (server, port) = (format!("@{}", self.address), self.port.to_string());
        let dig = [&["dig", "+norecurse", "+time=2", "+tries=1", &server, "-p", &port], question].concat();
        Ok(lab.host(Host::Cafe).run(dig)?.stdout)
    }

    fn has(&self, lab: &Lab, question: &[&str], expected: &str) -> Result<()> {
        let answer = self.dig(lab, question)?;
        ensure!(answer.contains(expected), "{} says {answer}", self.name);
        Ok(())
    }

    /// Writes the configuration and starts the program in the foreground, its log in `/run/NAME.log`.
    fn start(&self, lab: &Lab, path: &str, config: &str, command: &str) -> Result<Server> {
        let host = lab.host(self.host);
        host.write(path, config.as_bytes())?;
        Ok(Server(host.spawn(["sh", "-c", &format!("exec {command} >>/run/{}.log 2>&1", self.name)])?))
    }

    fn log(&self, lab: &Lab) -> Result<String> {
        Ok(String::from_utf8_lossy(&lab.host(self.host).read(&format!("/run/{}.log", self.name))?)
            .into_owned())
    }
}

fn home(lab: &Lab, arguments: &[&str]) -> Result<String> {
    Ok(lab.host(Host::Home).run([&["postern-home"], arguments].concat())?.success()?.stdout)
}

const NSD: &str = "server:\n  username: \"\"\n  chroot: \"\"\n  pidfile: \"\"\n  zonesdir: \"/run\"\n  database: \"\"\n  \
                   xfrdfile: \"/run/xfrd.state\"\n  xfrdir: \"/run\"\n  zonelistfile: \"/run/zone.list\"\n  \
                   server-count: 1\n  verbosity: 2\nremote-control:\n  control-enable: no\n";

fn nsd(lab: &Lab, secondary: &Secondary, config: &str) -> Result<Server> {
    secondary.start(lab, "/run/nsd.conf", &format!("{NSD}{config}"), "nsd -d -c /run/nsd.conf")
}

fn knot(lab: &Lab, secondary: &Secondary, config: &str) -> Result<Server> {
    let own = "server:\n    listen: [0.0.0.0@53]\n    rundir: /run/knot\ndatabase:\n    storage: /run/knot\nlog:\n  - \
               target: stdout\n    any: info\ntemplate:\n  - id: default\n    storage: /run/knot\n";
    lab.host(secondary.host).sh("mkdir -p /run/knot")?;
    secondary.start(lab, "/run/knot.conf", &format!("{own}{config}"), "knotd -c /run/knot.conf")
}

fn bind(lab: &Lab, secondary: &Secondary, config: &str) -> Result<Server> {
    let own = format!(
        "options {{ directory \"/run/bind\"; pid-file none; session-keyfile none; recursion no; dnssec-validation no; \
         listen-on port {} {{ any; }}; listen-on-v6 {{ none; }}; }};\ncontrols {{ }};\n",
        secondary.port
    );
    lab.host(secondary.host).sh("mkdir -p /run/bind")?;
    secondary.start(lab, "/run/named.conf", &format!("{own}{config}"), "named -g -c /run/named.conf")
}

/// Puts the secondaries into the parent zone, as the registrar does.
fn delegate(lab: &Lab, secondaries: &[&Secondary]) -> Result<()> {
    let mut lines = home(lab, &["dns", "ds", HOME_DOMAIN])?;
    for Secondary { name, address, .. } in secondaries {
        lines += &format!("\nhome.example. NS {name}.\n{name}. A {address}\n");
    }
    lab.host(Host::Registry).run_with_input(["sh", "-ec", ADD_DS], lines.as_bytes())?.success()?;
    lab.stop_daemon(Host::Registry, "nsd", Signal::Terminate)?;
    lab.start_daemon(Host::Registry, "nsd")
}

/// What home says of its secondaries.
fn listed(lab: &Lab) -> Result<String> {
    list(lab, &[]).map(|(_, listed)| listed)
}

/// The same with the exit code.
fn list(lab: &Lab, more: &[&str]) -> Result<(i32, String)> {
    let output = lab.host(Host::Home).run([&["postern-home", "dns", "secondary", "list"], more].concat())?;
    ensure!([0, 3].contains(&output.code()), "{}", output.stderr);
    Ok((output.code(), output.stdout))
}

#[test]
fn secondaries_take_the_zone_follow_it_and_answer_while_the_edge_is_away() -> Result<()> {
    let lab = Lab::joined()?;
    let at_cafe = Secondary::new(Host::Cafe, "ns3.home.example", 53);
    let at_isp = Secondary::new(Host::Isp, "ns4.home.example", 53);
    let on_a_port = Secondary::new(Host::Cafe, "ns5.home.example", 5300);
    let all = [&at_cafe, &at_isp, &on_a_port];
    let configs = [at_cafe.add(&lab, "# NSD")?, at_isp.add(&lab, "# Knot")?, on_a_port.add(&lab, "// BIND")?];
    let _servers = [
        nsd(&lab, &at_cafe, &configs[0])?,
        knot(&lab, &at_isp, &configs[1])?,
        bind(&lab, &on_a_port, &configs[2])?,
    ];
    for secondary in all {
        wait_until(&format!("{} has the zone", secondary.name), PATIENCE, || {
            secondary.has(&lab, &["home.example", "MX"], "10 mail.home.example.")
        })
        .with_context(|| secondary.log(&lab).unwrap_or_default())?;
    }

    home(&lab, &["dns", "record", "add", HOME_DOMAIN, "news", "TXT", "it arrived"])?;
    for secondary in all {
        wait_until(&format!("{} has the change", secondary.name), Duration::from_secs(10), || {
            secondary.has(&lab, &["news.home.example", "TXT"], "it arrived")
        })
        .with_context(|| secondary.log(&lab).unwrap_or_default())?;
    }
    wait_until("home sees that all are up to date", PATIENCE, || {
        let listed = listed(&lab)?;
        ensure!(listed.matches("up to date").count() == 3, "{listed}");
        Ok(())
    })?;
    let (code, listed) = list(&lab, &["--json"])?;
    ensure!(code == 0, "all follow: {listed}");
    ensure!(
        listed.matches("\"kind\": \"ixfr\"").count() == 3,
        "the last transfers were not differences: {listed}"
    );
    is_intact(&lab, &at_isp)?;

    delegate(&lab, &[&at_cafe, &at_isp])?;
    lab.stop_daemon(Host::Edge, "postern-edge", Signal::Kill)?;
    wait_until("the world resolves without the edge", PATIENCE, || {
        lab.require_validated("news.home.example", "TXT")?;
        lab.require_validated("nobody.home.example", "A")
    })?;
    lab.start_daemon(Host::Edge, "postern-edge")?;
    home(&lab, &["dns", "record", "add", HOME_DOMAIN, "later", "TXT", "after the restart"])?;
    wait_until("a change arrives after the edge's restart", PATIENCE, || {
        at_isp.has(&lab, &["later.home.example", "TXT"], "after the restart")
    })
}

/// The whole zone as a secondary has it, signatures and digest.
fn is_intact(lab: &Lab, secondary: &Secondary) -> Result<()> {
    let host = lab.host(secondary.host);
    wait_until("the secondary has written the zone to its disk", PATIENCE, || {
        host.read("/run/knot/home.example.zone").map(drop)
    })?;
    host.run(["ldns-verify-zone", "-ZZ", "/run/knot/home.example.zone"])?.success()?;
    Ok(())
}

#[test]
fn without_the_right_key_nothing_is_transferred_and_both_ends_say_why() -> Result<()> {
    let lab = Lab::joined()?;
    let secondary = Secondary::new(Host::Cafe, "ns3.home.example", 53);
    secondary.add(&lab, "# NSD")?;
    let shown = home(&lab, &["dns", "secondary", "show", secondary.name, "--json"])?;
    let shown: serde_json::Value = serde_json::from_str(&shown)?;
    let field =
        |path: &str| shown.pointer(path).and_then(|value| value.as_str()).context("a key").map(str::to_owned);
    let (key, secret) = (field("/key/name")?, field("/key/secret")?);
    let transfer = |key: &str, secret: &str, zone: &str| -> Result<String> {
        let key = format!("hmac-sha256:{key}:{secret}");
        let dig = ["dig", "+time=3", "+tries=1", "@192.0.2.10", "-y", &key, zone, "AXFR"];
        Ok(lab.host(Host::Cafe).run(dig)?.stdout)
    };
    wait_until("the edge knows the key", PATIENCE, || {
        let zone = transfer(&key, &secret, HOME_DOMAIN)?;
        ensure!(zone.contains("XFR size") && zone.contains("RRSIG"), "{zone}");
        Ok(())
    })?;
    let said = |expected: &str| {
        wait_until(&format!("home says: {expected}"), PATIENCE, || {
            let listed = listed(&lab)?;
            ensure!(listed.contains(expected), "{listed}");
            Ok(())
        })
    };
    let wrong = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let refused = transfer(&key, wrong, HOME_DOMAIN)?;
    ensure!(refused.contains("BADSIG") && !refused.contains("MX"), "{refused}");
    said("it has another secret for the key")?;
    let refused = transfer("nobodys.key", &secret, HOME_DOMAIN)?;
    ensure!(refused.contains("BADKEY") && !refused.contains("MX"), "{refused}");
    let refused = transfer(&key, &secret, "stranger.test")?;
    ensure!(refused.contains("Transfer failed"), "{refused}");
    let plain = ["dig", "+time=3", "+tries=1", "@192.0.2.10", HOME_DOMAIN, "AXFR"];
    let refused = lab.host(Host::Cafe).run(plain)?.stdout;
    ensure!(refused.contains("Transfer failed") && !refused.contains("MX"), "{refused}");
    said("it asks for a transfer without a key")?;
    let stranger = ["dig", "+time=3", "+tries=1", "@192.0.2.10", "-y", &format!("hmac-sha256:{key}:{wrong}")];
    let refused = lab.host(Host::Stranger).run([&stranger[..], &[HOME_DOMAIN, "AXFR"]].concat())?.stdout;
    ensure!(refused.contains("BADSIG"), "{refused}");
    let (code, listed) = list(&lab, &[])?;
    ensure!(code == 3 && listed.contains("without a key"), "a stranger has written the status: {listed}");

    home(&lab, &["dns", "secondary", "rotate-key", secondary.name])?;
    let server = nsd(&lab, &secondary, &secondary.setup(&lab, "# NSD")?)?;
    wait_until("the secondary has the zone by the new key", PATIENCE, || {
        secondary.has(&lab, &["home.example", "MX"], "10 mail.home.example.")
    })
    .with_context(|| secondary.log(&lab).unwrap_or_default())?;
    wait_until("home has retired the former key", PATIENCE, || {
        let (_, listed) = list(&lab, &["--json"])?;
        ensure!(!listed.contains(&format!("\"{key}\"")), "{listed}");
        Ok(())
    })?;
    wait_until("the former key counts no more", PATIENCE, || {
        let refused = transfer(&key, &secret, HOME_DOMAIN)?;
        ensure!(refused.contains("BADKEY"), "{refused}");
        Ok(())
    })?;
    home(&lab, &["dns", "secondary", "remove", secondary.name])?;
    wait_until("the zone names the secondary no more", PATIENCE, || {
        let servers = lab.resolve(HOME_DOMAIN, "NS")?;
        ensure!(servers.len() == 2, "{servers:?}");
        Ok(())
    })?;
    drop(server);
    Ok(())
}
