//! Mail that is encrypted on the disk: nothing of it is read there, and no kill takes what was acknowledged.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::lab::ANA;
use postern_lab::mail::{self, SAM};
use postern_lab::{Host, Lab, Signal, wait_until};

const STATE: &str = "/var/lib/postern-home";

/// Writes into home.toml where the key is, instead of what stood there.
fn name_key(lab: &Lab, source: &str) -> Result<()> {
    lab.host(Host::Home).sh(&format!(
        "sed -i '/^\\[store\\]/,$d' /etc/postern/home.toml && \
         printf '[store]\\nkey = \"{source}\"\\n' >> /etc/postern/home.toml"
    ))?;
    Ok(())
}

/// The files of the state directory that hold one of these words in clear.
fn files_with(lab: &Lab, words: &[&str]) -> Result<Vec<String>> {
    let home = lab.host(Host::Home);
    let mut files = Vec::new();
    for word in words {
        let found = home.run(["grep", "-rlaiF", word, STATE])?;
        ensure!(matches!(found.code(), 0 | 1), "{}", found.stderr);
        files.extend(found.stdout.lines().map(|file| format!("{word}: {file}")));
    }
    Ok(files)
}

fn seal(lab: &Lab) -> Result<()> {
    lab.stop_daemon(Host::Home, "postern-home", Signal::Terminate)?;
    lab.host(Host::Home).run(["postern-home", "store", "seal"])?.success()?;
    Ok(())
}

fn connect(lab: &Lab) -> Result<()> {
    lab.start_daemon(Host::Home, "postern-home")?;
    await_connection(lab)
}

fn await_connection(lab: &Lab) -> Result<()> {
    wait_until("home is connected", Duration::from_secs(30), || lab.is_connected())
        .map_err(|error| lab.explain(error))
}

/// Delivers one message after the other and kills home in the middle of it; gives the subjects that were acknowledged.
fn deliver_until_killed(lab: &Lab, round: u32) -> Result<Vec<String>> {
    thread::scope(|scope| {
        let (acknowledge, acknowledged) = mpsc::channel();
        let sender = scope.spawn(move || -> Result<()> {
            for number in 0..200 {
                let subject = format!("marmalade-{round}-{number:03}");
                let header = format!("Subject: {subject}");
                let from = "paddington@cafe.test";
                let swaks = ["swaks", "--server", "mail.home.example", "--from", from, "--to", ANA];
                let swaks = swaks.into_iter().chain(["--header", &header, "--timeout", "5"]);
                if lab.host(Host::Cafe).run(swaks)?.code() != 0 {
                    break;
                }
                acknowledge.send(subject)?;
            }
            Ok(())
        });
        let mut subjects = Vec::new();
        while subjects.len() < 2 {
            subjects.push(
                acknowledged.recv_timeout(Duration::from_secs(30)).context("nothing was acknowledged")?,
            );
        }
        thread::sleep(Duration::from_millis(100 + 300 * u64::from(round)));
        lab.stop_daemon(Host::Home, "postern-home", Signal::Kill)?;
        sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        subjects.extend(acknowledged);
        Ok(subjects)
    })
}

#[test]
fn a_sealed_home_that_is_killed_keeps_all_and_shows_nothing() -> Result<()> {
    let lab = Lab::joined()?;
    let words = ["marmalade-", "paddington", "wellingtons", "ana@home.example"];
    lab.stop_daemon(Host::Stranger, "postfix", Signal::Terminate)?;
    lab.submit(465, ANA, SAM, &mail::plain_message(ANA, SAM, "wellingtons"))?.success()?;
    lab.submit(465, ANA, ANA, &mail::plain_message(ANA, ANA, "marmalade-before"))?.success()?;
    lab.await_ana_message("marmalade-before")?;
    let found = files_with(&lab, &["marmalade-", "wellingtons", "ana@home.example"])?;
    ensure!(found.len() >= 3, "the search finds nothing even where nothing is sealed: {found:?}");

    name_key(&lab, "file:/etc/postern/store.key")?;
    seal(&lab)?;
    connect(&lab)?;
    let status = lab.host(Host::Home).run(["postern-home", "status", "--json"])?;
    ensure!(
        serde_json::from_str::<serde_json::Value>(&status.stdout)?["sealed"] == true,
        "{}",
        status.stdout
    );

    let mut acknowledged = vec!["marmalade-before".to_owned()];
    for round in 0..2 {
        acknowledged.extend(deliver_until_killed(&lab, round)?);
        ensure!(files_with(&lab, &words)?.is_empty(), "in clear: {:?}", files_with(&lab, &words)?);
        connect(&lab)?;
    }
    for subject in &acknowledged {
        let copies = lab.search_subject(subject)?;
        ensure!(copies.len() == 1, "{subject} is there {} times", copies.len());
        lab.fetch_by_curl(copies[0])?;
    }
    lab.start_daemon(Host::Stranger, "postfix")?;
    let listed = lab.host(Host::Home).run(["postern-home", "queue", "list", "--json"])?.success()?;
    let queued: serde_json::Value = serde_json::from_str(&listed.stdout)?;
    let id = queued[0]["id"].to_string();
    lab.host(Host::Home).run(["postern-home", "queue", "retry", id.trim_matches('"')])?.success()?;
    lab.await_stranger_message("wellingtons").map_err(|error| lab.explain(error))?;
    lab.host(Host::Home).run(["postern-home", "store", "verify"])?.success()?;
    ensure!(files_with(&lab, &words)?.is_empty(), "in clear: {:?}", files_with(&lab, &words)?);
    Ok(())
}

