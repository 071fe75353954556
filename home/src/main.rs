//! `postern-home`: reads the arguments and the environment, and hands over.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::ExitCode;

use clap::Parser;
use postern_home::cli::{self, Cli, Command};
use postern_home::config::Config;
use postern_home::run;
use postern_shared::cli::{Colour, Exit, Failure, Output};
use postern_shared::observability;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::from_switch(cli.json);
    let colour = Colour::from_no_color(std::env::var_os("NO_COLOR"));
    let outcome = match cli.command {
        Command::Run => daemon(&cli, colour, std::env::var_os("NOTIFY_SOCKET")),
        _ => cli::execute(cli),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report("postern-home", output),
    }
}

fn daemon(cli: &Cli, colour: Colour, notify_socket: Option<OsString>) -> Result<Exit, Failure> {
    let config = Config::load(&cli.config)?;
    observability::init(&config.log, colour);
    run::run(config, || {
        if let Some(socket) = notify_socket
            && let Err(error) = tell_systemd(&socket)
        {
            tracing::warn!(%error, "systemd cannot be told that the service is ready");
        }
    })?;
    Ok(Exit::Done)
}

/// Sends `READY=1` as sd_notify(3) describes; a name that begins with `@` is in the abstract namespace.
fn tell_systemd(socket: &OsStr) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address).map(drop)
}
