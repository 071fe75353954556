//! What LIST tells about a mailbox (RFC 9051 §7.3.1, RFC 6154).

/// The purpose of a mailbox (RFC 6154 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpecialUse {
    /// `\All`
    All,
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Flagged`
    Flagged,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

impl SpecialUse {
    const ALL: [SpecialUse; 7] = [
        SpecialUse::All,
        SpecialUse::Archive,
        SpecialUse::Drafts,
        SpecialUse::Flagged,
        SpecialUse::Junk,
        SpecialUse::Sent,
        SpecialUse::Trash,
    ];

    /// The attribute on the wire.
    pub fn attribute(self) -> &'static str {
        match self {
            SpecialUse::All => "\\All",
            SpecialUse::Archive => "\\Archive",
            SpecialUse::Drafts => "\\Drafts",
            SpecialUse::Flagged => "\\Flagged",
            SpecialUse::Junk => "\\Junk",
            SpecialUse::Sent => "\\Sent",
            SpecialUse::Trash => "\\Trash",
        }
    }

    /// The attribute of that name, written without its backslash.
    pub fn from_name(name: &str) -> Option<SpecialUse> {
        SpecialUse::ALL.into_iter().find(|known| known.attribute()[1..].eq_ignore_ascii_case(name))
    }
}

/// The attributes of one LIST response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailboxAttributes(pub Vec<&'static str>);

impl MailboxAttributes {
    /// Writes the parenthesised list.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(b'(');
        out.extend_from_slice(self.0.join(" ").as_bytes());
        out.push(b')');
    }
}
