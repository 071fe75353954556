//! What both programs speak: configuration, keys, the control protocol, the tunnel and the zone.

pub mod cli;
pub mod config;
pub mod observability;
pub mod service_manager;

pub mod durable;
pub mod identity;
pub mod join_code;

pub mod address;
pub mod netlink;
pub mod tunnel;

pub mod enrolment;
pub mod rotation;

pub mod bans;
pub mod control;
pub mod http;
pub mod local;
pub mod look;
pub mod zone;

pub mod secondary;
