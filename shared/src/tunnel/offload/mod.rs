//! Super-packets: what the kernel and we pass through the TUN device in place of many packets of one TCP flow.
//!
//! In from the device: a virtio-net header and a packet of up to 64 KiB, whose checksum may be unfinished; out to the core:
//! packets of the device's MTU, complete ([`segment`]). In from the core: packets; out to the device: super-packets of
//! consecutive segments of a flow ([`Coalescer`]). Segmenting undoes coalescing, octet for octet. Refused: headers that
//! contradict their packet. Never coalesced: what does not carry its right checksum, or anything but plain TCP data.
//! Pure, and nothing is allocated per packet. RFC 9293 (TCP), RFC 791, RFC 8200, RFC 1071 (checksums).
//!
//! | module | holds |
//! |---|---|
//! | `vnet` | the virtio-net header |
//! | `checksum` | the Internet checksum |
//! | `tcp` | where the headers of a TCP packet lie, and their fields |
//! | `segment` | super-packet to packets |
//! | `coalesce` | packets to super-packets |

mod checksum;
mod tcp;
mod vnet;

mod coalesce;
mod segment;

#[cfg(test)]
mod tests;

pub use coalesce::{Coalescer, Pieces};
pub use segment::segment;
pub use vnet::VnetHeader;
