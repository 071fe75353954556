//! Where a user's mail is sent on.

use postern_message::address::EmailAddress;

use super::route::Kept;
use super::{Directory, DirectoryError, Forward, users};

impl Directory {
    /// Has a user's mail sent on to this address, from now on and instead of where it went before.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownUser`]; [`DirectoryError::UnknownTarget`] for a target in a domain of this home that leads
    /// nowhere; [`DirectoryError::Circle`].
    pub fn set_forward(&self, user: &EmailAddress, forward: Forward) -> Result<(), DirectoryError> {
        let user = user.clone();
        self.change(move |connection| {
            let account = users::required(connection, &user)?;
            connection.execute(
                "INSERT INTO forward (account, target, keep) VALUES (?1, ?2, ?3)
                 ON CONFLICT (account) DO UPDATE SET target = excluded.target, keep = excluded.keep",
                (account, forward.target.to_string(), forward.kept == Kept::Copy),
            )?;
            super::require_ends(connection, std::slice::from_ref(&forward.target))
        })
    }

    /// Keeps a user's mail here again; no error where it was not sent on.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownUser`].
    pub fn remove_forward(&self, user: &EmailAddress) -> Result<(), DirectoryError> {
        let user = user.clone();
        self.change(move |connection| {
            let account = users::required(connection, &user)?;
            connection.execute("DELETE FROM forward WHERE account = ?1", [account])?;
            Ok(())
        })
    }
}
