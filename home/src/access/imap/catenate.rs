//! Finds what a URL of CATENATE names (RFC 4469): a message that the user may read, or a part of one.
//!
//! In: a URL that the core has read. Out: where its octets are, as FETCH BODY would give them. Refused: what is not there.

use std::ops::Range;

use postern_imap::commands::header_fields;
use postern_imap::request::{MailboxId, Refusal};
use postern_imap::types::{MessageUrl, Partial, SectionText};
use postern_store::account::{Account, Detail};
use postern_store::blob::BlobId;
use postern_store::{Error, Result};

use super::accounts::{Accounts, Permitted, READ};
use super::convert;
use super::refusal::{self, Refused};

/// A header whose fields are chosen from is read up to here, in octets.
const MAX_HEADER: u64 = 1024 * 1024;

/// The octets that a URL names.
pub(super) enum Part {
    /// They stand in a message as they are.
    Stored { account: Account, blob: BlobId, range: Range<u64> },
    /// Some fields of a header.
    Fields(Vec<u8>),
}

impl Part {
    /// What a URL names; nothing where there is no such mailbox, generation of UIDs, message or part.
    pub(super) fn at(
        accounts: &Accounts,
        url: &MessageUrl,
        selected: Option<MailboxId>,
    ) -> refusal::Result<Option<Part>> {
        let permitted = match (&url.mailbox, selected) {
            (None, Some(selected)) => accounts.numbered(selected, READ)?,
            (None, None) => return Ok(None),
            (Some(named), _) => match accounts.named(&named.name, READ) {
                Ok((permitted, mailbox))
                    if named.uid_validity.is_none_or(|wanted| wanted == mailbox.uid_validity.0) =>
                {
                    permitted
                }
                Ok(_) | Err(Refused(Refusal::NonExistent)) => return Ok(None),
                Err(refused) => return Err(refused),
            },
        };
        Ok(Part::find(&permitted, url)?)
    }

    fn find(permitted: &Permitted, url: &MessageUrl) -> Result<Option<Part>> {
        let uids = convert::uid_set(&[url.uid]);
        let account = permitted.account.clone();
        let message = account.messages(permitted.mailbox, &uids, Detail::Structure).next().transpose()?;
        let Some(message) = message else { return Ok(None) };
        let blob = message.email.blob;
        let structure = message.email.structure.map(|structure| convert::part(structure.root));
        let Some(span) = structure.and_then(|structure| structure.span(&url.section)) else {
            return Ok(None);
        };
        if let Some(SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_)) = &url.section.text {
            let header = account.read_blob(blob, span.start..span.end.min(span.start + MAX_HEADER))?;
            let fields = header_fields(url.section.text.as_ref(), &header).unwrap_or_default();
            let range = limited(0..fields.len() as u64, url.partial);
            let octets = fields.get(range.start as usize..range.end as usize).unwrap_or_default();
            return Ok(Some(Part::Fields(octets.to_vec())));
        }
        let range = limited(span.start..span.end, url.partial);
        Ok(Some(Part::Stored { account, blob, range }))
    }

    /// How many they are.
    pub(super) fn size(&self) -> u64 {
        match self {
            Part::Stored { range, .. } => range.end.saturating_sub(range.start),
            Part::Fields(octets) => octets.len() as u64,
        }
    }

    /// At most `most` of them from `at` on.
    ///
    /// # Errors
    /// `NotFound` when the message has gone meanwhile.
    pub(super) fn read(&self, at: u64, most: u64) -> Result<Vec<u8>> {
        match self {
            Part::Stored { account, blob, range } => {
                let start = range.start.saturating_add(at);
                account.read_blob(*blob, start..start.saturating_add(most).min(range.end))
            }
            Part::Fields(octets) => {
                let start = usize::try_from(at).map_err(|_| Error::Fault("beyond the end".to_owned()))?;
                Ok(octets.get(start..).unwrap_or_default().to_vec())
            }
        }
    }
}

/// RFC 9051 §6.4.5: nothing beyond the end.
fn limited(range: Range<u64>, partial: Option<Partial>) -> Range<u64> {
    let Some(Partial { offset, count }) = partial else { return range };
    let start = range.start.saturating_add(offset).min(range.end);
    start..start.saturating_add(count).min(range.end)
}
