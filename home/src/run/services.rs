//! What home keeps open while it runs, what stands behind each listener, and the worker that delivers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use postern_shared::cli::Failure;
use postern_smtp::server::Limits;
use postern_store::directory::Directory;
use postern_store::journal::Journal;
use postern_store::queue::Queue;
use postern_store::reports::Reports;
use postern_store::senders::Senders;
use postern_store::{Place, Store};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::cannot_start;
use super::listen::Bound;
use crate::access::imap::Imap;
use crate::access::pop3::{self, Pop3};
use crate::admin::Admin;
use crate::backup::{self, Backup};
use crate::bans::Bans;
use crate::certificate::acme::Https;
use crate::certificate::keeper::{self, Keeper, Wish, Wishes};
use crate::certificate::report::Report as CertificateReport;
use crate::config::{Config, Listen, ServiceKind};
use crate::forward::Forwarder;
use crate::hostname::Hostname;
use crate::import::jobs::Imports;
use crate::inbound::checks::lists::Lists;
use crate::inbound::checks::rate::Rate;
use crate::inbound::regulars::Regulars;
use crate::inbound::{self, Inbound};
use crate::inner::{Choice, Network};
use crate::link::{Link, LinkConfig};
use crate::mta_sts;
use crate::net::{ConnectionLimits, Listener, LoginFailures, Security, Service};
use crate::notices::{Notices, Teller};
use crate::outbound;
use crate::outbound::by_relay::Prober;
use crate::outbound::demand::policies::Policies;
use crate::relay::Relays;
use crate::reports::{Intake, Sender};
use crate::reputation;
use crate::reputation::rates::Tally;
use crate::resolver::Resolver;
use crate::smtp;
use crate::status::Listening;
use crate::submission::{self, Submission};
use crate::survey::{Survey, Surveyor};
use crate::tls::{self, Tls};
use crate::web::{Site, Web};
use crate::zone;
use crate::zone::issuance::Issuance;

/// Connections of one service at once, in all and from one client network.
const CONNECTIONS: (usize, usize) = (1000, 50);

/// What the services share.
pub(super) struct Services {
    pub(super) config: Config,
    pub(super) directory: Directory,
    pub(super) store: Store,
    /// Mail that is moved in from other servers.
    pub(super) imports: Imports,
    pub(super) queue: Arc<Queue>,
    /// What others report of our mail.
    pub(super) reports: Arc<Reports>,
    pub(super) journal: Journal,
    pub(super) hostname: Hostname,
    pub(super) tls: Tls,
    pub(super) resolver: Resolver,
    pub(super) network: Network,
    pub(super) link: Link,
    /// Who is banned at the edge.
    pub(super) bans: Bans,
    /// How the zones are.
    pub(super) zones: watch::Sender<zone::publish::Report>,
    /// What they are made of.
    pub(super) sources: zone::Sources,
    /// What the world sees of them.
    pub(super) survey: Survey,
    /// What certificates need of them.
    pub(super) issuance: watch::Sender<Issuance>,
    /// How the certificates are.
    pub(super) certificates: watch::Sender<CertificateReport>,
    /// What the operator wishes of them.
    pub(super) wishes: Wishes,
    /// The domains' names and policies on the web.
    pub(super) web: watch::Sender<mta_sts::Seen>,
    /// Failed logins, counted together for submission, IMAP and POP3.
    pub(super) failures: LoginFailures,
    /// Who has sent mail before.
    pub(super) regulars: Regulars,
    /// What the owner is told.
    pub(super) notices: Notices,
    /// How.
    pub(super) teller: Teller,
    /// Servers that send for us.
    pub(super) relays: Relays,
    /// What the world thinks of the address that mail leaves from.
    pub(super) reputation: watch::Sender<reputation::Report>,
    /// What destinations take.
    pub(super) tally: Tally,
    /// The web servers of others; absent where this machine trusts no authority.
    https: Option<Https>,
}

