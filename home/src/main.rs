//! `postern-home`: reads the environment, hands over to the library, and turns the outcome into an exit code.

use std::env;
use std::process::ExitCode;

use postern_home::cli::{self, Surroundings};
use postern_shared::cli::Colour;
use postern_shared::service_manager;

fn main() -> ExitCode {
    let surroundings = Surroundings {
        colour: Colour::from_no_color(env::var_os("NO_COLOR")),
        credentials: env::var_os("CREDENTIALS_DIRECTORY").map(Into::into),
    };
    let notify_socket = env::var_os("NOTIFY_SOCKET");
    let ready = || service_manager::ready(notify_socket.as_deref());
    match cli::main(env::args_os().collect(), surroundings, ready) {
        Ok(exit) => exit.into(),
        Err((failure, output)) => failure.report(cli::PROGRAM, output),
    }
}
