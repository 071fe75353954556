//! One-line answers (RFC 1939 §3) and their codes (RFC 2449 §8, RFC 3206).

use crate::request::Refusal;

/// What kind of failure a client is told of, in brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The credentials are wrong: asking the user again makes sense.
    Auth,
    /// Another session has the maildrop.
    InUse,
    /// It may work later.
    SysTemp,
    /// It will not work before somebody has mended it.
    SysPerm,
}

impl Code {
    fn name(self) -> &'static str {
        match self {
            Code::Auth => "AUTH",
            Code::InUse => "IN-USE",
            Code::SysTemp => "SYS/TEMP",
            Code::SysPerm => "SYS/PERM",
        }
    }
}

/// Success; with an empty text, the word alone.
pub fn ok(text: &str, out: &mut Vec<u8>) {
    match text {
        "" => line(&["+OK"], out),
        text => line(&["+OK ", text], out),
    }
}

/// Failure.
pub fn err(text: &str, out: &mut Vec<u8>) {
    line(&["-ERR ", text], out);
}

/// Failure of a kind.
pub fn err_code(code: Code, text: &str, out: &mut Vec<u8>) {
    line(&["-ERR [", code.name(), "] ", text], out);
}

/// A line of a multi-line answer, which begins with no dot.
pub fn line(parts: &[&str], out: &mut Vec<u8>) {
    parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
    out.extend_from_slice(b"\r\n");
}

/// What the client is told when the host has refused; the cause is in the host's log.
pub fn refused(refusal: Refusal, out: &mut Vec<u8>) {
    match refusal {
        Refusal::InUse => {
            err_code(Code::InUse, "another session has this maildrop; try again in a minute", out)
        }
        Refusal::Unavailable => err_code(Code::SysTemp, "not possible now, try again later", out),
        Refusal::Gone => err("another program has deleted this message", out),
        Refusal::Fault => err_code(Code::SysPerm, "internal error", out),
    }
}
