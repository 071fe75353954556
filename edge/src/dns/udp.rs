//! DNS over UDP: one task for each socket, one batch at a time, nothing queued.
//!
//! In: datagrams. Out: answers, each from the address that was asked, limited by [`Limiter`]. What comes faster than it is
//! answered stays in the kernel's buffer, and is dropped there when that is full.

use std::convert::Infallible;
use std::io;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::task::coop::consume_budget;

use super::Shared;
use super::limit::{Limiter, Verdict};
use super::mmsg::{BATCH, Batch};
use super::respond::{Asker, Transport, respond, shorten};

/// How often the log says that answers are limited.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Answers until the socket fails.
pub(super) async fn serve(socket: UdpSocket, shared: Shared) -> io::Error {
    match answer_all(socket, &shared).await {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

async fn answer_all(socket: UdpSocket, shared: &Shared) -> io::Result<Infallible> {
    let (mut batch, mut answers) = (Batch::new(), vec![Vec::new(); BATCH]);
    loop {
        socket.readable().await?;
        match socket.try_io(Interest::READABLE, || batch.receive(&socket)) {
            Ok(count) => {
                answer(&batch, count, shared, &mut answers);
                batch.send(&socket, &answers);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // An ICMP error about an earlier answer, or memory that is short: the next call may succeed.
            Err(error) => tracing::debug!(%error, "dns queries could not be received"),
        }
        consume_budget().await;
    }
}

/// Fills `answers` for the first `count` datagrams of a batch; those that get no answer have an empty one.
fn answer(batch: &Batch, count: usize, shared: &Shared, answers: &mut [Vec<u8>]) {
    let zones = shared.zones.current();
    let context = shared.context(&zones);
    let mut limiter =
        shared.limiter.as_ref().map(|limiter| limiter.lock().unwrap_or_else(PoisonError::into_inner));
    let now = Instant::now();
    for (at, out) in answers.iter_mut().enumerate().take(count) {
        out.clear();
        let Some((message, sender)) = batch.datagram(at) else { continue };
        let asker = Asker { address: sender.ip(), transport: Transport::Udp };
        let Some(reply) = respond(message, asker, &context, out) else { continue };
        let Some(limiter) = limiter.as_mut().filter(|_| !reply.is_proven) else { continue };
        match limiter.judge(sender.ip(), message.len(), out.len(), now) {
            Verdict::Send => {}
            Verdict::Shorten => shorten(reply, out),
            Verdict::Drop => out.clear(),
        }
    }
    if let Some(limiter) = &mut limiter {
        limiter.say(now);
    }
}

impl Limiter {
    /// Says in the log, at most once in [`SAY_EVERY`], how many answers were limited.
    fn say(&mut self, now: Instant) {
        if let Some(limited) = self.news(SAY_EVERY, now) {
            tracing::info!(limited, "dns answers to unproven addresses were limited");
        }
    }
}
