//! `postern-home import`: mail moved in from other servers. The daemon does it; the command shows how far it is, and may be
//! ended meanwhile.

use std::fmt::Write;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};
use postern_message::address::EmailAddress;
use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;

use super::bar::Bar;
use super::client::Client;
use super::secret;
use super::table::Table;
use crate::admin::wire::import::{Proof, StartImport};
use crate::admin::wire::{Done, OfUser};
use crate::import::Report;
use crate::import::imap::{Effect, Extent, Security};
use crate::import::jobs::{Shown, State};

/// Between two questions to the daemon.
const PAUSE: Duration = Duration::from_millis(300);

/// `postern-home import …`
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Bring in a user's mail from another server by IMAP, with mailboxes, flags and dates; nothing changes there. Again: what is
    /// new since, or what an interruption left
    #[command(
        after_help = "The password or token is asked for, or read from standard input. The daemon goes on when this command is interrupted.\n\nExamples:\n  postern-home import imap ana@home.example imap.far.example --login ana@far.example --dry-run\n  postern-home import imap ana@home.example imap.gmail.com --login ana@gmail.com --secret-file app.password\n  get-token | postern-home import imap ana@home.example outlook.office365.com --login ana@far.example --auth xoauth2"
    )]
    Imap(Imap),
    /// Show the imports since the daemon's start
    #[command(after_help = "Example:\n  postern-home import status --json")]
    Status,
    /// End a user's import; the same order goes on later
    #[command(after_help = "Example:\n  postern-home import stop ana@home.example")]
    Stop {
        /// The user
        user: EmailAddress,
    },
}

/// From where, and for whom.
#[derive(Debug, Args)]
pub struct Imap {
    /// The user here
    user: EmailAddress,
    /// The other server; port 993, or 143 with --starttls
    #[arg(value_name = "HOST[:PORT]", value_parser = parse_server)]
    server: (String, Option<u16>),
    /// The user name there [default: USER]
    #[arg(long, value_name = "NAME")]
    login: Option<String>,
    /// What proves it: a password (an app password, where the server has such), or an OAuth 2.0 access token
    #[arg(long, value_name = "HOW", default_value = "password")]
    auth: Proof,
    /// Read the password or token from the first line of this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    secret_file: Option<PathBuf>,
    /// Begin TLS with STARTTLS, and not at once
    #[arg(long)]
    starttls: bool,
    /// Connections at once, each for one mailbox
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    connections: u8,
    /// Count the messages and octets that would come in, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn execute(client: &Client, command: ImportCommand) -> Result<Exit, Failure> {
    match command {
        ImportCommand::Imap(order) => imap(client, order),
        ImportCommand::Status => {
            let imports: Vec<Shown> = client.fetch("/v1/imports")?;
            client.print(&imports, table(&imports))
        }
        ImportCommand::Stop { user } => {
            let done: Done = client.call(Method::DELETE, "/v1/imports", &OfUser { user })?;
            client.print(&done, "It ends after the messages that are under way.")
        }
    }
}

fn imap(client: &Client, order: Imap) -> Result<Exit, Failure> {
    let Imap { user, server: (host, port), login, auth, secret_file, starttls, connections, dry_run } = order;
    let login = login.unwrap_or_else(|| user.to_string());
    let prompt = match auth {
        Proof::Password => format!("Password of {login} at {host}: "),
        Proof::Xoauth2 => format!("Access token of {login} at {host}: "),
    };
    let secret = secret::password(&prompt, secret_file.as_deref())?;
    let (security, usual) = if starttls { (Security::StartTls, 143) } else { (Security::Tls, 993) };
    let start = StartImport {
        user: user.clone(),
        host,
        port: port.unwrap_or(usual),
        security,
        login,
        proof: auth,
        secret,
        connections: connections.into(),
        effect: if dry_run { Effect::Counted } else { Effect::Done },
    };
    let _: Done = client.call(Method::POST, "/v1/imports", &start)?;
    let (report, extent) = follow(client, &user)?;
    client.print(&report, story(&report, &extent, start.effect))?;
    Ok(Exit::of_warnings(&report.lost))
}

/// Shows the import until it has ended.
fn follow(client: &Client, user: &EmailAddress) -> Result<(Report, Extent), Failure> {
    let mut bar = Bar::new();
    loop {
        sleep(PAUSE);
        let imports: Vec<Shown> = client.fetch("/v1/imports")?;
        let Some(import) = imports.into_iter().find(|import| import.user == *user) else {
            let lost = "the daemon was started anew meanwhile; the same command goes on where it was.";
            return Err(Failure::failed(lost));
        };
        let extent = import.extent;
        match import.state {
            State::Running => {
                let Extent { messages, messages_in_all, octets, octets_in_all } = extent;
                bar.show(octets, octets_in_all, &format!("{messages} of {messages_in_all} messages"));
            }
            State::Ended(report) => return Ok((report, extent)),
            State::Failed(why) => return Err(Failure::failed(why)),
        }
    }
}

fn story(report: &Report, extent: &Extent, effect: Effect) -> String {
    let (verb, octets) = match effect {
        Effect::Done => ("were fetched", extent.octets),
        Effect::Counted => ("would be fetched", extent.octets_in_all),
    };
    let messages = match effect {
        Effect::Done => extent.messages,
        Effect::Counted => extent.messages_in_all,
    };
    let mut text = format!("{messages} message(s) of {octets} octets {verb}.");
    for one in &report.mailboxes {
        let _ = write!(text, "\n  {}: {} new, {} there already", one.mailbox, one.messages, one.present);
    }
    for lost in &report.lost {
        let _ = write!(text, "\nleft out: {lost}");
    }
    if !report.lost.is_empty() {
        text.push_str("\nThe same command tries what was left out again.");
    }
    text
}

fn table(imports: &[Shown]) -> String {
    let mut table = Table::new(["USER", "FROM", "STATE", "MESSAGES", "OCTETS"]);
    for Shown { user, host, login, effect, extent, state, .. } in imports {
        let state = match (state, effect) {
            (State::Running, Effect::Done) => "runs".to_owned(),
            (State::Running, Effect::Counted) => "counts".to_owned(),
            (State::Ended(report), _) if report.lost.is_empty() => "ended".to_owned(),
            (State::Ended(report), _) => format!("ended, {} left out", report.lost.len()),
            (State::Failed(why), _) => format!("failed: {why}"),
        };
        let messages = format!("{} of {}", extent.messages, extent.messages_in_all);
        let octets = format!("{} of {}", extent.octets, extent.octets_in_all);
        table.row([user.to_string(), format!("{login} at {host}"), state, messages, octets]);
    }
    table.to_string()
}

/// `imap.far.example` or `imap.far.example:1993`
fn parse_server(text: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => {
            (host, Some(port.parse().map_err(|_| format!("`{port}` is no port"))?))
        }
        _ => (text, None),
    };
    rustls::pki_types::ServerName::try_from(host)
        .map(|_| (host.to_owned(), port))
        .map_err(|_| format!("`{host}` is not the name of a server"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_a_name_and_perhaps_a_port() {
        assert_eq!(parse_server("imap.gmail.com"), Ok(("imap.gmail.com".to_owned(), None)));
        assert_eq!(parse_server("mail.far.example:1993"), Ok(("mail.far.example".to_owned(), Some(1993))));
        for wrong in ["", "a b", "imap://far.example", "far.example:x"] {
            assert!(parse_server(wrong).is_err(), "{wrong}");
        }
    }
}
