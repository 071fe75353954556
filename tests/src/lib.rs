//! The lab: a small internet on one machine, in which Postern meets software that we did not write.
//!
//! [`Lab::start`] makes ten hosts out of Linux namespaces (see [`topology`]), with their own name system (see
//! [`names`]), a stock Postfix, `postern-edge` and `postern-home`. Everything in it is a descendant of one
//! supervisor that is process 1 of its own process namespace, and nothing is mounted or configured outside
//! of its own mount and network namespaces: when the supervisor ends, however it ends, the kernel clears all.
//!
//! A scenario is a plain test that starts a lab, acts on its hosts, and waits for what must come:
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use postern_lab::{Host, Lab, wait_until};
//! use std::time::Duration;
//!
//! let lab = Lab::joined()?;
//! lab.host(Host::Cafe).run(["swaks", "--server", "mail.home.example", "--quit-after", "EHLO"])?.success()?;
//! lab.change_isp_address()?;
//! wait_until("the tunnel is up again", Duration::from_secs(15), || lab.is_connected())?;
//! # Ok(()) }
//! ```
//!
//! Refuses to start without root rights, because only root can make these namespaces with several users.

pub mod topology;

pub mod authority;
pub mod hosts;
pub mod names;
pub mod options;

pub mod instances;
pub mod supervisor;

mod control;
mod daemons;
mod enter;
mod shell;

pub mod acme;
pub mod checkers;
pub mod clock;
pub mod demo;
pub mod faults;
pub mod host;
pub mod keys;
pub mod lab;
pub mod machine;
pub mod mail;
pub mod path;
pub mod scale;
pub mod strangers;
pub mod wait;

pub use control::Signal;
pub use host::{HostHandle, Output};
pub use lab::Lab;
pub use machine::Machine;
pub use options::{HomeRights, Lifetime, Options, Stage};
pub use path::Fragments;
pub use topology::Host;
pub use wait::wait_until;
