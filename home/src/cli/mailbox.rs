//! `postern-home mailbox`: mailboxes that users of this home share with each other.

use clap::Subcommand;
use postern_message::address::EmailAddress;
use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;
use postern_store::account::Rights;

use super::client::Client;
use super::table::Table;
use crate::admin::wire::share::{MailboxOf, Share};
use crate::admin::wire::{Done, OfAccounts};

/// What help says of rights.
const RIGHTS_HELP: &str = "Rights, as words or as the letters of RFC 4314:
  lookup (l)         see it in the list
  read (r)           read it
  write-seen (s)     change what is read and unread
  write (w)          change the other flags
  insert (i)         put messages into it
  post (p)           send mail to it; kept and shown, nothing asks for it
  create (k)         make mailboxes below it
  delete (x)         delete or rename it
  write-deleted (t)  mark messages as deleted
  expunge (e)        remove those that are
  admin (a)          change these rights
  all                every one of them";

/// A right's word, as Dovecot's administrators know them.
const WORDS: [(&str, Rights); 12] = [
    ("lookup", Rights::LOOKUP),
    ("read", Rights::READ),
    ("write-seen", Rights::SEEN),
    ("write", Rights::WRITE),
    ("insert", Rights::INSERT),
    ("post", Rights::POST),
    ("create", Rights::CREATE),
    ("delete", Rights::DELETE_MAILBOX),
    ("write-deleted", Rights::DELETE_MESSAGES),
    ("expunge", Rights::EXPUNGE),
    ("admin", Rights::ADMINISTER),
    ("all", Rights::ALL),
];

/// `postern-home mailbox …`
#[derive(Debug, Subcommand)]
pub enum MailboxCommand {
    /// Let a user do this with a mailbox of another one, and nothing else
    #[command(
        after_help = format!("{RIGHTS_HELP}\n\nExamples:\n  postern-home mailbox share ana@home.example/Bills bo@home.example lookup read write-seen\n  postern-home mailbox share ana@home.example/Family anyone lrswit")
    )]
    Share {
        /// The owner and the mailbox
        #[arg(value_name = "OWNER/MAILBOX")]
        mailbox: MailboxOf,
        /// The user, or `anyone` for every user of this home
        #[arg(value_name = "USER")]
        with: String,
        /// What the user may do
        #[arg(required = true, value_parser = parse_rights)]
        rights: Vec<Rights>,
    },
    /// Take all that was granted to a user away
    #[command(after_help = "Example:\n  postern-home mailbox unshare ana@home.example/Bills bo@home.example")]
    Unshare {
        /// The owner and the mailbox
        #[arg(value_name = "OWNER/MAILBOX")]
        mailbox: MailboxOf,
        /// The user, or `anyone`
        #[arg(value_name = "USER")]
        with: String,
    },
    /// List what is shared with whom
    #[command(after_help = "Example:\n  postern-home mailbox shares ana@home.example")]
    Shares {
        /// Only this owner's
        owner: Option<EmailAddress>,
    },
}

pub(super) fn execute(client: &Client, command: MailboxCommand) -> Result<Exit, Failure> {
    match command {
        MailboxCommand::Share { mailbox, with, rights } => {
            let rights = rights.into_iter().fold(Rights::empty(), Rights::and);
            let share = Share { of: mailbox, with, rights };
            let share: Share = client.call(Method::PUT, "/v1/shares", &share)?;
            client.print(&share, format_args!("{} may {} {}.", share.with, words(rights), share.of))
        }
        MailboxCommand::Unshare { mailbox, with } => {
            let share = Share { of: mailbox, with, rights: Rights::empty() };
            let done: Done = client.call(Method::DELETE, "/v1/shares", &share)?;
            client.print(&done, format_args!("{} is shared with {} no more.", share.of, share.with))
        }
        MailboxCommand::Shares { owner } => {
            let mut shares: OfAccounts<Share> = client.fetch("/v1/shares")?;
            shares.entries.retain(|share| owner.as_ref().is_none_or(|owner| share.of.owner == *owner));
            client.print_of_accounts(&shares, table(&shares.entries))
        }
    }
}

fn table(shares: &[Share]) -> Table {
    let mut table = Table::new(["MAILBOX", "USER", "LETTERS", "RIGHTS"]);
    for Share { of, with, rights } in shares {
        table.row([of.to_string(), with.clone(), rights.to_string(), words(*rights)]);
    }
    table
}

fn words(rights: Rights) -> String {
    if rights == Rights::ALL {
        return "all".to_owned();
    }
    let held = WORDS.iter().filter(|(word, right)| *word != "all" && rights.contains(*right));
    held.map(|(word, _)| *word).collect::<Vec<_>>().join(" ")
}

/// A word comes before the letters that it may be made of.
fn parse_rights(text: &str) -> Result<Rights, String> {
    let word = WORDS.iter().find(|(word, _)| *word == text).map(|(_, rights)| *rights);
    word.map_or_else(|| text.parse().map_err(|_| "expected rights; --help lists them".to_owned()), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_before_letters() {
        assert_eq!(parse_rights("read"), Ok(Rights::READ));
        assert_eq!(parse_rights("lrs"), Ok(Rights::LOOKUP | Rights::READ | Rights::SEEN));
        assert!(parse_rights("reed-it").is_err());
        assert_eq!(words(Rights::LOOKUP | Rights::READ), "lookup read");
        assert_eq!(words(Rights::ALL), "all");
        for (word, rights) in WORDS {
            assert_eq!(words(rights), word);
        }
    }

    #[test]
    fn a_mailbox_has_an_owner() {
        let bills: MailboxOf = "ana@home.example/Bills/2026".parse().expect("a mailbox");
        assert_eq!(
            (bills.owner.to_string().as_str(), bills.mailbox.as_str()),
            ("ana@home.example", "Bills/2026")
        );
        for wrong in ["Bills", "ana@home.example/", "/Bills", "ana@home.example"] {
            assert!(wrong.parse::<MailboxOf>().is_err(), "{wrong}");
        }
    }
}
