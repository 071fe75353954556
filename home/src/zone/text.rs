//! Records as lines of a master file (RFC 1035 §5.1), for people and for other name servers.
//!
//! In: decoded records. Out: lines. What has no form in [`presentation`] is written in the one for unknown types (RFC 3597
//! §5), which every name server reads.

use hickory_proto::dnssec::rdata::{DNSSECRData, NSEC, RRSIG};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use postern_shared::zone::{self, Zone, ZoneError};

use super::presentation;

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
    let owner = presentation::name_text(&record.name);
    format!("{owner} {} IN {} {}\n", record.ttl, mnemonic(record.record_type()), rdata(&record.data))
}

/// The type's name, or RFC 3597's `TYPE` and number.
pub fn mnemonic(record_type: RecordType) -> String {
    presentation::type_text(record_type)
}

/// A host's name as people write it: in lower case, without the final dot.
pub fn host(name: &Name) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    if name.is_root() { text } else { text.trim_end_matches('.').to_owned() }
}

/// The data of a record.
pub fn rdata(data: &RData) -> String {
    match data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => return rrsig(signature),
        RData::DNSSEC(DNSSECRData::NSEC(denial)) => return nsec(denial),
        _ => {}
    }
    let wire = zone::encode(data).unwrap_or_default();
    presentation::text(data.record_type(), &wire).unwrap_or_else(|| generic(&wire))
}

/// Data of any type (RFC 3597 §5).
pub fn generic(wire: &[u8]) -> String {
    format!("\\# {} {}", wire.len(), presentation::hexadecimal(wire)).trim_end().to_owned()
}

/// RFC 4034 §4.2.
fn nsec(denial: &NSEC) -> String {
    let types = denial.type_bit_maps().map(mnemonic);
    let words = std::iter::once(presentation::name_text(denial.next_domain_name())).chain(types);
    words.collect::<Vec<_>>().join(" ")
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
        presentation::name_text(&input.signer_name),
        base64::engine::general_purpose::STANDARD.encode(signature.sig())
    )
}

/// YYYYMMDDHHmmSS, in UTC.
fn date(seconds: u32) -> String {
    let time = jiff::Timestamp::from_second(i64::from(seconds)).unwrap_or_default();
    time.strftime("%Y%m%d%H%M%S").to_string()
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{MX, NULL, TXT};

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
        assert_eq!(text, "a.example. 60 IN MX 10 xn--bcher-kva.example.\n");
        let unknown = RData::Unknown { code: RecordType::Unknown(65280), rdata: NULL::with(vec![1, 255]) };
        assert_eq!(shown(unknown), "a.example. 60 IN TYPE65280 \\# 2 01ff\n");
        let empty = RData::Unknown { code: RecordType::Unknown(65280), rdata: NULL::new() };
        assert_eq!(shown(empty), "a.example. 60 IN TYPE65280 \\# 0\n");
    }
}
