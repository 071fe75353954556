//! What other mail systems report, over the administration interface.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use postern_shared::http::{Request, StatusCode};
use postern_store::reports::{Counts, Kind, Query, Reports};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use super::wire::report::{DmarcReports, ReportCounts, ReportsOf, TlsReports};
use super::{Admin, Refusal, stopped_work};
use crate::auth::iprev;
use crate::reports::sources::{Source, gather};

/// Addresses whose names are looked up; those with the most messages.
const MAX_NAMED: usize = 50;
/// For all names together.
const NAMES_TIMEOUT: Duration = Duration::from_secs(5);

/// Who sends mail in our name.
pub(super) async fn dmarc(admin: &Admin, request: &Request) -> Result<DmarcReports, Refusal> {
    let of = asked(request)?;
    let query = query(&of);
    let (rows, counts) =
        read(admin, move |reports| Ok((reports.sources(&query)?, reports.counts(Kind::Aggregate, &query)?)))
            .await?;
    let mut sources = gather(rows, &own_addresses(admin));
    name(admin, &mut sources).await;
    Ok(DmarcReports { of, reports: counted(counts), sources })
}

/// How TLS went with our servers.
pub(super) async fn tls(admin: &Admin, request: &Request) -> Result<TlsReports, Refusal> {
    let of = asked(request)?;
    let query = query(&of);
    let ((policies, failures), counts) =
        read(admin, move |reports| Ok((reports.tls(&query)?, reports.counts(Kind::Tls, &query)?))).await?;
    Ok(TlsReports { of, reports: counted(counts), policies, failures })
}

fn asked(request: &Request) -> Result<ReportsOf, Refusal> {
    request.json().map_err(|_| Refusal(StatusCode::BAD_REQUEST, "the body is not as expected.".to_owned()))
}

fn query(of: &ReportsOf) -> Query {
    let span = SignedDuration::from_hours(i64::from(of.days) * 24);
    Query {
        domain: of.domain.clone(),
        since: Timestamp::now().saturating_sub(span).unwrap_or(Timestamp::MIN),
    }
}

async fn read<T: Send + 'static>(
    admin: &Admin,
    question: impl FnOnce(&Reports) -> postern_store::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    let reports = Arc::clone(&admin.reports);
    let answered = spawn_blocking(move || question(&reports)).await;
    Ok(answered.map_err(|_| stopped_work())??)
}

fn counted(counts: Counts) -> ReportCounts {
    ReportCounts { verified: counts.verified, unverified: counts.unverified }
}

/// Where this home's mail leaves from.
fn own_addresses(admin: &Admin) -> Vec<IpAddr> {
    admin.link.edge_addresses().borrow().as_ref().map(|edge| edge.of_mail()).unwrap_or_default()
}

/// Looks the names of the first addresses up, all at once; who does not answer in time has none.
async fn name(admin: &Admin, sources: &mut [Source]) {
    let mut lookups = JoinSet::new();
    for (index, source) in sources.iter().take(MAX_NAMED).enumerate() {
        let (resolver, address) = (admin.resolver.clone(), source.address);
        lookups.spawn(async move { (index, iprev::judge(&resolver, address).await) });
    }
    let _ = timeout(NAMES_TIMEOUT, async {
        while let Some(found) = lookups.join_next().await {
            if let Ok((index, name)) = found
                && let Some(source) = sources.get_mut(index)
            {
                source.name = name.confirmed().map(str::to_owned);
            }
        }
    })
    .await;
}
