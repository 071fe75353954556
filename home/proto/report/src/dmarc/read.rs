//! Reads a report's XML.
//!
//! In: a document. Out: an [`Aggregate`]. Refused: a document type (so no entity is ever declared), other entities than the
//! five, more than [`MAX_DEPTH`] levels, more than [`MAX_RECORDS`] records, and a document without a domain or a period.
//! The reader walks once through the document with the path of the element it is in; memory is what is kept.

use std::borrow::Cow;

use postern_message::address::DomainName;
use quick_xml::events::{BytesRef, Event};
use quick_xml::reader::Reader;

use super::{
    Aggregate, AlignmentMode, AuthResult, Disposition, DkimAuthResult, DmarcResult, Policy, Reason, Record,
    SpfAuthResult,
};
use crate::Refused;
use crate::text::clean;

/// Most records of a report; what is reported of a household has some hundred.
pub const MAX_RECORDS: usize = 10_000;
/// Most levels of elements; the format has five.
pub const MAX_DEPTH: usize = 16;
/// Most signatures, SPF results and reasons that are kept of one record.
const MAX_DETAILS: usize = 16;
/// Most octets of text that are gathered for one element, before it is cleaned.
const MAX_RAW_TEXT: usize = 4096;

/// Reads a report.
///
/// # Errors
/// [`Refused::TooLarge`], [`Refused::Malformed`]
pub fn read(document: &[u8]) -> Result<Aggregate, Refused> {
    let text = String::from_utf8_lossy(document);
    let mut xml = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut walk = Walk::default();
    loop {
        match xml.read_event().map_err(malformed)? {
            Event::Start(start) => walk.enter(start.local_name().as_ref())?,
            Event::End(_) => walk.leave()?,
            Event::Empty(start) => {
                walk.enter(start.local_name().as_ref())?;
                walk.leave()?;
            }
            Event::Text(text) => walk.push(&text.xml10_content()),
            Event::CData(text) => walk.push(&text.xml10_content()),
            Event::GeneralRef(reference) => walk.push(&character(&reference)?),
            Event::DocType(_) => return Err(Refused::Malformed("it declares a document type".to_owned())),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return walk.finish(),
        }
    }
}

