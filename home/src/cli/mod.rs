//! The command line of `postern-home`.
//!
//! In: the arguments. Out: the daemon itself for `run`, and for everything else but `store` a question to the running daemon
//! over its local socket, with the answer on standard output. Refused: malformed names and addresses, before anything is sent.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 something to look at (`doctor`, `status`, `tunnel status`, `cert list`,
//! `relay overflow`, `dns delegation`, `dns diff`, `config check`, `import imap`, `store verify`, `store export`, `store seal --status`, `backup verify|restore|drill`), 4 the daemon is not reachable.
//! Passwords and join codes are never arguments: other users of the machine can read those.

mod client;

mod cert;
mod dns;
mod domain;

mod user;

mod bar;

mod import;
mod mail;
mod mailbox;
mod quota;
mod store;

mod alias;
mod backup;
mod forward;
mod mask;

mod queue;
mod trace;

mod relay;
mod reports;

mod bans;

mod notices;

mod doctor;
mod identity;
mod join;
mod setup;
mod status;
mod tunnel;
mod unlock;

mod check;

mod secret;
mod table;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use ipnet::IpNet;
use postern_message::address::{DomainName, EmailAddress};
use postern_shared::bans::parse_network;
use postern_shared::cli::{self, Colour, Exit, Failure, Origins, Output, parse_time};
use postern_shared::join_code::Endpoint;
use postern_shared::observability;
use postern_shared::tunnel::PublicKey;
use postern_store::directory::DnsHosting;
use postern_store::queue::QueueId;

use crate::config::{Config, DEFAULT_PATH, KeySource, REFERENCE};
use crate::link::RotateEvery;
use crate::run;
use crate::store_key::Keys;
use client::Client;

/// The name in front of every error.
pub const PROGRAM: &str = "postern-home";

