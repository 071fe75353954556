//! A whole installation, from empty machines to the first mail in and out: Debian's systemd and cloud-init, the real packages under
//! their own units, the cloud's user data as terraform/ makes it, the registrar, and Pebble.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use postern_lab::hosts::acme_home_config;
use postern_lab::lab::{ANA, ANA_PASSWORD, programs, scenario_options};
use postern_lab::mail::{self, SAM};
use postern_lab::names::HOME_DOMAIN;
use postern_lab::{Host, Lab, Machine, Options, Stage, demo, wait_until};
use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Where the packages are offered, by a server whose certificate the lab's authority has issued.
const SHOP: &str = "https://mta-sts.sts.test";
/// Serves the directory that it is given.
const SHELF: &str = "
import functools, http.server, ssl, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('/etc/postfix/tls/issued.pem', '/etc/postfix/tls/issued.key')
server = http.server.ThreadingHTTPServer(('0.0.0.0', 443), handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
print('ready', flush=True)
server.serve_forever()
";

/// As an image for NoCloud has it: the data are on the disk, the network stands, and this Debian has no languages.
const CLOUD: &str = "datasource_list: [NoCloud]\nnetwork: {config: disabled}\nlocale: C.UTF-8\n";

/// The packages of both programs, made of those that are tested, and where they are offered.
struct Shop {
    shelf: PathBuf,
    server: Child,
}

impl Shop {
    fn open(lab: &Lab) -> Result<Shop> {
        let shelf = Path::new(ROOT).canonicalize()?.join("target/first_ten_minutes").join(lab.name());
        for program in ["postern-edge", "postern-home"] {
            build(program, &shelf)?;
        }
        let serve = ["python3", "-c", SHELF, &*shelf.to_string_lossy()];
        let mut server = lab.host(Host::Stranger).spawn(serve)?;
        let mut line = String::new();
        BufReader::new(server.stdout.take().context("the output is piped")?).read_line(&mut line)?;
        ensure!(line == "ready\n", "the shop says {line:?}");
        Ok(Shop { shelf, server })
    }

    /// The package of a program: its name, and what it holds.
    fn package(&self, program: &str) -> Result<(String, Vec<u8>)> {
        for entry in fs::read_dir(&self.shelf)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(&format!("{program}_")) {
                return Ok((name, fs::read(entry.path())?));
            }
        }
        bail!("no package of {program} in {}", self.shelf.display())
    }

    /// The same program as a package of the next version.
    fn next_package(&self, program: &str) -> Result<(String, Vec<u8>)> {
        let (package, _) = self.package(program)?;
        let tree = self.shelf.join("next");
        run(Command::new("dpkg-deb").arg("--raw-extract").arg(self.shelf.join(package)).arg(&tree))?;
        let control = tree.join("DEBIAN/control");
        let text = fs::read_to_string(&control)?.replacen("Version: 0", "Version: 1:0", 1);
        fs::write(&control, text)?;
        let built = self.shelf.join("next.deb");
        run(Command::new("dpkg-deb")
            .args(["--root-owner-group", "-Znone", "--build"])
            .args([&tree, &built]))?;
        fs::remove_dir_all(&tree)?;
        Ok((format!("{program}-next.deb"), fs::read(built)?))
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.shelf);
    }
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn build(program: &str, shelf: &Path) -> Result<()> {
    let architecture = run(Command::new("dpkg").arg("--print-architecture"))?;
    let built = programs()?.join(program);
    let words = [built.as_os_str(), architecture.trim().as_ref(), shelf.as_os_str()];
    run(Command::new(format!("{ROOT}/systemd/deb/build.sh")).arg(program).args(words)).map(drop)
}

/// The user data of the example for any cloud, by Terraform itself.
fn user_data(package: &str, octets: &[u8]) -> Result<String> {
    let scratch = PathBuf::from(format!("{ROOT}/target/first_ten_minutes"));
    fs::create_dir_all(&scratch)?;
    let module = scratch.join("terraform");
    let _ = fs::remove_dir_all(&module);
    run(Command::new("cp").arg("-r").arg(format!("{ROOT}/terraform")).arg(&module))?;
    fs::write(scratch.join("package"), octets)?;
    let digest = run(Command::new("sha256sum").arg(scratch.join("package")))?;
    let digest = digest.split_whitespace().next().context("a digest")?;
    let example = module.join("examples/any-cloud");
    let terraform = |words: &[&str]| {
        run(Command::new("terraform").current_dir(&example).env("CHECKPOINT_DISABLE", "1").args(words))
    };
    terraform(&[
        "apply",
        "-no-color",
        "-auto-approve",
        &format!("-var=package_url={SHOP}/{package}"),
        &format!("-var=package_sha256={digest}"),
    ])?;
    terraform(&["output", "-raw", "user_data"])
}

