//! Internet messages: addresses, dates, header fields, trace fields, delivery reports. Pure.

pub mod address;
pub mod date;
pub mod header;
pub mod mailbox_list;

pub mod authres;
pub mod received;

pub mod dsn;
