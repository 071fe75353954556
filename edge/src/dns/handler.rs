//! From a DNS message to an answer that fits the asker: header bits, EDNS, and size.
//!
//! In: a parsed request from hickory-server's transports. Out: one response. Refused: opcodes other than QUERY (NOTIMP),
//! other than one question (FORMERR), EDNS versions other than 0 (BADVERS). RA is never set.
//!
//! UDP answers are at most [`MAX_UDP_PAYLOAD`] octets, and at most what the asker takes. What does not fit loses its
//! additional section first, and then everything, with TC set (RFC 2181 §9): an amplifier that gives little.
//! RFC 1035 §4, RFC 6891, RFC 9715.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use hickory_proto::op::{Edns, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::Record;
use hickory_proto::serialize::binary::BinEncoder;
use hickory_server::net::runtime::Time;
use hickory_server::net::xfer::Protocol;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;

use super::answer::{Answer, Dnssec, Question, answer};
use super::zones::ZoneSet;

/// The largest UDP answer, in octets: no fragments on any usual path (RFC 9715 §3.1 recommends 1400 or less).
pub const MAX_UDP_PAYLOAD: u16 = 1232;

/// The largest UDP answer to an asker without EDNS (RFC 1035 §4.2.1).
const CLASSIC_UDP_PAYLOAD: u16 = 512;

/// The zones that are being served, shared with whoever changes them. A change is one pointer.
#[derive(Debug, Clone, Default)]
pub struct SharedZones(Arc<RwLock<Arc<ZoneSet>>>);

impl SharedZones {
    /// The zones of this moment; they stay as they are while the caller holds them.
    pub fn current(&self) -> Arc<ZoneSet> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves `zones` from now on.
    pub fn replace(&self, zones: ZoneSet) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(zones);
    }
}

/// Answers requests from [`SharedZones`].
#[derive(Debug, Clone)]
pub struct Handler {
    zones: SharedZones,
}

impl Handler {
    /// A handler that serves whatever `zones` holds when a request comes.
    pub fn new(zones: SharedZones) -> Self {
        Self { zones }
    }
}

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut responder: R,
    ) -> ResponseInfo {
        let zones = self.zones.current();
        let reply = Reply::to(request, &zones);
        let sent = responder.send_response(reply.message(request)).await;
        sent.unwrap_or_else(|error| {
            tracing::debug!(%error, "dns answer could not be sent");
            ResponseInfo::from(hickory_proto::op::Header {
                metadata: reply.metadata,
                counts: Default::default(),
            })
        })
    }
}

/// Answers one message as the transports do, without them; `None` where it is no message that can be answered.
pub fn respond(message: Vec<u8>, protocol: Protocol, zones: &ZoneSet) -> Option<Vec<u8>> {
    let nobody = (std::net::Ipv4Addr::UNSPECIFIED, 0).into();
    let request = Request::from_bytes(message, nobody, protocol).ok()?;
    if request.metadata.message_type != MessageType::Query {
        return None;
    }
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    encoder.set_max_size(u16::MAX);
    Reply::to(&request, zones).message(&request).destructive_emit(&mut encoder).ok()?;
    Some(octets)
}

/// A whole answer, cut to size.
struct Reply<'z> {
    metadata: Metadata,
    edns: Option<Edns>,
    answer: Answer<'z>,
}

impl<'z> Reply<'z> {
    fn to(request: &Request, zones: &'z ZoneSet) -> Self {
        let answer = decide(request, zones);
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.recursion_available = false;
        // RFC 4035 §3.1.6: an authoritative answer checks nothing, so it clears CD.
        metadata.checking_disabled = false;
        metadata.authoritative = answer.authoritative;
        metadata.response_code = answer.rcode;
        let mut reply = Self { metadata, edns: edns_reply(request), answer };
        if request.protocol() == Protocol::Udp {
            reply.cut_to_size(request);
        }
        reply
    }

    fn message<'a>(
        &'a self,
        request: &'a Request,
    ) -> hickory_server::zone_handler::MessageResponse<
        'a,
        'a,
        impl Iterator<Item = &'a Record> + Send + 'a,
        impl Iterator<Item = &'a Record> + Send + 'a,
        impl Iterator<Item = &'a Record> + Send + 'a,
        impl Iterator<Item = &'a Record> + Send + 'a,
    > {
        MessageResponseBuilder::new(&request.queries, self.edns.as_ref()).build(
            self.metadata,
            self.answer.answers.iter().map(Cow::as_ref),
            self.answer.authorities.iter().map(Cow::as_ref),
            [],
            self.answer.additionals.iter().map(Cow::as_ref),
        )
    }

    /// hickory would cut in the middle of the additional section, set TC for it and lose the OPT record.
    fn cut_to_size(&mut self, request: &Request) {
        if self.fits(request) {
            return;
        }
        self.answer.additionals.clear();
        if self.fits(request) {
            return;
        }
        self.answer.answers.clear();
        self.answer.authorities.clear();
        self.metadata.truncation = true;
    }

    fn fits(&self, request: &Request) -> bool {
        let limit = self.edns.as_ref().map_or(CLASSIC_UDP_PAYLOAD, Edns::max_payload);
        let mut octets = Vec::with_capacity(usize::from(limit));
        let mut encoder = BinEncoder::new(&mut octets);
        encoder.set_max_size(limit);
        self.message(request).destructive_emit(&mut encoder).is_ok_and(|info| !info.truncation)
    }
}

