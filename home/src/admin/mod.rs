//! The administration interface: HTTP and JSON on the local socket, which the command line speaks.
//!
//! * In: one request at a time from whoever may open `RUNTIME_DIR/admin.sock`, that is, the service's own user and root.
//! * Out: the answer as JSON, the types of which are in [`wire`]; an error as `{"error": "…"}` with whole sentences.
//! * Refused: what the directory, the queue or the link refuse, with their reason; unknown paths.
//!
//! | path | GET | POST | PUT | DELETE |
//! |---|---|---|---|---|
//! | `/v1/status` | [`Status`](crate::status::Status) | | | |
//! | `/v1/doctor` | [`Report`](crate::doctor::Report) | | | |
//! | `/v1/domains` | list of [`wire::Domain`] | [`wire::AddDomain`] | [`wire::SetDns`] | [`wire::RemoveDomain`] |
//! | `/v1/dns/DOMAIN` | [`wire::dns::DomainDns`] | | | |
//! | `/v1/dns/DOMAIN/import` | | [`wire::dns::Import`]: [`wire::dns::Imported`] | | |
//! | `/v1/dns/DOMAIN/records` | list of [`wire::dns::DnsRecord`] | [`wire::dns::WrittenRecord`] | | [`wire::dns::WrittenRecord`] |
//! | `/v1/dns/DOMAIN/delegation` | [`Delegation`](crate::survey::Delegation) | | | |
//! | `/v1/dns/DOMAIN/diff` | [`Difference`](crate::survey::Difference) | | | |
//! | `/v1/certificates` | [`Report`](crate::certificate::report::Report) | [`wire::ImportCertificate`] | [`wire::RenewCertificates`] | |
//! | `/v1/secondaries` | list of [`wire::secondary::SecondaryListed`] | [`wire::secondary::AddSecondary`] | | |
//! | `/v1/secondaries/NAME` | [`wire::secondary::SecondarySetup`] | | | removes it |
//! | `/v1/secondaries/NAME/key` | | [`wire::secondary::RotateKey`] | | |
//! | `/v1/users` | list of [`wire::User`] | [`wire::AddUser`] | | [`wire::RemoveUser`] |
//! | `/v1/users/password` | | | [`wire::SetPassword`] | |
//! | `/v1/users/release` | | | [`wire::ReleaseUser`]: [`wire::ReleasedUser`] | |
//! | `/v1/quota` | [`wire::OfAccounts`] with [`wire::QuotaListed`] | | [`wire::SetQuota`]: [`Usage`](postern_store::account::Usage) | |
//! | `/v1/mail/deleted` | | [`wire::OfUser`]: list of [`Removed`](postern_store::account::Removed) | | |
//! | `/v1/mail/restore` | | [`wire::Restore`]: [`wire::Restored`] | | |
//! | `/v1/imports` | list of [`Shown`](crate::import::jobs::Shown) | [`wire::import::StartImport`] | | [`wire::OfUser`] |
//! | `/v1/shares` | [`wire::OfAccounts`] with [`wire::share::Share`] | | [`wire::share::Share`]: the same | [`wire::share::Share`] |
//! | `/v1/aliases` | list of [`wire::Alias`] | [`wire::AddAlias`] | | [`wire::RemoveAlias`] |
//! | `/v1/queue` | list of [`Summary`](postern_store::queue::Summary) | | | |
//! | `/v1/queue/ID` | [`Detail`](postern_store::queue::Detail) | | | drops it |
//! | `/v1/queue/ID/retry` | | makes it due | | |
//! | `/v1/queue/ID/hold` | | keeps it back | | |
//! | `/v1/queue/ID/release` | | lets it go | | |
//! | `/v1/queue/flush` | | makes all due: [`Flushed`](wire::Flushed) | | |
//! | `/v1/reports/dmarc` | | [`wire::report::ReportsOf`]: [`wire::report::DmarcReports`] | | |
//! | `/v1/reports/tls` | | [`wire::report::ReportsOf`]: [`wire::report::TlsReports`] | | |
//! | `/v1/trace` | | [`wire::Trace`]: list of [`Story`](postern_store::journal::Story) | | |
//! | `/v1/relays` | list of [`wire::relay::RelayListed`] | [`wire::relay::AddRelay`] | | |
//! | `/v1/relays/NAME` | [`wire::relay::RelayListed`] | | | removes it |
//! | `/v1/relays/NAME/test` | | tests it | | |
//! | `/v1/relay-uses` | | | [`wire::relay::UseRelay`] | |
//! | `/v1/relay-overflow` | [`wire::relay::OverflowListed`] | | | [`wire::relay::TakeBack`] |
//! | `/v1/relay-warm-up` | | | | [`wire::relay::EndWarmUp`] |
//! | `/v1/bans` | list of [`wire::Ban`] | [`wire::AddBan`] | | [`wire::RemoveBan`] |
//! | `/v1/notices` | list of [`Entry`](crate::notices::Entry) | | | |
//! | `/v1/notices/test` | | tells one: list of [`Outcome`](crate::notices::Outcome) | | |
//! | `/v1/unlock` | | | [`wire::Unlock`] | |
//! | `/v1/identity` | [`wire::Identity`] | | | |
//! | `/v1/join` | | [`wire::Join`] | | |
//! | `/v1/join/waiting` | | [`wire::JoinWaiting`] | | |
//! | `/v1/tunnel` | [`LinkStatus`](crate::link::LinkStatus) | | | |
//! | `/v1/tunnel/timer` | | | [`wire::RotationTimer`] | |
//! | `/v1/tunnel/rotate` | | starts a rotation: [`TunnelKeys`](crate::link::TunnelKeys) | | |

