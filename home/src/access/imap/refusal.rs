//! Why a request is not carried out: because the store cannot, or because the user may not.

use postern_imap::request::Refusal;
use postern_store::Error;

use super::convert;

/// What the client is told; the store's reasons are in the log by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused(pub(super) Refusal);

pub(super) type Result<T> = std::result::Result<T, Refused>;

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused(convert::refusal(&error))
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        Refused(refusal)
    }
}