/// The program that holds the mail: mailboxes, submission, IMAP and the outbound queue, behind a Postern edge.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, disable_help_subcommand = true)]
#[command(after_help = "Example:\n  postern-home user add ana@home.example")]
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

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon in the foreground
    #[command(after_help = "Example:\n  postern-home run --config /etc/postern/home.toml")]
    Run,
    /// Look at the configuration
    #[command(subcommand, after_help = "Example:\n  postern-home config check")]
    Config(ConfigCommand),
    /// Print home's public identity, which an edge can be told to wait for; it is no secret
    #[command(after_help = "Example:\n  terraform apply -var home_identity=\"$(postern-home identity)\"")]
    Identity,
    /// Join an edge with the code that `postern-edge invite` printed there, or one that waits for this home
    #[command(
        after_help = "The code is asked for, or read from standard input.\n\nExamples:\n  postern-home join --code-file code.txt\n  postern-home join --edge edge.example.net"
    )]
    Join {
        /// Read the code from this file
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "edge")]
        code_file: Option<PathBuf>,
        /// Join without a code the edge at this address, whose edge.toml names this home [default port: 51820]
        #[arg(long, value_name = "HOST[:PORT]", value_parser = join::parse_edge)]
        edge: Option<Endpoint>,
        /// Refuse an edge with another key than this one, which `postern-edge status` printed there
        #[arg(long, value_name = "KEY", requires = "edge")]
        edge_key: Option<PublicKey>,
    },
    /// The tunnel to the edge and its keys
    #[command(subcommand, after_help = "Example:\n  postern-home tunnel status")]
    Tunnel(TunnelCommand),
    /// Domains that have their mail here
    #[command(subcommand, after_help = "Example:\n  postern-home domain add home.example")]
    Domain(DomainCommand),
    /// The domains' DNS
    #[command(subcommand, after_help = "Example:\n  postern-home dns show home.example")]
    Dns(dns::DnsCommand),
    /// Certificates: what is shown to clients, and what happens to it next
    #[command(subcommand, after_help = "Example:\n  postern-home cert list")]
    Cert(cert::CertCommand),
    /// People with a mailbox
    #[command(subcommand, after_help = "Example:\n  postern-home user add ana@home.example")]
    User(UserCommand),
    /// Addresses that lead to users
    #[command(
        subcommand,
        after_help = "Example:\n  postern-home alias add family@home.example ana@home.example"
    )]
    Alias(AliasCommand),
    /// Users' mail that is sent on to another address
    #[command(
        subcommand,
        after_help = "Example:\n  postern-home forward set bo@home.example bo@far.example --keep"
    )]
    Forward(ForwardCommand),
    /// Masks: addresses that a user gives away and can switch off one by one
    #[command(
        subcommand,
        after_help = "Example:\n  postern-home mask create ana@home.example --label \"the shoe shop\""
    )]
    Mask(MaskCommand),
    /// Mail that was deleted
    #[command(subcommand, after_help = "Example:\n  postern-home mail deleted ana@home.example")]
    Mail(mail::MailCommand),
    /// Mailboxes that users share with each other
    #[command(subcommand, after_help = "Example:\n  postern-home mailbox shares")]
    Mailbox(mailbox::MailboxCommand),
    /// Mail moved in from other servers
    #[command(
        subcommand,
        after_help = "Example:\n  postern-home import imap ana@home.example imap.far.example --login ana@far.example"
    )]
    Import(import::ImportCommand),
    /// How much users may keep
    #[command(subcommand, after_help = "Example:\n  postern-home quota set ana@home.example --octets 10G")]
    Quota(quota::QuotaCommand),
    /// What is on the disk, whether the daemon runs or not
    #[command(after_help = "Example:\n  postern-home store verify")]
    Store {
        /// The key to sealed mail, in place of home.toml's: file:/PATH, credential:NAME or passphrase
        #[arg(long, global = true, value_name = "SOURCE")]
        key: Option<KeySource>,
        /// What to do with it
        #[command(subcommand)]
        command: store::StoreCommand,
    },
    /// Everything that home keeps, encrypted, in another place
    #[command(after_help = "Example:\n  postern-home backup create")]
    Backup {
        /// The key to sealed mail, in place of home.toml's: file:/PATH, credential:NAME or passphrase
        #[arg(long, global = true, value_name = "SOURCE")]
        key: Option<KeySource>,
        /// What to do
        #[command(subcommand)]
        command: backup::BackupCommand,
    },
    /// Open sealed mail for the daemon that has just started; the passphrase is asked for, or read from standard input
    #[command(
        after_help = "Examples:\n  postern-home unlock\n  systemd-ask-password \"Mail:\" | postern-home unlock"
    )]
    Unlock,
    /// Mail on its way out
    #[command(subcommand, after_help = "Example:\n  postern-home queue list")]
    Queue(QueueCommand),
    /// What other mail systems report of the mail in your name
    #[command(subcommand, after_help = "Example:\n  postern-home reports dmarc")]
    Reports(reports::ReportsCommand),
    /// Tell what became of a message: where it came from, what each check said, where it went
    #[command(
        after_help = "Examples:\n  postern-home trace bo@far.example --since 2d\n  postern-home trace '<20261123.1@far.example>'\n  postern-home trace 17"
    )]
    Trace {
        /// A story's id (it is in the Received field), a number of the queue, a Message-ID, a mail address or a client's IP address
        #[arg(value_name = "MESSAGE|ADDRESS")]
        of: String,
        /// Only what happened in this time: minutes (30m), hours (12h), days (2d)
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        since: Option<Duration>,
    },
    /// Servers that take mail for others after a login, and send it on from their own addresses
    #[command(subcommand, after_help = "Example:\n  postern-home relay list")]
    Relay(relay::RelayCommand),
    /// Networks that the edge takes nothing from
    #[command(
        subcommand,
        after_help = "Example:\n  postern-home bans add 203.0.113.7 --for 1d --reason \"guesses passwords\""
    )]
    Bans(BansCommand),
    /// What the owner is told of by itself
    #[command(subcommand, after_help = "Example:\n  postern-home notices test")]
    Notices(NoticesCommand),
    /// Set home up: join the edge, add the domain and the first user, then show what is still awaited
    #[command(
        after_help = "Asks on the terminal. What is there already is left as it is, so it may be run again.\n\nExamples:\n  postern-home setup\n  postern-home setup --answers answers.toml\n\nA file of answers:\n  domain = \"home.example\"\n  user = \"ana@home.example\"\n  password_file = \"/root/password\"\n  join_code_file = \"/root/code\""
    )]
    Setup {
        /// Take the answers from this file and ask nothing
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        answers: Option<PathBuf>,
    },
    /// Look at everything that mail depends on, now, and say what is wrong and how to mend it
    #[command(
        after_help = "Exits with 0 where all is well, 1 where something failed, 3 where not all is well yet.\n\nExamples:\n  postern-home doctor\n  postern-home doctor --watch"
    )]
    Doctor {
        /// Look again every 15 seconds until all is well
        #[arg(long)]
        watch: bool,
    },
    /// Show how home is; ends with 3 when a person should look
    #[command(after_help = "Example:\n  postern-home status --json")]
    Status,
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  postern-home completions bash > /etc/bash_completion.d/postern-home")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write manual pages into a directory
    #[command(after_help = "Example:\n  postern-home man /usr/local/share/man/man1")]
    Man {
        /// The directory
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        directory: PathBuf,
    },
}

