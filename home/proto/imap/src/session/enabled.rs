//! What the client has shown that it understands, which changes what it is told from then on (RFC 5161 §3.1).

/// An extension that changes responses once the client has enabled it. None can be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// CONDSTORE (RFC 7162 §3.1): FETCH responses that nobody asked for have UID and MODSEQ.
    CondStore,
    /// QRESYNC (RFC 7162 §3.2.3): VANISHED stands in place of EXPUNGE.
    QResync,
}

impl Extension {
    const NAMES: [(Extension, &'static str); 2] =
        [(Extension::CondStore, "CONDSTORE"), (Extension::QResync, "QRESYNC")];

    /// The extension that ENABLE names so, in upper case.
    pub fn named(name: &str) -> Option<Extension> {
        Extension::NAMES.iter().find(|(_, known)| *known == name).map(|(extension, _)| *extension)
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
