//! What `postern-home doctor` sees: nothing to mend where all is well, and each thing that is broken by its name.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::hosts::{acme_home_config, default_home_config};
use postern_lab::lab::{ANA, scenario_options};
use postern_lab::mail::{self, SAM};
use postern_lab::{Host, Lab, Options, Signal, wait_until};
use serde_json::Value;

/// What the doctor says: its exit code, and the rows by code, the worst of each.
struct Seen {
    exit: i32,
    rows: Vec<Value>,
}

fn field<'a>(row: &'a Value, name: &str) -> &'a str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

impl Seen {
    fn now(lab: &Lab) -> Result<Seen> {
        let output = lab.host(Host::Home).run(["postern-home", "doctor", "--json"])?;
        let report: Value = serde_json::from_str(&output.stdout).context(output.stderr.clone())?;
        let rows = report.get("rows").and_then(Value::as_array).context("rows")?.clone();
        Ok(Seen { exit: output.code(), rows })
    }

    /// The verdicts of a code's rows, each once.
    fn verdicts(&self, code: &str) -> Vec<&str> {
        let of_code = self.rows.iter().filter(|row| field(row, "code") == code);
        let mut verdicts: Vec<&str> = of_code.map(|row| field(row, "verdict")).collect();
        verdicts.sort_unstable();
        verdicts.dedup();
        verdicts
    }

    /// Everything that is neither well nor waited for, as text.
    fn complaints(&self) -> BTreeMap<String, String> {
        let wrong = |row: &&Value| !["well", "waiting"].contains(&field(row, "verdict"));
        let pair = |row: &Value| (field(row, "code").to_owned(), format!("{row}"));
        self.rows.iter().filter(wrong).map(pair).collect()
    }

    /// A row of this code with this verdict.
    fn row(&self, code: &str, verdict: &str) -> Result<&Value> {
        let is_meant = |row: &&Value| field(row, "code") == code && field(row, "verdict") == verdict;
        self.rows
            .iter()
            .find(is_meant)
            .with_context(|| format!("no {code} that is {verdict}: {:#?}", self.rows))
    }
}

/// Waits until a code has a row of this verdict, and returns what was seen then.
fn await_row(lab: &Lab, code: &str, verdict: &str) -> Result<Seen> {
    wait_until(&format!("the doctor sees {code} {verdict}"), Duration::from_secs(90), || {
        let seen = Seen::now(lab)?;
        seen.row(code, verdict)?;
        Ok(seen)
    })
}

/// A home that lacks nothing: certificates of an authority, a place for backups, an address that no list has.
fn complete() -> Result<Lab> {
    let more = "\n[reputation]\nblocklists = [\"empty.test\"]\n\n[backup]\nrepository = \"/var/lib/backup\"\n\n[doctor]\nmail_servers = [\"stranger.test\"]\n";
    let lab = Lab::start(Options { home_config: acme_home_config() + more, ..scenario_options()? })?;
    let set_up = || {
        lab.start_pebble()?;
        lab.join()?;
        lab.set_up_home()?;
        lab.host(Host::Home).run(["postern-home", "backup", "create"])?.success()?;
        lab.await_certificate("mail.home.example")
    };
    set_up().map_err(|error| lab.explain(error))?;
    Ok(lab)
}

