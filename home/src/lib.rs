//! `postern-home`: the program that holds the mail.

pub mod cli;
pub mod config;
pub mod hostname;
pub mod memory;
pub mod run;
pub mod store_key;

pub mod bans;
pub mod certificate;
pub mod inner;
pub mod link;
pub mod net;
pub mod resolver;
pub mod tls;
pub mod zone;

pub mod survey;

pub mod auth;
pub mod dkim;
pub mod login;
pub mod smtp;

pub mod reports;

pub mod forward;
pub mod inbound;
pub mod outbound;
pub mod relay;
pub mod reputation;
pub mod submission;

pub mod access;

pub mod mta_sts;
pub mod notices;
pub mod web;

pub mod look;

pub mod admin;
pub mod backup;
pub mod doctor;
pub mod export;
pub mod import;
pub mod status;
