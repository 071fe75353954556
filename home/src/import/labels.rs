//! Where Gmail's labels lead.
//!
//! In: the labels of one message, as Gmail's IMAP (`X-GM-LABELS`) or Takeout (`X-Gmail-Labels`) name them. Out: the mailboxes
//! that the message belongs in, and its flags. Gmail keeps one message with many labels; it comes into one mailbox for each
//! label that is one, and its octets are kept once. A message without any is what Gmail calls archived.
//!
//! Takeout writes the names in the language of the person; those of [`NAMES`] are known, others become mailboxes.

use postern_store::account::{Flags, Keyword, SpecialUse, SystemFlags};

use super::intake::Place;

/// What a label means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Inbox,
    Use(SpecialUse),
    Flag(SystemFlags),
    /// In Takeout all else is read.
    Unread,
    /// RFC 8457.
    Important,
    /// Gmail's own view of things, which says nothing of where a message is.
    Nothing,
}

/// Names of the labels that Gmail sets by itself: those of IMAP, then those of Takeout by language, in lower case.
const NAMES: [(Meaning, &[&str]); 10] = [
    (
        Meaning::Inbox,
        &[
            "\\inbox",
            "inbox",
            "posteingang",
            "boîte de réception",
            "recibidos",
            "bandeja de entrada",
            "posta in arrivo",
            "caixa de entrada",
            "postvak in",
        ],
    ),
    (
        Meaning::Use(SpecialUse::Sent),
        &[
            "\\sent",
            "sent",
            "gesendet",
            "messages envoyés",
            "enviados",
            "inviati",
            "posta inviata",
            "verzonden",
        ],
    ),
    (
        Meaning::Use(SpecialUse::Drafts),
        &[
            "\\draft",
            "\\drafts",
            "drafts",
            "entwürfe",
            "brouillons",
            "borradores",
            "bozze",
            "rascunhos",
            "concepten",
        ],
    ),
    (
        Meaning::Use(SpecialUse::Junk),
        &["\\spam", "\\junk", "spam", "pourriel", "correo no deseado", "lixo eletrônico"],
    ),
    (
        Meaning::Use(SpecialUse::Trash),
        &[
            "\\trash",
            "trash",
            "bin",
            "papierkorb",
            "corbeille",
            "papelera",
            "cestino",
            "lixeira",
            "prullenbak",
        ],
    ),
    (
        Meaning::Use(SpecialUse::Archive),
        &[
            "archived",
            "archiviert",
            "messages archivés",
            "archivado",
            "archiviati",
            "arquivado",
            "gearchiveerd",
        ],
    ),
    (
        Meaning::Flag(SystemFlags::FLAGGED),
        &[
            "\\starred",
            "\\flagged",
            "starred",
            "markiert",
            "messages suivis",
            "destacados",
            "speciali",
            "com estrela",
            "met ster",
        ],
    ),
    (
        Meaning::Unread,
        &["unread", "ungelesen", "non lus", "no leídos", "da leggere", "não lidas", "ongelezen"],
    ),
    (
        Meaning::Important,
        &[
            "\\important",
            "important",
            "wichtig",
            "importants",
            "importante",
            "importantes",
            "importanti",
            "belangrijk",
        ],
    ),
    (
        Meaning::Nothing,
        &[
            "\\muted",
            "muted",
            "opened",
            "geöffnet",
            "ouvert",
            "abiertos",
            "aperti",
            "abertos",
            "geopend",
            "chat",
            "chats",
        ],
    ),
];

/// Categories of Gmail's tabs in Takeout: `Category Promotions`, `Kategorie: Werbung`.
const CATEGORIES: [&str; 6] =
    ["category ", "kategorie: ", "kategorie ", "catégorie ", "categoría: ", "categoria "];

/// What the labels of a message come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sorted {
    /// Never empty.
    pub(super) places: Vec<Place>,
    pub(super) flags: Flags,
    pub(super) is_unread: bool,
}

/// Sorts the labels of one message.
pub(super) fn sort(labels: impl IntoIterator<Item = String>) -> Sorted {
    let mut sorted = Sorted { places: Vec::new(), flags: Flags::default(), is_unread: false };
    for label in labels {
        match meaning(&label) {
            Some(Meaning::Inbox) => sorted.places.push(Place::Named("INBOX".to_owned())),
            Some(Meaning::Use(SpecialUse::Drafts)) => {
                sorted.places.push(Place::Special(SpecialUse::Drafts));
                sorted.flags.system = sorted.flags.system | SystemFlags::DRAFT;
            }
            Some(Meaning::Use(special_use)) => sorted.places.push(Place::Special(special_use)),
            Some(Meaning::Flag(flag)) => sorted.flags.system = sorted.flags.system | flag,
            Some(Meaning::Unread) => sorted.is_unread = true,
            Some(Meaning::Important) => sorted.flags.keywords.extend(Keyword::new("$Important").ok()),
            Some(Meaning::Nothing) => {}
            None => sorted.places.push(Place::Named(label)),
        }
    }
    let archive = Place::Special(SpecialUse::Archive);
    // Takeout says Archived of whatever is not in the inbox; a label is a better place.
    if sorted.places.iter().any(|place| *place != archive) {
        sorted.places.retain(|place| *place != archive);
    } else {
        sorted.places = vec![archive];
    }
    let mut seen = Vec::new();
    sorted.places.retain(|place| {
        !seen.contains(place) && {
            seen.push(place.clone());
            true
        }
    });
    sorted
}

fn meaning(label: &str) -> Option<Meaning> {
    let label = label.to_lowercase();
    if CATEGORIES.iter().any(|category| label.starts_with(category)) {
        return Some(Meaning::Nothing);
    }
    NAMES.iter().find(|(_, names)| names.contains(&label.as_str())).map(|(meaning, _)| *meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(labels: &[&str]) -> Sorted {
        sort(labels.iter().map(|label| (*label).to_owned()))
    }

    #[test]
    fn labels_become_mailboxes_and_flags() {
        let of_imap = sorted(&["\\Inbox", "\\Starred", "\\Important", "Work/2026", "\\Inbox"]);
        assert_eq!(of_imap.places, [Place::Named("INBOX".to_owned()), Place::Named("Work/2026".to_owned())]);
        assert_eq!(of_imap.flags.system, SystemFlags::FLAGGED);
        assert_eq!(of_imap.flags.keywords.iter().map(Keyword::as_str).collect::<Vec<_>>(), ["$Important"]);
        let of_takeout = sorted(&["Archiviert", "Ungelesen", "Kategorie: Werbung", "Familie"]);
        assert_eq!(
            (of_takeout.places, of_takeout.is_unread),
            (vec![Place::Named("Familie".to_owned())], true)
        );
        assert_eq!(sorted(&["\\Draft"]).flags.system, SystemFlags::DRAFT);
    }

    #[test]
    fn without_a_label_it_is_archived() {
        for labels in [&[][..], &["Archived"], &["\\Starred"], &["Archived", "Opened", "Important"]] {
            assert_eq!(sorted(labels).places, [Place::Special(SpecialUse::Archive)], "{labels:?}");
        }
    }
}
