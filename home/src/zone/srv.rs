//! Where mail programs find the services (RFC 6186 §3, RFC 8314 §5.1, RFC 8620 §2.2). TLS from the first octet is
//! preferred; a service that is not offered has the target `.` (RFC 6186 §3.4, RFC 2782), so that no program tries.

use hickory_proto::rr::rdata::SRV;
use hickory_proto::rr::{Name, RData, Record};
use postern_shared::zone::ZoneError;

use super::{Facts, TTL, name};
use crate::config::ServiceKind;

/// Label, priority, port, and what must listen for it; `None` where Postern has no such service.
const SERVICES: [(&str, u16, u16, Option<ServiceKind>); 8] = [
    ("_imaps._tcp", 0, 993, Some(ServiceKind::Imaps)),
    ("_submissions._tcp", 0, 465, Some(ServiceKind::Submissions)),
    ("_submission._tcp", 10, 587, Some(ServiceKind::Submission)),
    ("_imap._tcp", 0, 143, None),
    ("_pop3._tcp", 10, 110, Some(ServiceKind::Pop3)),
    ("_pop3s._tcp", 0, 995, Some(ServiceKind::Pop3s)),
    ("_jmap._tcp", 0, 443, None),
    ("_sieve._tcp", 0, 4190, None),
];

pub(super) fn records(facts: &Facts) -> Result<Vec<Record>, ZoneError> {
    let host = name(facts.hostname.as_str())?;
    let record = |(service, priority, port, kind): (&str, u16, u16, Option<ServiceKind>)| {
        let srv = if kind.is_some_and(|kind| facts.offered.contains(&kind)) {
            SRV::new(priority, 1, port, host.clone())
        } else {
            SRV::new(0, 0, 0, Name::root())
        };
        Ok(Record::from_rdata(facts.below(service)?, TTL, RData::SRV(srv)))
    };
    SERVICES.into_iter().map(record).collect()
}
