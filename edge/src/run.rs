//! The daemon from start to stop.
//!
//! In: a checked configuration. Out: a running edge, until SIGTERM or SIGINT. Whatever fails on the way up is one
//! paragraph, and everything started before it is undone: each part undoes itself when it is dropped.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use postern_shared::cli::Failure;
use postern_shared::http::Limits;
use postern_shared::local;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::config::Config;
use crate::control::ControlServer;
use crate::dns::{NameServer, Served, notify};
use crate::enrol::Enrolment;
use crate::forward::Forwarding;
use crate::health::Health;
use crate::hold::Hold;
use crate::service::{Service, desired_state, on_stop};
use crate::state::State;
use crate::{admin, host, tunnel};

/// How often expired invites are looked for.
const EPOCH_REFRESH: Duration = Duration::from_secs(60);

/// How often the machine's addresses are looked up, and ended bans give way to those that they covered.
const REFRESH: Duration = Duration::from_secs(10);

/// The longest time between two looks at home's health; the tunnel's status itself changes every second.
const HEALTH_CHECK: Duration = Duration::from_secs(1);

/// Runs the edge; `ready` is called once everything listens.
///
/// # Errors
/// What could not be started, or what failed while running.
pub async fn run(config: Config, ready: impl FnOnce()) -> Result<(), Failure> {
    let mut stop = StopSignals::install()?;
    let survey = host::survey().await.map_err(failed)?;
    for warning in host::warnings(&config, &survey) {
        tracing::warn!("{warning}");
    }
    let public = host::public(&config, &survey);

    let state = State::open(&config.state_dir).map_err(failed)?;
    let enrolment = enrolment(&config)?;
    let served = Served::default();
    served.zones.replace(state.load_zones());
    served.secondaries.replace(state.load_secondaries());

    let tunnel = tunnel::start(&config.tunnel).await.map_err(failed)?;
    let tunnel_ended = tunnel.ended();
    let hold =
        Hold::bind().map_err(|error| failed(format!("no local port for held connections: {error}")))?;
    let wanted = desired_state(&config, state.load_forward().as_ref(), hold.port());
    let forwarding =
        Forwarding::start(wanted, public.interface.as_deref(), on_stop(&config)).map_err(failed)?;
    let mut name_server = NameServer::start(&config.dns, served.clone()).map_err(failed)?;
    let control = ControlServer::bind(&config).map_err(failed)?;
    let operator = local::Server::bind(&config.runtime_dir).map_err(failed)?;

    let hold_after = Duration::from_secs(config.forward.hold_after_seconds.into());
    let service =
        Arc::new(Service::new(config, public, served.clone(), state, enrolment, tunnel, forwarding).await);
    let sources = {
        let service = service.clone();
        Arc::new(move || service.name_server_addresses())
    };
    let on_operator_call = {
        let service = service.clone();
        move |request| {
            let service = service.clone();
            async move { admin::handle(&service, request).await }
        }
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "edge is ready");
    ready();
    tokio::select! {
        () = control.serve(service.clone()) => Err(Failure::failed("the control server ended by itself.")),
        () = operator.serve(Limits::default(), on_operator_call) => Err(Failure::failed("the administration socket ended.")),
        () = hold.serve() => Err(Failure::failed("the listener for held connections ended.")),
        () = notify::run(served, sources) => Err(Failure::failed("the notification of secondaries ended.")),
        () = follow_health(&service, hold_after) => Err(Failure::failed("the watch over home ended.")),
        () = refresh_epochs(&service) => Err(Failure::failed("the epoch refresh ended.")),
        () = refresh(&service) => Err(Failure::failed("the refresh of bans and addresses ended.")),
        () = tunnel_ended => Err(Failure::failed("the tunnel's thread ended by itself.")),
        error = name_server.failed() => Err(Failure::failed(format!("the name server failed: {error}."))),
        () = stop.received() => {
            tracing::info!("edge stops");
            Ok(())
        }
    }
}

fn enrolment(config: &Config) -> Result<Enrolment, Failure> {
    let mut enrolment = Enrolment::open(&config.state_dir).map_err(failed)?;
    if let Some(identity) = config.enrolment.home {
        let now = SystemTime::now();
        enrolment.await_home(identity, now).map_err(failed)?;
        if let Some(awaited) = enrolment.status(now).awaits {
            tracing::info!(home = %awaited.home, edge_key = %awaited.edge_key, "waiting for the home of the configuration");
        }
    }
    Ok(enrolment)
}

fn failed(error: impl std::fmt::Display) -> Failure {
    let text = error.to_string();
    Failure::failed(if text.ends_with('.') { text } else { format!("{text}.") })
}

async fn refresh_epochs(service: &Service) {
    let mut ticks = interval(EPOCH_REFRESH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        service.refresh_epochs().await;
    }
}

async fn refresh(service: &Service) {
    let mut ticks = interval(REFRESH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        service.refresh_public().await;
        service.refresh_bans().await;
    }
}

/// Holds new connections while home is silent, and shuts the mirror when its time is over.
async fn follow_health(service: &Service, hold_after: Duration) {
    let mut tunnel = service.watch_tunnel();
    let mut health = Health::new(hold_after, Instant::now());
    loop {
        let status = tunnel.borrow_and_update().clone();
        service.set_passage(health.judge(&status, Instant::now())).await;
        service.shut_mirror_in_time().await;
        // A tunnel that has ended ends the daemon elsewhere.
        let _ = timeout(HEALTH_CHECK, tunnel.changed()).await;
    }
}

/// Caught from the first moment, so that a stop during the start also undoes what was done.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn install() -> Result<Self, Failure> {
        let install =
            |kind| signal(kind).map_err(|error| failed(format!("signals cannot be caught: {error}")));
        Ok(Self {
            terminate: install(SignalKind::terminate())?,
            interrupt: install(SignalKind::interrupt())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
