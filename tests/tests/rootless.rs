//! Home without root's rights: the same scenarios pass on every kind of inner network.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::lab::{ANA, ANA_PASSWORD, scenario_options};
use postern_lab::{HomeRights, Host, Lab, Signal, demo, mail, wait_until};
use serde_json::Value;

const IDLE: &str = include_str!("../clients/idle.py");
const RECONNECTION: Duration = Duration::from_secs(30);

/// A kind of inner network, and the rights with which home chooses it.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    rights: HomeRights,
}

const NAMESPACE: Kind = Kind { name: "namespace", rights: HomeRights::User };
const USERSPACE: Kind = Kind { name: "userspace", rights: HomeRights::UserWithoutTun };

impl Kind {
    /// A lab whose home runs with these rights.
    fn lab(self) -> Result<Lab> {
        let mut options = scenario_options()?;
        options.home_rights = self.rights;
        options.home_config += "[tunnel]\ndrain_seconds = 3\n";
        let lab = Lab::start(options)?;
        self.is_chosen(&lab).map_err(|error| lab.explain(error))?;
        Ok(lab)
    }

    fn joined_lab(self) -> Result<Lab> {
        let lab = self.lab()?;
        lab.join().and_then(|()| lab.set_up_home()).map_err(|error| lab.explain(error))?;
        Ok(lab)
    }

    /// Home says which kind it has, and why, in both statuses and in the log, and has no right that it should not have.
    fn is_chosen(self, lab: &Lab) -> Result<()> {
        let status = home_status(lab)?;
        let kind = status.pointer("/link/kind").and_then(Value::as_str);
        ensure!(kind == Some(self.name), "{status}");
        let reason = status.pointer("/link/kind_reason").and_then(Value::as_str).context("a reason")?;
        ensure!(reason.contains("no tun: "), "{reason}");
        for command in [&["postern-home", "status"][..], &["postern-home", "tunnel", "status"]] {
            let text = lab.host(Host::Home).run(command)?.stdout;
            ensure!(text.contains(&format!("{} (no tun: ", self.name)), "{text}");
        }
        ensure!(lab.log_text(Host::Home).contains("no tun: "), "the log does not say the reason");
        let rights =
            lab.host(Host::Home).sh("grep -h CapEff /proc/$(cat /var/lib/postern-home/lock)/status")?;
        ensure!(rights.stdout.trim().ends_with("0000000000000000"), "{}", rights.stdout);
        Ok(())
    }
}

fn home_status(lab: &Lab) -> Result<Value> {
    let output = lab.host(Host::Home).run(["postern-home", "status", "--json"])?;
    serde_json::from_str(&output.stdout).with_context(|| output.stderr.clone())
}

#[test]
fn first_light_in_a_namespace() -> Result<()> {
    first_light(NAMESPACE)
}

#[test]
fn both_families_with_true_client_addresses_in_a_namespace() -> Result<()> {
    both_families(NAMESPACE)
}

#[test]
fn interruptions_in_a_namespace() -> Result<()> {
    interruptions(NAMESPACE)
}

#[test]
fn joining_again_in_a_namespace() -> Result<()> {
    joining_again(NAMESPACE)
}

#[test]
fn a_large_message_in_a_namespace() -> Result<()> {
    large_message(NAMESPACE)
}

#[test]
fn first_light_in_userspace() -> Result<()> {
    first_light(USERSPACE)
}

#[test]
fn both_families_with_true_client_addresses_in_userspace() -> Result<()> {
    both_families(USERSPACE)
}

#[test]
fn interruptions_in_userspace() -> Result<()> {
    interruptions(USERSPACE)
}

#[test]
fn joining_again_in_userspace() -> Result<()> {
    joining_again(USERSPACE)
}

#[test]
fn a_large_message_in_userspace() -> Result<()> {
    large_message(USERSPACE)
}

#[test]
fn the_broker_lives_as_long_as_home_and_home_as_long_as_the_broker() -> Result<()> {
    let lab = NAMESPACE.lab()?;
    let home = lab.host(Host::Home);
    let main = home.sh("cat /var/lib/postern-home/lock")?.stdout.trim().to_owned();
    let broker = home.sh(&format!("cat /proc/{main}/task/{main}/children"))?.stdout.trim().to_owned();
    let facts = home.sh(&format!(
        "cat /proc/{broker}/comm; grep -h -e CapEff -e NoNewPrivs /proc/{broker}/status; ls /proc/{broker}/fd | wc -l"
    ))?;
    // CAP_NET_BIND_SERVICE and CAP_NET_ADMIN, and these in its own namespace only.
    ensure!(
        facts.stdout.contains("postern-broker\nCapEff:\t0000000000001400\nNoNewPrivs:\t1"),
        "{}",
        facts.stdout
    );
    let files = "ls -l /proc/$0/fd | grep -v -e socket: -e /dev/null -e eventpoll -e eventfd | grep -e /var -e '/run/[^p]' || true";
    let open = home.run(["sh", "-ec", files, &broker])?.success()?.stdout;
    ensure!(open.is_empty(), "the broker has home's files open: {open}");

    let gone =
        |pid: &str| home.sh(&format!("! grep -q '^State:[^Z]*$' /proc/{pid}/status 2>/dev/null")).map(drop);
    home.sh(&format!("kill -KILL {main}"))?;
    wait_until("the broker has ended with home", Duration::from_secs(5), || gone(&broker))?;
    wait_until("home's end is noticed", Duration::from_secs(5), || {
        let daemons = lab.daemons()?;
        ensure!(daemons.iter().all(|daemon| daemon.name != "postern-home" || !daemon.running), "it runs");
        Ok(())
    })?;

    lab.start_daemon(Host::Home, "postern-home")?;
    let main = home.sh("cat /var/lib/postern-home/lock")?.stdout.trim().to_owned();
    home.sh(&format!("kill -KILL $(cat /proc/{main}/task/{main}/children)"))?;
    wait_until("home has ended with its broker", Duration::from_secs(15), || gone(&main))?;
    ensure!(
        lab.log_text(Host::Home).contains("a part of the daemon ended by itself"),
        "home does not say why it ends"
    );
    Ok(())
}

