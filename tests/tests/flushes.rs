//! What the deliveries that home acknowledges cost its disk, as the kernel is asked for it.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::lab::ANA;
use postern_lab::{Host, Lab, wait_until};

/// One connection, one message after the other; each is sent when the one before has its 250.
const SEND: &str = r#"
import smtplib, sys
recipient, count = sys.argv[1], int(sys.argv[2])
with smtplib.SMTP("mail.home.example", 25, "mail.stranger.test", timeout=60) as server:
    for number in range(count):
        text = f"From: sam@stranger.test\r\nTo: {recipient}\r\nSubject: flush {number}\r\n\r\n" + "x" * 3000 + "\r\n"
        server.sendmail("sam@stranger.test", [recipient], text)
print("done")
"#;

/// Messages that are small enough for the database, as nearly all are (`home/store/src/account/schema.rs`).
const MESSAGES: usize = 8;

/// One flush, of the log of the account's database, before each 250: the message, its index entries and the account's counters
/// are one commit, and neither the staging area nor a folder is flushed for it. What has a commit of its own for all that comes
/// in a while, as the journal has, is not counted.
#[test]
fn a_delivery_flushes_the_disk_once() -> Result<()> {
    let lab = Lab::joined()?;
    let (home, stranger) = (lab.host(Host::Home), lab.host(Host::Stranger));
    let send = |count: usize| -> Result<()> {
        let output = stranger.run(["python3", "-c", SEND, ANA, &count.to_string()])?.success();
        let output = output.map_err(|error| lab.explain(error))?;
        ensure!(output.stdout.trim() == "done", "{}", output.stdout);
        Ok(())
    };
    // The first one makes the account and the folders.
    send(1)?;
    let mut strace = home.spawn([
        "sh",
        "-c",
        "exec strace -f -qq -y -o /run/flushes -e trace=fsync,fdatasync,sync,syncfs,sync_file_range,msync \
         -p $(pgrep -xo postern-home)",
    ])?;
    wait_until("strace is attached", Duration::from_secs(10), || {
        home.sh("for task in /proc/$(pgrep -xo postern-home)/task/*; do
                     grep -q 'TracerPid:.[1-9]' $task/status || exit 1
                 done")?
            .success()
    })?;
    send(MESSAGES)?;
    Command::new("kill").args(["-TERM", &strace.id().to_string()]).status().context("kill")?;
    strace.wait()?;
    let calls = String::from_utf8(home.read("/run/flushes")?)?;
    let flushes = |of: &str| calls.lines().filter(|call| call.contains("sync(") && call.contains(of)).count();
    assert_eq!(flushes("/account.sqlite-wal>"), MESSAGES, "{calls}");
    assert_eq!(flushes("/accounts/"), MESSAGES, "{calls}");
    assert_eq!(flushes("/staging"), 0, "{calls}");
    Ok(())
}