mod certificates;
mod dns;
mod domains;
mod forwards;
mod masks;
mod secondaries;
mod shares;

mod users;

mod imports;
mod mail;

mod aliases;

mod queue;
mod trace;

mod relays;
mod reports;

mod bans;

mod notices;

mod join;

mod tunnel;

pub mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use postern_message::address::DomainName;
use postern_shared::http::{Method, Request, Response, StatusCode};
use postern_store::Store;
use postern_store::directory::{Directory, DirectoryError};
use postern_store::journal::Journal;
use postern_store::queue::Queue;
use postern_store::reports::Reports;
use serde::Serialize;
use tokio::sync::watch;

use crate::bans::Bans;
use crate::certificate::keeper::Wishes;
use crate::certificate::report::Report as CertificateReport;
use crate::hostname::Hostname;
use crate::import::jobs::Imports;
use crate::link::Link;
use crate::mta_sts;
use crate::notices::{Notices, Teller};
use crate::outbound::by_relay::Prober;
use crate::relay::Relays;
use crate::reputation;
use crate::reputation::rates::Tally;
use crate::resolver::Resolver;
use crate::status::{self, Listening};
use crate::survey::Survey;
use crate::tls::Tls;
use crate::zone;

/// What the administration interface shows and changes; cheap to clone.
#[derive(Clone)]
pub struct Admin {
    /// Domains, users and aliases.
    pub directory: Directory,
    /// Their mail.
    pub store: Store,
    /// Mail that is moved in from other servers.
    pub imports: Imports,
    /// Mail on its way out.
    pub queue: Arc<Queue>,
    /// What others report of our mail.
    pub reports: Arc<Reports>,
    /// What became of each message.
    pub journal: Journal,
    /// The edge.
    pub link: Link,
    /// Who is banned there.
    pub bans: Bans,
    /// How the zones are.
    pub zones: watch::Receiver<zone::publish::Report>,
    /// What the zones are made of.
    pub sources: zone::Sources,
    /// What the world sees of them.
    pub survey: Survey,
    /// How the certificates are.
    pub certificates: watch::Receiver<CertificateReport>,
    /// What is wished of them.
    pub wishes: Wishes,
    /// The domains' names and policies on the web.
    pub web: watch::Receiver<mta_sts::Seen>,
    /// How long all must be right before senders are told to insist on TLS.
    pub enforce_after: Option<Duration>,
    /// Who answers home's own questions.
    pub resolver: Resolver,
    /// What home is called.
    pub hostname: Hostname,
    /// The certificate.
    pub tls: Tls,
    /// What is listened on.
    pub listening: Arc<Listening>,
    /// Where everything is kept.
    pub state_dir: PathBuf,
    /// How often a backup is made; `None` where none is.
    pub backup_every: Option<Duration>,
    /// What the owner was told, and is to be.
    pub notices: Notices,
    /// How.
    pub teller: Teller,
    /// Servers that send for us.
    pub relays: Relays,
    /// Looks whether they work.
    pub prober: Prober,
    /// What the world thinks of the address that mail leaves from.
    pub reputation: watch::Receiver<reputation::Report>,
    /// What destinations take.
    pub tally: Tally,
    /// Domains whose mail servers are asked whether mail can leave.
    pub mail_servers: Vec<DomainName>,
}

/// Why a request was not done: the HTTP status and the sentences for the operator.
#[derive(Debug)]
struct Refusal(StatusCode, String);