impl Services {
    /// Opens everything, and starts the link last: nothing else can fail after it. Wishes come out of the other end.
    pub(super) fn open(
        config: Config,
        place: &Place,
        choice: Choice,
    ) -> Result<(Self, mpsc::Receiver<Wish>), Failure> {
        let network = choice.network.clone();
        let directory = Directory::open(place).map_err(cannot_start)?;
        let store = Store::open(place).map_err(cannot_start)?;
        if config.store.undelete().is_some() {
            store.keep_removed();
        }
        let queue = Arc::new(Queue::open(place).map_err(cannot_start)?);
        let reports = Arc::new(Reports::open(place).map_err(cannot_start)?);
        let journal = Journal::open(place, config.journal.bounds()).map_err(cannot_start)?;
        let senders = Senders::open(place).map_err(cannot_start)?;
        let regulars = Regulars::open(senders).map_err(cannot_start)?;
        let hostname = Hostname::new(config.hostname.clone(), directory.clone());
        let tls = Tls::open(&config.tls, &config.state_dir, &hostname.current())?;
        let resolver = Resolver::new(&config.dns.resolver, config.dns.dnssec()).map_err(cannot_start)?;
        let bans = Bans::open(&config.state_dir, config.bans.policy()).map_err(cannot_start)?;
        let link = Link::start(link_config(&config, choice, &bans)).map_err(cannot_start)?;
        let (evidence, inbox) = bans.evidence();
        let failures = LoginFailures::reporting(evidence);
        tokio::spawn(bans.clone().follow(inbox, link.clone()));
        let zones = watch::Sender::default();
        let issuance = watch::Sender::default();
        let sources = zone::Sources {
            directory: directory.clone(),
            hostname: hostname.clone(),
            offered: offered(&config.listen),
            link: link.clone(),
            issuance: issuance.subscribe(),
        };
        let survey = Survey::new(sources.clone(), Surveyor::new(resolver.clone()));
        let web = watch::Sender::new(mta_sts::watch::kept(&directory));
        let (wishes, wished) = Wishes::new();
        let notices = Notices::open(directory.clone()).map_err(cannot_start)?;
        let relays = Relays::open(directory.clone()).map_err(cannot_start)?;
        let https = Https::new(config.acme.root.as_deref());
        let https =
            https.map_err(|error| tracing::warn!(%error, "no web server of others can be asked")).ok();
        let ways = config.notices.clone();
        let teller = Teller::new(ways, directory.clone(), queue.clone(), hostname.clone(), https.clone());
        let services = Self {
            config,
            directory,
            store,
            imports: Imports::default(),
            queue,
            reports,
            journal,
            hostname,
            tls,
            resolver,
            network,
            link,
            bans,
            zones,
            sources,
            survey,
            issuance,
            certificates: watch::Sender::default(),
            wishes,
            web,
            failures,
            regulars,
            notices,
            teller,
            relays,
            reputation: watch::Sender::default(),
            tally: Tally::default(),
            https,
        };
        Ok((services, wished))
    }

    /// What the administration interface shows and changes.
    pub(super) fn admin(&self, listening: Arc<Listening>) -> Admin {
        Admin {
            directory: self.directory.clone(),
            store: self.store.clone(),
            imports: self.imports.clone(),
            queue: self.queue.clone(),
            reports: self.reports.clone(),
            journal: self.journal.clone(),
            link: self.link.clone(),
            bans: self.bans.clone(),
            zones: self.zones.subscribe(),
            sources: self.sources.clone(),
            survey: self.survey.clone(),
            certificates: self.certificates.subscribe(),
            wishes: self.wishes.clone(),
            web: self.web.subscribe(),
            enforce_after: self.config.mta_sts.enforce_after,
            resolver: self.resolver.clone(),
            hostname: self.hostname.clone(),
            tls: self.tls.clone(),
            listening,
            state_dir: self.config.state_dir.clone(),
            backup_every: self.config.backup.repository.is_some().then_some(self.config.backup.every),
            notices: self.notices.clone(),
            teller: self.teller.clone(),
            relays: self.relays.clone(),
            prober: self.prober(),
            reputation: self.reputation.subscribe(),
            tally: self.tally.clone(),
            mail_servers: self.config.doctor.mail_servers.clone(),
        }
    }

