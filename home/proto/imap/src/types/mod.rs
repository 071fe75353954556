//! The values that commands and responses are made of, parsed once and then known to be valid.

mod body_structure;
mod date;
mod entry;
mod envelope;
mod fetch_item;
mod flag;
mod list;
mod mailbox_name;
mod message_data;
mod message_url;
mod partial_range;
mod rights;
mod search_key;
mod section;
mod sequence_set;
mod sort;
mod status_item;

pub use body_structure::{BodyKind, BodyStructure, Detail, Disposition, Parameter, Span};
pub use date::{Date, DateTime};
pub use entry::Entry;
pub use envelope::{Address, Envelope};
pub use fetch_item::{FetchItem, PreviewPriority};
pub use flag::Flag;
pub use list::{MailboxAttributes, SpecialUse};
pub use mailbox_name::{DELIMITER, MailboxName, NameEncoding, OTHER_USERS};
pub use message_data::{Arrival, Message, MessageRef, ObjectIds};
pub use message_url::{MessageUrl, UrlMailbox};
pub use partial_range::{From as PageFrom, PartialRange};
pub use rights::Rights;
pub use search_key::{Charset, SearchKey};
pub use section::{Partial, Section, SectionText, SeenEffect};
pub use sequence_set::{Number, SequenceSet, encode_uids};
pub use sort::{Direction, SortCriterion, SortKey};
pub use status_item::StatusItem;