#[test]
fn a_passphrase_is_waited_for_and_senders_wait_too() -> Result<()> {
    let lab = Lab::joined()?;
    let home = lab.host(Host::Home);
    name_key(&lab, "file:/etc/postern/store.key")?;
    seal(&lab)?;
    let rekey = ["postern-home", "store", "rekey", "--to", "passphrase"];
    home.run_with_input(rekey, b"two aunts in darkest peru\n")?.success()?;
    name_key(&lab, "passphrase")?;
    lab.start_daemon(Host::Home, "postern-home")?;
    wait_until("home says that it is locked", Duration::from_secs(20), || {
        let status = home.run(["postern-home", "status"])?;
        ensure!(status.code() != 0 && status.stderr.contains("unlock"), "{}", status.stderr);
        Ok(())
    })?;
    // The stranger's server tries again by itself, since the edge asks it to.
    lab.send_from_stranger(ANA, &mail::plain_message(SAM, ANA, "marmalade"))?;

    let wrong = home.run_with_input(["postern-home", "unlock"], b"two uncles\n")?;
    ensure!(wrong.code() == 1 && wrong.stderr.contains("passphrase"), "{}", wrong.stderr);
    home.run_with_input(["postern-home", "unlock"], b"two aunts in darkest peru\n")?.success()?;
    await_connection(&lab)?;
    wait_until("the mail that waited is here", Duration::from_secs(60), || {
        lab.host(Host::Stranger).run(["postqueue", "-f"])?.success()?;
        ensure!(!lab.search_subject("marmalade")?.is_empty(), "not yet");
        Ok(())
    })
    .map_err(|error| lab.explain(error))
}

/// What systemd does for `LoadCredentialEncrypted=`: it decrypts the file into a directory of the service's own.
#[test]
fn a_credential_of_systemd_opens_the_mail() -> Result<()> {
    let lab = Lab::joined()?;
    let home = lab.host(Host::Home);
    name_key(&lab, "credential:store.key")?;
    lab.stop_daemon(Host::Home, "postern-home", Signal::Terminate)?;
    home.sh(
        "mkdir -m 700 /run/credentials.test && head -c 32 /dev/urandom > /run/plain.key && chmod 600 /run/plain.key && \
         systemd-creds --with-key=host --name=store.key encrypt /run/plain.key /etc/postern/store.key.cred && \
         systemd-creds --name=store.key decrypt /etc/postern/store.key.cred /run/credentials.test/store.key",
    )?;
    let without = home.run(["postern-home", "store", "seal"])?;
    ensure!(without.code() == 1 && without.stderr.contains("LoadCredential"), "{}", without.stderr);
    home.run(["postern-home", "store", "--key", "file:/run/plain.key", "seal"])?.success()?;
    let mut running = home.spawn([
        "env",
        "CREDENTIALS_DIRECTORY=/run/credentials.test",
        "postern-home",
        "run",
        "--config",
        "/etc/postern/home.toml",
    ])?;
    let shown = await_connection(&lab).and_then(|()| {
        lab.submit(465, ANA, ANA, &mail::plain_message(ANA, ANA, "by credential"))?.success()?;
        lab.await_ana_message("by credential")
    });
    running.kill()?;
    running.wait()?;
    shown.map(drop)
}