    /// Starts every service; the tasks end after `shutdown` says so.
    pub(super) fn start(&self, listeners: Vec<Bound>, shutdown: &watch::Receiver<bool>) -> JoinSet<()> {
        let (inbound, submission) = (self.inbound(), self.submission());
        let (imap, pop3) = (self.imap(), self.pop3());
        let web = Web::new(self.site());
        let mut tasks = JoinSet::new();
        for Bound { service: kind, listener, is_inner: _ } in listeners {
            let (service, stop) = (self.service(kind, listener), shutdown.clone());
            match kind {
                ServiceKind::Smtp => {
                    let inbound = inbound.clone();
                    let handle = move |connection| inbound.clone().serve(connection, stop.clone());
                    tasks.spawn(service.serve(shutdown.clone(), handle));
                }
                ServiceKind::Submissions | ServiceKind::Submission => {
                    let submission = submission.clone();
                    let handle = move |connection| submission.clone().serve(connection, stop.clone());
                    tasks.spawn(service.serve(shutdown.clone(), handle));
                }
                ServiceKind::Imaps => {
                    let imap = imap.clone();
                    let handle = move |connection| imap.clone().serve(connection, stop.clone());
                    tasks.spawn(service.serve(shutdown.clone(), handle));
                }
                ServiceKind::Pop3s | ServiceKind::Pop3 => {
                    let pop3 = pop3.clone();
                    let handle = move |connection| pop3.clone().serve(connection, stop.clone());
                    tasks.spawn(service.serve(shutdown.clone(), handle));
                }
                ServiceKind::Https => {
                    let web = web.clone();
                    let handle = move |connection| web.clone().serve(connection, stop.clone());
                    tasks.spawn(service.serve(shutdown.clone(), handle));
                }
            }
        }
        tasks.spawn(self.delivery().run(shutdown.clone()));
        tasks
    }

    fn service(&self, kind: ServiceKind, listener: Listener) -> Service {
        let security = match kind {
            ServiceKind::Submissions => Security::Implicit(self.tls.server()),
            ServiceKind::Imaps => Security::Implicit(self.tls.server_speaking("imap")),
            ServiceKind::Pop3s => Security::Implicit(self.tls.server_speaking("pop3")),
            ServiceKind::Pop3 => Security::Clear { busy: pop3::BUSY },
            ServiceKind::Https => Security::Implicit(self.tls.server_speaking("http/1.1")),
            ServiceKind::Smtp | ServiceKind::Submission => Security::Clear { busy: smtp::BUSY },
        };
        let (most, most_per_network) = CONNECTIONS;
        Service {
            name: kind.name(),
            listener,
            security,
            limits: ConnectionLimits::new(most, most_per_network),
        }
    }

    /// Mail from other servers.
    fn inbound(&self) -> Inbound {
        Inbound::new(inbound::Parts {
            forwarder: self.forwarder(),
            hostname: self.hostname.clone(),
            directory: self.directory.clone(),
            store: self.store.clone(),
            resolver: self.resolver.clone(),
            journal: self.journal.clone(),
            tls: self.tls.server(),
            limits: self.limits(),
            policy: self.config.inbound.clone(),
            observed: self.reports.clone(),
            reports: Intake::start(self.reports.clone(), self.directory.clone()),
            lists: Lists::new(
                &self.config.inbound.dnsbl,
                &self.config.inbound.dnswl,
                self.resolver.servers(),
            ),
            regulars: self.regulars.clone(),
            edge: self.link.edge_addresses(),
            failures: self.failures.clone(),
            rate: Rate::new(self.config.inbound.messages_per_hour),
        })
    }

