//! Where a recipient's mail goes, on port 25.
//!
//! In: a forward-path, and the reverse-path of the transaction. Out: what the directory says of it; for a sender that was
//! rewritten when its mail went on from here, the sender itself. Refused: a rewritten address that is forged or too old, and
//! any mail to one but a report, which has the null reverse-path (RFC 5321 §4.5.5): nobody can send through it.

use postern_message::address::EmailAddress;
use postern_smtp::server::{Refusal, ReversePath};
use postern_srs::{Rejected, is_rewritten};
use postern_store::directory::{Directory, Kept, Onward, Resolution, Route};
use tracing::error;

use crate::forward::sender::{self, NoWayBack};
use crate::link::seconds_now;

/// Finds out where mail for this address goes.
///
/// # Errors
/// What a rewritten address is refused with.
pub fn resolve(
    directory: &Directory,
    address: &EmailAddress,
    reverse_path: &ReversePath,
) -> Result<Resolution, Refusal> {
    if !directory.is_local(address.domain()) || !is_rewritten(address.local_part()) {
        return Ok(directory.resolve(address));
    }
    if *reverse_path != ReversePath::Null {
        return Err(Refusal::NoWayBack("only reports, from the null sender, are led back"));
    }
    let sender = tokio::task::block_in_place(|| sender::reverse(directory, address, seconds_now()));
    let sender = sender.map_err(|cause| refusal(&cause))?;
    if directory.is_local(sender.domain()) {
        return Ok(directory.resolve(&sender));
    }
    let back = Onward { to: sender, by: address.clone(), account: None, kept: Kept::Copy };
    Ok(Resolution::Local(Route { accounts: Vec::new(), outside: vec![back] }))
}

fn refusal(cause: &NoWayBack) -> Refusal {
    match cause {
        NoWayBack::Rejected(Rejected::Expired) => Refusal::NoWayBack("this return address is too old"),
        NoWayBack::Rejected(Rejected::Malformed | Rejected::Forged) => {
            Refusal::NoWayBack("this return address was not made here")
        }
        NoWayBack::Directory(cause) => {
            error!(%cause, "a return address cannot be checked");
            Refusal::Temporary
        }
    }
}
