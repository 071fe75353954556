//! Writes responses (RFC 9051 §7).

pub mod encode;
mod fetch;
mod status;

pub use fetch::{Recent, flag_list};
pub use status::{Code, Completion, Condition};
