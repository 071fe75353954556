//! What the parent zone shall have of a domain, for a person to carry to the registrar.

use postern_message::address::DomainName;
use postern_store::directory::Directory;

use super::key::ZoneKey;
use super::name;
use super::renew::RenewError;

/// The data of the DS records that shall stand in the parent zone, one for each key (RFC 4034 §5.3).
///
/// # Errors
/// [`RenewError::Directory`] for a domain that is not here, [`RenewError::Sign`] for a key that cannot be used.
pub fn ds(directory: &Directory, domain: &DomainName) -> Result<Vec<String>, RenewError> {
    let origin = name(domain.as_str())?;
    let keys = directory.dnssec_keys(domain)?;
    keys.iter().map(|key| Ok(ZoneKey::new(key)?.ds(&origin)?.to_string())).collect()
}
