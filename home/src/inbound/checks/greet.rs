//! The greet pause: an honest client waits for the greeting (RFC 5321 §3.1), a bot often talks at once.
//!
//! In: a fresh connection. Out: whether the client waited. Refused: who talks before the greeting (554). Only strangers from
//! public networks wait: not who has sent mail here before, nor a machine of this network, where no bots of others are.

use std::time::Duration;

use postern_smtp::server::Refusal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::client::Relation;
use crate::net::Stream;

/// How long a refusal may take to be sent.
const FAREWELL: Duration = Duration::from_secs(10);

/// What the client did meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    /// It waited.
    Waited,
    /// It talked.
    Talked,
    /// It went away.
    Left,
}

/// How long this client waits for the greeting; `None` for not at all.
pub fn pause(configured: Option<Duration>, relation: Relation) -> Option<Duration> {
    configured.filter(|_| relation == Relation::Stranger)
}

/// Waits, and sees whether the client does.
pub async fn wait(stream: &mut Stream, pause: Duration) -> Manners {
    match timeout(pause, stream.read(&mut [0])).await {
        Err(_) => Manners::Waited,
        Ok(Ok(1..)) => Manners::Talked,
        Ok(Ok(0) | Err(_)) => Manners::Left,
    }
}

/// Sends the one line that a client who talked gets, and closes.
pub async fn send_away(mut stream: Stream) {
    let line = Refusal::EarlyTalker.reply().to_string();
    // Whether it still listens does not matter.
    let _ = timeout(FAREWELL, async {
        stream.write_all(line.as_bytes()).await?;
        stream.shutdown().await
    })
    .await;
}
