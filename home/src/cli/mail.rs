//! `postern-home mail`: mail that was deleted, and putting it back.

use clap::{Args, Subcommand};
use jiff::civil::Date;
use postern_message::address::EmailAddress;
use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;
use postern_store::account::Removed;

use super::client::Client;
use super::table::Table;
use crate::admin::wire::{OfUser, Restore, Restored};

/// `postern-home mail …`
#[derive(Debug, Subcommand)]
pub enum MailCommand {
    /// List a user's deleted mail that can be put back
    #[command(after_help = "Example:\n  postern-home mail deleted ana@home.example --since 2026-11-01")]
    Deleted {
        /// The user
        user: EmailAddress,
        /// Which messages
        #[command(flatten)]
        choice: Choice,
    },
    /// Put deleted mail back into the mailboxes that it was in
    #[command(
        after_help = "Examples:\n  postern-home mail restore ana@home.example --mailbox Work --since 2026-11-01\n  postern-home mail restore ana@home.example --search invoice\n  postern-home mail restore ana@home.example --id 17 --id 18"
    )]
    Restore {
        /// The user
        user: EmailAddress,
        /// Which messages
        #[command(flatten)]
        choice: Choice,
        /// Everything that is kept
        #[arg(long, conflicts_with_all = ["mailbox", "since", "until", "search", "id"])]
        all: bool,
    },
}

/// Some of the deleted messages: all that every given condition is true of.
#[derive(Debug, Args)]
pub struct Choice {
    /// Deleted from this mailbox
    #[arg(long, value_name = "NAME")]
    mailbox: Option<String>,
    /// Deleted on this day (UTC) or later
    #[arg(long, value_name = "DATE")]
    since: Option<Date>,
    /// Deleted on this day (UTC) or earlier
    #[arg(long, value_name = "DATE")]
    until: Option<Date>,
    /// With this text in subject, sender or the beginning of the text
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// With this number in the list; may be repeated
    #[arg(long, value_name = "ID")]
    id: Vec<i64>,
}

pub(super) fn execute(client: &Client, command: MailCommand) -> Result<Exit, Failure> {
    match command {
        MailCommand::Deleted { user, choice } => {
            let removed = deleted(client, &user, &choice)?;
            client.print(&removed, table(&removed))
        }
        MailCommand::Restore { user, choice, all } => {
            if choice.is_empty() && !all {
                return Err(Failure::usage(
                    "say which messages (--mailbox, --since, --until, --search, --id), or --all.",
                ));
            }
            let ids: Vec<_> = deleted(client, &user, &choice)?.iter().map(|removed| removed.id).collect();
            if ids.is_empty() {
                return Err(Failure::failed(format!(
                    "nothing that is kept fits; `postern-home mail deleted {user}` lists it."
                )));
            }
            let restored: Restored = client.call(Method::POST, "/v1/mail/restore", &Restore { user, ids })?;
            client.print(&restored, format_args!("{} message(s) are back.", restored.messages))
        }
    }
}

fn deleted(client: &Client, user: &EmailAddress, choice: &Choice) -> Result<Vec<Removed>, Failure> {
    let mut removed: Vec<Removed> =
        client.call(Method::POST, "/v1/mail/deleted", &OfUser { user: user.clone() })?;
    removed.retain(|removed| choice.matches(removed));
    Ok(removed)
}

impl Choice {
    fn is_empty(&self) -> bool {
        let Choice { mailbox, since, until, search, id } = self;
        mailbox.is_none() && since.is_none() && until.is_none() && search.is_none() && id.is_empty()
    }

    fn matches(&self, removed: &Removed) -> bool {
        let day = removed.removed.to_zoned(jiff::tz::TimeZone::UTC).date();
        let texts = [&removed.subject, &removed.from, &removed.preview];
        let has =
            |text: &String| texts.iter().any(|field| field.to_lowercase().contains(&text.to_lowercase()));
        self.mailbox.as_ref().is_none_or(|mailbox| removed.mailbox == *mailbox)
            && self.since.is_none_or(|since| day >= since)
            && self.until.is_none_or(|until| day <= until)
            && self.search.as_ref().is_none_or(has)
            && (self.id.is_empty() || self.id.contains(&removed.id))
    }
}

fn table(removed: &[Removed]) -> Table {
    let mut table = Table::new(["ID", "DELETED", "MAILBOX", "OCTETS", "FROM", "SUBJECT"]);
    for one in removed {
        table.row([
            one.id.to_string(),
            one.removed.to_string(),
            one.mailbox.clone(),
            one.size.to_string(),
            one.from.clone(),
            one.subject.clone(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removed() -> Removed {
        let moment = "2026-11-20T12:00:00Z".parse().expect("a moment");
        Removed {
            id: 7,
            mailbox: "Work".to_owned(),
            size: 100,
            internal_date: moment,
            removed: moment,
            subject: "INVOICE 12".to_owned(),
            from: "ANA".to_owned(),
            preview: "Dear Bo".to_owned(),
        }
    }

    fn choice() -> Choice {
        Choice { mailbox: None, since: None, until: None, search: None, id: Vec::new() }
    }

    #[test]
    fn every_condition_narrows() {
        let day = |text: &str| Some(text.parse().expect("a day"));
        assert!(choice().matches(&removed()));
        assert!(Choice { search: Some("invoice".to_owned()), ..choice() }.matches(&removed()));
        assert!(
            Choice { since: day("2026-11-20"), until: day("2026-11-20"), ..choice() }.matches(&removed())
        );
        assert!(!Choice { since: day("2026-11-21"), ..choice() }.matches(&removed()));
        assert!(!Choice { until: day("2026-11-19"), ..choice() }.matches(&removed()));
        assert!(!Choice { mailbox: Some("INBOX".to_owned()), ..choice() }.matches(&removed()));
        assert!(!Choice { id: vec![8], ..choice() }.matches(&removed()));
    }
}
