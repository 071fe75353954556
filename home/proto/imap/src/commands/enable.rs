//! ENABLE (RFC 9051 §6.3.1, RFC 5161).
//!
//! What is not known is passed over without a word, as RFC 5161 §3.1 has it.

use crate::parser::{Parser, Result};
use crate::response::Completion;
use crate::session::core::Core;
use crate::session::enabled::Extension;
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
        let mut line = "ENABLED".to_owned();
        let wanted = self.capabilities.iter().filter_map(|name| Extension::named(name));
        let fresh: Vec<Extension> = wanted.filter(|extension| !core.enabled.has(*extension)).collect();
        for extension in fresh {
            line.push(' ');
            line.push_str(extension.name());
            core.enable(extension);
        }
        core.untagged(&line);
        Completion::ok("ENABLE completed").into()
    }
}
