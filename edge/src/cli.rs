//! The command line: what can be asked, and how each command is carried out.
//!
//! In: arguments. Out: an answer on standard output and an exit code. `run` is the daemon; `config …`, `completions`
//! and `man` work alone; all else is asked of the running daemon over its administration socket.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use postern_shared::cli::{self, Colour, Exit, Failure, Origins, Output, parse_time, runtime, time_text};
use postern_shared::config::Source;
use postern_shared::http::Method;
use postern_shared::join_code::Endpoint;
use postern_shared::observability;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Builder;

use crate::admin::{InviteRequest, Invited};
use crate::config::{Config, DEFAULT_PATH, REFERENCE};
use crate::status::EdgeStatus;
use crate::{host, metrics, run};

/// The name in front of every error.
pub const PROGRAM: &str = "postern-edge";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, about = "The public end of a self-hosted mail server: tunnel, forwarding and DNS")]
#[command(after_help = "Example:\n  postern-edge run --config /etc/postern/edge.toml")]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    /// The configuration file
    #[arg(long, global = true, value_name = "PATH", default_value = DEFAULT_PATH, value_hint = ValueHint::FilePath)]
    pub config: PathBuf,
    /// Answer in JSON, errors too
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What can be asked.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon in the foreground, with its log on standard error
    #[command(after_help = "Example:\n  postern-edge run --config /etc/postern/edge.toml")]
    Run,
    /// Look at the configuration file
    #[command(subcommand, after_help = "Example:\n  postern-edge config check")]
    Config(ConfigCommand),
    /// Make a join code for home: one use, replaces the code before it
    #[command(after_help = "Example:\n  postern-edge invite --expires 2h --endpoint edge.example.net:51820")]
    Invite {
        /// How long the code is good: a number and s, m, h or d
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_time)]
        expires: Duration,
        /// Where home shall dial [default: the first public address and the tunnel's port]
        #[arg(long, value_name = "HOST:PORT")]
        endpoint: Option<Endpoint>,
    },
    /// Show who has joined, the tunnel, the zones and what is forwarded; ends with 3 when a person should look
    #[command(after_help = "Example:\n  postern-edge status --json")]
    Status,
    /// Print the edge's figures as OpenMetrics text, for a collector such as node_exporter's textfile one
    #[command(
        after_help = "Example:\n  postern-edge metrics > /var/lib/prometheus/node-exporter/postern.prom"
    )]
    Metrics,
    /// Write a shell's completions to standard output
    #[command(after_help = "Example:\n  postern-edge completions bash > /etc/bash_completion.d/postern-edge")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages into a directory
    #[command(after_help = "Example:\n  postern-edge man /usr/local/share/man/man1")]
    Man {
        /// The directory
        #[arg(value_hint = ValueHint::DirPath)]
        directory: PathBuf,
    },
}

/// What can be asked about the configuration file.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check the file, and whether this machine fits it; exit code 3 where there are only warnings
    #[command(after_help = "Example:\n  postern-edge config check --config ./edge.toml")]
    Check,
    /// Show every key and what holds for it; secrets are not shown
    #[command(after_help = "Example:\n  postern-edge config show --origin")]
    Show {
        /// Say of each value whether a line of the file gives it or it is the default
        #[arg(long)]
        origin: bool,
    },
    /// Tell what a key means, its type, unit and default, with an example
    #[command(after_help = "Example:\n  postern-edge config explain tunnel.mtu")]
    Explain {
        /// The key, with its section
        #[arg(value_name = "SECTION.KEY")]
        key: String,
    },
}

/// Parses the arguments and carries out the command. `ready` is called when the daemon listens.
///
/// # Errors
/// The failure and the form in which it is to be reported.
pub fn main(
    arguments: Vec<OsString>,
    colour: Colour,
    ready: impl FnOnce(),
) -> Result<Exit, (Failure, Output)> {
    cli::main(arguments, |cli: Cli| execute(&cli, colour, ready))
}