    /// What sends on to addresses elsewhere.
    fn forwarder(&self) -> Forwarder {
        Forwarder {
            directory: self.directory.clone(),
            queue: self.queue.clone(),
            journal: self.journal.clone(),
        }
    }

    /// Mail from the users' programs, whichever way TLS begins.
    fn submission(&self) -> Submission {
        Submission::new(submission::Parts {
            hostname: self.hostname.clone(),
            directory: self.directory.clone(),
            store: self.store.clone(),
            queue: self.queue.clone(),
            journal: self.journal.clone(),
            tls: self.tls.server(),
            limits: self.limits(),
            policy: self.config.submission.clone(),
            notices: self.notices.clone(),
            failures: self.failures.clone(),
        })
    }

    /// Mailboxes for the users' programs.
    fn imap(&self) -> Imap {
        Imap::new(
            self.directory.clone(),
            self.store.clone(),
            self.tls.server(),
            self.failures.clone(),
            self.config.smtp.max_message_octets,
        )
    }

    /// The same for programs that fetch mail.
    fn pop3(&self) -> Pop3 {
        Pop3::new(self.directory.clone(), self.store.clone(), self.tls.server(), self.failures.clone())
    }

    /// The pages of the web service; mail programs are told of what the world reaches.
    fn site(&self) -> Site {
        let reached = forward(&self.config.listen);
        let services = self.config.listen.services().map(|(kind, _)| kind);
        Site {
            directory: self.directory.clone(),
            hostname: self.hostname.clone(),
            offered: services.into_iter().filter(|kind| reached.contains_key(&kind.public_port())).collect(),
            seen: self.web.subscribe(),
        }
    }

    /// Watches certificates and zones for what the web service may promise.
    pub(super) fn policy_watcher(&self) -> mta_sts::Watcher {
        mta_sts::Watcher {
            directory: self.directory.clone(),
            hostname: self.hostname.clone(),
            tls: self.tls.clone(),
            link: self.link.clone(),
            is_reached: forward(&self.config.listen).contains_key(&ServiceKind::Https.public_port()),
            enforce_after: self.config.mta_sts.enforce_after,
            seen: self.web.clone(),
        }
    }

    /// Sends the reports that others ask for.
    pub(super) fn reporter(&self) -> Sender {
        Sender {
            reports: self.reports.clone(),
            directory: self.directory.clone(),
            queue: self.queue.clone(),
            resolver: self.resolver.clone(),
            config: self.config.reports.clone(),
        }
    }

    /// Signs the zones and hands them to the link.
    pub(super) fn publisher(&self) -> zone::publish::Publisher {
        zone::publish::Publisher {
            sources: self.sources.clone(),
            dkim: self.config.dkim.clone(),
            report: self.zones.clone(),
        }
    }

    /// Makes backups, where they are wanted.
    pub(super) fn backups(&self, place: &Place) -> Option<backup::Keeper> {
        let wanted = &self.config.backup;
        let backup = Backup {
            place: place.clone(),
            configuration: self.config.path.clone(),
            repository: wanted.repository.clone()?,
            keep: wanted.keep(),
            host: self.hostname.current().to_string(),
        };
        Some(backup::Keeper { backup, every: wanted.every, drill_every: wanted.drill_every })
    }

    /// Cares for the certificates.
    pub(super) fn keeper(&self) -> Result<Keeper, Failure> {
        let parts = keeper::Parts {
            directory: self.directory.clone(),
            hostname: self.hostname.clone(),
            tls: self.tls.clone(),
            link: self.link.clone(),
            config: self.config.acme.clone(),
            zones: self.zones.subscribe(),
            issuance: self.issuance.clone(),
            report: self.certificates.clone(),
        };
        Keeper::open(parts).map_err(cannot_start)
    }

