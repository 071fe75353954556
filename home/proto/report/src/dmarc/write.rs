//! Writes a report's XML, in the form of RFC 9990: what it adds to RFC 7489's, older readers pass over.

use std::io;

use quick_xml::events::{BytesDecl, BytesText, Event};
use quick_xml::writer::Writer;

use super::{Aggregate, Policy, Reason, Record};

/// The namespace of the format (RFC 9990).
const NAMESPACE: &str = "urn:ietf:params:xml:ns:dmarc-2.0";
/// RFC 7489 Appendix C: the version of the format, which its successor keeps.
const VERSION: &str = "1.0";

type Xml = Writer<Vec<u8>>;

impl Aggregate {
    /// The report as an XML document.
    pub fn to_xml(&self) -> String {
        let mut xml = Writer::new_with_indent(Vec::new(), b' ', 1);
        self.write(&mut xml).expect("a Vec takes all that is written to it");
        String::from_utf8(xml.into_inner()).expect("UTF-8 was written")
    }

    fn write(&self, xml: &mut Xml) -> io::Result<()> {
        xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let root = xml.create_element("feedback").with_attribute(("xmlns", NAMESPACE));
        root.write_inner_content(|xml| {
            text(xml, "version", VERSION)?;
            within(xml, "report_metadata", |xml| self.write_metadata(xml))?;
            within(xml, "policy_published", |xml| write_policy(xml, &self.policy))?;
            self.records.iter().try_for_each(|record| within(xml, "record", |xml| write_record(xml, record)))
        })?;
        Ok(())
    }

    fn write_metadata(&self, xml: &mut Xml) -> io::Result<()> {
        text(xml, "org_name", &self.org_name)?;
        text(xml, "email", &self.email)?;
        text(xml, "report_id", &self.report_id)?;
        within(xml, "date_range", |xml| {
            text(xml, "begin", &self.begin.to_string())?;
            text(xml, "end", &self.end.to_string())
        })
    }
}

fn write_policy(xml: &mut Xml, policy: &Policy) -> io::Result<()> {
    text(xml, "domain", policy.domain.as_str())?;
    text(xml, "p", policy.p.word())?;
    for (name, disposition) in [("sp", policy.sp), ("np", policy.np)] {
        if let Some(disposition) = disposition {
            text(xml, name, disposition.word())?;
        }
    }
    text(xml, "adkim", policy.adkim.word())?;
    text(xml, "aspf", policy.aspf.word())
}

fn write_record(xml: &mut Xml, record: &Record) -> io::Result<()> {
    within(xml, "row", |xml| {
        text(xml, "source_ip", &record.source_ip.to_string())?;
        text(xml, "count", &record.count.to_string())?;
        within(xml, "policy_evaluated", |xml| {
            text(xml, "disposition", record.disposition.word())?;
            text(xml, "dkim", record.dkim.word())?;
            text(xml, "spf", record.spf.word())?;
            record.reasons.iter().try_for_each(|reason| write_reason(xml, reason))
        })
    })?;
    within(xml, "identifiers", |xml| {
        text(xml, "header_from", &record.header_from)?;
        record.envelope_from.iter().try_for_each(|domain| text(xml, "envelope_from", domain))
    })?;
    within(xml, "auth_results", |xml| {
        for dkim in &record.dkim_results {
            within(xml, "dkim", |xml| {
                text(xml, "domain", &dkim.domain)?;
                text(xml, "selector", &dkim.selector)?;
                text(xml, "result", dkim.result.word())
            })?;
        }
        for spf in &record.spf_results {
            within(xml, "spf", |xml| {
                text(xml, "domain", &spf.domain)?;
                text(xml, "scope", "mfrom")?;
                text(xml, "result", spf.result.word())
            })?;
        }
        Ok(())
    })
}

fn write_reason(xml: &mut Xml, reason: &Reason) -> io::Result<()> {
    within(xml, "reason", |xml| {
        text(xml, "type", &reason.kind)?;
        text(xml, "comment", &reason.comment)
    })
}

fn within(
    xml: &mut Xml,
    name: &'static str,
    write: impl FnOnce(&mut Xml) -> io::Result<()>,
) -> io::Result<()> {
    xml.create_element(name).write_inner_content(write).map(drop)
}

fn text(xml: &mut Xml, name: &'static str, content: &str) -> io::Result<()> {
    xml.create_element(name).write_text_content(BytesText::new(content)).map(drop)
}
