//! Home's half of enrolment: one signed request through the bootstrap epoch.
//!
//! A lost answer is asked for again with the same identity and key, so that the edge gives it once more.

use std::sync::Mutex;
use std::time::Duration;

use postern_shared::enrolment::{
    BOOTSTRAP_CONTROL_PORT, BOOTSTRAP_EDGE_V4, BOOTSTRAP_HOME_V4, ENROL_PATH, EnrolRequest, RefusalBody,
};
use postern_shared::http::{Method, Request, Response, StatusCode};
use postern_shared::identity::Identity;
use postern_shared::tunnel::PrivateKey;

use super::LinkError;
use super::client::{ControlClient, ControlError, accepted};
use super::invitation::Invitation;
use super::signed::{lock, seconds_now};
use super::state::{JoinedEdge, LinkFile};
use crate::inner::Network;

/// How often the request is sent before the join fails.
const ATTEMPTS: u32 = 3;

/// Enrols; the bootstrap epoch must be alive.
pub async fn enrol(
    network: &Network,
    identity: &Identity,
    file: &Mutex<LinkFile>,
    invitation: &Invitation,
) -> Result<JoinedEdge, LinkError> {
    let home_key = PrivateKey::generate()?;
    let body = EnrolRequest {
        identity: identity.public(),
        invite: invitation.edge_key,
        home_key: home_key.public(),
    };
    let request = Request::new(Method::POST, ENROL_PATH).with_json(&body).map_err(ControlError::Request)?;
    let response = send(network, identity, file, request).await?;
    let answer = understood(&response)?;
    invitation.check_answer(&answer)?;
    Ok(JoinedEdge::new(invitation.endpoint.clone(), home_key, answer, seconds_now()))
}

async fn send(
    network: &Network,
    identity: &Identity,
    file: &Mutex<LinkFile>,
    request: Request,
) -> Result<Response, LinkError> {
    let client = ControlClient {
        network: network.clone(),
        from: BOOTSTRAP_HOME_V4.into(),
        to: (BOOTSTRAP_EDGE_V4, BOOTSTRAP_CONTROL_PORT).into(),
    };
    let mut attempt = 1;
    loop {
        let counter = lock(file).next_counter(0)?;
        let signature = identity.sign_request("POST", ENROL_PATH, &request.body, counter);
        match client.send_signed(request.clone(), &signature).await {
            Ok(response) => return Ok(response),
            Err(error) if attempt == ATTEMPTS => return Err(error.into()),
            Err(error) => tracing::info!(%error, "the enrolment request is sent again"),
        }
        attempt += 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn understood(response: &Response) -> Result<postern_shared::enrolment::EnrolResponse, LinkError> {
    if response.status == StatusCode::OK {
        return Ok(response.json().map_err(ControlError::Answer)?);
    }
    if let Ok(RefusalBody { refusal, .. }) = response.json() {
        return Err(refusal.into());
    }
    accepted("POST", ENROL_PATH, response)?;
    Err(LinkError::Busy("not answered in a way it understands"))
}
