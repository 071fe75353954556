//! Records in presentation form (RFC 1035 §5.1), for people and for other name servers.
//!
//! In: decoded records. Out: lines of a master file. What hickory would not read back as the same record, and what is not
//! plain ASCII, is written in the form for unknown types (RFC 3597 §5), which every name server reads.

use std::fmt::Write;

use hickory_proto::dnssec::rdata::{DNSSECRData, RRSIG};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use postern_shared::zone::digest::ZONEMD;
use postern_shared::zone::{self, Zone, ZoneError};

/// A whole zone as a master file.
///
/// # Errors
/// [`ZoneError`] where the zone is not servable.
pub fn master_file(zone: &Zone) -> Result<String, ZoneError> {
    let lines: Vec<String> = zone.records()?.iter().map(line).collect();
    Ok(lines.concat())
}

/// One record and the end of its line.
pub fn line(record: &Record) -> String {
    let owner = record.name.to_ascii();
    format!("{owner} {} IN {} {}\n", record.ttl, mnemonic(record.record_type()), rdata(&record.data))
}

/// The type's name, or RFC 3597's `TYPE` and number.
pub fn mnemonic(record_type: RecordType) -> String {
    if record_type == ZONEMD { "ZONEMD".to_owned() } else { zone::type_to_text(record_type) }
}

/// A host's name as people write it: in lower case, without the final dot.
pub fn host(name: &Name) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    if name.is_root() { text } else { text.trim_end_matches('.').to_owned() }
}

/// The data of a record.
pub fn rdata(data: &RData) -> String {
    match data {
        RData::TXT(txt) => character_strings(txt),
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => rrsig(signature),
        RData::DNSSEC(DNSSECRData::NSEC(nsec)) => {
            let types = nsec.type_bit_maps().map(mnemonic);
            let names = std::iter::once(nsec.next_domain_name().to_ascii()).chain(types);
            names.collect::<Vec<_>>().join(" ")
        }
        RData::DNSSEC(
            DNSSECRData::DNSKEY(_) | DNSSECRData::DS(_) | DNSSECRData::CDS(_) | DNSSECRData::CDNSKEY(_),
        ) => data.to_string(),
        RData::Unknown { code: ZONEMD, rdata } => zonemd(&rdata.anything).unwrap_or_else(|| generic(data)),
        other => {
            Some(other.to_string()).filter(|text| reads_back(text, other)).unwrap_or_else(|| generic(other))
        }
    }
}

fn reads_back(text: &str, data: &RData) -> bool {
    text.is_ascii() && RData::try_from_str(data.record_type(), text).is_ok_and(|read| read == *data)
}

/// Each in quotation marks; what is not printable by its decimal number (RFC 1035 §5.1).
fn character_strings(txt: &TXT) -> String {
    let quoted = txt.txt_data.iter().map(|string| {
        let mut text = String::from("\"");
        for octet in string {
            match octet {
                b'"' | b'\\' => text.extend(['\\', char::from(*octet)]),
                b' '..=b'~' => text.push(char::from(*octet)),
                _ => write!(text, "\\{octet:03}").expect("writing to a String cannot fail"),
            }
        }
        text + "\""
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// RFC 4034 §3.2.
fn rrsig(signature: &RRSIG) -> String {
    use base64::Engine;
    let input = signature.input();
    format!(
        "{} {} {} {} {} {} {} {} {}",
        mnemonic(input.type_covered),
        u8::from(input.algorithm),
        input.num_labels,
        input.original_ttl,
        date(input.sig_expiration.get()),
        date(input.sig_inception.get()),
        input.key_tag,
        input.signer_name.to_ascii(),
        base64::engine::general_purpose::STANDARD.encode(signature.sig())
    )
}

/// YYYYMMDDHHmmSS, in UTC.
fn date(seconds: u32) -> String {
    let time = jiff::Timestamp::from_second(i64::from(seconds)).unwrap_or_default();
    time.strftime("%Y%m%d%H%M%S").to_string()
}

/// RFC 8976 §2.3.
fn zonemd(rdata: &[u8]) -> Option<String> {
    let (serial, rest) = rdata.split_first_chunk::<4>()?;
    let ([scheme, algorithm], digest) = rest.split_first_chunk::<2>()?;
    Some(format!("{} {scheme} {algorithm} {}", u32::from_be_bytes(*serial), hexadecimal(digest)))
}

fn generic(data: &RData) -> String {
    let octets = zone::encode(data).unwrap_or_default();
    format!("\\# {} {}", octets.len(), hexadecimal(&octets)).trim_end().to_owned()
}

/// Two lower-case digits for each octet.
pub fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        write!(text, "{octet:02x}").expect("writing to a String cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{MX, NULL};

    use super::*;

    fn shown(data: RData) -> String {
        line(&Record::from_rdata(Name::from_ascii("a.example.").expect("a name"), 60, data))
    }

    #[test]
    fn records_are_written_as_other_name_servers_read_them() {
        let txt = TXT::from_bytes(vec![b"v=1; \"x\\", b"\xc3\xa9\n"]);
        assert_eq!(shown(RData::TXT(txt)), "a.example. 60 IN TXT \"v=1; \\\"x\\\\\" \"\\195\\169\\010\"\n");
        let mx = MX::new(10, Name::from_ascii("mail.example.").expect("a name"));
        assert_eq!(shown(RData::MX(mx)), "a.example. 60 IN MX 10 mail.example.\n");
        let international = MX::new(10, Name::from_ascii("xn--bcher-kva.example.").expect("a name"));
        let text = shown(RData::MX(international));
        assert!(text.starts_with("a.example. 60 IN MX \\# 25 000a0d786e2d2d"), "{text}");
        let unknown = RData::Unknown { code: RecordType::Unknown(65280), rdata: NULL::with(vec![1, 255]) };
        assert_eq!(shown(unknown), "a.example. 60 IN TYPE65280 \\# 2 01ff\n");
        let empty = RData::Unknown { code: RecordType::Unknown(65280), rdata: NULL::new() };
        assert_eq!(shown(empty), "a.example. 60 IN TYPE65280 \\# 0\n");
    }
}
