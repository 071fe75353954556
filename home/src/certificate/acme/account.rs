//! Accounts with authorities (RFC 8555 §7.1.2, §7.3).
//!
//! The key is made and kept before the authority hears of it. Asking for an account with a key that has one gives that
//! account (RFC 8555 §7.3.1), so a home that was killed in between finds it again.

use hyper::Uri;
use instant_acme::{Account, Error, Key};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::Deserialize;

use super::{AcmeError, Https};
use crate::certificate::book;

/// What an authority says of itself (RFC 8555 §7.1.1).
#[derive(Debug, Default, Deserialize)]
struct Directory {
    #[serde(default)]
    meta: Authority,
}

/// The `meta` of an authority's directory (RFC 8555 §9.7.6).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Authority {
    /// The names by which it knows itself in CAA records.
    #[serde(default)]
    pub caa_identities: Vec<String>,
    /// Where its terms of service are.
    #[serde(default)]
    pub terms_of_service: Option<String>,
    /// Whether it gives accounts to none but its customers (RFC 8555 §7.3.4).
    #[serde(default)]
    external_account_required: bool,
}

/// What the authority says of itself.
///
/// # Errors
/// When it cannot be reached or understood, and [`AcmeError::ExternalAccount`].
pub async fn authority(https: &Https, directory: &str) -> Result<Authority, AcmeError> {
    let uri: Uri = directory.parse().map_err(|_| super::HttpsError::Address(Uri::default()))?;
    let directory: Directory =
        serde_json::from_slice(&https.get(&uri).await?).map_err(AcmeError::Directory)?;
    if directory.meta.external_account_required {
        return Err(AcmeError::ExternalAccount);
    }
    Ok(directory.meta)
}

/// The URL of the account that this key has or gets.
///
/// # Errors
/// As the authority says.
pub async fn register(
    https: &Https,
    directory: &str,
    kept: &book::Account,
    contact: Option<&str>,
) -> Result<String, AcmeError> {
    let account = persistently!(create(https, directory, kept))?;
    if let Some(contact) = contact {
        let contact = format!("mailto:{contact}");
        persistently!(account.update_contacts(&[&contact]))?;
    }
    Ok(account.id().to_owned())
}

async fn create(https: &Https, directory: &str, kept: &book::Account) -> Result<Account, Error> {
    let key = Key::from_pkcs8_der(PrivatePkcs8KeyDer::from(kept.key.expose()))?;
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(kept.key.expose().to_vec()));
    let builder = Account::builder_with_http(Box::new(https.clone()));
    Ok(builder.create_from_key((key, der), directory.to_owned()).await?.0)
}

/// The account, ready to order.
///
/// # Errors
/// When the authority cannot be reached, and [`AcmeError::NoAccount`] before [`register`].
pub async fn open(https: &Https, directory: &str, kept: &book::Account) -> Result<Account, AcmeError> {
    let url = kept.url.clone().ok_or(AcmeError::NoAccount)?;
    let builder = Account::builder_with_http(Box::new(https.clone()));
    let key = PrivatePkcs8KeyDer::from(kept.key.expose());
    Ok(builder.from_parts(url, key, directory.to_owned()).await?)
}