#[test]
fn a_machine_that_forbids_namespaces_says_so() -> Result<()> {
    let lab = Lab::start(scenario_options()?)?;
    let home = lab.host(Host::Home);
    home.write(
        "/run/namespace.toml",
        b"state_dir = \"/tmp/state\"\nruntime_dir = \"/tmp/run\"\n[tunnel]\nlink = \"namespace\"\n",
    )?;
    home.sh("chmod 644 /run/namespace.toml")?;
    let unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"];
    let script =
        "echo 0 > /proc/sys/user/max_user_namespaces; exec postern-home run --config /run/namespace.toml";
    let refused = home.run([&unshare[..], &[script]].concat())?;
    ensure!(refused.code() == 1, "{refused:?}");
    ensure!(
        refused.stderr.contains("`link = \"namespace\"` in `[tunnel]` cannot be had on this machine"),
        "{refused:?}"
    );
    ensure!(refused.stderr.contains("user.max_user_namespaces"), "{refused:?}");
    Ok(())
}

/// Mail in, read over IMAP, mail out.
fn first_light(kind: Kind) -> Result<()> {
    let lab = kind.lab()?;
    let story = || -> Result<()> {
        demo::enrol(&lab)?;
        let (sent, _) = demo::receive(&lab)?;
        demo::read(&lab, &sent)?;
        demo::answer(&lab)?;
        the_forbidden_ports_are_told(&lab)
    };
    story().map_err(|error| lab.explain(error))
}

/// The ports below 1024 are served inside the tunnel only, and the status tells each key and the way out.
fn the_forbidden_ports_are_told(lab: &Lab) -> Result<()> {
    let status = home_status(lab)?;
    let warnings = status.pointer("/warnings").and_then(Value::as_array).context("warnings")?;
    for service in ["smtp", "submissions", "submission", "imaps", "pop3s"] {
        let told = |warning: &&Value| {
            warning.as_str().is_some_and(|text| text.contains(&format!("`listen.{service}`")))
        };
        let warning =
            warnings.iter().find(told).and_then(Value::as_str).with_context(|| status.to_string())?;
        ensure!(warning.contains("sysctl net.ipv4.ip_unprivileged_port_start="), "{warning}");
    }
    Ok(())
}

fn both_families(kind: Kind) -> Result<()> {
    let lab = kind.joined_lab()?;
    for family in ["-4", "-6"] {
        let subject = format!("over{family}");
        let header = format!("Subject: {subject}");
        let swaks = ["swaks", family, "--server", "mail.home.example", "--from", "x@cafe.test", "--to", ANA];
        lab.host(Host::Cafe).run(swaks.iter().copied().chain(["--tls", "--header", &header]))?.success()?;
        let message = lab.await_ana_message(&subject)?;
        let trace = mail::header_values(&message, "Received").remove(0);
        let client = match family {
            "-4" => Host::Cafe.v4().to_string(),
            _ => Host::Cafe.v6().context("the cafe has IPv6")?.to_string(),
        };
        ensure!(trace.contains(&client), "{client} is not in {trace}");
    }
    Ok(())
}

/// An IDLE outlives a new address of the router and two key rotations; home comes back after a kill.
fn interruptions(kind: Kind) -> Result<()> {
    let lab = kind.joined_lab()?;
    let story = || -> Result<()> {
        let idler = Idler::start(&lab)?;
        lab.change_isp_address()?;
        let rotation = lab.host(Host::Home).run(["postern-home", "tunnel", "rotate"])?.success()?;
        ensure!(rotation.stdout.contains("✓ retired"), "{}", rotation.stdout);
        lab.send_from_stranger(ANA, &mail::plain_message(mail::SAM, ANA, "after the change"))?;
        idler.hears("Subject: after the change")?;

        lab.stop_daemon(Host::Home, "postern-home", Signal::Kill)?;
        lab.start_daemon(Host::Home, "postern-home")?;
        wait_until("home is connected again", RECONNECTION, || lab.is_connected())?;
        kind.is_chosen(&lab)?;
        assert_mail_arrives(&lab, "after the kill")?;

        lab.stop_daemon(Host::Home, "postern-home", Signal::Terminate)?;
        let end =
            lab.daemons()?.into_iter().find(|daemon| daemon.name == "postern-home").context("home")?.last_end;
        ensure!(end.as_deref() == Some("status 0"), "{end:?}");
        ensure!(!lab.log_text(Host::Home).contains("ended by itself"), "a clean stop is told as a fault");
        Ok(())
    };
    story().map_err(|error| lab.explain(error))
}

