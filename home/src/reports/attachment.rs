//! The report in a message.
//!
//! In: a message. Out: the report in the first part whose media subtype, or the end of whose file name, is one that reports
//! have; what the part then holds decides. Refused: a report that cannot be read; `None` for a message without such a part.

use std::borrow::Cow;

use postern_report::{Refused, Report};
use postern_store::structure::text::decode_transfer;
use postern_store::structure::{Parameter, Part, Structure};

const SUBTYPES: [&str; 8] =
    ["gzip", "x-gzip", "zip", "x-zip", "x-zip-compressed", "xml", "tlsrpt+gzip", "tlsrpt+json"];
const EXTENSIONS: [&str; 5] = [".gz", ".gzip", ".zip", ".xml", ".json"];

/// Finds the report and reads it.
///
/// # Errors
/// [`Refused`]
pub fn report_in(message: &[u8]) -> Result<Option<Report>, Refused> {
    attached(message).map(|octets| postern_report::read(&octets)).transpose()
}

fn attached(message: &[u8]) -> Option<Cow<'_, [u8]>> {
    let structure = Structure::parse(message);
    let part = structure.root.walk().into_iter().find(|part| is_report(part))?;
    let place = usize::try_from(part.body.start).ok()?..usize::try_from(part.body.end).ok()?;
    Some(decode_transfer(&part.encoding, message.get(place)?))
}

fn is_report(part: &Part) -> bool {
    let subtype = SUBTYPES.iter().any(|known| part.subtype.eq_ignore_ascii_case(known.as_bytes()));
    let disposition = part.disposition.iter().flat_map(|disposition| &disposition.parameters);
    subtype || part.parameters.iter().chain(disposition).any(names_a_report)
}

fn names_a_report((key, value): &Parameter) -> bool {
    let (key, value) = (key.to_ascii_lowercase(), value.to_ascii_lowercase());
    let is_name = key.starts_with(b"filename") || key.starts_with(b"name");
    is_name && EXTENSIONS.iter().any(|extension| value.ends_with(extension.as_bytes()))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD as BASE64;

    use super::*;

    const XML: &str = include_str!("../../proto/report/samples/rfc7489.xml");
    const JSON: &str = include_str!("../../proto/report/samples/rfc8460.json");

    fn mailed(content_type: &str, name: &str, octets: &[u8]) -> Vec<u8> {
        let encoded = BASE64.encode(octets);
        format!(
            "From: reports@far.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
             --b\r\nContent-Type: text/plain\r\n\r\nA report.\r\n\
             --b\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment; filename=\"{name}\"\r\n\r\n{encoded}\r\n--b--\r\n"
        )
        .into_bytes()
    }

    #[test]
    fn a_report_is_found_by_its_type_or_its_name() {
        for (content_type, name) in [
            ("application/xml", "x"),
            ("text/XML", "x"),
            ("application/octet-stream", "far.example!home.example!1!2.XML"),
            ("application/gzip", "a.pdf"),
        ] {
            let found = report_in(&mailed(content_type, name, XML.as_bytes()));
            assert!(matches!(found, Ok(Some(Report::Aggregate(_)))), "{content_type} {name}: {found:?}");
        }
        let found = report_in(&mailed("application/tlsrpt+json", "x", JSON.as_bytes()));
        assert!(matches!(found, Ok(Some(Report::Tls(_)))), "{found:?}");
        assert!(matches!(report_in(&mailed("application/zip", "a.zip", b"PK")), Err(Refused::Malformed(_))));
    }

    #[test]
    fn ordinary_mail_has_none() {
        assert_eq!(report_in(b"From: a@far.example\r\n\r\n<feedback/>\r\n"), Ok(None));
        assert_eq!(report_in(&mailed("image/png", "a.png", XML.as_bytes())), Ok(None));
        assert_eq!(report_in(b""), Ok(None));
    }
}