impl Admin {
    /// Answers one request.
    pub async fn handle(self, request: Request) -> Response {
        match (request.method.clone(), request.segments().as_slice()) {
            (Method::GET, ["v1", "doctor"]) => answer(Ok(crate::doctor::examine(&self).await)),
            (Method::GET, ["v1", "dns", domain, "delegation"]) => {
                answer(dns::delegation(&self, domain).await)
            }
            (Method::GET, ["v1", "dns", domain, "diff"]) => answer(dns::difference(&self, domain).await),
            (Method::POST, ["v1", "join"]) => answer(join::join(&self, &request).await),
            (Method::POST, ["v1", "join", "waiting"]) => answer(join::join_waiting(&self, &request).await),
            (Method::POST, ["v1", "notices", "test"]) => answer(notices::test(&self).await),
            (Method::GET, ["v1", "relays"]) => answer(relays::list(&self).await),
            (Method::GET, ["v1", "relays", name]) => answer(relays::show(&self, name).await),
            (Method::POST, ["v1", "relays"]) => answer(relays::add(&self, &request).await),
            (Method::POST, ["v1", "relays", name, "test"]) => answer(relays::test(&self, name).await),
            (Method::GET, ["v1", "secondaries"]) => answer(secondaries::list(&self).await),
            (Method::POST, ["v1", "reports", "dmarc"]) => answer(reports::dmarc(&self, &request).await),
            (Method::POST, ["v1", "reports", "tls"]) => answer(reports::tls(&self, &request).await),
            (Method::POST, ["v1", "bans"]) => answer(bans::add(&self, &request).await),
            (Method::PUT, ["v1", "certificates"]) => answer(certificates::renew(&self, &request).await),
            (Method::POST, ["v1", "certificates"]) => answer(certificates::import(&self, &request).await),
            (Method::PUT, ["v1", "tunnel", "timer"]) => answer(tunnel::rotate_every(&self, &request).await),
            (Method::POST, ["v1", "tunnel", "rotate"]) => answer(tunnel::rotate(&self).await),
            _ => {
                let work = tokio::task::spawn_blocking(move || self.handle_blocking(&request));
                work.await.unwrap_or_else(|_| stopped())
            }
        }
    }

    /// All that waits for the disk.
    fn handle_blocking(&self, request: &Request) -> Response {
        let method = &request.method;
        match (method, request.segments().as_slice()) {
            (&Method::GET, ["v1", "status"]) => answer(Ok(status::gather(self).0)),
            // It is open: the daemon answers this way only then, see `run::locked`.
            (&Method::PUT, ["v1", "unlock"]) => answer(Ok(wire::Done {})),
            (&Method::GET, ["v1", "identity"]) => answer(Ok(join::identity(self))),
            (&Method::GET, ["v1", "tunnel"]) => answer(Ok(tunnel::show(self))),
            (&Method::GET, ["v1", "domains"]) => answer(Ok(domains::list(self))),
            (&Method::POST, ["v1", "domains"]) => change(request, |body| domains::add(self, body)),
            (&Method::PUT, ["v1", "domains"]) => change(request, |body| domains::set_dns(self, body)),
            (&Method::DELETE, ["v1", "domains"]) => change(request, |body| domains::remove(self, body)),
            (_, ["v1", "secondaries", path @ ..]) => secondaries::handle(self, request, path),
            (_, ["v1", "dns", domain, path @ ..]) => dns::handle(self, request, domain, path),
            (&Method::GET, ["v1", "certificates"]) => answer(Ok(certificates::list(self))),
            (&Method::GET, ["v1", "users"]) => answer(users::list(self)),
            (&Method::POST, ["v1", "users"]) => change(request, |body| users::add(self, body)),
            (&Method::PUT, ["v1", "users", "password"]) => {
                change(request, |body| users::set_password(self, body))
            }
            (&Method::PUT, ["v1", "users", "release"]) => change(request, |body| users::release(self, &body)),
            (&Method::DELETE, ["v1", "users"]) => change(request, |body| users::remove(self, body)),
            (&Method::GET, ["v1", "quota"]) => answer(Ok(mail::quotas(self))),
            (&Method::PUT, ["v1", "quota"]) => change(request, |body| mail::set_quota(self, body)),
            (&Method::POST, ["v1", "mail", "deleted"]) => change(request, |body| mail::deleted(self, body)),
            (&Method::POST, ["v1", "mail", "restore"]) => change(request, |body| mail::restore(self, body)),
            (&Method::GET, ["v1", "imports"]) => answer(Ok(imports::list(self))),
            (&Method::POST, ["v1", "imports"]) => change(request, |body| imports::start(self, body)),
            (&Method::DELETE, ["v1", "imports"]) => change(request, |body| imports::stop(self, &body)),
            (&Method::GET, ["v1", "shares"]) => answer(shares::list(self)),
            (&Method::PUT, ["v1", "shares"]) => change(request, |body| shares::set(self, body)),
            (&Method::DELETE, ["v1", "shares"]) => change(request, |body| shares::remove(self, body)),
            (&Method::GET, ["v1", "aliases"]) => answer(Ok(aliases::list(self))),
            (&Method::POST, ["v1", "aliases"]) => change(request, |body| aliases::add(self, body)),
            (&Method::DELETE, ["v1", "aliases"]) => change(request, |body| aliases::remove(self, body)),
            (&Method::PUT, ["v1", "catch-all"]) => change(request, |body| domains::set_catch_all(self, body)),
            (&Method::GET, ["v1", "forwards"]) => answer(Ok(forwards::list(self))),
            (&Method::PUT, ["v1", "forwards"]) => change(request, |body| forwards::set(self, body)),
            (&Method::DELETE, ["v1", "forwards"]) => change(request, |body| forwards::remove(self, body)),
            (&Method::GET, ["v1", "masks"]) => answer(Ok(masks::list_all(self))),
            (&Method::POST, ["v1", "masks"]) => change(request, |body| masks::add(self, body)),
            (&Method::PUT, ["v1", "masks"]) => change(request, |body| masks::set(self, body)),
            (&Method::GET, ["v1", "notices"]) => answer(Ok(notices::list(self))),
            (&Method::GET, ["v1", "bans"]) => answer(Ok(bans::list(self))),
            (&Method::DELETE, ["v1", "bans"]) => change(request, |body| bans::remove(self, body)),
            (&Method::DELETE, ["v1", "relays", name]) => answer(relays::remove(self, name)),
            (&Method::PUT, ["v1", "relay-uses"]) => change(request, |body| relays::assign(self, body)),
            (&Method::GET, ["v1", "relay-overflow"]) => answer(Ok(relays::overflow(self))),
            (&Method::DELETE, ["v1", "relay-overflow"]) => {
                change(request, |body| relays::take_back(self, &body))
            }
            (&Method::DELETE, ["v1", "relay-warm-up"]) => {
                change(request, |body| relays::end_warm_up(self, &body))
            }
            (&Method::GET, ["v1", "queue"]) => answer(queue::list(self)),
            (&Method::GET, ["v1", "queue", id]) => answer(queue::show(self, id)),
            (&Method::POST, ["v1", "queue", id, "retry"]) => answer(queue::retry(self, id)),
            (&Method::POST, ["v1", "queue", id, "hold"]) => answer(queue::hold(self, id)),
            (&Method::POST, ["v1", "queue", id, "release"]) => answer(queue::release(self, id)),
            (&Method::POST, ["v1", "queue", "flush"]) => answer(queue::flush(self)),
            (&Method::POST, ["v1", "trace"]) => change(request, |body| trace::find(self, &body)),
            (&Method::DELETE, ["v1", "queue", id]) => answer(queue::drop_message(self, id)),
            _ => Response::not_found(),
        }
    }
}

