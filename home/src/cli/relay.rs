//! `postern-home relay`: servers that take home's mail for others after a login.
//!
//! In: a provider's name or a host, a login; the password is asked for, or read from a file or standard input. Out: the relays,
//! what each is for, and which destinations go by one since they distrust the edge's address; the exit code of `overflow` is 3
//! where there are some. Refused: what home refuses, with the place where a test ended.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueHint};
use postern_message::address::DomainName;
use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;

use super::client::Client;
use super::secret;
use super::table::{Table, minute};
use crate::admin::wire::Done;
use crate::admin::wire::relay::{AddRelay, EndWarmUp, OverflowListed, RelayListed, TakeBack, UseRelay};
use crate::relay::book::{Security, Use};
use crate::relay::providers::{PROVIDERS, Provider};

const PATH: &str = "/v1/relays";

/// `postern-home relay …`
#[derive(Debug, Subcommand)]
pub enum RelayCommand {
    /// Add a relay, once it has taken the login; the password is asked for, or read from standard input
    #[command(
        after_help = "Examples:\n  postern-home relay add ses --provider ses --region eu-central-1 --login AKIA… --password-file ses.password\n  \
                      postern-home relay add isp --host smtp.isp.example --login ana --spf isp.example"
    )]
    Add(Box<NewRelay>),
    /// List the relays and what each is for
    #[command(after_help = "Example:\n  postern-home relay list --json")]
    List,
    /// Show one relay, and what it still waits for
    #[command(after_help = "Example:\n  postern-home relay show ses")]
    Show {
        /// The relay
        name: String,
    },
    /// Connect to a relay, begin TLS, log in, and leave
    #[command(after_help = "Example:\n  postern-home relay test ses")]
    Test {
        /// The relay
        name: String,
    },
    /// Forget a relay that is used for nothing
    #[command(after_help = "Example:\n  postern-home relay remove ses")]
    Remove {
        /// The relay
        name: String,
    },
    /// Say which mail goes by a relay; `direct` instead of a relay's name takes it back
    #[command(
        after_help = "Examples:\n  postern-home relay use ses overflow\n  postern-home relay use ses domain:home.example\n  \
                      postern-home relay use direct user:ana@home.example"
    )]
    Use {
        /// The relay, or `direct`
        name: String,
        /// The mail: all, overflow, domain:DOMAIN, user:ADDRESS or to:DOMAIN; what is nearest to a message decides
        #[arg(value_name = "MAIL")]
        traffic: Use,
    },
    /// Show the destinations that distrust the edge's address, and the warm-up of large receivers; ends with 3 when there are
    /// destinations that distrust it
    #[command(
        after_help = "Examples:\n  postern-home relay overflow\n  postern-home relay overflow --take-back far.example\n  \
                      postern-home relay overflow --end-warm-up Gmail"
    )]
    Overflow {
        /// Deliver to this domain directly again
        #[arg(long, value_name = "DOMAIN", conflicts_with = "end_warm_up")]
        take_back: Option<DomainName>,
        /// Deliver everything to this receiver directly from now on
        #[arg(long, value_name = "RECEIVER")]
        end_warm_up: Option<String>,
    },
}

/// What a relay is.
#[derive(Debug, Args)]
pub struct NewRelay {
    /// What it is to be called
    name: String,
    /// A provider that is known: ses, postmark, brevo, mailgun or mailgun-eu
    #[arg(long, value_name = "PROVIDER", value_parser = parse_provider, required_unless_present = "host")]
    provider: Option<&'static Provider>,
    /// The provider's region, where it has several: eu-central-1
    #[arg(long, value_name = "REGION", requires = "provider")]
    region: Option<String>,
    /// The host, which its certificate must name
    #[arg(long, value_name = "HOST")]
    host: Option<DomainName>,
    /// The port: TLS at once on 465 and 2465, STARTTLS elsewhere [default: the provider's, or 587]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// The user name there
    #[arg(long, value_name = "NAME")]
    login: String,
    /// Read the password from the first line of this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    password_file: Option<PathBuf>,
    /// What the domains' SPF records must include [default: the provider's]
    #[arg(long, value_name = "DOMAIN")]
    spf: Option<DomainName>,
}

pub(super) fn execute(client: &Client, command: RelayCommand) -> Result<Exit, Failure> {
    match command {
        RelayCommand::Add(new) => {
            let added: RelayListed = client.call(Method::POST, PATH, &request(*new)?)?;
            let name = &added.name;
            let next = format_args!(
                "The relay {name} takes the login. Nothing goes by it before `postern-home relay use {name} …`."
            );
            client.print(&added, next)
        }
        RelayCommand::List => {
            let relays: Vec<RelayListed> = client.fetch(PATH)?;
            client.print(&relays, table(&relays))
        }
        RelayCommand::Show { name } => {
            let relay: RelayListed = client.fetch(&format!("{PATH}/{name}"))?;
            client.print(&relay, story(&relay))
        }
        RelayCommand::Test { name } => {
            let done: Done = client.call(Method::POST, &format!("{PATH}/{name}/test"), &())?;
            client.print(&done, format_args!("The relay {name} takes the login."))
        }
        RelayCommand::Remove { name } => {
            let done: Done = client.call(Method::DELETE, &format!("{PATH}/{name}"), &())?;
            client.print(&done, format_args!("The relay {name} is forgotten, with its password."))
        }
        RelayCommand::Use { name, traffic } => {
            let wanted = UseRelay { traffic, relay: name.clone() };
            let done: Done = client.call(Method::PUT, "/v1/relay-uses", &wanted)?;
            let next = format_args!(
                "Done. Mail goes that way once the world sees the SPF records that it needs: `postern-home relay list`."
            );
            client.print(&done, next)
        }
        RelayCommand::Overflow { end_warm_up: Some(receiver), .. } => {
            let request = EndWarmUp { receiver: receiver.clone() };
            let done: Done = client.call(Method::DELETE, "/v1/relay-warm-up", &request)?;
            client.print(&done, format_args!("All mail to {receiver} is delivered directly."))
        }
        RelayCommand::Overflow { take_back: Some(destination), .. } => {
            let request = TakeBack { destination: destination.clone() };
            let done: Done = client.call(Method::DELETE, "/v1/relay-overflow", &request)?;
            client.print(&done, format_args!("Mail to {destination} is delivered directly again."))
        }
        RelayCommand::Overflow { .. } => {
            let overflow: OverflowListed = client.fetch("/v1/relay-overflow")?;
            client.print(&overflow, overflow_table(&overflow))?;
            Ok(if overflow.destinations.is_empty() { Exit::Done } else { Exit::Warnings })
        }
    }
}

