//! SMTP TLS reports: how often TLS with the servers of a domain came about as its policy wants it, and why not.
//!
//! In: a JSON document. Out: a [`TlsReport`], and the document again. Refused: a document without a period, or whose policies
//! name no domain, and more than [`MAX_POLICIES`] policies or [`MAX_DETAILS`] failures.
//!
//! Implements RFC 8460 §4.4. Values of fields that are not known are passed over; types of policies and results are words of
//! an open list (§4.3).

use jiff::Timestamp;
use postern_message::address::DomainName;
use serde::{Deserialize, Deserializer, Serialize};

use crate::Refused;
use crate::text::clean;

/// Most policies of a report.
pub const MAX_POLICIES: usize = 1000;
/// Most failures of all its policies.
pub const MAX_DETAILS: usize = 10_000;

/// A whole report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TlsReport {
    /// Who reports, in its own words.
    #[serde(default, deserialize_with = "cleaned")]
    pub organization_name: String,
    /// The time that is reported on.
    pub date_range: DateRange,
    /// Where the reporter can be written to.
    #[serde(default, deserialize_with = "cleaned")]
    pub contact_info: String,
    /// Its name for this report; the same one means the same report.
    #[serde(default, deserialize_with = "cleaned")]
    pub report_id: String,
    /// What was seen, for each policy that was applied.
    #[serde(default)]
    pub policies: Vec<PolicyResult>,
}

/// From when to when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DateRange {
    /// The beginning.
    pub start_datetime: Timestamp,
    /// The end.
    pub end_datetime: Timestamp,
}

/// What came of one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PolicyResult {
    /// The policy.
    pub policy: Policy,
    /// How often.
    pub summary: Summary,
    /// Why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failure_details: Vec<FailureDetails>,
}

/// The policy that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Policy {
    /// `tlsa`, `sts` or `no-policy-found`.
    #[serde(deserialize_with = "cleaned")]
    pub policy_type: String,
    /// Its lines or records. Some reporters give one string in the place of a list.
    #[serde(default, deserialize_with = "one_or_more", skip_serializing_if = "Vec::is_empty")]
    pub policy_string: Vec<String>,
    /// Whose policy it is.
    #[serde(deserialize_with = "domain", serialize_with = "as_text")]
    pub policy_domain: DomainName,
    /// The hosts that it names.
    #[serde(default, deserialize_with = "one_or_more", skip_serializing_if = "Vec::is_empty")]
    pub mx_host: Vec<String>,
}

/// How many sessions there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// With TLS as the policy wants it.
    #[serde(default)]
    pub total_successful_session_count: u64,
    /// Without.
    #[serde(default)]
    pub total_failure_session_count: u64,
}

/// Sessions that failed alike.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct FailureDetails {
    /// `starttls-not-supported`, `certificate-expired`, … (RFC 8460 §4.3)
    #[serde(deserialize_with = "cleaned")]
    pub result_type: String,
    /// The address that they came from.
    #[serde(deserialize_with = "cleaned", skip_serializing_if = "String::is_empty")]
    pub sending_mta_ip: String,
    /// The host that they went to.
    #[serde(deserialize_with = "cleaned", skip_serializing_if = "String::is_empty")]
    pub receiving_mx_hostname: String,
    /// Its address.
    #[serde(deserialize_with = "cleaned", skip_serializing_if = "String::is_empty")]
    pub receiving_ip: String,
    /// How many.
    pub failed_session_count: u64,
    /// More about it.
    #[serde(deserialize_with = "cleaned", skip_serializing_if = "String::is_empty")]
    pub failure_reason_code: String,
}

/// One attempt at TLS with a server, as a reporter notes it down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The policy that was applied.
    pub policy: Policy,
    /// Why it failed; the count is not used.
    pub failure: Option<FailureDetails>,
}

/// Reads a report.
///
/// # Errors
/// [`Refused::TooLarge`], [`Refused::Malformed`]
pub fn read(document: &[u8]) -> Result<TlsReport, Refused> {
    let report: TlsReport =
        serde_json::from_slice(document).map_err(|error| Refused::Malformed(clean(&error.to_string())))?;
    if report.policies.len() > MAX_POLICIES {
        return Err(Refused::TooLarge("policies"));
    }
    if report.policies.iter().map(|policy| policy.failure_details.len()).sum::<usize>() > MAX_DETAILS {
        return Err(Refused::TooLarge("failures"));
    }
    Ok(report)
}

impl TlsReport {
    /// The report as a JSON document.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings and numbers can be written")
    }
}

/// A text, or nothing where `null` stands.
fn cleaned<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(clean(&text.unwrap_or_default()))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    More(Vec<String>),
    One(String),
    None,
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(match OneOrMore::deserialize(deserializer)? {
        OneOrMore::More(texts) => texts.iter().map(|text| clean(text)).collect(),
        OneOrMore::One(text) => vec![clean(&text)],
        OneOrMore::None => Vec::new(),
    })
}

fn domain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DomainName, D::Error> {
    let text = String::deserialize(deserializer)?;
    DomainName::parse(&text).map_err(|error| serde::de::Error::custom(format!("`{}` {error}", clean(&text))))
}

fn as_text<S: serde::Serializer>(domain: &DomainName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(domain.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../samples/rfc8460.json");

    #[test]
    fn a_report_is_read_and_written_back() {
        let report = read(SAMPLE.as_bytes()).expect("read");
        assert_eq!(report.organization_name, "Far & Away");
        assert_eq!(report.date_range.start_datetime.as_second(), 1_459_468_800);
        let [sts, tlsa] = report.policies.as_slice() else { panic!("two policies") };
        assert_eq!(
            (sts.policy.policy_type.as_str(), sts.policy.policy_domain.as_str()),
            ("sts", "home.example")
        );
        assert_eq!(
            sts.summary,
            Summary { total_successful_session_count: 5326, total_failure_session_count: 303 }
        );
        assert_eq!(sts.failure_details[1].result_type, "starttls-not-supported");
        assert_eq!(tlsa.policy.mx_host, ["mail.home.example"]);
        assert_eq!(read(report.to_json().as_bytes()), Ok(report));
    }

    #[test]
    fn what_is_not_a_report_is_refused() {
        for (document, complaint) in [
            ("{", "EOF while parsing an object at line 1 column 1"),
            ("{}", "missing field `date-range` at line 1 column 2"),
            (&SAMPLE.replace("\"home.example\"", "\"no name\""), "`no name` is not a domain name"),
        ] {
            let Err(Refused::Malformed(found)) = read(document.as_bytes()) else {
                panic!("{document} was read")
            };
            assert!(found.starts_with(complaint), "{found}");
        }
        let deep = "[".repeat(100_000);
        assert!(matches!(read(format!("{{\"policies\":{deep}").as_bytes()), Err(Refused::Malformed(_))));
        let policy = r#"{"policy":{"policy-type":"sts","policy-domain":"home.example"},"summary":{}}"#;
        let many = vec![policy; MAX_POLICIES + 1].join(",");
        let range =
            r#""date-range":{"start-datetime":"2026-01-01T00:00:00Z","end-datetime":"2026-01-02T00:00:00Z"}"#;
        assert_eq!(
            read(format!("{{{range},\"policies\":[{many}]}}").as_bytes()),
            Err(Refused::TooLarge("policies"))
        );
    }
}
