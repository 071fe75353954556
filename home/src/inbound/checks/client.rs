//! The client as the DNS knows it: asked for once a connection, while the client waits for the greeting or talks on.
//!
//! In: its address. Out: its name, and what lists say of it. Refused: nothing; each question has a time-out of its own.

use std::net::IpAddr;
use std::sync::Arc;

use postern_shared::address::is_global;
use tokio::task::JoinHandle;

use super::lists::{Listing, Lists};
use crate::auth::iprev::{self, ReverseName};
use crate::inbound::regulars::Regulars;
use crate::resolver::Resolver;

/// What the client is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// A machine of this network, where no bots of others are.
    Near,
    /// From the internet; mail of its network was taken lately.
    Regular,
    /// From the internet.
    Stranger,
}

impl Relation {
    /// Finds out; `now` in seconds since 1970.
    pub fn of(client: IpAddr, regulars: &Regulars, now: u64) -> Self {
        match is_global(client) {
            false => Self::Near,
            true if regulars.knows(client, now) => Self::Regular,
            true => Self::Stranger,
        }
    }
}

/// What is known of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// What it is to us.
    pub relation: Relation,
    /// The name that leads back to it.
    pub name: ReverseName,
    /// Which lists have it.
    pub listing: Listing,
}

/// The questions about a client, under way or answered.
#[derive(Debug)]
pub enum Acquaintance {
    /// Under way, with what holds if they come to nothing.
    Asking(Client, JoinHandle<Client>),
    /// Answered.
    Made(Arc<Client>),
}

impl Acquaintance {
    /// Begins to ask.
    pub fn begin(resolver: Resolver, lists: Lists, address: IpAddr, relation: Relation) -> Self {
        let unknown = Client { address, relation, name: ReverseName::Unknown, listing: Listing::default() };
        let asking = async move {
            let (name, listing) =
                tokio::join!(iprev::judge(&resolver, address), lists.ask(&resolver, address));
            Client { address, relation, name, listing }
        };
        Self::Asking(unknown, tokio::spawn(asking))
    }

    /// The answers; waits for them, which the time-outs bound.
    pub async fn made(&mut self) -> Arc<Client> {
        let client = match self {
            Self::Made(client) => return client.clone(),
            Self::Asking(unknown, asking) => Arc::new(asking.await.unwrap_or_else(|_| unknown.clone())),
        };
        *self = Self::Made(client.clone());
        client
    }
}

impl Drop for Acquaintance {
    fn drop(&mut self) {
        if let Self::Asking(_, asking) = self {
            asking.abort();
        }
    }
}