fn parse_provider(text: &str) -> Result<&'static Provider, String> {
    Provider::named(text).ok_or_else(|| {
        let names: Vec<&str> = PROVIDERS.iter().map(|provider| provider.name).collect();
        format!("expected one of {}, or a server's name with --host", names.join(", "))
    })
}

fn request(new: NewRelay) -> Result<AddRelay, Failure> {
    let host = host(&new)?;
    let port = new.port.or(new.provider.map(|provider| provider.port)).unwrap_or(587);
    let spf = new.spf.or_else(|| new.provider.and_then(|provider| DomainName::parse(provider.spf).ok()));
    let password = password(new.provider, new.password_file.as_deref())?;
    let security = Security::of_port(port);
    Ok(AddRelay { name: new.name, host, port, security, login: new.login, password, spf })
}

fn host(new: &NewRelay) -> Result<DomainName, Failure> {
    if let Some(host) = &new.host {
        return Ok(host.clone());
    }
    let provider = new.provider.ok_or_else(|| Failure::usage("name a --provider or a --host."))?;
    let host = provider.host_in(new.region.as_deref()).ok_or_else(|| {
        Failure::usage(format!("{} has several regions: name yours with --region.", provider.name))
    })?;
    DomainName::parse(&host).map_err(|error| Failure::usage(format!("{host} is no host name: {error}.")))
}

/// The password, with what the provider means by it.
fn password(
    provider: Option<&Provider>,
    file: Option<&Path>,
) -> Result<crate::admin::wire::Password, Failure> {
    let hint = provider.map_or_else(String::new, |provider| format!(" ({})", provider.password_hint));
    secret::password(&format!("Password at the relay{hint}: "), file)
}

fn table(relays: &[RelayListed]) -> Table {
    let mut table = Table::new(["NAME", "SERVER", "TLS", "LOGIN", "FOR", "SPF"]);
    for relay in relays {
        let uses: Vec<String> = relay.uses.iter().map(ToString::to_string).collect();
        let spf = match (&relay.spf, relay.waits_for_spf.as_slice()) {
            (None, _) => "none".to_owned(),
            (Some(spf), []) => spf.to_string(),
            (Some(spf), waiting) => format!("{spf}, not yet seen for {}", join(waiting)),
        };
        let (server, security) = (format!("{}:{}", relay.host, relay.port), relay.security.to_string());
        table.row([relay.name.clone(), server, security, relay.login.clone(), uses.join(", "), spf]);
    }
    table
}

fn story(relay: &RelayListed) -> String {
    let RelayListed { name, host, port, security, login, spf, uses, waits_for_spf } = relay;
    let mut text = format!("relay {name}: {host} port {port}, {security}, as {login}\n");
    let used: Vec<String> = uses.iter().map(ToString::to_string).collect();
    let _ =
        writeln!(text, "for: {}", if used.is_empty() { "nothing yet".to_owned() } else { used.join(", ") });
    if let Some(spf) = spf {
        let _ = writeln!(text, "SPF: include:{spf}");
    }
    if !waits_for_spf.is_empty() {
        let _ = writeln!(
            text,
            "mail of {} does not go by it before the world sees that include in the domain's SPF record",
            join(waits_for_spf)
        );
    }
    text
}

fn join(domains: &[DomainName]) -> String {
    domains.iter().map(DomainName::as_str).collect::<Vec<_>>().join(", ")
}

fn overflow_table(overflow: &OverflowListed) -> String {
    let mut table = Table::new(["DESTINATION", "WORDS OF", "SINCE", "UNTIL", "REPLY"]);
    for diversion in &overflow.destinations {
        table.row([
            diversion.destination.clone(),
            diversion.provider.clone(),
            minute(diversion.since),
            minute(diversion.until),
            diversion.reply.clone(),
        ]);
    }
    match &overflow.relay {
        Some(relay) => format!("{table}By the relay {relay} until then.\n{}", warm_up_table(overflow)),
        None => format!(
            "{table}There is no relay for them: `postern-home relay add …`, then `postern-home relay use NAME overflow`.\n"
        ),
    }
}

/// Nothing where nothing is warmed up.
fn warm_up_table(overflow: &OverflowListed) -> String {
    if overflow.warm_up.is_empty() {
        return String::new();
    }
    let mut table = Table::new(["WARM-UP", "TODAY", "DIRECTLY", "TAKEN", "PUT OFF OR REFUSED"]);
    for plan in &overflow.warm_up {
        let counts = [plan.direct, plan.volume, plan.taken, plan.refused].map(|count| count.to_string());
        let [direct, volume, taken, refused] = counts;
        table.row([plan.receiver.clone(), format!("at most {volume}"), direct, taken, refused]);
    }
    format!("\n{table}The rest goes by the relay.\n")
}