/// Whose port 25 the edge is asked to look at: the lab has no large receiver.
const MAIL_SERVERS: &str = "\n[doctor]\nmail_servers = [\"stranger.test\"]\n";

/// What a cloud does with the user data: a machine starts with it, and knows nothing else.
fn rent_edge<'lab>(lab: &'lab Lab, shop: &Shop) -> Result<Machine<'lab>> {
    let (package, octets) = shop.package("postern-edge")?;
    let data = user_data(&package, &octets)?;
    let files = [
        ("/etc/cloud/cloud.cfg.d/90_lab.cfg", CLOUD),
        ("/var/lib/cloud/seed/nocloud/user-data", &*data),
        ("/var/lib/cloud/seed/nocloud/meta-data", "instance-id: edge\n"),
    ];
    Machine::boot(lab, Host::Edge, &files)
}

/// What an owner does at home: the package, then home.toml, which here says whose certificates and which root.
fn install_home<'lab>(lab: &'lab Lab, shop: &Shop) -> Result<Machine<'lab>> {
    let machine = Machine::boot(lab, Host::Home, &[("/etc/cloud/cloud-init.disabled", "")])?;
    let (package, _) = shop.package("postern-home")?;
    let home = lab.host(Host::Home);
    home.sh(&format!(
        "cd /root && curl --silent --show-error --fail --remote-name {SHOP}/{package}
         DEBIAN_FRONTEND=noninteractive apt-get install --yes ./{package}"
    ))?;
    lab.show_root_to_checkers()?;
    let key = lab.host(Host::Cafe).read("/run/root.key")?;
    for (path, content) in [
        ("/etc/postern/home.toml", (acme_home_config() + MAIL_SERVERS).into_bytes()),
        ("/etc/postern/root.key", key),
    ] {
        home.run_with_input(["tee", path], &content)?.success()?;
    }
    machine.systemctl(&["enable", "--now", "postern-home"])?.success()?;
    Ok(machine)
}

/// One command at home: the edge's code, the domain, the first user. A second time it finds all done.
fn set_up(lab: &Lab) -> Result<()> {
    let home = lab.host(Host::Home);
    home.write("/root/code", lab.invite()?.as_bytes())?;
    home.write("/root/password", format!("{ANA_PASSWORD}\n").as_bytes())?;
    let answers = format!(
        "domain = \"{HOME_DOMAIN}\"\nuser = \"{ANA}\"\npassword_file = \"/root/password\"\njoin_code_file = \"/root/code\"\n"
    );
    home.write("/root/answers.toml", answers.as_bytes())?;
    let setup = ["postern-home", "setup", "--answers", "/root/answers.toml"];
    let first = home.run(setup)?.success()?.stdout;
    ensure!(first.contains(&format!("✓ user    {ANA}\n")), "{first}");
    let again = home.run(setup)?.success()?.stdout;
    for step in [
        "✓ edge    192.0.2.10:51820, as before",
        "✓ domain  home.example, as before",
        "✓ user    ana@home.example, as before",
    ] {
        ensure!(again.contains(step), "{again}");
    }
    let nobody = home.run(["postern-home", "setup"])?;
    ensure!(nobody.code() == 2 && nobody.stderr.contains("--answers"), "{nobody:?}");
    Ok(())
}

/// Waits until the doctor has nothing to complain of but that nobody has named a place for backups.
fn await_health(lab: &Lab) -> Result<()> {
    wait_until("the doctor finds home well", Duration::from_secs(120), || {
        let output = lab.host(Host::Home).run(["postern-home", "doctor", "--json"])?;
        let report: Value = serde_json::from_str(&output.stdout).context(output.stderr)?;
        let rows = report.get("rows").and_then(Value::as_array).context("rows")?;
        let said =
            |row: &Value, name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let wrong: Vec<&Value> = rows
            .iter()
            .filter(|row| {
                !["well", "waiting"].contains(&&*said(row, "verdict"))
                    && !NOT_IN_THE_LAB.contains(&&*said(row, "code"))
            })
            .collect();
        ensure!(wrong.is_empty(), "{wrong:#?}");
        Ok(())
    })
}

/// What this home lacks on purpose, or the lab cannot have: a place for backups, and lists of distrusted addresses.
const NOT_IN_THE_LAB: [&str; 2] = ["backup", "blocklist"];

