//! What the client has shown that it understands, which changes what it is told from then on (RFC 5161 §3.1).

/// An extension that changes responses once the client has enabled it. None can be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// CONDSTORE (RFC 7162 §3.1): FETCH responses that nobody asked for have UID and MODSEQ.
    CondStore,
    /// IMAP4rev2 (RFC 9051 §6.3.1): mailbox names are UTF-8, `\Recent` is gone, SEARCH answers by ESEARCH.
    Imap4Rev2,
    /// QRESYNC (RFC 7162 §3.2.3): VANISHED stands in place of EXPUNGE.
    QResync,
    /// UTF8=ACCEPT (RFC 6855 §3): mailbox names are UTF-8, SEARCH names no character set.
    Utf8Accept,
    /// UIDONLY (RFC 9586 §3): no sequence numbers, neither in commands nor in responses.
    UidOnly,
}

impl Extension {
    const NAMES: [(Extension, &'static str); 5] = [
        (Extension::CondStore, "CONDSTORE"),
        (Extension::Imap4Rev2, "IMAP4rev2"),
        (Extension::QResync, "QRESYNC"),
        (Extension::Utf8Accept, "UTF8=ACCEPT"),
        (Extension::UidOnly, "UIDONLY"),
    ];

    /// The extension that ENABLE names so, in any case.
    pub fn named(name: &str) -> Option<Extension> {
        Extension::NAMES
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name))
            .map(|(extension, _)| *extension)
    }

    /// Its name in ENABLE and ENABLED.
    pub fn name(self) -> &'static str {
        Extension::NAMES.iter().find(|(known, _)| *known == self).map_or("", |(_, name)| name)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The extensions that are enabled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Enabled(u8);

impl Enabled {
    pub(crate) fn has(self, extension: Extension) -> bool {
        self.0 & extension.bit() != 0
    }

    pub(crate) fn insert(&mut self, extension: Extension) {
        self.0 |= extension.bit();
    }
}