#[test]
fn what_is_well_is_called_so_and_each_thing_that_breaks_is_named() -> Result<()> {
    let lab = complete()?;
    let story = || -> Result<()> {
        let well = wait_until("nothing is complained of", Duration::from_secs(60), || {
            let seen = Seen::now(&lab)?;
            ensure!(seen.complaints().is_empty(), "{:#?}", seen.complaints());
            ensure!(seen.verdicts("certificate") == ["well"], "{:#?}", seen.rows);
            Ok(seen)
        })?;
        for code in [
            "tunnel",
            "clock",
            "zone",
            "delegation",
            "glue",
            "ds",
            "records",
            "certificate",
            "disk-write",
            "backup",
        ] {
            ensure!(well.verdicts(code) == ["well"], "{code}: {:#?}", well.rows);
        }
        let text = lab.host(Host::Home).run(["postern-home", "doctor"])?;
        ensure!(text.stdout.contains("✓ delegation"), "{}", text.stdout);

        // The registrar has another key.
        let other =
            "home.example. DS 4711 13 2 0000000000000000000000000000000000000000000000000000000000000000\n";
        lab.register(other)?;
        let seen = await_row(&lab, "ds", "failed")?;
        ensure!(seen.exit == 1, "exit code {}", seen.exit);
        ensure!(field(seen.row("ds", "failed")?, "expected").contains(" DS "), "{:#?}", seen.rows);
        let ds = lab.host(Host::Home).run(["postern-home", "dns", "ds", "home.example"])?.success()?.stdout;
        lab.register("")?;
        await_row(&lab, "ds", "warning")?;
        lab.register(&ds)?;
        await_row(&lab, "ds", "well")?;

        // The registrar has another address.
        let glue = |from: &str, to: &str| -> Result<()> {
            lab.host(Host::Registry).sh(&format!("sed -i 's/\\b{from}$/{to}/' /etc/nsd/zone-example"))?;
            lab.register(&ds)
        };
        let edge = Host::Edge.v4().to_string();
        glue(&edge, "192.0.2.99")?;
        let seen = await_row(&lab, "glue", "failed")?;
        ensure!(field(seen.row("glue", "failed")?, "found").contains("192.0.2.99"), "{:#?}", seen.rows);
        let silent = seen.row("records", "follows")?;
        ensure!(field(silent, "because") == "glue", "{silent:#?}");
        glue("192.0.2.99", &edge)?;
        await_row(&lab, "glue", "well")?;

        // A full disk, seen by a probe, while the file system says that all is there.
        lab.host(Host::Home).sh("mkdir /var/lib/postern-home/.doctor")?;
        await_row(&lab, "disk-write", "failed")?;
        lab.host(Host::Home).sh("rmdir /var/lib/postern-home/.doctor")?;

        // The edge dies: that is the tunnel's row, and what follows from it is not blamed.
        lab.stop_daemon(Host::Edge, "postern-edge", Signal::Kill)?;
        let seen = await_row(&lab, "tunnel", "failed")?;
        ensure!(seen.exit == 1, "exit code {}", seen.exit);
        lab.start_daemon(Host::Edge, "postern-edge")?;
        // What was lost meanwhile is still counted for a while.
        wait_until("the tunnel carries again", Duration::from_secs(60), || {
            let seen = Seen::now(&lab)?;
            ensure!(seen.row("tunnel", "failed").is_err(), "{:#?}", seen.rows);
            Ok(())
        })?;

        lab.stop_daemon(Host::Home, "postern-home", Signal::Kill)?;
        let gone = lab.host(Host::Home).run(["postern-home", "doctor"])?;
        ensure!(gone.code() == 4, "{gone:?}");
        Ok(())
    };
    story().map_err(|error| lab.explain(error))
}

#[test]
fn distrust_of_the_address_and_mail_that_cannot_leave_are_named() -> Result<()> {
    let home_config = default_home_config() + "\n[reputation]\nblocklists = [\"list.test\"]\n";
    let lab = Lab::start(Options { home_config, ..scenario_options()? })?;
    let story = || -> Result<()> {
        lab.join()?;
        let empty = Seen::now(&lab)?;
        ensure!(
            empty.verdicts("domain") == ["failed"] && empty.verdicts("user") == ["failed"],
            "{:#?}",
            empty.rows
        );
        lab.set_up_home()?;
        let seen = await_row(&lab, "blocklist", "failed")?;
        ensure!(field(seen.row("blocklist", "failed")?, "found").contains("new here"), "{:#?}", seen.rows);
        ensure!(seen.verdicts("backup") == ["warning"], "{:#?}", seen.rows);
        lab.stop_daemon(Host::Stranger, "postfix", Signal::Terminate)?;
        lab.submit(465, ANA, SAM, &mail::plain_message(ANA, SAM, "waits"))?.success()?;
        let seen = Seen::now(&lab)?;
        ensure!(field(seen.row("queue", "well")?, "found").starts_with("1 waiting"), "{:#?}", seen.rows);
        Ok(())
    };
    story().map_err(|error| lab.explain(error))
}
