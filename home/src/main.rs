//! `postern-home`: reads the environment, hands over to the library, and turns the outcome into an exit code.

use std::env;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::ExitCode;

use postern_home::cli;
use postern_shared::cli::Colour;

fn main() -> ExitCode {
    let colour = Colour::from_no_color(env::var_os("NO_COLOR"));
    match cli::main(env::args_os().collect(), colour, tell_service_manager) {
        Ok(exit) => exit.into(),
        Err((failure, output)) => failure.report(cli::PROGRAM, output),
    }
}

/// Tells systemd that the daemon listens (sd_notify(3)), where it wants to know.
fn tell_service_manager() {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return };
    let told = UnixDatagram::unbound().and_then(|socket| match path.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.send_to_addr(b"READY=1", &SocketAddr::from_abstract_name(name)?),
        None => socket.send_to(b"READY=1", &path),
    });
    if let Err(error) = told {
        tracing::warn!(%error, "the service manager could not be told that the daemon is ready");
    }
}
