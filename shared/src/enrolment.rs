//! The wire types of enrolment, spoken once between a home and an edge that do not know each other yet.
//!
//! ```text
//! home                                   edge
//!  | handshake of the bootstrap epoch     |   keys from the join code, or from home's identity
//!  |------------------------------------->|
//!  | POST /v1/enrol  EnrolRequest, signed |   identity proved, epoch 1 offered
//!  |------------------------------------->|
//!  |       200 EnrolResponse | 4xx Refused|   durable at the edge before it answers
//!  |<-------------------------------------|
//!  | handshake of epoch 1, GET /v1/status |   first packet on epoch 1: the code is dead
//!  |------------------------------------->|
//! ```
//! The request carries the `postern-signature` header of [`crate::identity`] by the identity it names. A home that lost
//! the answer asks again with the same identity and a greater counter, and gets an answer for as long as the code lives.

mod waiting;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::identity::PublicIdentity;
use crate::tunnel::{PresharedKey, PublicKey};

pub use waiting::{WaitingKeys, waiting_keys};

/// The edge's inner address during enrolment (RFC 3927 link-local, so that it cannot meet a configured network).
pub const BOOTSTRAP_EDGE_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 118, 1);

/// Home's inner address during enrolment; a packet from it can only have come through the bootstrap epoch.
pub const BOOTSTRAP_HOME_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 118, 2);

/// The TCP port of the control protocol during enrolment; afterwards the edge names its own.
pub const BOOTSTRAP_CONTROL_PORT: u16 = 8053;

/// The path of the enrolment call.
pub const ENROL_PATH: &str = "/v1/enrol";

/// The inner addresses of the tunnel, chosen by the edge's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InnerAddresses {
    /// The edge's IPv4 address.
    pub edge_v4: Ipv4Addr,
    /// Home's IPv4 address.
    pub home_v4: Ipv4Addr,
    /// The edge's IPv6 address.
    pub edge_v6: Ipv6Addr,
    /// Home's IPv6 address.
    pub home_v6: Ipv6Addr,
}

/// What home sends: who it is and its half of epoch 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// Home's long-term identity; the request is signed by it.
    pub identity: PublicIdentity,
    /// The edge's key of the bootstrap epoch: binds the signature to this one enrolment.
    pub invite: PublicKey,
    /// Home's static key of epoch 1.
    pub home_key: PublicKey,
}

/// What the edge answers: its half of epoch 1 and all that home must know about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolResponse {
    /// The edge's static key of epoch 1.
    pub edge_key: PublicKey,
    /// The pre-shared key of epoch 1.
    pub preshared_key: PresharedKey,
    /// The inner addresses of the tunnel.
    pub inner: InnerAddresses,
    /// The tunnel's MTU in octets.
    pub mtu: u16,
    /// The TCP port of the control protocol on the edge's inner addresses.
    pub control_port: u16,
    /// The edge's addresses on the internet.
    pub public_addresses: Vec<IpAddr>,
}

/// Why the edge refused to enrol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The code is older than it says.
    #[error(
        "the join code has expired at the edge. Run `postern-edge invite` there again and join with the new code"
    )]
    Expired,
    /// The code has joined a home already.
    #[error(
        "the edge is already joined: this code was used. A code joins one home once. Run `postern-edge invite` on the edge \
         for a new one, which replaces the home that is joined now"
    )]
    Used,
    /// The request names an invite that the edge does not hold.
    #[error("the edge has no such invite; run `postern-edge invite` there and use the code that it prints")]
    UnknownInvite,
    /// The edge waits for the home of another identity.
    #[error("the edge waits for another home: the identity in its `[enrolment]` section is not this home's")]
    OtherHome,
    /// An older request of the same home, sent again.
    #[error("the edge has seen a newer enrolment request of this home; join again")]
    Replayed,
    /// The signature does not belong to the identity.
    #[error("the edge could not verify the signature of the enrolment request")]
    BadSignature,
    /// The request is not understood.
    #[error("the edge did not understand the enrolment request: bring edge and home to the same release")]
    Malformed,
    /// The edge could not write its state.
    #[error(
        "the edge could not store the enrolment; its log says why, and joining again with the same code is safe"
    )]
    NotStored,
}

/// The body of a refusal: the sentence for a person and the reason for a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalBody {
    /// Whole sentences.
    pub error: String,
    /// The reason.
    pub refusal: Refusal,
}

impl From<Refusal> for RefusalBody {
    fn from(refusal: Refusal) -> Self {
        Self { error: refusal.to_string(), refusal }
    }
}

impl Refusal {
    /// The HTTP status to answer with (RFC 9110 §15.5).
    pub fn status(self) -> u16 {
        match self {
            Refusal::Malformed => 400,
            Refusal::BadSignature | Refusal::UnknownInvite | Refusal::OtherHome => 403,
            Refusal::Expired | Refusal::Used | Refusal::Replayed => 409,
            Refusal::NotStored => 503,
        }
    }
}