/// XML 1.0 §4.1, §4.6.
fn character(reference: &BytesRef<'_>) -> Result<Cow<'static, str>, Refused> {
    if let Some(character) = reference.resolve_char_ref().map_err(malformed)? {
        return Ok(character.to_string().into());
    }
    let name = reference.xml10_content();
    let predefined = quick_xml::escape::resolve_xml_entity(&name).map(Cow::Borrowed);
    predefined.ok_or_else(|| Refused::Malformed(format!("it uses the entity `{}`", clean(&name))))
}

/// Where the reader is, and what it has found.
#[derive(Default)]
struct Walk {
    /// The local names of the open elements, each after a slash.
    path: String,
    depth: usize,
    text: String,
    org_name: String,
    email: String,
    report_id: String,
    begin: Option<i64>,
    end: Option<i64>,
    domain: Option<DomainName>,
    adkim: Option<AlignmentMode>,
    aspf: Option<AlignmentMode>,
    p: Option<Disposition>,
    sp: Option<Disposition>,
    np: Option<Disposition>,
    records: Vec<Record>,
    /// The record that is open; its address is known once it has come.
    record: Option<Unfinished>,
}

impl Walk {
    fn enter(&mut self, name: &str) -> Result<(), Refused> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Refused::TooLarge("levels"));
        }
        self.path.push('/');
        self.path.push_str(name);
        self.text.clear();
        match (self.path.as_str(), &mut self.record) {
            ("/feedback/record", _) if self.records.len() == MAX_RECORDS => {
                return Err(Refused::TooLarge("records"));
            }
            ("/feedback/record", record) => *record = Some(Unfinished::default()),
            ("/feedback/record/auth_results/dkim", Some(record)) => record.dkim_results.push(no_signature()),
            ("/feedback/record/auth_results/spf", Some(record)) => record.spf_results.push(no_spf()),
            ("/feedback/record/row/policy_evaluated/reason", Some(record)) => {
                record.reasons.push(no_reason())
            }
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, text: &str) {
        if self.text.len() + text.len() <= MAX_RAW_TEXT {
            self.text.push_str(text);
        }
    }

    /// The reader has checked that the end tag is that of the element.
    fn leave(&mut self) -> Result<(), Refused> {
        let text = clean(&std::mem::take(&mut self.text));
        match self.path.strip_prefix("/feedback/record") {
            Some("") => self.records.extend(self.record.take().map(Unfinished::finish).transpose()?),
            Some(element) => {
                if let Some(record) = &mut self.record {
                    record.take_element(element, text)?;
                }
            }
            None => self.take_element(text)?,
        }
        self.path.truncate(self.path.rfind('/').unwrap_or_default());
        self.depth = self.depth.saturating_sub(1);
        Ok(())
    }

    fn take_element(&mut self, text: String) -> Result<(), Refused> {
        match self.path.as_str() {
            "/feedback/report_metadata/org_name" => self.org_name = text,
            "/feedback/report_metadata/email" => self.email = text,
            "/feedback/report_metadata/report_id" => self.report_id = text,
            "/feedback/report_metadata/date_range/begin" => self.begin = Some(number(&text)?),
            "/feedback/report_metadata/date_range/end" => self.end = Some(number(&text)?),
            "/feedback/policy_published/domain" => self.domain = Some(domain(&text)?),
            "/feedback/policy_published/adkim" => self.adkim = AlignmentMode::from_word(&text),
            "/feedback/policy_published/aspf" => self.aspf = AlignmentMode::from_word(&text),
            "/feedback/policy_published/p" => self.p = Disposition::from_word(&text),
            "/feedback/policy_published/sp" => self.sp = Disposition::from_word(&text),
            "/feedback/policy_published/np" => self.np = Disposition::from_word(&text),
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Aggregate, Refused> {
        if self.depth > 0 {
            return Err(Refused::Malformed("it ends in the middle".to_owned()));
        }
        Ok(Aggregate {
            org_name: self.org_name,
            email: self.email,
            report_id: self.report_id,
            begin: self.begin.ok_or_else(|| missing("begin"))?,
            end: self.end.ok_or_else(|| missing("end"))?,
            policy: Policy {
                domain: self.domain.ok_or_else(|| missing("domain"))?,
                adkim: self.adkim.unwrap_or(AlignmentMode::Relaxed),
                aspf: self.aspf.unwrap_or(AlignmentMode::Relaxed),
                p: self.p.unwrap_or(Disposition::None),
                sp: self.sp,
                np: self.np,
            },
            records: self.records,
        })
    }
}

/// A record before its end tag.
#[derive(Default)]
struct Unfinished {
    source_ip: Option<std::net::IpAddr>,
    count: Option<u64>,
    disposition: Option<Disposition>,
    dkim: Option<DmarcResult>,
    spf: Option<DmarcResult>,
    reasons: Vec<Reason>,
    header_from: String,
    envelope_from: Option<String>,
    dkim_results: Vec<DkimAuthResult>,
    spf_results: Vec<SpfAuthResult>,
}

impl Unfinished {
    fn take_element(&mut self, element: &str, text: String) -> Result<(), Refused> {
        match element {
            "/row/source_ip" => self.source_ip = Some(number(&text)?),
            "/row/count" => self.count = Some(number(&text)?),
            "/row/policy_evaluated/disposition" => self.disposition = Disposition::from_word(&text),
            "/row/policy_evaluated/dkim" => self.dkim = DmarcResult::from_word(&text),
            "/row/policy_evaluated/spf" => self.spf = DmarcResult::from_word(&text),
            "/identifiers/header_from" => self.header_from = text,
            "/identifiers/envelope_from" => self.envelope_from = Some(text).filter(|text| !text.is_empty()),
            "/row/policy_evaluated/reason" => self.reasons.truncate(MAX_DETAILS),
            "/auth_results/dkim" => self.dkim_results.truncate(MAX_DETAILS),
            "/auth_results/spf" => self.spf_results.truncate(MAX_DETAILS),
            detail => self.take_detail(detail, text),
        }
        Ok(())
    }

    /// An element of the newest reason, signature or SPF result.
    fn take_detail(&mut self, element: &str, text: String) {
        let (reason, dkim, spf) =
            (self.reasons.last_mut(), self.dkim_results.last_mut(), self.spf_results.last_mut());
        match (element, reason, dkim, spf) {
            ("/row/policy_evaluated/reason/type", Some(reason), _, _) => reason.kind = text,
            ("/row/policy_evaluated/reason/comment", Some(reason), _, _) => reason.comment = text,
            ("/auth_results/dkim/domain", _, Some(dkim), _) => dkim.domain = text,
            ("/auth_results/dkim/selector", _, Some(dkim), _) => dkim.selector = text,
            ("/auth_results/dkim/result", _, Some(dkim), _) => dkim.result = auth_result(&text),
            ("/auth_results/spf/domain", _, _, Some(spf)) => spf.domain = text,
            ("/auth_results/spf/result", _, _, Some(spf)) => spf.result = auth_result(&text),
            _ => {}
        }
    }

    fn finish(self) -> Result<Record, Refused> {
        Ok(Record {
            source_ip: self.source_ip.ok_or_else(|| missing("source_ip"))?,
            count: self.count.ok_or_else(|| missing("count"))?,
            disposition: self.disposition.unwrap_or(Disposition::None),
            dkim: self.dkim.unwrap_or(DmarcResult::Fail),
            spf: self.spf.unwrap_or(DmarcResult::Fail),
            reasons: self.reasons,
            header_from: self.header_from,
            envelope_from: self.envelope_from,
            dkim_results: self.dkim_results,
            spf_results: self.spf_results,
        })
    }
}

fn no_signature() -> DkimAuthResult {
    DkimAuthResult { domain: String::new(), selector: String::new(), result: AuthResult::None }
}

fn no_spf() -> SpfAuthResult {
    SpfAuthResult { domain: String::new(), result: AuthResult::None }
}

fn no_reason() -> Reason {
    Reason { kind: String::new(), comment: String::new() }
}

/// A word that no specification knows judges nothing.
fn auth_result(word: &str) -> AuthResult {
    AuthResult::from_word(word).unwrap_or(AuthResult::None)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Refused> {
    text.parse().map_err(|_| Refused::Malformed(format!("`{text}` is no number or address")))
}

fn domain(text: &str) -> Result<DomainName, Refused> {
    DomainName::parse(text).map_err(|error| Refused::Malformed(format!("`{text}` {error}")))
}

fn missing(element: &'static str) -> Refused {
    Refused::Malformed(format!("`{element}` is missing"))
}

fn malformed(error: impl std::fmt::Display) -> Refused {
    Refused::Malformed(clean(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RFC_7489: &str = include_str!("../../samples/rfc7489.xml");
    const RFC_9990: &str = include_str!("../../samples/rfc9990.xml");

    #[test]
    fn both_formats_are_read() {
        let report = read(RFC_7489.as_bytes()).expect("read");
        assert_eq!(
            (report.org_name.as_str(), report.begin, report.end),
            ("Far & Away", 1_700_000_000, 1_700_086_399)
        );
        assert_eq!(report.policy.domain.as_str(), "home.example");
        assert_eq!((report.policy.p, report.policy.sp), (Disposition::Quarantine, Some(Disposition::Reject)));
        assert_eq!(report.policy.adkim, AlignmentMode::Strict);
        let [own, forwarded] = report.records.as_slice() else { panic!("two records") };
        assert_eq!((own.source_ip.to_string().as_str(), own.count), ("203.0.113.10", 12));
        assert_eq!((own.dkim, own.spf), (DmarcResult::Pass, DmarcResult::Pass));
        assert_eq!(own.dkim_results.len(), 2);
        assert_eq!(own.dkim_results[1].selector, "ed-1");
        assert_eq!(forwarded.source_ip.to_string(), "2001:db8::7");
        assert_eq!(
            (forwarded.spf, forwarded.spf_results[0].result),
            (DmarcResult::Fail, AuthResult::PermError)
        );
        assert_eq!(
            forwarded.reasons,
            [Reason { kind: "forwarded".into(), comment: "looks forwarded".into() }]
        );

        let successor = read(RFC_9990.as_bytes()).expect("read");
        assert_eq!(successor.policy.np, Some(Disposition::Reject));
        assert_eq!(successor.records[0].disposition, Disposition::None);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for sample in [RFC_7489, RFC_9990] {
            let report = read(sample.as_bytes()).expect("read");
            assert_eq!(read(report.to_xml().as_bytes()).as_ref(), Ok(&report));
        }
    }

    #[test]
    fn a_document_that_wants_too_much_is_refused() {
        let laughs = "<!DOCTYPE f [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><feedback>&b;</feedback>";
        assert_eq!(read(laughs.as_bytes()), Err(Refused::Malformed("it declares a document type".into())));
        let entity = RFC_7489.replace("Far &amp; Away", "&file;");
        assert_eq!(read(entity.as_bytes()), Err(Refused::Malformed("it uses the entity `file`".into())));
        assert_eq!(read("<a>".repeat(100_000).as_bytes()), Err(Refused::TooLarge("levels")));
        let record = "<record><row><source_ip>192.0.2.1</source_ip><count>1</count></row></record>";
        let many = format!("<feedback>{}</feedback>", record.repeat(MAX_RECORDS + 1));
        assert_eq!(read(many.as_bytes()), Err(Refused::TooLarge("records")));
        let signatures = "<dkim/>".repeat(1000);
        let signed = RFC_7489.replacen("<auth_results>", &format!("<auth_results>{signatures}"), 1);
        assert_eq!(read(signed.as_bytes()).expect("read").records[0].dkim_results.len(), MAX_DETAILS);
    }

    #[test]
    fn what_is_not_a_report_is_refused() {
        for (document, complaint) in [
            ("<feedback/>", "`begin` is missing"),
            ("<html><body>hello</body></html>", "`begin` is missing"),
            ("<feedback><record>", "it ends in the middle"),
            (&RFC_7489.replace("<domain>home.example</domain>", ""), "`domain` is missing"),
            (&RFC_7489.replace("<count>12<", "<count>-12<"), "`-12` is no number or address"),
            (&RFC_7489.replace("203.0.113.10", "localhost"), "`localhost` is no number or address"),
        ] {
            assert_eq!(
                read(document.as_bytes()),
                Err(Refused::Malformed(complaint.to_owned())),
                "{document}"
            );
        }
    }
}
