//! The tunnel's keys are renewed while it works, by a command or by their age, and no connection notices.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use postern_lab::keys::{CONVERGENCE, quick_rotation};
use postern_lab::lab::{ANA, ANA_PASSWORD, scenario_options};
use postern_lab::scale::scaled;
use postern_lab::{Host, Lab, Signal, mail, wait_until};

const IDLE: &str = include_str!("../clients/idle.py");
const UPLOAD: &str = include_str!("../clients/upload.py");
const DNS_LOAD: &str = include_str!("../clients/dns_load.py");

/// The size of an upload in octets: 25 MB.
const UPLOAD_OCTETS: &str = "25000000";

/// Counts the resets that reach the cafe from the mail ports.
const COUNT_RESETS: &str = "
nft add table inet watch
nft 'add chain inet watch input { type filter hook input priority 0; }'
nft 'add rule inet watch input tcp sport { 465, 993 } tcp flags & rst == rst counter'";

fn lab() -> Result<Lab> {
    let lab = Lab::start(quick_rotation(scenario_options()?))?;
    lab.join().and_then(|()| lab.set_up_home()).map_err(|error| lab.explain(error))?;
    Ok(lab)
}

/// A client that runs beside the rotations and says on its first line that it has begun.
struct Beside {
    process: Child,
    told: BufReader<ChildStdout>,
}

