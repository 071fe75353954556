//! What others learn of the certificates: TLS clients, the zones, the operator.

use std::sync::Arc;

use super::{Keeper, Look};
use crate::certificate::book::{self, Entry};
use crate::certificate::life::Stage;
use crate::certificate::names::{NameSet, Role};
use crate::certificate::report::{self, Circumstances, Origin, Report};
use crate::tls::Better;
use crate::zone::issuance::{Issuance, Issuer};

impl Keeper {
    /// Shows every certificate that there is.
    pub(super) fn show(&self, look: &Look) {
        let mut better = Better::default();
        for set in &look.sets {
            let Some(shown) = self.book.sets.get(set.id()).and_then(Entry::shown).map(Arc::new) else {
                continue;
            };
            let is_host = set.role == Role::Host;
            if is_host && self.parts.tls.has_files() {
                continue;
            }
            if is_host {
                better.host = Some(shown.clone());
            }
            better.by_name.extend(set.names.iter().map(|name| (name.clone(), shown.clone())));
        }
        self.parts.tls.show(better);
    }

    /// Tells the zones what they shall say.
    pub(super) fn publish(&self, look: &Look) {
        let host = look.sets.iter().find(|set| set.role == Role::Host);
        let keys = host.map(|set| self.host_keys(set, look)).unwrap_or_default();
        let issuance = Issuance {
            host: Some((look.host.clone(), keys)).filter(|(_, keys)| !keys.is_empty()),
            issuers: self.issuers(),
            challenges: self.challenges.clone(),
        };
        self.parts.issuance.send_if_modified(|before| {
            let is_new = *before != issuance;
            *before = issuance;
            is_new
        });
    }

    /// While a key is still to be made the zones say nothing of the others, so that no record set is ever without the one
    /// that comes next.
    fn host_keys(&self, set: &NameSet, look: &Look) -> Vec<[u8; 32]> {
        let policy = self.policy(set, look);
        let life = self.book.sets.get(set.id()).map(|entry| entry.life.clone()).unwrap_or_default();
        if policy.tlsa_ttl.is_none()
            || (policy.stage.is_some() && life.next.is_none() && life.present.is_none())
        {
            return Vec::new();
        }
        let keys = if self.parts.tls.has_files() {
            look.fallback.into_iter().collect()
        } else {
            life.keys(policy.fallback)
        };
        keys.iter().map(|key| key.0).collect()
    }

    fn issuers(&self) -> Vec<Issuer> {
        let production = self.parts.config.directory();
        let staging = self.parts.config.staging().filter(|_| self.stage() == Some(Stage::Staging));
        let accounts = production.into_iter().chain(staging).filter_map(|url| self.book.accounts.get(url));
        let issuer = |account: &book::Account| {
            Some(Issuer { authority: account.authorities.first()?.clone(), account: account.url.clone()? })
        };
        let mut issuers: Vec<Issuer> = accounts.filter_map(issuer).collect();
        issuers.dedup();
        issuers
    }

    pub(super) fn tell(&self, look: &Look) {
        let describe = |set: &NameSet| {
            let is_host = set.role == Role::Host;
            let (fallback, origin) = match (is_host, self.parts.tls.has_files()) {
                (true, true) => (self.parts.tls.fallback(), Origin::Files),
                (true, false) => (self.parts.tls.fallback(), Origin::SelfSigned),
                (false, _) => (None, Origin::None),
            };
            let circumstances = Circumstances {
                set,
                policy: self.policy(set, look),
                fallback,
                origin,
                hindrance: self.hindrance(set, look),
                automatic: self.is_ordered(set, look),
            };
            report::describe(&self.book, circumstances)
        };
        let certificates = look.sets.iter().map(describe).collect();
        let account = self.parts.config.directory().and_then(|url| self.book.accounts.get(url));
        let terms = account.and_then(|account| account.terms.clone());
        let troubles = self.trouble.iter().cloned().collect();
        self.parts.report.send_replace(Report { certificates, terms, troubles });
    }

    /// Whether home orders for a set by itself.
    fn is_ordered(&self, set: &NameSet, look: &Look) -> bool {
        let has_files = set.role == Role::Host && self.parts.tls.has_files();
        let is_served = set.names.iter().all(|name| self.zone_of(name, look).is_some());
        !has_files && is_served && self.parts.config.directory().is_some()
    }

    /// Why nothing is ordered for a set, in words.
    pub(super) fn hindrance(&self, set: &NameSet, look: &Look) -> Option<String> {
        if set.role == Role::Host && self.parts.tls.has_files() {
            return Some("the files of the section `[tls]` are yours to renew".to_owned());
        }
        if self.parts.config.directory().is_none() {
            return Some("nothing: `directory` in the section `[acme]` is \"off\"".to_owned());
        }
        if let Some(foreign) = set.names.iter().find(|name| self.zone_of(name, look).is_none()) {
            return Some(format!(
                "nothing: the DNS of {foreign} is not served by this home. Get the certificate elsewhere, and name it in the \
                 section `[tls]` or bring it here: `postern-home cert import`"
            ));
        }
        look.clock.clone().err().map(|doubt| format!("the clock is set, since {doubt}"))
    }
}
