//! What other mail systems report about the mail that carries our name: DMARC aggregate reports and SMTP TLS reports. Pure.
//!
//! In: a message. Out: the report in it. Refused: a message without a part that is a report by its type or file name
//! ([`Refused::NoReport`]: ordinary mail), and a report that is too large or that is not understood. The words in a report
//! are a stranger's: texts are cut to [`MAX_TEXT`] octets and hold no control characters.
//!
//! | file | what it holds |
//! |---|---|
//! | `attachment` | the part of the message that is the report |
//! | `packing` | gzip and zip, unpacked within bounds |
//! | `dmarc` | aggregate reports: their content, read from XML and written |
//! | `tls` | TLS reports: their content, read from JSON and written |
//!
//! Bounded: [`MAX_PACKED`], [`MAX_UNPACKED`], [`dmarc::MAX_RECORDS`], [`tls::MAX_POLICIES`]; one part, one file in it.
//!
//! Implements RFC 7489 §7.2 and Appendix C, with what RFC 9990 changes in the form; RFC 8460 §4.4, §5.2, §5.3.

mod attachment;
mod packing;
mod text;

pub mod dmarc;
pub mod tls;

pub use packing::{MAX_PACKED, MAX_UNPACKED};
pub use text::MAX_TEXT;

/// A report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// Who sent mail in the name of a domain, and how it was authenticated.
    Aggregate(dmarc::Aggregate),
    /// How TLS went with the servers of a domain.
    Tls(tls::TlsReport),
}

/// Why there is no report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The message is no report.
    #[error("the message has no report in it")]
    NoReport,
    /// More octets, files, records or levels than a report may have; what there is too much of.
    #[error("the report has too much of it: {0}")]
    TooLarge(&'static str),
    /// It is none of the known formats, or a value in it is not one.
    #[error("the report is not understood: {0}")]
    Malformed(String),
}

/// Finds the report in a message and reads it.
///
/// # Errors
/// [`Refused`]
pub fn read(message: &[u8]) -> Result<Report, Refused> {
    let parsed = mail_parser::MessageParser::default().parse(message).ok_or(Refused::NoReport)?;
    let attachment = attachment::find(&parsed).ok_or(Refused::NoReport)?;
    let document = packing::unpack(attachment)?;
    match document.trim_ascii_start().first() {
        Some(b'<') => dmarc::read(&document).map(Report::Aggregate),
        Some(b'{') => tls::read(&document).map(Report::Tls),
        _ => Err(Refused::Malformed("neither XML nor JSON".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const XML: &str = include_str!("../samples/rfc7489.xml");
    const JSON: &str = include_str!("../samples/rfc8460.json");

    fn gzipped(octets: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(octets).expect("taken");
        encoder.finish().expect("packed")
    }

    fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, octets) in files {
            let options =
                zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
            archive.start_file(*name, options).expect("a file");
            archive.write_all(octets).expect("its octets");
        }
        archive.finish().expect("an archive").into_inner()
    }

    fn mailed(content_type: &str, name: &str, octets: &[u8]) -> Vec<u8> {
        use std::fmt::Write as _;
        let mut hexadecimal = String::new();
        for octet in octets {
            write!(hexadecimal, "={octet:02X}=\r\n").expect("a String takes all");
        }
        format!(
            "From: reports@far.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
             --b\r\nContent-Type: text/plain\r\n\r\nA report.\r\n\
             --b\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: quoted-printable\r\n\
             Content-Disposition: attachment; filename=\"{name}\"\r\n\r\n{hexadecimal}\r\n--b--\r\n"
        )
        .into_bytes()
    }

    fn is_aggregate(message: &[u8]) -> bool {
        matches!(read(message), Ok(Report::Aggregate(report)) if report.records.len() == 2)
    }

    #[test]
    fn a_report_is_found_by_its_type_or_its_name_however_it_is_packed() {
        let (gzip, zip) = (gzipped(XML.as_bytes()), zipped(&[("a.xml", XML.as_bytes())]));
        for (content_type, name, octets) in [
            ("application/gzip", "far.example!home.example!1!2.xml.gz", gzip.as_slice()),
            ("application/x-gzip", "x", &gzip),
            ("application/octet-stream", "report.XML.GZ", &gzip),
            ("application/zip", "x", &zip),
            // What it says it is counts less than what it is.
            ("application/gzip", "report.xml.gz", &zip),
            ("text/xml", "x", XML.as_bytes()),
        ] {
            assert!(is_aggregate(&mailed(content_type, name, octets)), "{content_type} {name}");
        }
        for (content_type, octets) in
            [("application/tlsrpt+gzip", gzipped(JSON.as_bytes())), ("application/tlsrpt+json", JSON.into())]
        {
            assert!(
                matches!(read(&mailed(content_type, "x", &octets)), Ok(Report::Tls(_))),
                "{content_type}"
            );
        }
    }

    #[test]
    fn ordinary_mail_is_no_report() {
        assert_eq!(read(b"From: a@far.example\r\n\r\n<feedback/>\r\n"), Err(Refused::NoReport));
        assert_eq!(read(&mailed("image/png", "a.png", b"PK")), Err(Refused::NoReport));
        assert_eq!(read(b""), Err(Refused::NoReport));
    }

    #[test]
    fn bombs_are_not_unpacked() {
        let spaces = vec![b' '; MAX_UNPACKED + 1];
        let (gzip, zip) = (gzipped(&spaces), zipped(&[("a.xml", &spaces)]));
        assert_eq!(read(&mailed("application/gzip", "a", &gzip)), Err(Refused::TooLarge("octets unpacked")));
        assert_eq!(read(&mailed("application/zip", "a", &zip)), Err(Refused::TooLarge("octets unpacked")));
        let two = zipped(&[("a.xml", XML.as_bytes()), ("b.xml", XML.as_bytes())]);
        assert_eq!(
            read(&mailed("application/zip", "a", &two)),
            Err(Refused::TooLarge("files in the archive"))
        );
        // Far more than any text is compressed to, though within the absolute bound.
        let dense = gzipped(&spaces[..8 << 20]);
        assert_eq!(read(&mailed("application/gzip", "a", &dense)), Err(Refused::TooLarge("octets unpacked")));
        let nested = gzipped(&gzipped(XML.as_bytes()));
        assert!(matches!(read(&mailed("application/gzip", "a", &nested)), Err(Refused::Malformed(_))));
    }
}
