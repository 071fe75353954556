//! Signed calls to the edge, one at a time: the edge takes their counters in growing order only.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use postern_shared::http::{Request, Response};
use postern_shared::identity::Identity;

use super::LinkError;
use super::client::{ControlClient, accepted};
use super::state::LinkFile;

/// Signs and sends.
#[derive(Debug)]
pub struct Signer {
    identity: Arc<Identity>,
    /// Keeps the request counter.
    file: Arc<Mutex<LinkFile>>,
    turn: tokio::sync::Mutex<()>,
}

impl Signer {
    /// A signer for home's identity.
    pub fn new(identity: Arc<Identity>, file: Arc<Mutex<LinkFile>>) -> Self {
        Self { identity, file, turn: tokio::sync::Mutex::default() }
    }

    /// Sends a request and returns the edge's answer where it is a success. `seen` is the counter that the edge reported.
    pub async fn call(
        &self,
        edge: &ControlClient,
        request: Request,
        seen: u64,
    ) -> Result<Response, LinkError> {
        let _turn = self.turn.lock().await;
        let (method, path) = (request.method.to_string(), request.path.clone());
        let counter = lock(&self.file).next_counter(seen)?;
        let signature = self.identity.sign_request(&method, &path, &request.body, counter);
        let response = edge.send_signed(request, &signature).await?;
        accepted(&method, &path, &response)?;
        Ok(response)
    }
}

/// Locks the file; it is consistent also after a panic elsewhere, since a change is applied as a whole.
pub fn lock(file: &Mutex<LinkFile>) -> MutexGuard<'_, LinkFile> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time of day in seconds since 1970; 0 on a machine whose clock stands before that.
pub fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
