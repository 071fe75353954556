//! Delivery to a server that we did not write: Postfix's smtp-sink.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::*;

/// Ends with the test.
struct Sink {
    child: Child,
    /// What it counts.
    counters: tempfile::NamedTempFile,
}

impl Sink {
    /// Connections so far, without the one that found out that it listens.
    fn sessions(&self) -> usize {
        let counters = std::fs::read_to_string(self.counters.path()).unwrap();
        let latest = counters.rsplit("sess=").next().unwrap();
        let sessions: usize = latest.split(' ').next().unwrap().parse().unwrap();
        sessions - 1
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts smtp-sink, which writes each message to a file in `directory`.
async fn sink(directory: &Path, port: u16) -> Sink {
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = Command::new("/usr/sbin/smtp-sink");
    if rustix::process::getuid().is_root() {
        command.args(["-u", "nobody"]);
    }
    let dump = format!("{}/message.", directory.display());
    let counters = tempfile::NamedTempFile::new().unwrap();
    command.args(["-c", "-d", &dump, &format!("{FAR}:{port}"), "50"]);
    let child = command.stdout(counters.reopen().unwrap()).stderr(Stdio::null()).spawn();
    let sink = Sink { child: child.expect("smtp-sink of the package postfix is installed"), counters };
    let end = Instant::now() + Duration::from_secs(5);
    while tokio::net::TcpStream::connect((FAR, port)).await.is_err() {
        assert!(Instant::now() < end, "smtp-sink does not listen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sink
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind((FAR, 0)).unwrap().local_addr().unwrap().port()
}

/// What the sink wrote of the message: its own fields first, line ends as LF.
fn dumped(directory: &Path) -> Vec<String> {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| std::fs::read_to_string(path).unwrap())
        .filter(|text| text.contains("Subject: hello"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn five_megabytes_arrive_unchanged() {
    let (directory, remote_port) = (tempfile::tempdir().unwrap(), free_port());
    let _sink = sink(directory.path(), remote_port).await;
    let home =
        Home::start(&far(FAR), Settings { remote_port, ..Settings::default() }, LinkState::Connected).await;
    let line = format!("{}\r\n.\r\n..dots\r\n", "x".repeat(76));
    let content = format!("Subject: hello\r\n\r\n{}", line.repeat(5_000_000 / line.len()));
    let id = home.enqueue_content(&["bo@far.example"], content.as_bytes());
    home.until_gone(id).await;
    let dumped = dumped(directory.path());
    assert_eq!(dumped.len(), 1);
    assert!(dumped[0].contains("X-Rcpt-Args: <bo@far.example>"));
    let text = dumped[0].find("Subject: hello").map(|at| &dumped[0][at..]).unwrap();
    assert!(text.trim_end() == content.replace("\r\n", "\n").trim_end(), "the content has changed");
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_messages_arrive_once_each_on_few_connections() {
    let (directory, remote_port) = (tempfile::tempdir().unwrap(), free_port());
    let sink = sink(directory.path(), remote_port).await;
    let home =
        Home::start(&far(FAR), Settings { remote_port, ..Settings::default() }, LinkState::Connected).await;
    for number in 0..100 {
        home.enqueue(&[&format!("bo{number}@far.example")]);
    }
    let end = Instant::now() + Duration::from_secs(30);
    while !home.queue.is_empty().unwrap() {
        assert!(Instant::now() < end, "{} left", home.queue.len().unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(dumped(directory.path()).len(), 100);
    home.stop().await;
    assert!(sink.sessions() <= 10, "{} connections", sink.sessions());
}
