//! The outbound queue, over the administration interface.

use postern_shared::http::StatusCode;
use postern_store::journal::Event;
use postern_store::queue::{Detail, QueueId, Summary};

use super::wire::{Done, Flushed};
use super::{Admin, Refusal};

/// Why a message is held or dropped here.
const BY_OPERATOR: &str = "the operator said so";
/// Messages in one list; the oldest come first.
const LIST_LENGTH: usize = 10_000;

pub(super) fn list(admin: &Admin) -> Result<Vec<Summary>, Refusal> {
    Ok(admin.queue.list(None, LIST_LENGTH)?)
}

pub(super) fn show(admin: &Admin, id: &str) -> Result<Detail, Refusal> {
    admin.queue.show(parse(id)?)?.ok_or_else(|| not_queued(id))
}

pub(super) fn retry(admin: &Admin, id: &str) -> Result<Done, Refusal> {
    let message = parse(id)?;
    if admin.queue.retry(message)? {
        return Ok(Done {});
    }
    let held = admin.queue.show(message)?.ok_or_else(|| not_queued(id))?;
    Err(conflict(format!(
        "all {} recipient(s) of message {id} are held; release it first.",
        held.summary.held
    )))
}

pub(super) fn flush(admin: &Admin) -> Result<Flushed, Refusal> {
    Ok(Flushed { recipients: admin.queue.retry_all()? })
}

pub(super) fn hold(admin: &Admin, id: &str) -> Result<Done, Refusal> {
    let message = parse(id)?;
    if admin.queue.hold_message(message)? {
        tracing::info!(message = id, "queued message held");
        tell(admin, message, |queue_id| Event::Held { queue_id, reason: BY_OPERATOR.to_owned() })?;
        return Ok(Done {});
    }
    admin.queue.show(message)?.map(|_| Done {}).ok_or_else(|| not_queued(id))
}

pub(super) fn release(admin: &Admin, id: &str) -> Result<Done, Refusal> {
    let message = parse(id)?;
    if admin.queue.release(message)? {
        tracing::info!(message = id, "queued message released");
        tell(admin, message, |queue_id| Event::Released { queue_id })?;
        return Ok(Done {});
    }
    admin.queue.show(message)?.ok_or_else(|| not_queued(id))?;
    Err(conflict(format!("message {id} is not held.")))
}

pub(super) fn drop_message(admin: &Admin, id: &str) -> Result<Done, Refusal> {
    let message = parse(id)?;
    let shown = admin.queue.show(message)?.ok_or_else(|| not_queued(id))?;
    let done = found(admin.queue.drop_message(message)?, id)?;
    let event = Event::Dropped { queue_id: message, reason: BY_OPERATOR.to_owned() };
    admin.journal.tell(&shown.summary.story, event);
    tracing::info!(message = id, "queued message dropped");
    Ok(done)
}

/// Tells the journal what was done with a message that is still queued.
fn tell(admin: &Admin, message: QueueId, event: impl FnOnce(QueueId) -> Event) -> Result<(), Refusal> {
    if let Some(shown) = admin.queue.show(message)? {
        admin.journal.tell(&shown.summary.story, event(message));
    }
    Ok(())
}

fn parse(id: &str) -> Result<QueueId, Refusal> {
    id.parse().map_err(|_| not_queued(id))
}

fn found(found: bool, id: &str) -> Result<Done, Refusal> {
    found.then_some(Done {}).ok_or_else(|| not_queued(id))
}

fn conflict(sentences: String) -> Refusal {
    Refusal(StatusCode::CONFLICT, sentences)
}

fn not_queued(id: &str) -> Refusal {
    let sentences =
        format!("there is no message {id} in the queue; `postern-home queue list` shows those that are.");
    Refusal(StatusCode::NOT_FOUND, sentences)
}
