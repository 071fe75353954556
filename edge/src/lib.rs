//! `postern-edge`: the program that owns the static address.

pub mod cli;
pub mod config;
pub mod host;
pub mod run;

pub mod control;
pub mod dns;
pub mod enrol;
pub mod forward;
pub mod state;
pub mod status;
