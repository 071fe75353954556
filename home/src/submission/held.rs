//! Who hears of an account that sends more than its allowance.

use postern_store::directory::User;
use postern_store::journal::Event;
use postern_store::queue::QueueId;
use tracing::warn;

use super::Parts;
use crate::notices::Kind;

/// Tells the owner, the log, and the journal for each message that is held. Blocks on the disk.
pub(super) fn tell(parts: &Parts, user: &User, reason: &str, held: impl Iterator<Item = QueueId>) {
    let address = &user.address;
    warn!(user = %address, reason, "account held");
    for queue_id in held {
        if let Ok(Some(shown)) = parts.queue.show(queue_id) {
            let reason = format!("the account {address} sends too much: {reason}");
            parts.journal.tell(&shown.summary.story, Event::Held { queue_id, reason });
        }
    }
    let text = format!(
        "The account {address} sends more than it may: {reason}. What it sends is held in the queue; `postern-home queue \
         list` shows it. If a stranger has the password: `postern-home user passwd {address}`, then `postern-home user \
         release {address} --drop-mail`. If not: `postern-home user release {address}`. The limits are in the section \
         `[submission]` of home.toml."
    );
    parts.notices.raise(Kind::Account, &address.to_string(), &text);
}
