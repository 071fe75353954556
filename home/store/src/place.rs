//! A path, and how what lies there is kept: sealed or not.
//!
//! Whatever opens a database or a message's file is given a place, so that none of them can forget the seal. A plain path
//! is a place where nothing is sealed; whoever opens a state directory that way is refused if it is sealed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::seal::{self, Seal};
use crate::{Error, Result};

/// A file or directory of a state directory, and the seal of what lies there.
#[derive(Debug, Clone)]
pub struct Place {
    path: PathBuf,
    seal: Option<Arc<Seal>>,
}

impl Place {
    /// A sealed state directory.
    pub(crate) fn sealed(path: &Path, seal: Arc<Seal>) -> Place {
        Place { path: path.to_owned(), seal: Some(seal) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What lies below it.
    pub fn join(&self, name: impl AsRef<Path>) -> Place {
        Place { path: self.path.join(name), seal: self.seal.clone() }
    }

    /// Another state directory that is sealed as this one is: a copy of it.
    pub fn elsewhere(&self, state_dir: &Path) -> Place {
        Place { path: state_dir.to_owned(), seal: self.seal.clone() }
    }

    /// Whether what lies there is sealed.
    pub fn is_sealed(&self) -> bool {
        self.seal.is_some()
    }

    pub(crate) fn seal(&self) -> Option<&Arc<Seal>> {
        self.seal.as_ref()
    }

    /// Refuses a sealed state directory that is opened without its seal.
    pub(crate) fn admit(self) -> Result<Place> {
        if self.seal.is_none() && seal::Envelope::is_in(&self.path) {
            let shown = self.path.display();
            return Err(Error::Permanent(format!("{shown}: the mail is sealed, and no key was given")));
        }
        Ok(self)
    }
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Place {
        Place { path: path.to_owned(), seal: None }
    }
}

impl From<&PathBuf> for Place {
    fn from(path: &PathBuf) -> Place {
        Place::from(path.as_path())
    }
}

impl From<&Place> for Place {
    fn from(place: &Place) -> Place {
        place.clone()
    }
}