/// `postern-home config …`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Read the configuration and the files it names, and say what is wrong
    #[command(after_help = "Example:\n  postern-home config check --config home.toml")]
    Check,
    /// Show every key and what holds for it; secrets are not shown
    #[command(after_help = "Example:\n  postern-home config show --origin")]
    Show {
        /// Say of each value whether a line of the file gives it or it is the default
        #[arg(long)]
        origin: bool,
    },
    /// Tell what a key means, its type, unit and default, with an example
    #[command(after_help = "Example:\n  postern-home config explain tunnel.mtu")]
    Explain {
        /// The key, with its section
        #[arg(value_name = "SECTION.KEY")]
        key: String,
    },
}

/// `postern-home tunnel …`
#[derive(Debug, Subcommand)]
pub enum TunnelCommand {
    /// Show the epochs, their keys and what they carry
    #[command(after_help = "Example:\n  postern-home tunnel status --json")]
    Status,
    /// Renew all keys of the tunnel while it works, and show each step; the daemon goes on when this is interrupted
    #[command(
        after_help = "Examples:\n  postern-home tunnel rotate\n  postern-home tunnel rotate --every 30d"
    )]
    Rotate {
        /// From now on, renew them by themselves at this age: hours (12h), days (30d), or never
        #[arg(long, value_name = "AGE")]
        every: Option<RotateEvery>,
    },
}

/// `postern-home domain …`
#[derive(Debug, Subcommand)]
pub enum DomainCommand {
    /// Add a domain and make its DKIM keys
    #[command(
        after_help = "Examples:\n  postern-home domain add home.example\n  postern-home domain add other.example --dns external"
    )]
    Add {
        /// The domain
        name: DomainName,
        /// Where its DNS is
        #[arg(long, value_name = "PLACE", default_value = "here")]
        dns: DnsPlace,
    },
    /// Say where the DNS of a domain is
    #[command(after_help = "Example:\n  postern-home domain dns other.example external")]
    Dns {
        /// The domain
        name: DomainName,
        /// Where its DNS is from now on
        #[arg(value_name = "PLACE")]
        place: DnsPlace,
        /// Give it up even while the parent zone leads to the edge
        #[arg(long)]
        now: bool,
    },
    /// List the domains
    #[command(after_help = "Example:\n  postern-home domain list --json")]
    List,
    /// Say who gets what is sent to addresses of a domain that nobody has, and may send as such
    #[command(
        after_help = "Examples:\n  postern-home domain catch-all home.example ana@home.example\n  postern-home domain catch-all home.example off"
    )]
    CatchAll {
        /// The domain
        name: DomainName,
        /// The user, or `off`
        #[arg(value_name = "USER|off", value_parser = domain::parse_catch_all)]
        user: domain::CatchAllOf,
    },
    /// Remove a domain, its aliases and its DKIM keys
    #[command(after_help = "Example:\n  postern-home domain remove old.example --with-users --keep-mail")]
    Remove {
        /// The domain
        name: DomainName,
        /// Remove its users too
        #[arg(long)]
        with_users: bool,
        /// What becomes of their mail
        #[command(flatten)]
        mail: MailChoice,
    },
}

