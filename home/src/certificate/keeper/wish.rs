//! What the operator may wish: a renewal before its time, and a certificate of another source.

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::Keeper;
use crate::certificate::book::BookError;
use crate::certificate::import::{self, ImportError};
use crate::certificate::names::{NameSet, wildcard};
use crate::link::seconds_now;
use crate::zone::clock::timestamp;

/// A wish, and where the answer goes.
#[derive(Debug)]
pub enum Wish {
    /// Renew these names' certificate now, or all.
    Renew(Option<String>, oneshot::Sender<Result<Vec<String>, WishError>>),
    /// Take this certificate and key, in PEM.
    Import(Import, oneshot::Sender<Result<Vec<String>, WishError>>),
}

/// A certificate and its key, in PEM.
pub struct Import {
    /// The certificate, then those that vouch for it.
    pub chain: String,
    /// The private key.
    pub key: zeroize::Zeroizing<String>,
}

impl std::fmt::Debug for Import {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Import(…)")
    }
}

/// Why a wish was not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum WishError {
    /// The certificate is not good.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// No certificate has this name.
    #[error("no certificate of this home is for {0}; `postern-home cert list` shows those that there are")]
    Unknown(String),
    /// Nothing is ordered.
    #[error("{0}")]
    Hindered(String),
    /// The authority wants to be left alone.
    #[error("the authority wants no order before {}; it is ordered then", .0.strftime("%Y-%m-%d %H:%MZ"))]
    PutOff(Timestamp),
    /// It could not be kept.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The program is stopping.
    #[error("the daemon is stopping")]
    Stopping,
}

/// The way to the keeper; cheap to clone.
#[derive(Debug, Clone)]
pub struct Wishes(mpsc::Sender<Wish>);

impl Wishes {
    /// A way, and the end that the keeper takes.
    pub fn new() -> (Self, mpsc::Receiver<Wish>) {
        let (sender, receiver) = mpsc::channel(4);
        (Self(sender), receiver)
    }

    /// Renews the certificate of this name, or all; gives the names of those that are.
    ///
    /// # Errors
    /// See [`WishError`].
    pub async fn renew(&self, name: Option<String>) -> Result<Vec<String>, WishError> {
        let (answer, result) = oneshot::channel();
        self.ask(Wish::Renew(name, answer), result).await
    }

    /// Takes a certificate; gives its names.
    ///
    /// # Errors
    /// See [`WishError`].
    pub async fn import(&self, import: Import) -> Result<Vec<String>, WishError> {
        let (answer, result) = oneshot::channel();
        self.ask(Wish::Import(import, answer), result).await
    }

    async fn ask<T>(
        &self,
        wish: Wish,
        result: oneshot::Receiver<Result<T, WishError>>,
    ) -> Result<T, WishError> {
        self.0.send(wish).await.map_err(|_| WishError::Stopping)?;
        result.await.map_err(|_| WishError::Stopping)?
    }
}

impl Keeper {
    /// Does what is wished, and answers; who asked may have gone.
    pub(super) async fn fulfil(&mut self, wish: Wish) {
        match wish {
            Wish::Renew(name, answer) => drop(answer.send(self.hurry(name).await)),
            Wish::Import(import, answer) => drop(answer.send(self.import(import).await)),
        }
    }

    async fn hurry(&mut self, name: Option<String>) -> Result<Vec<String>, WishError> {
        let look = self.look();
        let is_meant = |set: &&NameSet| name.as_ref().is_none_or(|name| set.names.contains(name));
        let sets: Vec<NameSet> = look.sets.iter().filter(is_meant).cloned().collect();
        if let (true, Some(name)) = (sets.is_empty(), name) {
            return Err(WishError::Unknown(name));
        }
        let mut hurried = Vec::new();
        let mut hindrance = None;
        let mut put_off = None;
        for set in sets {
            if self.policy(&set, &look).stage.is_none() {
                hindrance = self.hindrance(&set, &look);
                continue;
            }
            let mut until = None;
            self.change(&set, |entry| until = entry.life.hurried(look.now)).await?;
            match until {
                Some(until) => put_off = put_off.max(Some(until)),
                None => hurried.extend(set.names),
            }
        }
        match (put_off, hindrance) {
            (Some(until), _) if hurried.is_empty() => Err(WishError::PutOff(timestamp(until))),
            (None, Some(hindrance)) if hurried.is_empty() => {
                Err(WishError::Hindered(format!("nothing is ordered: {hindrance}")))
            }
            _ => Ok(hurried),
        }
    }

    async fn import(&mut self, import: Import) -> Result<Vec<String>, WishError> {
        let now = seconds_now();
        let (key, material, description) = import::check(&import.chain, &import.key, now)?;
        let look = self.look();
        let covers = |name: &String| {
            description.names.contains(name)
                || wildcard(name).is_some_and(|wildcard| description.names.contains(&wildcard))
        };
        let sets = look.sets.iter().filter(|set| set.names.iter().all(covers)).cloned();
        let sets: Vec<NameSet> = sets.collect();
        if sets.is_empty() {
            let wanted: Vec<String> = look.sets.iter().flat_map(|set| set.names.clone()).collect();
            let (found, wanted) = (description.names.join(", "), wanted.join(", "));
            return Err(ImportError::Names { found, wanted }.into());
        }
        let mut names = Vec::new();
        for set in sets {
            let material = material.clone();
            self.change(&set, |entry| {
                entry.keys.insert(key, material);
                entry.life.imported(key, description.span);
            })
            .await?;
            names.extend(set.names);
        }
        Ok(names)
    }
}
