//! `postern-home queue`.

use std::fmt::Write;

use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;
use postern_store::queue::{Detail, RecipientDetail, RecipientState, Summary};

use super::QueueCommand;
use super::client::Client;
use super::table::Table;
use crate::admin::wire::{Done, Flushed};

pub(super) fn execute(client: &Client, command: QueueCommand) -> Result<Exit, Failure> {
    match command {
        QueueCommand::List => {
            let messages: Vec<Summary> = client.fetch("/v1/queue")?;
            client.print(&messages, table(&messages))
        }
        QueueCommand::Show { id } => {
            let message: Detail = client.fetch(&format!("/v1/queue/{id}"))?;
            client.print(&message, story(&message))
        }
        QueueCommand::Retry { id } => {
            let done: Done = client.call(Method::POST, &format!("/v1/queue/{id}/retry"), &())?;
            client.print(&done, format_args!("Message {id} is tried now."))
        }
        QueueCommand::Flush => {
            let flushed: Flushed = client.call(Method::POST, "/v1/queue/flush", &())?;
            client.print(&flushed, format_args!("{} recipient(s) are tried now.", flushed.recipients))
        }
        QueueCommand::Hold { id } => {
            let done: Done = client.call(Method::POST, &format!("/v1/queue/{id}/hold"), &())?;
            client.print(&done, format_args!("Message {id} is held until `postern-home queue release {id}`."))
        }
        QueueCommand::Release { id } => {
            let done: Done = client.call(Method::POST, &format!("/v1/queue/{id}/release"), &())?;
            client.print(&done, format_args!("Message {id} is released and tried now."))
        }
        QueueCommand::Drop { id } => {
            let done: Done = client.call(Method::DELETE, &format!("/v1/queue/{id}"), &())?;
            client.print(&done, format_args!("Message {id} is removed from the queue."))
        }
    }
}

fn table(messages: &[Summary]) -> Table {
    let mut table = Table::new(["ID", "ARRIVED", "OCTETS", "SENDER", "WAITING", "NEXT ATTEMPT", "REASON"]);
    for message in messages {
        let held = (message.held > 0).then(|| held(message));
        let reason = held.as_ref().or(message.held_because.as_ref()).or(message.last_reply.as_ref());
        table.row([
            message.id.to_string(),
            message.arrived.clone(),
            message.octets.to_string(),
            format!("<{}>", message.reverse_path),
            format!("{}/{}", message.waiting, message.recipients),
            message.next_attempt.clone().unwrap_or_default(),
            reason.cloned().unwrap_or_default(),
        ]);
    }
    table
}

fn held(message: &Summary) -> String {
    match &message.account_held {
        Some(reason) => format!("held with its account: {reason}"),
        None => "held by the operator".to_owned(),
    }
}

fn story(message: &Detail) -> String {
    let Summary { id, reverse_path, octets, arrived, held_because, .. } = &message.summary;
    let mut text = format!("message {id} from <{reverse_path}>, {octets} octets, queued {arrived}\n");
    if let Some(reason) = held_because {
        let _ = writeln!(text, "held: {reason}");
    }
    if let Some(time) = &message.summary.not_before {
        let _ = writeln!(text, "the sender wishes it sent at {time}");
    }
    for recipient in &message.recipient_details {
        tell(&mut text, &message.summary, recipient);
    }
    text
}

fn tell(text: &mut String, message: &Summary, recipient: &RecipientDetail) {
    let state = match recipient.state {
        RecipientState::Waiting => "waiting".to_owned(),
        RecipientState::Delivered => "delivered".to_owned(),
        RecipientState::Failed => "failed".to_owned(),
        RecipientState::Held => held(message),
    };
    let RecipientDetail { forward_path, attempts, next_attempt, last_attempt, last_host, last_reply, .. } =
        recipient;
    let _ = writeln!(text, "<{forward_path}>: {state}, {attempts} attempt(s)");
    if let Some(last_attempt) = last_attempt {
        let host = last_host.as_deref().unwrap_or("no host reached");
        let _ =
            writeln!(text, "  last {last_attempt}, {host}: {}", last_reply.as_deref().unwrap_or("no reply"));
    }
    if let Some(next_attempt) = next_attempt {
        let _ = writeln!(text, "  next {next_attempt}");
    }
}