/// Where the DNS of a domain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DnsPlace {
    /// Home makes and signs the zone, and the edge serves it
    Here,
    /// Another provider has the zone, and a person copies the records there
    External,
}

impl From<DnsPlace> for DnsHosting {
    fn from(place: DnsPlace) -> Self {
        match place {
            DnsPlace::Here => Self::Here,
            DnsPlace::External => Self::External,
        }
    }
}

/// `postern-home user …`
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a user; the password is asked for, or read from standard input
    #[command(after_help = "Example:\n  postern-home user add ana@home.example --password-file ana.password")]
    Add {
        /// The address, which is also the login name
        address: EmailAddress,
        /// Read the password from the first line of this file
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        password_file: Option<PathBuf>,
    },
    /// Change a password; it is asked for, or read from standard input
    #[command(after_help = "Example:\n  postern-home user passwd ana@home.example")]
    Passwd {
        /// The user
        address: EmailAddress,
        /// Read the password from the first line of this file
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        password_file: Option<PathBuf>,
    },
    /// List the users
    #[command(after_help = "Example:\n  postern-home user list --json")]
    List,
    /// Let a user send again whose mail is held because it was too much
    #[command(
        after_help = "Examples:\n  postern-home user release ana@home.example\n  postern-home user release ana@home.example --drop-mail"
    )]
    Release {
        /// The user
        address: EmailAddress,
        /// Remove what was held from the queue; nobody is told
        #[arg(long)]
        drop_mail: bool,
    },
    /// Remove a user
    #[command(after_help = "Example:\n  postern-home user remove ana@home.example --keep-mail")]
    Remove {
        /// The user
        address: EmailAddress,
        /// What becomes of the mail
        #[command(flatten)]
        mail: MailChoice,
    },
}

/// What becomes of the mail of users who are removed.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct MailChoice {
    /// Leave the mail on the disk
    #[arg(long)]
    keep_mail: bool,
    /// Delete the mail for good
    #[arg(long)]
    delete_mail: bool,
}

/// `postern-home alias …`
#[derive(Debug, Subcommand)]
pub enum AliasCommand {
    /// Make an alias lead to one or more addresses, here or elsewhere; further calls add targets
    #[command(
        after_help = "Examples:\n  postern-home alias add family@home.example ana@home.example bo@home.example\n  postern-home alias add club@home.example ana@home.example friend@far.example"
    )]
    Add {
        /// The alias
        alias: EmailAddress,
        /// The addresses
        #[arg(required = true, value_name = "TARGET")]
        targets: Vec<EmailAddress>,
    },
    /// List the aliases
    #[command(after_help = "Example:\n  postern-home alias list")]
    List,
    /// Remove an alias, or only these targets of it
    #[command(after_help = "Example:\n  postern-home alias remove family@home.example bo@home.example")]
    Remove {
        /// The alias
        alias: EmailAddress,
        /// The addresses that it shall no longer lead to
        #[arg(value_name = "TARGET")]
        targets: Vec<EmailAddress>,
    },
}

/// `postern-home forward …`
#[derive(Debug, Subcommand)]
pub enum ForwardCommand {
    /// Send a user's mail on to another address, from now on
    #[command(
        after_help = "Examples:\n  postern-home forward set bo@home.example bo@far.example\n  postern-home forward set bo@home.example bo@far.example --keep"
    )]
    Set {
        /// The user
        user: EmailAddress,
        /// Where the mail goes
        target: EmailAddress,
        /// Put a copy into the mailbox too
        #[arg(long)]
        keep: bool,
    },
    /// Show where a user's mail is sent on, or, without a user, everybody's
    #[command(after_help = "Example:\n  postern-home forward show bo@home.example")]
    Show {
        /// The user
        user: Option<EmailAddress>,
    },
    /// Keep a user's mail here again
    #[command(after_help = "Example:\n  postern-home forward remove bo@home.example")]
    Remove {
        /// The user
        user: EmailAddress,
    },
}

