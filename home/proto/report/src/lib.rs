//! What other mail systems report about the mail that carries our name: DMARC aggregate reports and SMTP TLS reports. Pure.
//!
//! In: an attachment, packed or not. Out: the report in it; the other way, a report as a message. Refused: what is too large or
//! not understood. The words in a report are a stranger's: texts are cut to [`MAX_TEXT`] octets and hold no control
//! characters.
//!
//! | file | what it holds |
//! |---|---|
//! | `packing` | gzip and zip, unpacked within bounds |
//! | `dmarc` | aggregate reports: their content, read from XML and written |
//! | `tls` | TLS reports: their content, read from JSON and written |
//! | `mail` | a report as a message to be sent |
//!
//! Bounded: [`MAX_PACKED`], [`MAX_UNPACKED`], [`dmarc::MAX_RECORDS`], [`tls::MAX_POLICIES`]; one file in an archive.
//!
//! Implements RFC 7489 §7.2 and Appendix C, with what RFC 9990 changes in the form; RFC 8460 §4.4, §5.2, §5.3.

mod packing;
mod text;

pub mod dmarc;
pub mod tls;

pub mod mail;

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
    /// More octets, files, records or levels than a report may have; what there is too much of.
    #[error("the report has too much of it: {0}")]
    TooLarge(&'static str),
    /// It is none of the known formats, or a value in it is not one.
    #[error("the report is not understood: {0}")]
    Malformed(String),
}

/// Reads a report as it was attached, by what it is and not by what it is called.
///
/// # Errors
/// [`Refused`]
pub fn read(attachment: &[u8]) -> Result<Report, Refused> {
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

    #[test]
    fn a_report_is_read_however_it_is_packed() {
        let zip = zipped(&[("far.example!home.example!1!2.xml", XML.as_bytes())]);
        for attachment in [XML.as_bytes(), &gzipped(XML.as_bytes()), &zip] {
            assert!(matches!(read(attachment), Ok(Report::Aggregate(report)) if report.records.len() == 2));
        }
        for attachment in [JSON.as_bytes(), &gzipped(JSON.as_bytes())] {
            assert!(matches!(read(attachment), Ok(Report::Tls(_))));
        }
        for attachment in [&b"no report"[..], b"", b"PK\x03\x04", &gzipped(&gzipped(XML.as_bytes()))] {
            assert!(matches!(read(attachment), Err(Refused::Malformed(_))));
        }
    }

    #[test]
    fn bombs_are_not_unpacked() {
        let spaces = vec![b' '; MAX_UNPACKED + 1];
        let too_much = Err(Refused::TooLarge("octets unpacked"));
        assert_eq!(read(&gzipped(&spaces)), too_much);
        assert_eq!(read(&zipped(&[("a.xml", &spaces)])), too_much);
        // Far more than any text is compressed to, though within the absolute bound.
        assert_eq!(read(&gzipped(&spaces[..8 << 20])), too_much);
        assert_eq!(read(&spaces[..MAX_PACKED + 1]), Err(Refused::TooLarge("octets")));
        let two = zipped(&[("a.xml", XML.as_bytes()), ("b.xml", XML.as_bytes())]);
        assert_eq!(read(&two), Err(Refused::TooLarge("files in the archive")));
    }
}