impl Beside {
    fn start(lab: &Lab, script: &str, arguments: &[&str], first: &str) -> Result<Self> {
        let mut process = lab.host(Host::Cafe).spawn([&["python3", "-c", script], arguments].concat())?;
        let told = BufReader::new(process.stdout.take().context("piped")?);
        let mut beside = Self { process, told };
        let line = beside.line()?;
        ensure!(line == first, "{line:?}: {}", beside.complaint()?);
        Ok(beside)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.told.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    fn complaint(&mut self) -> Result<String> {
        let mut text = String::new();
        self.process.stderr.take().context("piped")?.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Ends its standard input, and returns its last line and its complaints.
    fn finish(mut self) -> Result<(String, String)> {
        drop(self.process.stdin.take());
        let line = self.line()?;
        let complaint = self.complaint()?;
        ensure!(self.process.wait()?.success(), "{complaint}");
        Ok((line, complaint))
    }
}

/// In `make soak` 200 rotations. Each upload is one connection for the whole time, and so is the IDLE.
#[test]
fn clients_do_not_notice_that_the_keys_change_again_and_again() -> Result<()> {
    let (rotations, upload_seconds) = scaled((4, "8"), (200, "30"));
    let lab = lab()?;
    let cafe = lab.host(Host::Cafe);
    cafe.sh(COUNT_RESETS)?;
    let user = ["mail.home.example", ANA, ANA_PASSWORD];
    let mut idler = Beside::start(&lab, IDLE, &[&user[..], &["7200"]].concat(), "idling")?;
    let upload = [&user[..], &[UPLOAD_OCTETS, upload_seconds]].concat();
    let uploader = Beside::start(&lab, UPLOAD, &upload, "uploading")?;
    let edge = Host::Edge.v4().to_string();
    let asker = Beside::start(&lab, DNS_LOAD, &[&edge, "home.example"], "asking")?;

    let (mut seen, start) = (BTreeSet::new(), Instant::now());
    for epoch in 2..=rotations + 1 {
        let before = lab.keys()?;
        seen.extend([before.home_key, before.edge_key]);
        rotate(&lab)?;
        lab.rests_on(epoch).map_err(|error| lab.explain(error))?;
        let after = lab.keys()?;
        ensure!(!seen.contains(&after.home_key) && !seen.contains(&after.edge_key), "a key was used again");
    }
    let took = start.elapsed();

    let (messages, _) = uploader.finish().map_err(|error| lab.explain(error))?;
    let (asked, complaints) = asker.finish()?;
    let (questions, failures) = asked.split_once(' ').context("two numbers")?;
    assert_eq!(failures, "0", "of {questions} questions: {complaints}");
    lab.send_from_stranger(ANA, &mail::plain_message(mail::SAM, ANA, "after the rotations"))?;
    assert_eq!(idler.line()?, "Subject: after the rotations");
    idler.finish()?;
    let resets = cafe.sh("nft list table inet watch")?.stdout;
    assert!(resets.contains("counter packets 0 bytes 0"), "connections were reset: {resets}");
    eprintln!(
        "{rotations} rotations in {} s beside {messages} uploads of 25 MB, {questions} DNS questions and one IDLE",
        took.as_secs()
    );
    Ok(())
}

/// Rotates, and checks that each step is told.
fn rotate(lab: &Lab) -> Result<()> {
    let output = lab.host(Host::Home).run(["postern-home", "tunnel", "rotate"])?.success()?;
    let steps = ["generated", "offered", "proven", "committed", "drained", "retired"];
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines.len(), steps.len(), "{}", output.stdout);
    for (line, step) in lines.iter().zip(steps) {
        assert!(line.starts_with(&format!("✓ {step}: ")), "{}", output.stdout);
    }
    Ok(())
}

#[test]
fn a_rotation_waits_for_an_edge_that_is_away() -> Result<()> {
    let lab = lab()?;
    lab.stop_daemon(Host::Edge, "postern-edge", Signal::Kill)?;
    let mut watcher = Beside::watch(&lab)?;
    let line = watcher.line()?;
    assert!(line.starts_with("✓ generated: "), "{line}");
    lab.stop_daemon(Host::Home, "postern-home", Signal::Kill)?;
    watcher.process.kill()?;
    watcher.process.wait()?;
    lab.start_daemon(Host::Home, "postern-home")?;
    lab.start_daemon(Host::Edge, "postern-edge")?;
    lab.await_rest_on(2)?;
    // The way back from any mess, also after a rotation.
    lab.join()?;
    lab.rests_on(1)
}

impl Beside {
    fn watch(lab: &Lab) -> Result<Self> {
        let mut process = lab.host(Host::Home).spawn(["postern-home", "tunnel", "rotate"])?;
        let told = BufReader::new(process.stdout.take().context("piped")?);
        Ok(Self { process, told })
    }
}

#[test]
fn keys_are_renewed_at_their_age_and_not_by_a_wrong_clock() -> Result<()> {
    let lab = lab()?;
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    let (day, timer) = (86_400, |every| ["postern-home", "tunnel", "rotate", "--every", every]);

    lab.host(Host::Home).run(timer("30d"))?.success()?;
    age_keys(&lab, now - 31 * day)?;
    lab.await_rest_on(2)?;
    let report = lab.host(Host::Home).run(["postern-home", "tunnel", "status"])?.success()?.stdout;
    assert!(
        report.contains("epoch 2, 0 d 0 h old, renewed every 30d, the next time in 29 d 23 h"),
        "{report}"
    );

    // Keys from the future, as after a start with a clock that stands in the past.
    age_keys(&lab, now + 3650 * day)?;
    wait_until("home is connected again", CONVERGENCE, || lab.is_connected())?;
    lab.rests_on(2)?;

    lab.host(Host::Home).run(timer("never"))?.success()?;
    age_keys(&lab, now - 31 * day)?;
    wait_until("home is connected again", CONVERGENCE, || lab.is_connected())?;
    lab.rests_on(2)?;
    lab.host(Host::Home).run(timer("30d"))?.success()?;
    lab.await_rest_on(3)?;
    let refused = lab.host(Host::Home).run(timer("30m"))?;
    assert_eq!(refused.code(), 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("not a time of at least an hour"), "{}", refused.stderr);
    Ok(())
}

/// Restarts home with keys that were made at another time.
fn age_keys(lab: &Lab, since: i64) -> Result<()> {
    lab.stop_daemon(Host::Home, "postern-home", Signal::Terminate)?;
    let script = format!(
        "import json; path = '/var/lib/postern-home/link.json'; state = json.load(open(path)); \
         state['edge']['since'] = {since}; json.dump(state, open(path, 'w'))"
    );
    lab.host(Host::Home).run(["python3", "-c", &script])?.success()?;
    lab.start_daemon(Host::Home, "postern-home")
}
