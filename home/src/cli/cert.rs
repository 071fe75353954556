//! `postern-home cert …`.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueHint};
use jiff::Timestamp;
use postern_message::address::DomainName;
use postern_shared::cli::{Exit, Failure, write_row};
use postern_shared::http::Method;

use super::client::Client;
use super::table::minute;
use crate::admin::wire::{CertificateNames, ImportCertificate, Password, RenewCertificates};
use crate::certificate::report::{Certificate, Origin, Report, Tlsa};

const PATH: &str = "/v1/certificates";

/// `postern-home cert …`
#[derive(Debug, Subcommand)]
pub enum CertCommand {
    /// List the certificates, their keys and what happens next; ends with 3 when a person should look
    #[command(after_help = "Example:\n  postern-home cert list --json")]
    List,
    /// Renew certificates now instead of when their time comes
    #[command(
        after_help = "Examples:\n  postern-home cert renew\n  postern-home cert renew mail.home.example"
    )]
    Renew {
        /// A name of the certificate [default: all certificates]
        name: Option<DomainName>,
    },
    /// Take a certificate that another source issued
    #[command(after_help = "Example:\n  postern-home cert import fullchain.pem privkey.pem")]
    Import {
        /// The certificate and those that vouch for it, in PEM
        #[arg(value_name = "CERTIFICATE", value_hint = ValueHint::FilePath)]
        certificate: PathBuf,
        /// Its private key, in PEM (PKCS #8)
        #[arg(value_name = "KEY", value_hint = ValueHint::FilePath)]
        key: PathBuf,
    },
}

pub(super) fn execute(client: &Client, command: CertCommand) -> Result<Exit, Failure> {
    match command {
        CertCommand::List => {
            let report: Report = client.fetch(PATH)?;
            client.print(&report, List(&report))?;
            Ok(Exit::of_warnings(&report.attention(Timestamp::now())))
        }
        CertCommand::Renew { name } => {
            let done: CertificateNames = client.call(Method::PUT, PATH, &RenewCertificates { name })?;
            let names = done.names.join(", ");
            client.print(
                &done,
                format_args!("A certificate is ordered for {names}; `cert list` shows how it goes."),
            )
        }
        CertCommand::Import { certificate, key } => {
            let request = ImportCertificate { chain: read(&certificate)?, key: Password::new(read(&key)?) };
            let done: CertificateNames = client.call(Method::POST, PATH, &request)?;
            let names = done.names.join(", ");
            client.print(
                &done,
                format_args!(
                    "The certificate for {names} is here; `cert list` shows from when on it is used."
                ),
            )
        }
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("{}: reading failed: {error}.", path.display())))
}

struct List<'a>(&'a Report);

impl Display for List<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        for (position, certificate) in self.0.certificates.iter().enumerate() {
            if position > 0 {
                writeln!(formatter)?;
            }
            write_certificate(formatter, certificate)?;
        }
        if let Some(terms) = &self.0.terms {
            writeln!(formatter)?;
            row(formatter, "terms", &format_args!("{terms} (agreed to by ordering)"))?;
        }
        self.0.troubles.iter().try_for_each(|trouble| row(formatter, "warning:", trouble))
    }
}

fn write_certificate(formatter: &mut Formatter<'_>, certificate: &Certificate) -> fmt::Result {
    row(formatter, "names", &certificate.names.join(", "))?;
    row(formatter, "from", &origin(certificate))?;
    if let (Some(from), Some(until)) = (certificate.from, certificate.until) {
        row(formatter, "counts", &format_args!("{} to {}", minute(from), minute(until)))?;
    }
    if let Some(key) = &certificate.key {
        row(formatter, "key", key)?;
    }
    certificate.tlsa.iter().try_for_each(|record| row(formatter, "TLSA", &tlsa(record)))?;
    let at = certificate.next_at.map(|at| format!(", at {}", minute(at))).unwrap_or_default();
    row(formatter, "next", &format_args!("{}{at}", certificate.next))?;
    let Some(trouble) = &certificate.trouble else { return Ok(()) };
    let since = format!("{} times since {}", trouble.failures, minute(trouble.since));
    row(formatter, "failed", &format_args!("{since}: {}", trouble.reason))
}

fn origin(certificate: &Certificate) -> String {
    let issuer = certificate.issuer.as_deref().unwrap_or("unknown");
    match certificate.origin {
        Origin::None => "nobody yet".to_owned(),
        Origin::SelfSigned => "this home itself; no client trusts it".to_owned(),
        Origin::Files => format!("{issuer}, by the files of the section `[tls]`"),
        Origin::Imported => format!("{issuer}, imported"),
        Origin::Acme => issuer.to_owned(),
    }
}

fn tlsa(record: &Tlsa) -> String {
    let since = record.since.map(|since| format!(" since {}", minute(since))).unwrap_or_default();
    format!("3 1 1 {} ({}{since})", record.key, record.state)
}

fn row(formatter: &mut Formatter<'_>, label: &str, value: &dyn Display) -> fmt::Result {
    write_row(formatter, 9, label, value)
}
