//! The program as an operator meets it: its start, its stop, and what it says when it cannot start.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use support::{Namespace, require_root, run, text};
use tempfile::TempDir;

const EDGE: &str = env!("CARGO_BIN_EXE_postern-edge");

/// A machine with one public interface, and a configuration that keeps to its own directory.
struct Machine {
    namespace: Namespace,
    _outside: Namespace,
    directory: TempDir,
}

impl Machine {
    fn new() -> Self {
        require_root();
        let (namespace, outside) = (Namespace::new("machine"), Namespace::new("outside"));
        namespace.cable("eth0", &outside, "eth0");
        for address in ["203.0.113.1/24", "2001:db8:1::1/64"] {
            namespace.address("eth0", address);
        }
        outside.address("eth0", "203.0.113.2/24");
        namespace.ip("route add default via 203.0.113.2");
        let machine = Self { namespace, _outside: outside, directory: tempfile::tempdir().unwrap() };
        machine.configure("");
        machine
    }

    fn configure(&self, more: &str) {
        let directory = self.directory.path().display();
        let text = format!("state_dir = \"{directory}/state\"\nruntime_dir = \"{directory}/run\"\n{more}");
        std::fs::write(self.directory.path().join("edge.toml"), text).unwrap();
    }

    fn edge(&self, arguments: &[&str]) -> Command {
        let config = self.directory.path().join("edge.toml");
        let mut command = self.namespace.command(EDGE, arguments);
        command.arg("--config").arg(config);
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.edge(arguments).output().unwrap()
    }

