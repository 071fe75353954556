//! Network namespaces for tests: made, connected, entered, and removed whatever happens.

#![allow(dead_code)] // Each test binary uses its own part.

use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Stops with a clear sentence where the tests cannot work.
pub fn require_root() {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("Uid is there");
    assert!(
        uid.split_whitespace().nth(1) == Some("0"),
        "these tests make network namespaces: run them as root"
    );
    for program in ["ip", "nft", "/usr/bin/python3", "dig"] {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
        assert!(found.status.success(), "these tests need `{program}`: see tests/debian-packages.txt");
    }
}

/// A network namespace with its loopback up.
pub struct Namespace(String);

impl Namespace {
    /// Makes a namespace whose name nobody else has.
    pub fn new(role: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let namespace = Self(format!("edge-{}-{number}-{role}", std::process::id()));
        run("ip", &["netns", "add", &namespace.0]);
        namespace.ip("link set lo up");
        // Duplicate address detection would keep IPv6 mute for a second after each cable.
        let switch = "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad";
        assert!(namespace.try_output("sh", &["-c", switch]).is_some(), "the kernel must have IPv6");
        namespace
    }

    /// Runs `ip` inside; the arguments stand in one text.
    pub fn ip(&self, arguments: &str) {
        let arguments: Vec<&str> = ["-n", &self.0].into_iter().chain(arguments.split_whitespace()).collect();
        run("ip", &arguments);
    }

    /// A command that will run inside.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]).args(arguments);
        command
    }

    /// Runs a program inside and gives what it printed, or `None` where it failed.
    pub fn try_output(&self, program: &str, arguments: &[&str]) -> Option<String> {
        let output = self.command(program, arguments).output().expect("ip netns exec runs");
        output.status.success().then(|| text(&output.stdout))
    }

    /// Runs Python inside in the background and waits for its first line.
    pub fn python_server(&self, program: &str) -> Server {
        use std::io::{BufRead, BufReader};
        let mut command = self.command("/usr/bin/python3", &["-ISc", program]);
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::piped()).spawn().expect("python3 starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("stdout is piped"))
            .read_line(&mut line)
            .expect("python3 writes");
        assert_eq!(line.trim(), "ready", "the test's server did not start");
        Server(child)
    }

    /// Connects both namespaces by a cable, whose ends get these names and MTUs.
    pub fn cable(&self, name: &str, other: &Self, other_name: &str) {
        self.ip(&format!("link add {name} type veth peer name {other_name} netns {}", other.0));
        self.ip(&format!("link set {name} up"));
        other.ip(&format!("link set {other_name} up"));
    }

    /// Adds an address, without the wait for duplicates.
    pub fn address(&self, interface: &str, address: &str) {
        let nodad = if address.contains(':') { " nodad" } else { "" };
        self.ip(&format!("address add {address} dev {interface}{nodad}"));
    }

    /// Runs `work` in a thread that lives in the namespace, with all threads and programs it starts.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let file = std::fs::File::open(format!("/run/netns/{}", self.0)).expect("the namespace has a name");
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                let kind = rustix::thread::LinkNameSpaceType::Network;
                rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(kind))
                    .expect("root may enter a namespace");
                work()
            });
            match thread.join() {
                Ok(value) => value,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

/// A background program, killed when dropped.
pub struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program that must succeed.
pub fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output().expect("the program starts");
    assert!(output.status.success(), "{program} {arguments:?}: {}", text(&output.stderr));
    output
}

/// Octets as text.
pub fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}
