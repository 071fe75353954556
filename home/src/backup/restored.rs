//! What came back, beside what the manifest says that there was.

use std::path::Path;

use postern_store::Inspection;
use postern_store::Store;
use postern_store::account::AccountId;
use serde::{Deserialize, Serialize};

use super::manifest::{Counted, Manifest};
use super::{BackupError, Open};

/// A restored state directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Restored {
    /// Which home it was.
    pub host: String,
    /// Its accounts.
    pub accounts: Vec<Account>,
    /// What is wrong with the databases of all.
    pub damages: Vec<String>,
}

/// A restored account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Account {
    /// Whose it is.
    pub user: String,
    /// Its messages.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
    /// What is wrong with it; none is whole, and the same as it was.
    pub damages: Vec<String>,
}

impl Restored {
    pub(super) fn compare(target: &Path, open: &Open<'_>) -> Result<Self, BackupError> {
        let manifest = Manifest::take(target)?;
        let place = open(target).map_err(BackupError::Repository)?;
        // The databases' logs are made by whoever opens them to write.
        drop(Store::open(&place)?);
        let inspection = Inspection::of(&place);
        let damages = inspection.verify_server();
        let accounts = manifest.accounts.iter().map(|counted| compare(&inspection, counted)).collect();
        Ok(Self { host: manifest.host, accounts, damages })
    }

    /// The first damage, in one line.
    pub fn damage(&self) -> Option<String> {
        let of_accounts = self
            .accounts
            .iter()
            .flat_map(|account| account.damages.iter().map(|damage| format!("{}: {damage}", account.user)));
        self.damages.iter().cloned().chain(of_accounts).next()
    }

    /// The messages of all accounts.
    pub fn messages(&self) -> u64 {
        self.accounts.iter().map(|account| account.messages).sum()
    }
}

fn compare(inspection: &Inspection, was: &Counted) -> Account {
    let looked = inspection.account(AccountId(was.id)).and_then(|account| {
        let (damages, census) = (account.verify()?, account.census()?);
        Ok((damages, census))
    });
    let (mut damages, messages, octets) = match looked {
        Ok((damages, census)) => {
            let differs = (census != was.census).then(|| {
                format!("{} messages came back, and {} were backed up", census.messages, was.census.messages)
            });
            (damages.into_iter().chain(differs).collect(), census.messages, census.octets)
        }
        Err(error) => (vec![error.to_string()], 0, 0),
    };
    damages.dedup();
    Account { user: was.user.clone(), messages, octets, damages }
}
