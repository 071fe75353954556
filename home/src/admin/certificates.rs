//! Certificates, over the administration interface.

use postern_shared::http::{Request, Response, StatusCode};

use super::wire::{CertificateNames, ImportCertificate, RenewCertificates};
use super::{Admin, Refusal};
use crate::certificate::keeper::{Import, WishError};
use crate::certificate::report::Report;

pub(super) fn list(admin: &Admin) -> Report {
    admin.certificates.borrow().clone()
}

pub(super) async fn renew(admin: &Admin, request: &Request) -> Result<CertificateNames, Refusal> {
    let RenewCertificates { name } = request.json().map_err(malformed)?;
    let names = admin.wishes.renew(name.map(|name| name.to_string())).await?;
    tracing::info!(?names, "renewal wished");
    Ok(CertificateNames { names })
}

pub(super) async fn import(admin: &Admin, request: &Request) -> Result<CertificateNames, Refusal> {
    let ImportCertificate { chain, key } = request.json().map_err(malformed)?;
    let key = key.expose().to_owned().into();
    let names = admin.wishes.import(Import { chain, key }).await?;
    tracing::info!(?names, "certificate imported");
    Ok(CertificateNames { names })
}

fn malformed(_: Response) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, "the body is not as expected.".to_owned())
}

impl From<WishError> for Refusal {
    fn from(error: WishError) -> Self {
        let status = match &error {
            WishError::Import(_) => StatusCode::UNPROCESSABLE_ENTITY,
            WishError::Unknown(_) => StatusCode::NOT_FOUND,
            WishError::Hindered(_) | WishError::PutOff(_) => StatusCode::CONFLICT,
            WishError::Book(_) | WishError::Stopping => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, format!("{error}."))
    }
}
