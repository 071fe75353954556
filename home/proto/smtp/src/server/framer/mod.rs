//! Cuts the client's octets into command lines, and message data into content.
//!
//! Only CRLF ends a line and only CRLF `.` CRLF ends a message, wherever the input is cut: a receiver that also
//! took `LF . LF` or `CR . CR` for the end would let one message smuggle another (RFC 5321 §2.3.8, §4.1.1.4).

mod chunk;
mod data;
mod line;

pub use chunk::LineEnds;
pub use data::{DataFramer, Progress};
pub use line::{Line, take_line};
