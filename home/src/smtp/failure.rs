//! Storage errors as refusals: the wire hears something generic, the log the cause.

use postern_smtp::server::Refusal;
use postern_store::Error;
use tracing::{error, warn};

/// Words a storage error for the client, and logs it.
pub fn refusal(cause: &Error) -> Refusal {
    match cause {
        Error::OverQuota => Refusal::MailboxFull,
        Error::DiskFull(_) => {
            error!(%cause, "no space for mail");
            Refusal::StorageFull
        }
        Error::Temporary(_) => {
            warn!(%cause, "storage failed for now");
            Refusal::Temporary
        }
        // Whatever is wrong here, the mail is not: it can come again when a person has looked.
        Error::Permanent(_)
        | Error::NotFound(_)
        | Error::Conflict(_)
        | Error::Corrupt(_)
        | Error::NewerSchema { .. }
        | Error::Fault(_) => {
            error!(%cause, "storage failed");
            Refusal::Temporary
        }
    }
}

/// A task that did not come back: a panic in it, or the runtime going down.
pub fn refusal_of_lost_task(cause: &tokio::task::JoinError) -> Refusal {
    error!(%cause, "a task was lost");
    Refusal::Temporary
}