/// Reads the body, makes the change, answers.
fn change<B, T>(request: &Request, change: impl FnOnce(B) -> Result<T, Refusal>) -> Response
where
    B: serde::de::DeserializeOwned,
    T: Serialize,
{
    match request.json() {
        Ok(body) => answer(change(body)),
        Err(malformed) => malformed,
    }
}

fn answer<T: Serialize>(outcome: Result<T, Refusal>) -> Response {
    match outcome {
        Ok(value) => Response::ok(&value),
        Err(Refusal(status, sentences)) => Response::error(status, sentences),
    }
}

fn stopped() -> Response {
    answer::<()>(Err(stopped_work()))
}

fn stopped_work() -> Refusal {
    let sentences = "the request ended with a fault of the program; see its log.";
    Refusal(StatusCode::INTERNAL_SERVER_ERROR, sentences.to_owned())
}

impl From<DirectoryError> for Refusal {
    fn from(error: DirectoryError) -> Self {
        use DirectoryError as E;
        let status = match &error {
            E::UnknownDomain(_)
            | E::UnknownUser(_)
            | E::UnknownAlias(_)
            | E::UnknownMask(_)
            | E::UnknownSecondary(_) => StatusCode::NOT_FOUND,
            E::DomainExists(_)
            | E::DomainInUse { .. }
            | E::IsUser(_)
            | E::IsAlias(_)
            | E::IsMask(_)
            | E::Circle(_)
            | E::SecondaryExists(_)
            | E::TooManyKeys(_) => StatusCode::CONFLICT,
            E::DomainTooShort(_)
            | E::HasDetail(_)
            | E::UnknownTarget(_)
            | E::PasswordTooShort
            | E::PasswordTooLong
            | E::PasswordControl => StatusCode::UNPROCESSABLE_ENTITY,
            E::KeyGeneration | E::Corrupt(_) | E::Storage(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, format!("{error}."))
    }
}

impl From<postern_store::Error> for Refusal {
    fn from(error: postern_store::Error) -> Self {
        let status = match &error {
            postern_store::Error::NotFound(_) => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, format!("{error}."))
    }
}