fn execute(cli: &Cli, colour: Colour, ready: impl FnOnce()) -> Result<Exit, Failure> {
    let output = Output::from_switch(cli.json);
    match &cli.command {
        Command::Run => daemon(&cli.config, colour, ready),
        Command::Config(ConfigCommand::Check) => check(&cli.config, output),
        Command::Config(ConfigCommand::Show { origin }) => {
            show(&cli.config, Origins::from_switch(*origin), output)
        }
        Command::Config(ConfigCommand::Explain { key }) => cli::explain_config(REFERENCE, key, output),
        Command::Invite { expires, endpoint } => {
            let wanted = InviteRequest {
                lifetime: expires.as_secs(),
                endpoint: endpoint.as_ref().map(Endpoint::to_string),
            };
            let invited: Invited = ask(&cli.config, Method::POST, "/invite", &wanted)?;
            output.print(&invited, invitation(&invited, *expires))?;
            Ok(Exit::Done)
        }
        Command::Status => {
            let status: EdgeStatus = ask(&cli.config, Method::GET, "/status", &())?;
            output.print(&status, &status)?;
            Ok(Exit::of_warnings(&status.warnings))
        }
        Command::Metrics => {
            let status: EdgeStatus = ask(&cli.config, Method::GET, "/status", &())?;
            output.print(&status.counters, metrics::render(&status))?;
            Ok(Exit::Done)
        }
        Command::Completions { shell } => cli::completions::<Cli>(PROGRAM, *shell),
        Command::Man { directory } => cli::manual::<Cli>(directory),
    }
}

fn daemon(path: &Path, colour: Colour, ready: impl FnOnce()) -> Result<Exit, Failure> {
    let config = Config::load(path)?;
    observability::init(&config.log, colour);
    runtime(Builder::new_multi_thread())?.block_on(run::run(config, ready))?;
    Ok(Exit::Done)
}

fn check(path: &Path, output: Output) -> Result<Exit, Failure> {
    let config = Config::from_source(&Source::read(path)?)?;
    let survey = runtime(Builder::new_current_thread())?.block_on(host::survey());
    let survey = survey.map_err(|error| Failure::failed(error.to_string()))?;
    cli::report_check(path, host::warnings(&config, &survey), output)
}

/// Only a file that the daemon would take is shown. It holds no secrets.
fn show(path: &Path, origins: Origins, output: Output) -> Result<Exit, Failure> {
    let source = Source::read(path)?;
    Config::from_source(&source)?;
    cli::show_config(REFERENCE, &source, &[], origins, output)
}

/// The configuration tells where the daemon's socket is.
fn ask<B: Serialize, T: DeserializeOwned>(
    config: &Path,
    method: Method,
    path: &str,
    body: &B,
) -> Result<T, Failure> {
    cli::ask(&Config::load(config)?.runtime_dir, method, path, body)
}

fn invitation(invited: &Invited, lifetime: Duration) -> String {
    let replaces = invited.replaces.as_ref().map_or(String::new(), |home| {
        format!("\nThis edge is joined to {home}; whoever uses the code takes its place.\n")
    });
    format!(
        "Join code for {}, good once and for {}:\n\n  {}\n{replaces}\nOn the machine at home: postern-home join",
        invited.endpoint,
        time_text(lifetime),
        invited.code,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn outcome(arguments: &[&str]) -> Result<Exit, (Failure, Output)> {
        let arguments = [PROGRAM].iter().chain(arguments).map(OsString::from).collect();
        main(arguments, Colour::Never, || {})
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn visit(command: &clap::Command) {
            for sub in command.get_subcommands() {
                let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("Example:"), "{} has no example", sub.get_name());
                visit(sub);
            }
        }
        visit(&Cli::command());
    }

    #[test]
    fn usage_errors_are_exit_code_2_also_in_json() {
        let (failure, output) = outcome(&["invite", "--expires", "soon", "--json"]).unwrap_err();
        assert_eq!((failure.exit, output), (Exit::Usage, Output::Json));
        assert!(failure.message.contains("like 90s, 30m, 1h or 2d"), "{}", failure.message);
        let (failure, _) = outcome(&["invite", "--endpoint", "edge.example.net"]).unwrap_err();
        assert!(failure.exit == Exit::Usage && failure.message.contains("`name:port`"), "{failure}");
        assert_eq!(outcome(&["statsu"]).unwrap_err().0.exit, Exit::Usage);
    }

    #[test]
    fn a_missing_daemon_is_exit_code_4() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("edge.toml");
        std::fs::write(&path, format!("runtime_dir = \"{}\"\n", directory.path().display())).unwrap();
        let (failure, _) = outcome(&["status", "--config", path.to_str().unwrap()]).unwrap_err();
        assert_eq!(failure.exit, Exit::Unreachable);
    }

    #[test]
    fn manual_pages_are_written_for_every_command() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(outcome(&["man", directory.path().to_str().unwrap()]).unwrap(), Exit::Done);
        assert!(directory.path().join("postern-edge-invite.1").exists());
    }
}
