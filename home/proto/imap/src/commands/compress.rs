//! COMPRESS (RFC 4978): from the end of this command on both sides compress. After login only, so that no password stands
//! in a compressed stream beside what somebody else chose.

use crate::parser::{ParseError, Parser, Result};
use crate::response::{Code, Completion};
use crate::session::core::{Compression, Core};
use crate::session::task::{Input, Progress, Task};

/// COMPRESS DEFLATE, the one algorithm that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compress;

impl Compress {
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Compress> {
        parser.space()?;
        match parser.keyword()?.as_str() {
            "DEFLATE" => Ok(Compress),
            _ => Err(ParseError::Syntax("Unknown algorithm")),
        }
    }
}

impl Task for Compress {
    fn resume(&mut self, core: &mut Core, _: Input) -> Progress {
        match core.compression {
            Compression::Off => {
                core.compression = Compression::Wanted;
                Completion::ok("DEFLATE active").into()
            }
            // RFC 4978 §3: BAD when COMPRESS is active already.
            _ => {
                Completion::bad("Compression is active already").with(Code::Word("COMPRESSIONACTIVE")).into()
            }
        }
    }
}