fn decide<'z>(request: &Request, zones: &'z ZoneSet) -> Answer<'z> {
    let rcode = |rcode| Answer { rcode, ..Answer::default() };
    // RFC 6891 §6.1.3: the version is looked at before the rest.
    if request.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        return rcode(ResponseCode::BADVERS);
    }
    if request.metadata.op_code != OpCode::Query {
        return rcode(ResponseCode::NotImp);
    }
    match request.queries.queries() {
        [query] => answer(
            zones,
            &Question {
                name: query.name().clone(),
                record_type: query.query_type(),
                class: query.query_class(),
                dnssec: dnssec_of(request),
            },
        ),
        _ => rcode(ResponseCode::FormErr),
    }
}

fn dnssec_of(request: &Request) -> Dnssec {
    match &request.edns {
        Some(edns) if edns.flags().dnssec_ok => Dnssec::Wanted,
        _ => Dnssec::Unwanted,
    }
}

/// RFC 6891 §6.1.1: OPT answers OPT. RFC 3225 §3: DO is given back as it came.
fn edns_reply(request: &Request) -> Option<Edns> {
    let asked = request.edns.as_ref()?;
    let mut edns = Edns::new();
    edns.set_version(0);
    edns.set_dnssec_ok(asked.flags().dnssec_ok);
    edns.set_max_payload(asked.max_payload().clamp(CLASSIC_UDP_PAYLOAD, MAX_UDP_PAYLOAD));
    Some(edns)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hickory_proto::op::Message;
    use proptest::prelude::*;

    use super::super::zones::ServedZone;
    use super::super::zones::tests::sample_zone;
    use super::*;

    fn zones() -> ZoneSet {
        ZoneSet::default().with(Arc::new(ServedZone::new(&sample_zone("home.example.", 7)).unwrap()))
    }

    /// A query with RD, CD and an OPT record that offers `payload` octets and sets DO.
    fn query(labels: &[&str], record_type: u16, payload: u16) -> Vec<u8> {
        let mut octets = vec![0x12, 0x34, 0x01, 0x10, 0, 1, 0, 0, 0, 0, 0, 1];
        for label in labels {
            octets.push(u8::try_from(label.len()).unwrap());
            octets.extend(label.as_bytes());
        }
        octets.push(0);
        octets.extend([record_type.to_be_bytes(), [0, 1]].concat());
        octets.extend([0, 0, 41]);
        octets.extend(payload.to_be_bytes());
        octets.extend([0, 0, 0x80, 0, 0, 0]);
        octets
    }

    fn reply(query: Vec<u8>) -> Message {
        Message::from_vec(&respond(query, Protocol::Udp, &zones()).unwrap()).unwrap()
    }

    #[test]
    fn header_bits_are_those_of_an_authority() {
        let reply = reply(query(&["MaIl", "home", "example"], 1, 4096));
        let bits = &reply.metadata;
        assert!(bits.authoritative && bits.recursion_desired);
        assert!(
            !bits.recursion_available && !bits.checking_disabled && !bits.authentic_data && !bits.truncation
        );
        assert_eq!(reply.queries[0].name().to_ascii(), "MaIl.home.example.");
        let edns = reply.edns.unwrap();
        assert_eq!((edns.max_payload(), edns.flags().dnssec_ok), (MAX_UDP_PAYLOAD, true));
    }

    proptest! {
        #[test]
        fn any_octets_get_an_answer_of_bounded_size_or_none(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(answer) = respond(octets, Protocol::Udp, &zones()) {
                prop_assert!(answer.len() <= usize::from(MAX_UDP_PAYLOAD));
            }
        }

        #[test]
        fn no_udp_answer_is_longer_than_was_offered(
            label in "long|mail|www|nothing|sub|loop1|x.wild", record_type in 0_u16..260, payload: u16,
        ) {
            let labels: Vec<&str> = label.split('.').chain(["home", "example"]).collect();
            let octets = respond(query(&labels, record_type, payload), Protocol::Udp, &zones()).unwrap();
            prop_assert!(octets.len() <= usize::from(payload.clamp(512, MAX_UDP_PAYLOAD)));
            let answer = Message::from_vec(&octets).unwrap();
            prop_assert!(answer.edns.is_some(), "OPT answers OPT");
        }
    }
}
