//! Starts the log: structured events on standard error, as text or as one JSON object a line.
//!
//! In: the `[log]` section of the configuration. Out: a global `tracing` subscriber. Levels mean: TRACE per packet,
//! DEBUG per decision, INFO per event an operator may want, WARN a person should look, ERROR service is lost.

use std::io;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use crate::cli::Colour;

/// The `[log]` section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The least important level that is written.
    pub level: Level,
    /// The form of a line.
    pub format: Format,
}

/// The least important level that is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Service is lost.
    Error,
    /// A person should look.
    Warn,
    /// Events an operator may want.
    #[default]
    Info,
    /// Decisions.
    Debug,
    /// Packets and protocol lines.
    Trace,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Level {
    /// Our own crates at this level; libraries no chattier than INFO, and the DNS library, which reports every
    /// malformed query of a stranger as a warning, only from ERROR up unless DEBUG is asked for. boringtun calls every
    /// lost handshake an error; the tunnel reports what matters itself.
    fn filter(self) -> EnvFilter {
        let directives = match self {
            Self::Error => "error,boringtun=off",
            Self::Warn => "warn,boringtun=off,hickory_server=error,hickory_net=error,hickory_proto=error",
            Self::Info => "info,boringtun=off,hickory_server=error,hickory_net=error,hickory_proto=error",
            Self::Debug => {
                "debug,hyper=info,hickory_server=info,hickory_net=info,hickory_proto=info,netlink_proto=info"
            }
            Self::Trace => "trace,hyper=debug,netlink_proto=debug,mio=debug",
        };
        EnvFilter::new(directives)
    }
}

/// Installs the subscriber. A second call in the same process changes nothing.
pub fn init(log: &Log, colour: Colour) {
    // Standard error may be a pipe whose reader has gone: losing the log must not end the service.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(log.level.filter())
        .with_writer(io::stderr)
        .log_internal_errors(false);
    let installed = match log.format {
        Format::Text => builder.with_ansi(colour.on_stderr()).try_init(),
        Format::Json => builder.json().try_init(),
    };
    if installed.is_err() {
        tracing::debug!("a log subscriber is already installed");
    }
}
