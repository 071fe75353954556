//! One order (RFC 8555 §7.4), from the account to the chain, and the question when to renew.

use std::time::Duration;

use postern_message::address::DomainName;
use rustls::crypto::aws_lc_rs as provider;
use tokio::time::Instant;

use super::{Keeper, chance};
use crate::certificate::acme::{AcmeError, Https, HttpsError, account, order::Order};
use crate::certificate::book::{self, BookError, certificates};
use crate::certificate::key::{self, signing_request};
use crate::certificate::life::{self, Span, Stage};
use crate::certificate::names::NameSet;
use crate::certificate::x509::{self, ChainError};
use crate::link::seconds_now;
use crate::zone::CHALLENGE_TTL;

/// How long the world may take to see a challenge's answer.
const PUBLICATION: Duration = Duration::from_secs(300);

/// How long a secondary name server may take to follow the edge.
const FOLLOWING: Duration = Duration::from_secs(60);

/// After this no resolver remembers answers that were taken back; the edge may have served them for a second longer.
const OBLIVION: Duration = Duration::from_secs(CHALLENGE_TTL as u64 + 2);

/// Why an order came to nothing.
#[derive(Debug, thiserror::Error)]
enum OrderError {
    #[error(transparent)]
    Acme(#[from] AcmeError),
    #[error("the authority's certificate is not good: {0}")]
    Chain(#[from] ChainError),
    #[error("the zone with the answers to the challenges was not published within {} min", PUBLICATION.as_secs() / 60)]
    Unpublished,
    #[error("there is nothing to order: the key or the directory is missing")]
    Nothing,
    #[error(transparent)]
    Book(#[from] BookError),
}

impl From<HttpsError> for OrderError {
    fn from(error: HttpsError) -> Self {
        Self::Acme(error.into())
    }
}

impl From<rcgen::Error> for OrderError {
    fn from(error: rcgen::Error) -> Self {
        Self::Acme(error.into())
    }
}

impl Keeper {
    /// Orders a certificate, or goes on with the order that is under way.
    pub(super) async fn order(&mut self, set: &NameSet, stage: Stage) -> Result<(), BookError> {
        let https = match Https::new(self.parts.config.root.as_deref()) {
            Ok(https) => https,
            Err(error) => return self.fail(set, error.to_string(), None).await,
        };
        let mut outcome = self.obtain(set, stage, &https).await;
        if matches!(&outcome, Err(OrderError::Acme(error)) if error.is_account_unknown()) {
            self.forget_account(stage).await?;
            outcome = self.obtain(set, stage, &https).await;
        }
        self.withdraw(set);
        match outcome {
            Ok(()) => Ok(()),
            Err(OrderError::Book(error)) => Err(error),
            Err(error) => {
                // The order of a chain that is refused is kept: the authority would issue the same once more.
                if matches!(error, OrderError::Acme(AcmeError::Invalid(_))) {
                    self.change(set, |entry| entry.life.order_over()).await?;
                }
                self.fail(set, error.to_string(), https.take_pause()).await
            }
        }
    }

    async fn obtain(&mut self, set: &NameSet, stage: Stage, https: &Https) -> Result<(), OrderError> {
        let directory = self.directory_of(stage).ok_or(OrderError::Nothing)?;
        let account = self.account(https, &directory).await?;
        let mut order = self.place(set, stage, &account).await?;
        self.challenges = order.challenges().await?;
        if !self.challenges.is_empty() {
            self.await_publication(set).await?;
        }
        order.prove().await?;
        self.withdraw(set);
        self.publish(&self.look());
        let entry = self.book.sets.get(set.id()).ok_or(OrderError::Nothing)?;
        let key = entry.life.next.as_ref().ok_or(OrderError::Nothing)?.key;
        let material = entry.keys.get(&key).ok_or(OrderError::Nothing)?;
        let chain = order.finish(&signing_request(&material.pkcs8, &set.names)?).await?;
        let algorithms = provider::default_provider().signature_verification_algorithms;
        let span = x509::check(&certificates(&chain), key, &set.names, seconds_now(), &algorithms)?.span;
        Ok(self.issued(set, stage, chain, span).await?)
    }

    fn directory_of(&self, stage: Stage) -> Option<String> {
        let config = &self.parts.config;
        let directory = match stage {
            Stage::Staging => config.staging(),
            Stage::Production => config.directory(),
        };
        directory.map(str::to_owned)
    }

    /// The account with an authority; its key is kept before the authority hears of it.
    async fn account(&mut self, https: &Https, directory: &str) -> Result<instant_acme::Account, OrderError> {
        if !self.book.accounts.contains_key(directory) {
            let (_, key) = key::generate()?;
            let fresh = book::Account { key, url: None, authorities: Vec::new(), terms: None, proven: false };
            self.keep_account(directory, fresh).await?;
        }
        let mut kept = self.book.accounts.get(directory).cloned().ok_or(OrderError::Nothing)?;
        if kept.url.is_none() {
            let contact = self.parts.config.contact.as_ref().map(ToString::to_string);
            let authority = account::authority(https, directory).await?;
            (kept.authorities, kept.terms) = (authority.caa_identities, authority.terms_of_service);
            kept.url = Some(account::register(https, directory, &kept, contact.as_deref()).await?);
            tracing::info!(
                directory,
                account = kept.url,
                terms = kept.terms,
                "account with a certificate authority, whose terms of service are agreed to"
            );
            self.keep_account(directory, kept.clone()).await?;
        }
        Ok(account::open(https, directory, &kept).await?)
    }

    /// The key stays: with it the authority gives an account again, or a new one, which has none of the old orders.
    async fn forget_account(&mut self, stage: Stage) -> Result<(), BookError> {
        let mut book = self.book.clone();
        let account = self.directory_of(stage).and_then(|directory| book.accounts.get_mut(&directory));
        if let Some(account) = account {
            account.url = None;
        }
        book.forget_orders(stage);
        self.keep(book).await
    }

    async fn keep_account(&mut self, directory: &str, account: book::Account) -> Result<(), BookError> {
        let mut book = self.book.clone();
        book.accounts.insert(directory.to_owned(), account);
        self.keep(book).await
    }

    /// The order that is under way, or a new one.
    async fn place(
        &mut self,
        set: &NameSet,
        stage: Stage,
        account: &instant_acme::Account,
    ) -> Result<Order, OrderError> {
        let entry = self.book.sets.get(set.id()).ok_or(OrderError::Nothing)?;
        let placed = entry.life.next.as_ref().and_then(|next| next.order.clone());
        if let Some(placed) = placed.filter(|placed| placed.stage == stage)
            && let Some(order) = Order::find(account, &placed.url).await?
        {
            return Ok(order);
        }
        let present = entry.life.present.as_ref().and_then(|present| entry.keys.get(&present.key));
        let replaced = present.filter(|material| !material.imported && stage == Stage::Production);
        let replaced =
            replaced.and_then(|material| x509::renewal_identifier(material.certificates().first()?));
        let order = Order::place(account, &set.names, replaced.as_ref()).await?;
        let (url, placed) = (order.url().to_owned(), seconds_now());
        self.change(set, |entry| entry.life.ordered(life::Order { url, stage, placed })).await?;
        Ok(order)
    }

    /// Publishes the answers and waits until every name server has them; for secondaries not long, since one that is out of
    /// order must not be in the way for ever.
    async fn await_publication(&mut self, set: &NameSet) -> Result<(), OrderError> {
        let deadline = Instant::now() + PUBLICATION;
        let look = self.look();
        self.publish(&look);
        self.tell(&look);
        let mut links = self.parts.link.watch_status();
        let mut published = None;
        loop {
            let sight = self.observe(set, &self.look()).await;
            if sight.is_published {
                let since = *published.get_or_insert_with(Instant::now);
                if sight.lagging.is_empty() {
                    break;
                }
                if since.elapsed() >= FOLLOWING {
                    let secondaries: Vec<&str> = sight.lagging.iter().map(DomainName::as_str).collect();
                    tracing::warn!(names = ?set.names, ?secondaries, "not waited for with a proof");
                    break;
                }
                self.parts.link.ask_edge().await;
            }
            let changed = async {
                let _ = links.changed().await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            };
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                () = tokio::time::sleep_until(deadline) => return Err(OrderError::Unpublished),
            }
        }
        self.await_oblivion(set).await;
        Ok(())
    }

    /// The authority's resolver may remember the answers to the order before, which are others.
    async fn await_oblivion(&self, set: &NameSet) {
        if let Some((_, withdrawn)) = self.withdrawn.as_ref().filter(|(id, _)| id == set.id()) {
            tokio::time::sleep_until(*withdrawn + OBLIVION).await;
        }
    }

    /// Takes the answers back; the next look at the zones publishes that.
    fn withdraw(&mut self, set: &NameSet) {
        if !self.challenges.is_empty() {
            self.challenges.clear();
            self.withdrawn = Some((set.id().to_owned(), Instant::now()));
        }
    }

    async fn issued(
        &mut self,
        set: &NameSet,
        stage: Stage,
        chain: String,
        span: Span,
    ) -> Result<(), BookError> {
        tracing::info!(names = ?set.names, ?stage, "certificate issued");
        if stage == Stage::Production {
            return self
                .change(set, |entry| {
                    let key = entry.life.next.as_ref().map(|next| next.key);
                    if let Some(material) = key.and_then(|key| entry.keys.get_mut(&key)) {
                        material.chain = Some(chain);
                    }
                    entry.life.issued(span);
                })
                .await;
        }
        let mut book = self.book.clone();
        if let Some(entry) = book.sets.get_mut(set.id()) {
            entry.life.order_over();
            entry.life.trouble = None;
        }
        if let Some(directory) = self.parts.config.directory() {
            match book.accounts.get_mut(directory) {
                Some(account) => account.proven = true,
                None => {
                    let Ok((_, key)) = key::generate() else { return Ok(()) };
                    let fresh =
                        book::Account { key, url: None, authorities: Vec::new(), terms: None, proven: true };
                    book.accounts.insert(directory.to_owned(), fresh);
                }
            }
        }
        self.keep(book).await
    }

    /// Asks the authority when it wants the present certificate renewed (RFC 9773 §4.1).
    pub(super) async fn ask_suggestion(&mut self, set: &NameSet) -> Result<(), BookError> {
        let answer = self.suggestion(set).await;
        let (now, dice) = (seconds_now(), chance());
        self.change(set, |entry| match answer {
            Some((window, after)) => entry.life.suggested(window, after, now, dice),
            None => entry.life.not_suggested(now),
        })
        .await
    }

    async fn suggestion(&self, set: &NameSet) -> Option<(Span, u64)> {
        let entry = self.book.sets.get(set.id())?;
        let material =
            entry.keys.get(&entry.life.present.as_ref()?.key).filter(|material| !material.imported)?;
        let identifier = x509::renewal_identifier(material.certificates().first()?)?;
        let directory = self.parts.config.directory()?;
        let https = Https::new(self.parts.config.root.as_deref()).ok()?;
        let account = account::open(&https, directory, self.book.accounts.get(directory)?).await.ok()?;
        let (info, after) = account.renewal_info(&identifier).await.ok()?;
        let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
        let (start, end) = (info.suggested_window.start, info.suggested_window.end);
        let window = Span { from: seconds(start.unix_timestamp()), until: seconds(end.unix_timestamp()) };
        (window.from < window.until).then_some((window, after.as_secs()))
    }
}
