//! SMTP, pure: no sockets, no clock, no files.
//!
//! * [`server`] is the receiving side: mail from other servers, and submission by users.
//! * [`client`] is the sending side: one session that hands messages over to another server.
//! * [`xtext`] is an encoding that both use, [`deliver_by`] a parameter.

pub mod client;
pub mod deliver_by;
pub mod server;
pub mod xtext;