    fn limits(&self) -> Limits {
        Limits {
            message_octets: self.config.smtp.max_message_octets,
            recipients: self.config.smtp.max_recipients,
            ..Limits::default()
        }
    }

    /// The worker that delivers what is queued.
    fn delivery(&self) -> outbound::Worker {
        let policies = Policies::new(self.resolver.clone(), self.directory.clone(), self.https.clone());
        let parts = outbound::Parts {
            queue: self.queue.clone(),
            journal: self.journal.clone(),
            store: self.store.clone(),
            directory: self.directory.clone(),
            resolver: self.resolver.clone(),
            policies: Arc::new(policies),
            hostname: self.hostname.clone(),
            tls: tls::opportunistic_client(),
            network: self.network.clone(),
            relays: self.relays.clone(),
            tally: self.tally.clone(),
            idle: outbound::IdleConnections::default(),
        };
        outbound::Worker::new(parts, self.config.queue.settings(), self.gate())
    }

    /// Watches what the world thinks of the address that mail leaves from.
    pub(super) fn reputation_watch(&self) -> reputation::Watch {
        reputation::Watch {
            resolver: self.resolver.clone(),
            addresses: self.link.edge_addresses(),
            families: self.config.queue.settings().families,
            blocklists: self.config.reputation.blocklists.clone(),
            report: self.reputation.clone(),
        }
    }

    fn prober(&self) -> Prober {
        Prober {
            resolver: self.resolver.clone(),
            hostname: self.hostname.clone(),
            network: self.network.clone(),
            gate: self.gate(),
            families: self.config.queue.settings().families,
        }
    }

    /// The way to other servers.
    fn gate(&self) -> outbound::Gate {
        outbound::Gate::new(self.link.edge_addresses(), self.link.watch_status())
    }
}

fn link_config(config: &Config, choice: Choice, bans: &Bans) -> LinkConfig {
    let Choice { network, reason: network_reason } = choice;
    LinkConfig {
        state_dir: config.state_dir.clone(),
        network,
        network_reason,
        interface: config.tunnel.interface.clone(),
        mtu: config.tunnel.mtu,
        service_ports: service_ports(config),
        forward: forward(&config.listen),
        bans: bans.watch(),
        drain: config.tunnel.drain(),
    }
}

/// Where the world's connections go: each service's public port to the port that it has here. A service that is bound to
/// single addresses only is not for the world, since a wildcard alone takes what comes through the tunnel.
fn forward(listen: &Listen) -> BTreeMap<u16, u16> {
    let reached = |address: &&SocketAddr| address.ip().is_unspecified() && address.port() != 0;
    let services = listen.services().into_iter();
    services
        .filter_map(|(kind, addresses)| Some((kind.public_port(), addresses.iter().find(reached)?.port())))
        .collect()
}

/// The services that are listened for.
fn offered(listen: &Listen) -> Arc<[ServiceKind]> {
    let services = listen.services();
    services.iter().filter(|(_, addresses)| !addresses.is_empty()).map(|(kind, _)| *kind).collect()
}

/// The ports of all services, however they are bound.
fn service_ports(config: &Config) -> Vec<u16> {
    config
        .listen
        .services()
        .iter()
        .flat_map(|(_, addresses)| addresses.iter().map(SocketAddr::port))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_that_the_world_can_reach_are_forwarded() {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("an address")).collect();
        let listen = Listen {
            smtp: addresses(&["127.0.0.1:25", "[::]:2525"]),
            submissions: addresses(&[]),
            submission: addresses(&["192.168.1.20:587"]),
            imaps: addresses(&["0.0.0.0:993"]),
            pop3s: addresses(&["[::1]:995"]),
            pop3: addresses(&[]),
            https: addresses(&[]),
        };
        assert_eq!(forward(&listen), BTreeMap::from([(25, 2525), (993, 993)]));
        assert_eq!(
            forward(&Listen::default()),
            [25, 443, 465, 587, 993, 995].map(|port| (port, port)).into()
        );
    }
}
