//! Items of a FETCH response that are written at once: everything but octets of the message.

use crate::response::{encode, flag_list};
use crate::session::core::Core;
use crate::types::{Arrival, Detail, FetchItem, Message, ObjectIds};

/// Writes an item without content.
pub(super) fn write_item(item: &FetchItem, message: &Message, core: &mut Core) {
    let recent = core.recent(message.uid);
    let out = &mut core.output;
    item.encode_label(out);
    out.push(b' ');
    match item {
        FetchItem::Flags => flag_list(&message.flags, recent, out),
        FetchItem::Uid => encode::number(message.uid.into(), out),
        FetchItem::InternalDate | FetchItem::Rfc822Size | FetchItem::SaveDate => {
            if let Some(arrival) = &message.arrival {
                write_arrival(item, arrival, out);
            }
        }
        FetchItem::Envelope => match &message.envelope {
            Some(envelope) => envelope.encode(out),
            None => out.extend_from_slice(b"NIL"),
        },
        FetchItem::ModSeq => out.extend_from_slice(format!("({})", message.mod_seq).as_bytes()),
        FetchItem::EmailId => object_id(message, |ids| &ids.email, out),
        FetchItem::ThreadId => object_id(message, |ids| &ids.thread, out),
        FetchItem::Preview(_) => {
            encode::string(message.preview.as_deref().unwrap_or_default().as_bytes(), out)
        }
        FetchItem::Body => write_structure(message, Detail::Basic, out),
        FetchItem::BodyStructure => write_structure(message, Detail::Extended, out),
        FetchItem::BodySection { .. }
        | FetchItem::Binary { .. }
        | FetchItem::BinarySize(_)
        | FetchItem::Rfc822
        | FetchItem::Rfc822Header
        | FetchItem::Rfc822Text => {}
    }
}

/// Of the three items, one.
fn write_arrival(item: &FetchItem, arrival: &Arrival, out: &mut Vec<u8>) {
    match item {
        FetchItem::InternalDate => arrival.internal_date.encode(out),
        FetchItem::SaveDate => arrival.save_date.encode(out),
        _ => encode::number(arrival.size, out),
    }
}

fn write_structure(message: &Message, detail: Detail, out: &mut Vec<u8>) {
    match &message.structure {
        Some(structure) => structure.encode(detail, out),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// `(objectid)` (RFC 8474 §5.3).
fn object_id(message: &Message, which: impl Fn(&ObjectIds) -> &String, out: &mut Vec<u8>) {
    match &message.object_ids {
        Some(ids) => out.extend_from_slice(format!("({})", which(ids)).as_bytes()),
        None => out.extend_from_slice(b"NIL"),
    }
}
