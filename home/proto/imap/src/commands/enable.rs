//! ENABLE (RFC 9051 §6.3.1, RFC 5161).
//!
//! Nothing is advertised that must be enabled yet, so the answer is always empty, as RFC 5161 §3.1 has it for
//! unknown extensions.

use crate::parser::{Parser, Result};
use crate::response::Completion;
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task};

/// The capabilities that the client understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enable {
    /// In upper case.
    pub capabilities: Vec<String>,
}

impl Enable {
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Enable> {
        let mut capabilities = Vec::new();
        parser.space()?;
        capabilities.push(parser.keyword()?);
        while parser.eat(b' ') {
            capabilities.push(parser.keyword()?);
        }
        Ok(Enable { capabilities })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("ENABLE {}", self.capabilities.join(" ")).as_bytes());
    }
}

impl Task for Enable {
    fn resume(&mut self, core: &mut Core, _: Input) -> Progress {
        core.untagged("ENABLED");
        Completion::ok("ENABLE completed").into()
    }
}