    fn start(&self) -> Daemon {
        let mut child = self.edge(&["run"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let ready = log.by_ref().map_while(Result::ok).any(|line| line.contains("edge is ready"));
        assert!(ready, "the edge did not start");
        Daemon(child)
    }

    fn assert_untouched(&self) {
        assert_eq!(
            self.namespace.try_output("nft", &["list", "tables"]).as_deref(),
            Some(""),
            "a table was left"
        );
        assert!(
            self.namespace.try_output("ip", &["link", "show", "postern0"]).is_none(),
            "the interface was left"
        );
        assert!(!self.directory.path().join("run/admin.sock").exists(), "the socket was left");
    }
}

struct Daemon(Child);

impl Daemon {
    /// `ip netns exec` becomes the program it runs, so this is the daemon's own process.
    fn signal(&self, name: &str) {
        run("kill", &[&format!("-{name}"), &self.0.id().to_string()]);
    }

    fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the edge did not stop");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
fn assert_refused(output: &Output, code: i32, parts: &[&str]) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("postern-edge: "), "{said}");
    for part in parts {
        assert!(last.contains(part), "`{part}` is missing in: {last}");
    }
}

#[test]
fn it_starts_answers_and_stops_without_a_trace() {
    let machine = Machine::new();
    let mut daemon = machine.start();
    let status = machine.output(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["public_addresses"], serde_json::json!(["203.0.113.1", "2001:db8:1::1"]));
    assert_eq!(status["tunnel"]["port"], 51820);
    let invited = machine.output(&["invite", "--json", "--expires", "2h"]);
    let invited: serde_json::Value = serde_json::from_slice(&invited.stdout).unwrap();
    assert_eq!(invited["endpoint"], "203.0.113.1:51820");
    assert!(invited["code"].as_str().unwrap().len() > 40);
    assert!(text(&machine.output(&["status"]).stdout).contains("a join code is open"));
    daemon.signal("TERM");
    assert_eq!(daemon.wait(), Some(0));
    machine.assert_untouched();
    assert_refused(&machine.output(&["status"]), 4, &["not running", "run/admin.sock"]);
    assert_eq!(text(&machine.output(&["status"]).stdout), "");
}

#[test]
fn the_table_stays_where_the_operator_wants_it_and_the_next_start_takes_it_over() {
    let machine = Machine::new();
    machine.configure("[forward]\nkeep_on_stop = true\n");
    let mut daemon = machine.start();
    daemon.signal("INT");
    assert_eq!(daemon.wait(), Some(0));
    let tables = machine.namespace.try_output("nft", &["list", "tables"]).unwrap();
    assert_eq!(tables.trim(), "table inet postern");
    machine.configure("");
    let mut daemon = machine.start();
    daemon.signal("TERM");
    daemon.wait();
    machine.assert_untouched();
}

#[test]
fn after_a_kill_the_next_start_works() {
    let machine = Machine::new();
    let mut daemon = machine.start();
    daemon.signal("KILL");
    daemon.wait();
    let mut daemon = machine.start();
    daemon.signal("TERM");
    assert_eq!(daemon.wait(), Some(0));
    machine.assert_untouched();
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_left() {
    let machine = Machine::new();
    let hold = |kind: &str, port: &str| {
        let listening = if kind == "socket.SOCK_STREAM" { "s.listen()" } else { "pass" };
        let program = format!(
            "import socket, time\ns = socket.socket(socket.AF_INET, {kind})\ns.bind(('0.0.0.0', {port}))\n\
                               {listening}\nprint('ready', flush=True)\ntime.sleep(60)"
        );
        machine.namespace.python_server(&program)
    };
    for (kind, port, parts) in [
        ("socket.SOCK_DGRAM", "53", ["0.0.0.0:53", "`dns.listen`", "ss -lnptu"]),
        ("socket.SOCK_STREAM", "53", ["0.0.0.0:53", "`dns.listen`", "ss -lnptu"]),
        ("socket.SOCK_DGRAM", "51820", ["UDP port 51820", "`port` in `[tunnel]`", "ss -ulpn"]),
        ("socket.SOCK_STREAM", "8053", ["10.118.0.1:8053", "`control.port`", "ss -lntp"]),
    ] {
        let _held = hold(kind, port);
        assert_refused(&machine.output(&["run"]), 1, &parts);
        machine.assert_untouched();
    }
}

#[test]
fn a_machine_that_lacks_something_is_told_what() {
    let machine = Machine::new();
    let config = machine.directory.path().join("edge.toml");
    let without_nft = ["PATH=/nonexistent", EDGE, "run", "--config", config.to_str().unwrap()];
    let output = machine.namespace.command("/usr/bin/env", &without_nft).output().unwrap();
    assert_refused(&output, 1, &["`nft` is not installed", "apt-get install nftables"]);
    machine.assert_untouched();
    machine.configure("[tunnel]\ninterface = \"eth0\"\n");
    assert_refused(&machine.output(&["run"]), 1, &["eth0"]);
    assert!(
        machine.namespace.try_output("ip", &["link", "show", "eth0"]).is_some(),
        "the interface was taken away"
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&config, format!("state_dir = \"{}/x\"\n", file.path().display())).unwrap();
    assert_refused(&machine.output(&["run"]), 1, &["the state directory cannot be used", "`state_dir`"]);
}

#[test]
fn a_user_without_rights_is_told_which() {
    let machine = Machine::new();
    let directory = machine.directory.path();
    run("chown", &["-R", "65534:65534", directory.to_str().unwrap()]);
    let program = directory.join("postern-edge");
    std::fs::copy(EDGE, &program).unwrap();
    let config = directory.join("edge.toml");
    let arguments =
        ["--reuid=65534", "--regid=65534", "--clear-groups", program.to_str().unwrap(), "run", "--config"];
    let mut command = machine.namespace.command("setpriv", &arguments);
    assert_refused(&command.arg(config).output().unwrap(), 1, &["permission", "/dev/net/tun"]);
    machine.assert_untouched();
}

#[test]
fn a_second_daemon_is_refused_and_the_first_goes_on() {
    let machine = Machine::new();
    let _daemon = machine.start();
    assert_refused(&machine.output(&["run"]), 1, &["another postern-edge", "`state_dir`"]);
    assert_eq!(machine.output(&["status"]).status.code(), Some(3));
}

#[test]
fn a_wrong_file_is_refused_at_its_line() {
    let machine = Machine::new();
    machine.configure("[tunnel]\nprot = 1\n");
    let parts = ["line 4, column 1, key `tunnel.prot`", "did you mean `port`?"];
    assert_refused(&machine.output(&["config", "check"]), 2, &parts);
    assert_refused(&machine.output(&["run"]), 2, &parts);
    let json = machine.output(&["config", "check", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stderr).unwrap();
    assert_eq!(json["exit_code"], 2);
    machine.configure("public_interface = \"eth9\"\n");
    assert_eq!(machine.output(&["config", "check"]).status.code(), Some(3));
    machine.configure("");
    assert_eq!(machine.output(&["config", "check"]).status.code(), Some(0));
    let closed = "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }";
    assert!(machine.namespace.try_output("nft", &[closed]).is_some());
    let warned = machine.output(&["config", "check"]);
    assert_eq!(warned.status.code(), Some(3));
    assert!(text(&warned.stdout).contains("`ip filter FORWARD`"), "{}", text(&warned.stdout));
}