/// Lets the cafe's programs trust Pebble, as the world trusts Let's Encrypt.
fn trust_pebble(lab: &Lab) -> Result<()> {
    lab.fetch_pebble_root(Host::Cafe, "/run/pebble-root.pem")?;
    lab.host(Host::Cafe).sh("cat /run/pebble-root.pem >> /etc/ssl/certs/ca-certificates.crt
         cp /run/pebble-root.pem /etc/ssl/certs/$(openssl x509 -noout -hash -in /run/pebble-root.pem).0")?;
    Ok(())
}

/// Both units run, under systemd, as what their packages made them.
fn assert_services(edge: &Machine, home: &Machine) -> Result<()> {
    for (machine, unit) in [(edge, "postern-edge"), (home, "postern-home")] {
        machine
            .systemctl(&["is-active", unit])?
            .success()
            .with_context(|| machine.journal(unit).unwrap_or_default())?;
        let failed = machine.systemctl(&["--failed", "--plain", "--no-legend"])?.stdout;
        if let Some(other) = failed.split_whitespace().next() {
            bail!("beside {unit} a unit failed: {failed}{}", machine.journal(other)?);
        }
    }
    Ok(())
}

/// Waits for a mail that the stranger could not deliver for some time.
fn await_mail(lab: &Lab, subject: &str) -> Result<()> {
    wait_until("home is connected to the edge", Duration::from_secs(60), || lab.is_connected())?;
    // What was deferred is tried again now and not in some minutes.
    lab.host(Host::Stranger).run(["postqueue", "-f"])?.success()?;
    lab.await_ana_message(subject).map(drop)
}

/// The next version of both packages, while mail comes in.
fn upgrade(lab: &Lab, shop: &Shop) -> Result<()> {
    let subjects: Vec<String> = (0..20).map(|number| format!("In the upgrade, {number}.")).collect();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            subjects.iter().try_for_each(|subject| {
                std::thread::sleep(Duration::from_millis(200));
                lab.send_from_stranger(ANA, &mail::plain_message(SAM, ANA, subject))
            })
        });
        for (program, host) in [("postern-home", Host::Home), ("postern-edge", Host::Edge)] {
            let (package, octets) = shop.next_package(program)?;
            let machine = lab.host(host);
            let before = main_process(lab, host, program)?;
            machine.run_with_input(["tee", &format!("/root/{package}")], &octets)?.success()?;
            machine.sh(&format!("DEBIAN_FRONTEND=noninteractive apt-get install --yes /root/{package}"))?;
            ensure!(main_process(lab, host, program)? != before, "{program} was not started anew");
        }
        sender.join().expect("the sender does not panic")
    })?;
    subjects.iter().try_for_each(|subject| await_mail(lab, subject))?;
    let kept = lab.search_subject("no power")?.len();
    ensure!(kept == 2, "of the mail from before the upgrade {kept} are there");
    Ok(())
}

/// The process of a unit.
fn main_process(lab: &Lab, host: Host, unit: &str) -> Result<String> {
    let show = ["systemctl", "show", "--property=MainPID", "--value", unit];
    Ok(lab.host(host).run(show)?.success()?.stdout)
}

#[test]
fn from_empty_machines_to_mail_in_and_out() -> Result<()> {
    let lab = Lab::start(Options { stage: Stage::Internet, ..scenario_options()? })?;
    lab.start_pebble()?;
    let shop = Shop::open(&lab)?;
    let edge = rent_edge(&lab, &shop)?;
    let home = install_home(&lab, &shop).map_err(|error| lab.explain(error))?;
    let begin = || -> Result<()> {
        set_up(&lab)?;
        lab.secure_delegation()?;
        lab.await_certificate("mail.home.example")?;
        await_health(&lab)?;
        assert_services(&edge, &home)?;
        trust_pebble(&lab)?;
        let (sent, _) = demo::receive(&lab)?;
        demo::read(&lab, &sent)?;
        demo::answer(&lab).map(drop)
    };
    begin().map_err(|error| lab.explain(error))?;

    // The power fails at home, then at the cloud's; nobody does anything, and all is as before.
    home.cut_power();
    lab.send_from_stranger(ANA, &mail::plain_message(SAM, ANA, "Home had no power"))?;
    let home = Machine::boot(&lab, Host::Home, &[])?;
    await_mail(&lab, "Home had no power").map_err(|error| lab.explain(error))?;
    edge.cut_power();
    lab.send_from_stranger(ANA, &mail::plain_message(SAM, ANA, "The edge had no power"))?;
    let edge = Machine::boot(&lab, Host::Edge, &[])?;
    await_mail(&lab, "The edge had no power").map_err(|error| lab.explain(error))?;
    upgrade(&lab, &shop).map_err(|error| lab.explain(error))?;
    assert_services(&edge, &home)
}