/// To the same edge, and to one that has other inner addresses and another MTU.
fn joining_again(kind: Kind) -> Result<()> {
    let lab = kind.joined_lab()?;
    let story = || -> Result<()> {
        lab.join()?;
        assert_mail_arrives(&lab, "joined again")?;

        lab.stop_daemon(Host::Edge, "postern-edge", Signal::Terminate)?;
        lab.host(Host::Edge).sh("rm -r /var/lib/postern-edge")?;
        let config = "[tunnel]\nedge_v4 = \"10.119.0.1\"\nhome_v4 = \"10.119.0.2\"\nmtu = 1300\n";
        lab.host(Host::Edge).write("/etc/postern/edge.toml", config.as_bytes())?;
        lab.start_daemon(Host::Edge, "postern-edge")?;
        lab.join()?;
        let status = home_status(&lab)?;
        let inner = status.pointer("/link/addresses/home_v4").and_then(Value::as_str);
        ensure!(inner == Some("10.119.0.2"), "{status}");
        wait_until("the world resolves home.example", RECONNECTION, || lab.resolve("home.example", "MX"))?;
        assert_mail_arrives(&lab, "at another edge")?;
        lab.submit(465, ANA, mail::SAM, &mail::plain_message(ANA, mail::SAM, "from another edge"))?
            .success()?;
        lab.await_stranger_message("from another edge").map(drop)
    };
    story().map_err(|error| lab.explain(error))
}

/// 25 MB in, read over IMAP, and out again.
fn large_message(kind: Kind) -> Result<()> {
    let lab = kind.joined_lab()?;
    let sent = mail::message_with_attachment(mail::SAM, ANA, "large", 25 << 20);
    let story = || -> Result<()> {
        lab.host(Host::Stranger)
            .run(["postconf", "message_size_limit=0", "mailbox_size_limit=0"])?
            .success()?;
        lab.host(Host::Stranger).run(["postfix", "reload"])?.success()?;
        lab.send_from_stranger(ANA, &sent)?;
        let stored = lab.await_ana_message("large")?;
        ensure!(mail::body_of(&stored)? == mail::body_of(sent.as_bytes())?, "another body came");
        let answer = mail::message_with_attachment(ANA, mail::SAM, "large answer", 25 << 20);
        lab.submit(465, ANA, mail::SAM, &answer)?.success()?;
        let arrived = lab.await_stranger_message("large answer")?;
        // swaks ends what it sends with an empty line.
        let (arrived, answer) = (mail::body_of(&arrived)?, mail::body_of(answer.as_bytes())?);
        ensure!(arrived.trim_end() == answer.trim_end(), "another body arrived");
        Ok(())
    };
    story().map_err(|error| lab.explain(error))
}

/// An IMAP client at the cafe that waits for mail.
struct Idler {
    process: std::process::Child,
    told: BufReader<std::process::ChildStdout>,
}

impl Idler {
    fn start(lab: &Lab) -> Result<Self> {
        let idle = ["python3", "-c", IDLE, "mail.home.example", ANA, ANA_PASSWORD];
        let mut process = lab.host(Host::Cafe).spawn(idle)?;
        let told = BufReader::new(process.stdout.take().context("piped")?);
        let mut idler = Self { process, told };
        idler.next_is("idling")?;
        Ok(idler)
    }

    fn next_is(&mut self, expected: &str) -> Result<()> {
        let mut line = String::new();
        self.told.read_line(&mut line)?;
        if line.trim() == expected {
            return Ok(());
        }
        let mut complaint = String::new();
        self.process.stderr.take().context("piped")?.read_to_string(&mut complaint)?;
        anyhow::bail!("{line}{complaint}")
    }

    fn hears(mut self, expected: &str) -> Result<()> {
        self.next_is(expected)?;
        ensure!(self.process.wait()?.success(), "the client failed");
        Ok(())
    }
}

fn assert_mail_arrives(lab: &Lab, subject: &str) -> Result<()> {
    lab.send_from_stranger(ANA, &mail::plain_message(mail::SAM, ANA, subject))?;
    wait_until(&format!("{subject:?} has arrived"), Duration::from_secs(60), || {
        lab.host(Host::Stranger).run(["postqueue", "-f"])?.success()?;
        lab.search_subject(subject)?.pop().context("not there").map(drop)
    })
}