/// `postern-home mask …`
#[derive(Debug, Subcommand)]
pub enum MaskCommand {
    /// Make a new mask and print it
    #[command(after_help = "Example:\n  postern-home mask create ana@home.example --label \"the shoe shop\"")]
    Create {
        /// For whom
        user: EmailAddress,
        /// To whom it will be given, or for what
        #[arg(long, default_value = "")]
        label: String,
        /// In which domain [default: the user's own]
        #[arg(long)]
        domain: Option<DomainName>,
    },
    /// List a user's masks, or, without a user, everybody's
    #[command(after_help = "Example:\n  postern-home mask list ana@home.example")]
    List {
        /// The user
        user: Option<EmailAddress>,
    },
    /// Give a mask another label
    #[command(
        after_help = "Example:\n  postern-home mask label ana@home.example k3vq8zt2mwxa@home.example \"the shoe shop\""
    )]
    Label {
        /// The mask
        #[command(flatten)]
        of: MaskOf,
        /// The label
        label: String,
    },
    /// Refuse mail for a mask from now on
    #[command(after_help = "Example:\n  postern-home mask off ana@home.example k3vq8zt2mwxa@home.example")]
    Off(MaskOf),
    /// Take mail for a mask again
    #[command(after_help = "Example:\n  postern-home mask on ana@home.example k3vq8zt2mwxa@home.example")]
    On(MaskOf),
    /// Remove a mask; a catch-all gets its mail, if the domain has one
    #[command(after_help = "Example:\n  postern-home mask remove ana@home.example k3vq8zt2mwxa@home.example")]
    Remove(MaskOf),
}

/// A mask and its user.
#[derive(Debug, Clone, Args)]
pub struct MaskOf {
    /// The user
    user: EmailAddress,
    /// The mask
    mask: EmailAddress,
}

/// `postern-home queue …`
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// List the messages that wait to be delivered
    #[command(after_help = "Example:\n  postern-home queue list")]
    List,
    /// Show one message and the story of each recipient
    #[command(after_help = "Example:\n  postern-home queue show 17")]
    Show {
        /// The message
        id: QueueId,
    },
    /// Try a message now
    #[command(after_help = "Example:\n  postern-home queue retry 17")]
    Retry {
        /// The message
        id: QueueId,
    },
    /// Try everything that waits now
    #[command(after_help = "Example:\n  postern-home queue flush")]
    Flush,
    /// Keep a message back until it is released
    #[command(after_help = "Example:\n  postern-home queue hold 17")]
    Hold {
        /// The message
        id: QueueId,
    },
    /// Let a held message go, at once
    #[command(after_help = "Example:\n  postern-home queue release 17")]
    Release {
        /// The message
        id: QueueId,
    },
    /// Remove a message from the queue; nobody is told
    #[command(after_help = "Example:\n  postern-home queue drop 17")]
    Drop {
        /// The message
        id: QueueId,
    },
}

/// `postern-home notices …`
#[derive(Debug, Subcommand)]
pub enum NoticesCommand {
    /// List what is to be looked at, and what has ended lately
    #[command(after_help = "Example:\n  postern-home notices list --json")]
    List,
    /// Send a test by every way of home.toml's section [notices]; ends with 1 when one does not take it
    #[command(after_help = "Example:\n  postern-home notices test")]
    Test,
}

/// `postern-home bans …`
#[derive(Debug, Subcommand)]
pub enum BansCommand {
    /// List the banned networks
    #[command(after_help = "Example:\n  postern-home bans list --json")]
    List,
    /// Ban an address or a prefix; an IPv6 address stands for its /64
    #[command(
        after_help = "Example:\n  postern-home bans add 203.0.113.0/24 --for 1d --reason \"guesses passwords\""
    )]
    Add {
        /// The address or prefix
        #[arg(value_name = "ADDRESS|PREFIX", value_parser = parse_network)]
        network: IpNet,
        /// For how long: a number and s, m, h or d [default: until it is removed]
        #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
        lasts: Option<Duration>,
        /// Why, for the list
        #[arg(long, value_name = "TEXT", default_value = "by hand")]
        reason: String,
    },
    /// End a ban
    #[command(after_help = "Example:\n  postern-home bans remove 203.0.113.0/24")]
    Remove {
        /// The address or prefix, as the list has it
        #[arg(value_name = "ADDRESS|PREFIX", value_parser = parse_network)]
        network: IpNet,
    },
}

