//! `postern-edge`: the program that owns the static address.

pub mod cli;
pub mod config;
pub mod host;
pub mod run;

pub mod dns;
pub mod forward;
pub mod health;
pub mod hold;
pub mod look;
pub mod tunnel;

pub mod control;
pub mod enrol;
pub mod service;
pub mod zone_check;

pub mod admin;
pub mod metrics;
pub mod state;
pub mod status;
