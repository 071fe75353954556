//! The daemon: opens what home keeps, listens, keeps the link to the edge, and stops cleanly.
//!
//! In: the configuration, signals. Out: the services. Refused, before anything is served: a state directory that cannot
//! be written or that another daemon uses, an address that is taken, files that cannot be used. Each is a [`Failure`].
//!
//! SIGTERM and SIGINT stop the program: sessions say goodbye, the tunnel comes down, what was acknowledged is on the disk
//! already. SIGHUP takes up changed certificate files.

pub(crate) mod lock;
mod locked;

mod listen;
mod purge;
mod services;

use std::sync::Arc;

use postern_shared::cli::Failure;
use postern_shared::{http, local};
use postern_store::directory::Directory;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::hostname::Hostname;
use crate::inner::{self, Choice};
use crate::memory;
use crate::notices;
use crate::status::{self, Listening};
use crate::store_key::{Keys, Opened};
use crate::tls::Tls;
use services::Services;

/// Runs the daemon until it is told to stop. `ready` is called when every service listens, or when it waits for a passphrase.
///
/// # Errors
/// What kept it from starting.
pub fn run(config: Config, keys: &Keys, ready: impl FnOnce()) -> Result<(), Failure> {
    memory::keep_out_of_core_dumps();
    memory::give_back_what_is_freed();
    let _lock = lock::state_dir(&config.state_dir)?;
    let opened = keys.open(&config.state_dir)?;
    // Its process is made while this one has a single thread.
    let choice = inner::choose(config.tunnel.link, &config.tunnel.interface).map_err(cannot_start)?;
    tracing::info!(kind = %choice.network.kind(), reason = choice.reason.as_deref().unwrap_or("first choice"), "inner network");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(cannot_start)?;
    runtime.block_on(serve(config, choice, opened, ready))
}

async fn serve(config: Config, choice: Choice, opened: Opened, ready: impl FnOnce()) -> Result<(), Failure> {
    let mut signals = Signals::new().map_err(cannot_start)?;
    let mut ready = Some(ready);
    let mut tell_ready = || ready.take().into_iter().for_each(|ready| ready());
    let place = match opened {
        Opened::Open(place) => place,
        Opened::Locked(locked) => {
            let unlocked = locked::wait(locked, bind_socket(&config)?);
            tracing::warn!("the mail is locked; `postern-home unlock` opens it");
            tell_ready();
            tokio::select! {
                place = unlocked => place?,
                () = signals.stop() => return Ok(()),
            }
        }
    };
    let listeners = listen::bind(&config.listen, &choice.network)?;
    listeners.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let socket = bind_socket(&config)?;
    let (services, wished) = Services::open(config, &place, choice)?;
    let keeper = services.keeper()?;

    let (stop, shutdown) = watch::channel(false);
    let mut background = background(&services, socket, listeners.shown());
    background.spawn(keeper.run(wished));
    if let Some(backups) = services.backups(&place) {
        background.spawn(backups.run());
    }
    let mut serving = services.start(listeners.bound, &shutdown);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "ready");
    tell_ready();

    let outcome = loop {
        tokio::select! {
            wish = signals.next() => match wish {
                Wish::Reload => reload(&services.tls, &services.hostname),
                Wish::Stop => break Ok(()),
            },
            _ = serving.join_next() => break Err(service_lost()),
            _ = background.join_next() => break Err(service_lost()),
        }
    };
    tracing::info!("stopping");
    // Receivers are only gone when nothing serves any more.
    let _ = stop.send(true);
    services.imports.stop_all();
    while serving.join_next().await.is_some() {}
    services.link.shutdown().await;
    outcome
}

fn bind_socket(config: &Config) -> Result<local::Server, Failure> {
    local::Server::bind(&config.runtime_dir).map_err(|error| Failure::failed(error.to_string()))
}

/// Every task runs until it is told to stop, so one that ends by itself has panicked. A daemon that does half its work
/// is worse than one that is started anew.
fn service_lost() -> Failure {
    Failure::failed(
        "a part of the daemon ended by itself, which is a fault of the program; the lines before tell where.",
    )
}

/// What runs beside the services until the set is dropped.
fn background(services: &Services, socket: local::Server, listening: Arc<Listening>) -> JoinSet<()> {
    let Services { directory, hostname, tls, network, .. } = services;
    let admin = services.admin(listening);
    let mut tasks = JoinSet::new();
    let (watched, Services { notices, teller, .. }) = (admin.clone(), services);
    let watcher = notices::Watcher { notices: notices.clone(), teller: teller.clone() };
    tasks.spawn(watcher.run(move || status::gather(&watched).1));
    tasks.spawn(socket.serve(http::Limits::default(), move |request| admin.clone().handle(request)));
    tasks.spawn(purge::run(
        services.store.clone(),
        services.reports.clone(),
        services.link.clone(),
        services.config.store.undelete(),
    ));
    tasks.spawn(services.reporter().run(services.link.clone()));
    tasks.spawn(services.publisher().run());
    tasks.spawn(services.survey.clone().watch());
    tasks.spawn(services.policy_watcher().run());
    tasks.spawn(services.reputation_watch().run());
    tasks.spawn(follow_hostname(directory.clone(), hostname.clone(), tls.clone()));
    let network = network.clone();
    tasks.spawn(async move { network.lost().await });
    tasks
}

/// Shows the certificate of the new host name when the first domain comes or goes.
async fn follow_hostname(directory: Directory, hostname: Hostname, tls: Tls) {
    let mut changes = directory.subscribe();
    let mut shown = hostname.current();
    while changes.changed().await.is_ok() {
        let current = hostname.current();
        if current != shown {
            reload(&tls, &hostname);
            shown = current;
        }
    }
}

fn reload(tls: &Tls, hostname: &Hostname) {
    match tls.reload(&hostname.current()) {
        Ok(()) => tracing::info!(hostname = %hostname.current(), "certificate taken up"),
        Err(error) => tracing::error!(%error, "certificate cannot be taken up; the old one is shown on"),
    }
}

fn cannot_start(error: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("the daemon cannot start: {error}."))
}

/// The signals that are listened to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// What a signal asks for.
enum Wish {
    Stop,
    Reload,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the end.
    async fn stop(&mut self) {
        while let Wish::Reload = self.next().await {}
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.hang_up.recv() => Wish::Reload,
        }
    }
}
