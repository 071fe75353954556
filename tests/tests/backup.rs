//! Backups: made while mail arrives, read by restic, tried by a drill, and brought back on a machine that has nothing.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::lab::ANA;
use postern_lab::{Host, Lab, Output, Signal, mail, wait_until};
use serde_json::Value;

const STATE: &str = "/var/lib/postern-home";
const REPOSITORY: &str = "/var/lib/backup";

fn backup(lab: &Lab, arguments: &[&str]) -> Result<Output> {
    let command = ["postern-home", "backup"].into_iter().chain(arguments.iter().copied());
    lab.host(Host::Home).run(command.chain(["--json"]))
}

fn done(lab: &Lab, arguments: &[&str]) -> Result<Value> {
    let output = backup(lab, arguments)?.success()?;
    Ok(serde_json::from_str(&output.stdout)?)
}

fn write_to_ana(lab: &Lab, subject: &str) -> Result<()> {
    lab.submit(465, ANA, ANA, &mail::plain_message(ANA, ANA, subject))?.success()?;
    lab.await_ana_message(subject)?;
    Ok(())
}

#[test]
fn a_home_comes_back_on_a_machine_that_has_nothing() -> Result<()> {
    let lab = Lab::joined()?;
    let home = lab.host(Host::Home);
    let refused = backup(&lab, &["create"])?;
    ensure!(refused.code() == 1 && refused.stderr.contains("[backup]"), "{refused:?}");
    home.sh(&format!("printf '\\n[backup]\\nrepository = \"{REPOSITORY}\"\\n' >> /etc/postern/home.toml"))?;
    write_to_ana(&lab, "of the first day")?;
    let large = mail::message_with_attachment(ANA, ANA, "a large one", 3_000_000);
    lab.submit(465, ANA, ANA, &large)?.success()?;
    lab.await_ana_message("a large one")?;

    let first = done(&lab, &["create"])?;
    assert_eq!(first["messages"], 2, "{first}");
    write_to_ana(&lab, "of the second day")?;
    let second = done(&lab, &["create"])?;
    let added = |made: &Value| made["snapshot"]["added"].as_u64().context("octets");
    ensure!(added(&second)? * 4 < added(&first)?, "the large message was stored again: {first} {second}");
    let listed = done(&lab, &["list"])?;
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    assert_eq!(done(&lab, &["verify"])?["damages"], Value::Array(Vec::new()));
    let drilled = done(&lab, &["drill"])?;
    assert_eq!(drilled["restored"]["accounts"][0]["messages"], 3, "{drilled}");
    home.sh(&format!("test ! -e {STATE}/drill && test ! -e {STATE}/backup-tree"))?;

    // What a person has who printed the kit.
    let kit = home.run(["postern-home", "backup", "kit"])?.success()?.stdout;
    let key = kit.lines().find_map(|line| line.strip_prefix("Key to the backup: ")).context("a key")?;
    let key = key.trim();
    let restic = |command: &str| {
        home.sh(&format!("RESTIC_PASSWORD={key} restic --no-cache -r {REPOSITORY} {command}"))
    };
    restic("check --read-data")?;
    let files = restic("ls latest")?.stdout;
    ensure!(files.contains("account.sqlite") && files.contains("restored-home.toml"), "{files}");
    let found = home.run(["grep", "-rlaiF", "of the second day", REPOSITORY])?;
    ensure!(found.code() == 1, "the repository is not encrypted: {found:?}");

    // The machine is lost.
    lab.stop_daemon(Host::Home, "postern-home", Signal::Kill)?;
    home.sh(&format!("find {STATE} -mindepth 1 -delete"))?;
    home.write("/run/key", b"0000-0000-0000-0000-0000-0000-0000-0000\n")?;
    let wrong = backup(&lab, &["restore", "--from", REPOSITORY, "--key-file", "/run/key"])?;
    ensure!(wrong.code() == 1 && wrong.stderr.contains("does not open the repository"), "{wrong:?}");
    home.write("/run/key", format!("{}\n", key.to_lowercase()).as_bytes())?;
    let restored = done(&lab, &["restore", "--from", REPOSITORY, "--key-file", "/run/key"])?;
    assert_eq!(restored["restored"]["accounts"][0]["user"], ANA, "{restored}");
    assert_eq!(restored["restored"]["accounts"][0]["messages"], 3, "{restored}");
    let again = backup(&lab, &["restore", "--from", REPOSITORY, "--key-file", "/run/key"])?;
    ensure!(again.code() == 1 && again.stderr.contains("is not empty"), "{again:?}");
    lab.start_daemon(Host::Home, "postern-home")?;
    wait_until("home is connected again", Duration::from_secs(30), || lab.is_connected())?;
    lab.await_ana_message("of the second day")?;
    let uid = lab.search_subject("a large one")?.pop().context("the large one")?;
    ensure!(lab.fetch_by_curl(uid)?.len() > 3_000_000);
    write_to_ana(&lab, "of the third day")?;
    Ok(())
}

/// A backup that is damaged is named, and so is a disk that is not there.
#[test]
fn a_damaged_or_missing_repository_is_named() -> Result<()> {
    let lab = Lab::joined()?;
    let home = lab.host(Host::Home);
    home.sh(&format!("printf '\\n[backup]\\nrepository = \"{REPOSITORY}\"\\n' >> /etc/postern/home.toml"))?;
    write_to_ana(&lab, "kept well")?;
    done(&lab, &["create"])?;

    // One octet in the middle of the largest file.
    home.sh(&format!(
        "file=$(find {REPOSITORY}/data -type f -printf '%s %p\\n' | sort -n | tail -1 | cut -d' ' -f2); chmod u+w $file; \
         printf 'X' | dd of=$file bs=1 seek=$(($(stat -c %s $file) / 2)) conv=notrunc"
    ))?;
    let verified = backup(&lab, &["verify"])?;
    ensure!(verified.code() == 3 && !verified.stdout.contains("\"damages\":[]"), "{verified:?}");
    let drilled = backup(&lab, &["drill"])?;
    ensure!(drilled.code() != 0, "{drilled:?}");

    home.sh(&format!("mv {REPOSITORY} {REPOSITORY}.away"))?;
    let gone = backup(&lab, &["create"])?;
    ensure!(gone.code() == 1 && gone.stderr.contains("Is the disk mounted?"), "{gone:?}");
    home.sh(&format!("test ! -e {REPOSITORY}/config"))?;
    done(&lab, &["create", "--new"])?;
    Ok(())
}