/// What the environment says.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Whether output may be coloured.
    pub colour: Colour,
    /// Where systemd puts the credentials of this process (`$CREDENTIALS_DIRECTORY`).
    pub credentials: Option<PathBuf>,
}

/// Parses the arguments and carries out the command. `ready` is called when the daemon listens, or waits for a passphrase.
///
/// # Errors
/// The failure and the form in which it is to be reported.
pub fn main(
    arguments: Vec<OsString>,
    surroundings: Surroundings,
    ready: impl FnOnce(),
) -> Result<Exit, (Failure, Output)> {
    cli::main(arguments, |cli: Cli| execute(cli, surroundings, ready))
}

fn execute(cli: Cli, surroundings: Surroundings, ready: impl FnOnce()) -> Result<Exit, Failure> {
    let output = Output::from_switch(cli.json);
    let client = || Ok::<_, Failure>(Client::new(Config::load(&cli.config)?.runtime_dir, output));
    match cli.command {
        Command::Run => daemon(&cli.config, surroundings, ready),
        Command::Config(ConfigCommand::Check) => check::check(&cli.config, output),
        Command::Config(ConfigCommand::Show { origin }) => {
            check::show(&cli.config, Origins::from_switch(origin), output)
        }
        Command::Config(ConfigCommand::Explain { key }) => cli::explain_config(REFERENCE, &key, output),
        Command::Identity => identity::identity(&client()?),
        Command::Join { edge: Some(edge), edge_key, .. } => join::join_waiting(&client()?, edge, edge_key),
        Command::Join { code_file, .. } => join::join(&client()?, code_file.as_deref()),
        Command::Tunnel(command) => tunnel::execute(&client()?, command),
        Command::Domain(command) => domain::execute(&client()?, command),
        Command::Dns(command) => dns::execute(&client()?, command),
        Command::Cert(command) => cert::execute(&client()?, command),
        Command::User(command) => user::execute(&client()?, command),
        Command::Mail(command) => mail::execute(&client()?, command),
        Command::Mailbox(command) => mailbox::execute(&client()?, command),
        Command::Import(command) => import::execute(&client()?, command),
        Command::Quota(command) => quota::execute(&client()?, command),
        Command::Store { key, command } => {
            let config = Config::load(&cli.config)?;
            let keys = Keys { source: key.or(config.store.key), credentials: surroundings.credentials };
            store::execute(&config.state_dir, &keys, output, command)
        }
        Command::Backup { key, command } => {
            let config = Config::load(&cli.config)?;
            let keys =
                Keys { source: key.or(config.store.key.clone()), credentials: surroundings.credentials };
            backup::execute(&config, &keys, output, command)
        }
        Command::Unlock => unlock::unlock(&client()?),
        Command::Alias(command) => alias::execute(&client()?, command),
        Command::Forward(command) => forward::execute(&client()?, command),
        Command::Mask(command) => mask::execute(&client()?, command),
        Command::Queue(command) => queue::execute(&client()?, command),
        Command::Reports(command) => reports::execute(&client()?, command),
        Command::Trace { of, since } => trace::execute(&client()?, of, since),
        Command::Relay(command) => relay::execute(&client()?, command),
        Command::Bans(command) => bans::execute(&client()?, command),
        Command::Notices(command) => notices::execute(&client()?, command),
        Command::Setup { answers } => setup::setup(&client()?, answers.as_deref()),
        Command::Doctor { watch } => doctor::doctor(&client()?, watch),
        Command::Status => status::status(&client()?),
        Command::Completions { shell } => cli::completions::<Cli>(PROGRAM, shell),
        Command::Man { directory } => cli::manual::<Cli>(&directory),
    }
}

fn daemon(path: &Path, surroundings: Surroundings, ready: impl FnOnce()) -> Result<Exit, Failure> {
    let config = Config::load(path)?;
    observability::init(&config.log, surroundings.colour);
    let keys = Keys { source: config.store.key.clone(), credentials: surroundings.credentials };
    run::run(config, &keys, ready)?;
    Ok(Exit::Done)
}
