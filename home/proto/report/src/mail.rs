//! A report as a message, to be signed and sent.
//!
//! In: a report, who sends it to whom. Out: a whole message with CRLF line ends: a sentence for people, and the report packed
//! by gzip. Refused by construction: line ends in fields; domains, addresses and identifiers hold none.
//!
//! Implements RFC 7489 §7.2.1.1 (file name, subject, media type), RFC 8460 §5.1 to §5.3, RFC 3834 §5 (`Auto-Submitted`).

use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use postern_message::address::{DomainName, EmailAddress};
use postern_message::date;

use crate::dmarc::Aggregate;
use crate::tls::TlsReport;

/// Characters in a line of Base64 (RFC 2045 §6.8).
const LINE: usize = 76;

/// Who sends a report, and when.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// The domain that reports.
    pub submitter: &'a DomainName,
    /// The address in From, of that domain.
    pub from: &'a EmailAddress,
    /// Now.
    pub date: Timestamp,
    /// Letters and digits that no other message has.
    pub unique: &'a str,
}

/// What differs between the two kinds.
struct Form<'a> {
    domain: &'a DomainName,
    report_id: &'a str,
    /// Header fields of this kind alone, each with its CRLF.
    fields: String,
    multipart: &'static str,
    media_type: &'static str,
    file_name: String,
    title: &'static str,
    document: String,
}

impl Aggregate {
    /// The report as a message to one address.
    pub fn to_message(&self, sender: Sender<'_>, to: &EmailAddress) -> Vec<u8> {
        let domain = &self.policy.domain;
        let form = Form {
            domain,
            report_id: &self.report_id,
            fields: String::new(),
            multipart: "multipart/mixed",
            media_type: "application/gzip",
            file_name: format!("{}!{domain}!{}!{}.xml.gz", sender.submitter, self.begin, self.end),
            title: "DMARC aggregate report",
            document: self.to_xml(),
        };
        form.compose(sender, to)
    }
}

impl TlsReport {
    /// The report about a domain as a message to one address.
    pub fn to_message(&self, domain: &DomainName, sender: Sender<'_>, to: &EmailAddress) -> Vec<u8> {
        let (begin, end) =
            (self.date_range.start_datetime.as_second(), self.date_range.end_datetime.as_second());
        let submitter = sender.submitter;
        let form = Form {
            domain,
            report_id: &self.report_id,
            fields: format!("TLS-Report-Domain: {domain}\r\nTLS-Report-Submitter: {submitter}\r\n"),
            multipart: "multipart/report; report-type=\"tlsrpt\"",
            media_type: "application/tlsrpt+gzip",
            file_name: format!("{submitter}!{domain}!{begin}!{end}.json.gz"),
            title: "SMTP TLS report",
            document: self.to_json(),
        };
        form.compose(sender, to)
    }

    /// The report as it is handed over by HTTPS.
    pub fn to_gzip(&self) -> Vec<u8> {
        gzip(self.to_json().as_bytes())
    }
}

impl Form<'_> {
    fn compose(&self, sender: Sender<'_>, to: &EmailAddress) -> Vec<u8> {
        let Form { domain, report_id, fields, multipart, media_type, file_name, title, document } = self;
        let Sender { submitter, from, date, unique } = sender;
        let (boundary, date) = (format!("report-{unique}"), date::format(date));
        let mut text = format!(
            "From: <{from}>\r\nTo: <{to}>\r\n\
             Subject: Report Domain: {domain}\r\n Submitter: {submitter}\r\n Report-ID: <{report_id}>\r\n\
             Date: {date}\r\nMessage-ID: <{unique}@{submitter}>\r\nAuto-Submitted: auto-generated\r\n{fields}\
             MIME-Version: 1.0\r\nContent-Type: {multipart};\r\n boundary=\"{boundary}\"\r\n\r\n\
             --{boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\
             This is a {title} about {domain},\r\nsent once a day by {submitter}.\r\n\r\n\
             --{boundary}\r\nContent-Type: {media_type}\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment;\r\n filename=\"{file_name}\"\r\n\r\n"
        );
        let encoded = BASE64.encode(gzip(document.as_bytes()));
        for line in encoded.as_bytes().chunks(LINE) {
            let _ = write!(text, "{}\r\n", String::from_utf8_lossy(line));
        }
        let _ = write!(text, "--{boundary}--\r\n");
        text.into_bytes()
    }
}

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(octets).and_then(|()| encoder.finish());
    written.expect("a Vec takes all that is written to it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Report, dmarc, read, tls};

    fn sender<'a>(submitter: &'a DomainName, from: &'a EmailAddress) -> Sender<'a> {
        let date = Timestamp::from_second(1_800_000_000).expect("a time");
        Sender { submitter, from, date, unique: "0123abc" }
    }

    /// The attachment, which is the last part.
    fn attached(text: &str) -> Vec<u8> {
        let (_, part) = text.rsplit_once("\r\n\r\n").expect("a part");
        let (encoded, _) = part.split_once("--").expect("its end");
        BASE64.decode(encoded.replace("\r\n", "")).expect("Base64")
    }

    #[test]
    fn a_message_holds_the_report_in_the_form_that_is_prescribed() {
        let (submitter, from): (DomainName, EmailAddress) =
            ("home.example".parse().expect("a name"), "postmaster@home.example".parse().expect("an address"));
        let to = "reports@far.example".parse().expect("an address");
        let mut report = dmarc::read(include_bytes!("../samples/rfc7489.xml")).expect("read");
        report.report_id = "1@home.example".to_owned();
        let message = report.to_message(sender(&submitter, &from), &to);
        let text = String::from_utf8(message).expect("text");
        let subject = "\r\nSubject: Report Domain: home.example\r\n Submitter: home.example\r\n Report-ID: <1@home.example>\r\n";
        assert!(text.contains(subject), "{text}");
        assert!(
            text.contains("filename=\"home.example!home.example!1700000000!1700086399.xml.gz\""),
            "{text}"
        );
        assert!(text.contains("\r\nContent-Type: application/gzip\r\n"), "{text}");
        assert!(text.split("\r\n").all(|line| line.len() <= 100 && !line.contains(['\r', '\n'])), "{text}");
        assert_eq!(read(&attached(&text)), Ok(Report::Aggregate(report)));

        let report = tls::read(include_bytes!("../samples/rfc8460.json")).expect("read");
        let domain = "far.example".parse().expect("a name");
        let message = report.to_message(&domain, sender(&submitter, &from), &to);
        let text = String::from_utf8(message).expect("text");
        assert!(
            text.contains("\r\nTLS-Report-Domain: far.example\r\nTLS-Report-Submitter: home.example\r\n"),
            "{text}"
        );
        assert!(text.contains("\r\nContent-Type: multipart/report; report-type=\"tlsrpt\";\r\n"), "{text}");
        assert!(
            text.contains("filename=\"home.example!far.example!1459468800!1459555199.json.gz\""),
            "{text}"
        );
        assert_eq!(read(&attached(&text)), Ok(Report::Tls(report)));
    }
}
