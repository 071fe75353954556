//! What stands behind each listener, and the worker that delivers.

use std::sync::Arc;

use postern_smtp::server::Limits;
use postern_store::Store;
use postern_store::directory::Directory;
use postern_store::queue::Queue;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::listen::Bound;
use crate::config::Config;
use crate::hostname::Hostname;
use crate::inbound::Inbound;
use crate::link::Link;
use crate::net::{Connection, ConnectionLimits, LoginFailures, Security, Service};
use crate::outbound;
use crate::resolver::Resolver;
use crate::submission::Submission;
use crate::tls::{self, Tls};

/// Connections of one service at once, in all and from one client network.
const CONNECTIONS: (usize, usize) = (1000, 50);

/// What the services share.
pub(super) struct Services {
    pub(super) config: Config,
    pub(super) directory: Directory,
    pub(super) store: Store,
    pub(super) queue: Arc<Queue>,
    pub(super) hostname: Hostname,
    pub(super) tls: Tls,
    pub(super) resolver: Resolver,
    pub(super) link: Link,
}

impl Services {
    /// Starts every service; the tasks end after `shutdown` says so.
    pub(super) fn start(&self, listeners: Vec<Bound>, shutdown: &watch::Receiver<bool>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let (inbound, submission) = (self.inbound(), self.submission());
        for Bound { service: name, listener } in listeners {
            let security = match name {
                "submissions" | "imaps" => Security::Implicit(self.tls.server()),
                _ => Security::Clear,
            };
            let (most, most_per_network) = CONNECTIONS;
            let limits = ConnectionLimits::new(most, most_per_network);
            let service = Service { name, listener, security, limits };
            match name {
                "smtp" => {
                    let (inbound, stop) = (inbound.clone(), shutdown.clone());
                    let handle = move |connection| inbound.clone().serve(connection, stop.clone());
                    tasks.spawn(service.serve(shutdown.clone(), handle));
                }
                "submission" | "submissions" => {
                    let (submission, stop) = (submission.clone(), shutdown.clone());
                    let handle = move |connection| submission.clone().serve(connection, stop.clone());
                    tasks.spawn(service.serve(shutdown.clone(), handle));
                }
                _ => {
                    tasks.spawn(
                        service.serve(
                            shutdown.clone(),
                            |connection: Connection| async move { drop(connection) },
                        ),
                    );
                }
            }
        }
        tasks.spawn(self.delivery().run(shutdown.clone()));
        tasks
    }

    fn inbound(&self) -> Inbound {
        Inbound::new(
            self.hostname.clone(),
            self.directory.clone(),
            self.store.clone(),
            self.resolver.clone(),
            self.tls.server(),
            self.smtp_limits(),
        )
    }

    fn submission(&self) -> Submission {
        Submission::new(
            self.hostname.clone(),
            self.directory.clone(),
            self.store.clone(),
            self.queue.clone(),
            self.tls.server(),
            self.smtp_limits(),
            LoginFailures::default(),
        )
    }

    fn smtp_limits(&self) -> Limits {
        Limits {
            message_octets: self.config.smtp.max_message_octets,
            recipients: self.config.smtp.max_recipients,
            ..Limits::default()
        }
    }

    /// The worker that delivers what is queued.
    fn delivery(&self) -> outbound::Worker {
        let parts = outbound::Parts {
            queue: self.queue.clone(),
            store: self.store.clone(),
            directory: self.directory.clone(),
            resolver: self.resolver.clone(),
            hostname: self.hostname.clone(),
            tls: tls::opportunistic_client(),
        };
        let gate = outbound::Gate::new(self.link.edge_addresses(), self.link.watch_status());
        outbound::Worker::new(parts, outbound::Settings::default(), gate)
    }
}
