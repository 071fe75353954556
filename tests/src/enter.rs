//! The ways into a lab's namespaces, as command lines of `nsenter` and `unshare` (util-linux).

use std::process::Command;

use crate::shell;

/// A command on a host, for the supervisor, which is inside the lab already.
pub fn host_command<S: AsRef<std::ffi::OsStr>>(anchor: i32, arguments: &[S]) -> Command {
    let mut command = shell::command("nsenter");
    command.args(["--target", &anchor.to_string(), "--mount", "--uts", "--net", "--wd=/root", "--"]);
    command.args(arguments).env("HOME", "/root");
    command
}

/// A command on a host, from outside: first into the lab, whose process namespace ends all that is in it,
/// then to the host.
pub fn command_from_outside<S: AsRef<std::ffi::OsStr>>(
    supervisor: i32,
    anchor: i32,
    arguments: &[S],
) -> Command {
    let inner = host_command(anchor, arguments);
    let mut command = shell::command("nsenter");
    command.args(["--target", &supervisor.to_string(), "--mount", "--uts", "--ipc", "--pid", "--"]);
    command.arg(inner.get_program()).args(inner.get_args()).env("HOME", "/root");
    command
}

/// A command in a machine, whose process 1 is `systemd`.
pub fn machine_command<S: AsRef<std::ffi::OsStr>>(systemd: i32, arguments: &[S]) -> Command {
    let mut command = shell::command("nsenter");
    command.args(["--target", &systemd.to_string(), "--all", "--wd=/root", "--"]);
    command.args(arguments).env("HOME", "/root");
    command
}

/// The supervisor's command line: process 1 of a process namespace, so that the kernel ends the whole lab
/// with it, in a mount namespace that hides what it mounts from the machine.
pub fn supervisor_command(program: &std::path::Path) -> Command {
    let mut command = shell::command("unshare");
    command.args([
        "--mount",
        "--pid",
        "--net",
        "--uts",
        "--ipc",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--",
    ]);
    command.arg(program).arg("supervise");
    command
}

/// The command that makes a host: its namespaces, its mounts by `script`, then a process that holds them.
pub fn anchor_command(script: &str) -> Command {
    let mut command = shell::command("unshare");
    command.args(["--mount", "--net", "--uts", "--propagation", "private", "--", "sh", "-ec", script]);
    command
}
