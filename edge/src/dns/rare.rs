//! Messages that are no usual query: other opcodes, several questions or none, records beside OPT, torn octets.
//!
//! In: octets with at least a header that asks. Out: a refusal with the RCODE that says why, never records. hickory-server
//! reads and answers them: it knows every form that a message can have, and nobody waits for these answers.
//!
//! RFC 9619 §4 (one question), RFC 6891 §6.1.3 (BADVERS), RFC 8945 §5.2 (no key is known here, so none is right).

use std::net::{Ipv4Addr, SocketAddr};

use hickory_proto::op::{Edns, Metadata, OpCode, ResponseCode};
use hickory_proto::serialize::binary::BinEncoder;
use hickory_server::net::xfer::Protocol;
use hickory_server::server::Request;
use hickory_server::zone_handler::MessageResponseBuilder;

use super::respond::MAX_UDP_PAYLOAD;
use super::writer::HEADER;

/// Octets that a refusal may have more than the message: those of an OPT record.
const MOST_MORE: usize = 11;

/// Appends the refusal of `message` to `out`; `None` where even its header is missing.
pub fn refuse(message: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let emitted = Request::from_bytes(message.to_vec(), nobody, Protocol::Udp)
        .ok()
        .and_then(|request| emit(&request, out))
        .filter(|()| out.len() <= message.len() + MOST_MORE);
    emitted.or_else(|| {
        out.clear();
        refuse_torn(message, out)
    })
}

fn emit(request: &Request, out: &mut Vec<u8>) -> Option<()> {
    let mut metadata = Metadata::response_from_request(&request.metadata);
    metadata.recursion_available = false;
    metadata.checking_disabled = false;
    metadata.response_code = why(request);
    let edns = request.edns.as_ref().map(|asked| {
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_UDP_PAYLOAD);
        edns.set_dnssec_ok(asked.flags().dnssec_ok);
        edns
    });
    let response = MessageResponseBuilder::new(&request.queries, edns.as_ref()).build_no_records(metadata);
    response.destructive_emit(&mut BinEncoder::new(out)).ok().map(drop)
}

fn why(request: &Request) -> ResponseCode {
    if request.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        ResponseCode::BADVERS
    } else if request.metadata.op_code != OpCode::Query {
        ResponseCode::NotImp
    } else if request.signature.is_some() {
        ResponseCode::NotAuth
    } else {
        ResponseCode::FormErr
    }
}

/// The header alone: nothing behind it can be trusted.
fn refuse_torn(message: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut header = *message.first_chunk::<HEADER>()?;
    header[2] = 0x80 | header[2] & 0x79;
    header[3] = ResponseCode::FormErr.low();
    header[4..].fill(0);
    out.extend_from_slice(&header);
    Some(())
}
