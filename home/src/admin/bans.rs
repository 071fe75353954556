//! Bans, over the administration interface.

use ipnet::IpNet;
use jiff::Timestamp;
use postern_shared::bans::canonical;
use postern_shared::http::{Request, StatusCode};

use super::wire::{AddBan, Ban, Done, RemoveBan};
use super::{Admin, Refusal, stopped_work};
use crate::bans::{BanError, Entry};

pub(super) fn list(admin: &Admin) -> Vec<Ban> {
    let status = admin.link.status();
    let refused = status.protection.map(|protection| protection.refused).unwrap_or_default();
    let why = |network: &IpNet| {
        refused.iter().find(|refused| refused.network == *network).map(|refused| refused.why.clone())
    };
    admin.bans.current().iter().map(|entry| Ban { refused: why(&entry.network), ..describe(entry) }).collect()
}

pub(super) async fn add(admin: &Admin, request: &Request) -> Result<Ban, Refusal> {
    let malformed = |_| Refusal(StatusCode::BAD_REQUEST, "the body is not as expected.".to_owned());
    let AddBan { network, seconds, reason } = request.json().map_err(malformed)?;
    let edge = admin.link.edge_addresses().borrow().clone();
    let protected = admin.bans.protected(edge.as_ref()).await;
    let bans = admin.bans.clone();
    let added = move || bans.add(canonical(network), seconds, &reason, &protected);
    let entry = tokio::task::spawn_blocking(added).await.map_err(|_| stopped_work())??;
    tracing::info!(network = %entry.network, reason = entry.reason, "banned");
    Ok(describe(&entry))
}

pub(super) fn remove(admin: &Admin, request: RemoveBan) -> Result<Done, Refusal> {
    let network = canonical(request.network);
    if !admin.bans.remove(&network)? {
        let sentences = format!("{network} is not banned; `postern-home bans list` shows what is.");
        return Err(Refusal(StatusCode::NOT_FOUND, sentences));
    }
    tracing::info!(%network, "ban removed");
    Ok(Done {})
}

fn describe(entry: &Entry) -> Ban {
    Ban {
        network: entry.network,
        since: timestamp(entry.since),
        until: entry.until().map(timestamp),
        reason: entry.reason.clone(),
        refused: None,
    }
}

/// A time beyond the calendar is shown as its end.
fn timestamp(seconds: u64) -> Timestamp {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .unwrap_or(Timestamp::MAX)
}

impl From<BanError> for Refusal {
    fn from(error: BanError) -> Self {
        let status = match &error {
            BanError::Protected(_) => StatusCode::UNPROCESSABLE_ENTITY,
            BanError::Full(_) => StatusCode::CONFLICT,
            BanError::Io { .. } | BanError::Damaged { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, format!("{error}."))
    }
}
