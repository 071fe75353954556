//! The edge's side of enrolment: who may join, who has joined, and whose signed requests are believed.
//!
//! In: the operator's wish for an invite, the identity of a home to wait for, the enrolment request from the bootstrap epoch, the signature of every control
//! request, home's steps on the ladder of key rotation. Out: join codes, the answer that makes epoch 1, and the epochs that
//! the tunnel shall keep. Refused: a code that is expired, used or replaced; a signature that does not verify; a request
//! counter that did not grow; a step that does not fit the ladder ([`postern_shared::rotation`]).
//!
//! | state | kept in `enrolment.json` | leaves it by |
//! |---|---|---|
//! | nobody | | `invite`, `await_home` |
//! | waiting | `invite` with `awaited` | `accept` of that home, `invite` |
//! | invited | `invite` without `used_by` | `accept`, expiry, a newer `invite` |
//! | answered | `invite.used_by`, `home` without `confirmed` | the first request on epoch 1; the same identity may ask again |
//! | joined | `home.confirmed` | a newer invite, once it is accepted |
//!
//! Every change is on the disk before it is answered. An edge that is joined stays so until another home has proved a new
//! invite; then the former home's epoch and signatures are void at once.

mod file;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ipnet::IpNet;
use postern_shared::control::Changed;
use postern_shared::enrolment::{
    BOOTSTRAP_EDGE_V4, BOOTSTRAP_HOME_V4, ENROL_PATH, EnrolRequest, EnrolResponse, InnerAddresses, Refusal,
    waiting_keys,
};
use postern_shared::identity::{PublicIdentity, RequestSignature, SignatureError};
use postern_shared::join_code::{Endpoint, JoinCode, Secret};
use postern_shared::rotation::{Answer, Commit, EdgeEpoch, EdgeLadder, Entropy, LadderError, Offer};
use postern_shared::tunnel::{
    Admission, EpochConfig, EpochId, HeartbeatAddresses, NoRandomness, PresharedKey, PrivateKey, PublicKey,
};
use serde::{Deserialize, Serialize};

pub use file::EnrolFileError;
use file::{Awaited, EnrolFile, Home, Invite};

/// How long after its expiry a code is still answered, by a refusal that says so.
const REFUSAL_GRACE: Duration = Duration::from_secs(3600);

/// What every enrolment answer tells home about this edge.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The inner addresses of the tunnel.
    pub inner: InnerAddresses,
    /// The tunnel's MTU in octets.
    pub mtu: u16,
    /// The TCP port of the control protocol.
    pub control_port: u16,
    /// The edge's addresses on the internet.
    pub public_addresses: Vec<IpAddr>,
}

/// Why an invite could not be made, or the state not be read.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// `enrolment.json` could not be read or written.
    #[error(transparent)]
    File(#[from] EnrolFileError),
    /// The operating system gave no random numbers.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The expiry does not fit a join code.
    #[error("an invite cannot be valid for that long; ask for less than ten years")]
    TooLong,
}

/// Why a control request is not believed.
#[derive(Debug, thiserror::Error)]
pub enum NotAuthorized {
    /// Nobody has joined.
    #[error("no home has joined this edge")]
    NotJoined,
    /// The signature header is missing.
    #[error("the request is not signed")]
    Unsigned,
    /// The signature is malformed or does not verify.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The counter was used before.
    #[error("the request's counter {got} is not greater than {last}")]
    Replayed {
        /// The request's counter.
        got: u64,
        /// The greatest counter accepted so far.
        last: u64,
    },
    /// The counter could not be stored, so that the request could be replayed after a crash.
    #[error("the request's counter could not be stored: {0}")]
    NotStored(EnrolFileError),
}

/// Why a step of the rotation was not made.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Nobody has joined.
    #[error("no home has joined this edge")]
    NotJoined,
    /// The step does not fit.
    #[error(transparent)]
    Ladder(#[from] LadderError),
    /// The operating system gave no random numbers.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// `enrolment.json` could not be written; the step may be asked for again.
    #[error(transparent)]
    NotStored(#[from] EnrolFileError),
}

/// What an epoch is to the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EpochPlace {
    /// Home tries it.
    Offered,
    /// The one that counts.
    Preferred,
    /// Home has not retired it yet.
    Former,
}

/// One epoch of the ladder, for `postern-edge status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochKeys {
    /// Which epoch.
    pub id: EpochId,
    /// What it is to the edge.
    pub place: EpochPlace,
    /// The edge's public key.
    pub edge_key: PublicKey,
    /// Home's public key.
    pub home_key: PublicKey,
}

/// A home that may join without a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedHome {
    /// Its identity, as a fingerprint.
    pub home: String,
    /// The edge's key of epoch 1: what `postern-home join --edge-key` compares.
    pub edge_key: PublicKey,
}

impl From<&Awaited> for AwaitedHome {
    fn from(awaited: &Awaited) -> Self {
        Self { home: awaited.identity.fingerprint(), edge_key: awaited.first_key.public() }
    }
}

/// Who has joined, for `postern-edge status` and the control protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolStatus {
    /// The home that has joined, as its identity's fingerprint.
    pub home: Option<String>,
    /// Whether that home has been heard on its first epoch.
    pub confirmed: bool,
    /// The counter of the last signed request.
    pub last_counter: u64,
    /// When the open join code expires, in seconds since 1970.
    pub invite_expires: Option<u64>,
    /// The home that the edge was told to wait for.
    #[serde(default)]
    pub awaits: Option<AwaitedHome>,
    /// Why the last change could not be stored.
    #[serde(default)]
    pub not_stored: Option<String>,
    /// The epochs that home may use, newest first.
    #[serde(default)]
    pub epochs: Vec<EpochKeys>,
}

/// The durable state of enrolment.
#[derive(Debug)]
pub struct Enrolment {
    file: EnrolFile,
}

impl Enrolment {
    /// Opens `enrolment.json` in the state directory, or starts with nobody.
    ///
    /// # Errors
    /// When the file is there but cannot be read.
    pub fn open(state_dir: &Path) -> Result<Self, EnrolError> {
        Ok(Self { file: EnrolFile::open(state_dir)? })
    }

    /// Makes a join code for `endpoint` that is valid for `lifetime`, and voids the code made before.
    ///
    /// # Errors
    /// When the state cannot be stored or the operating system gives no random numbers.
    pub fn invite(
        &mut self,
        endpoint: Endpoint,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<JoinCode, EnrolError> {
        let expires = u32::try_from(seconds(now).saturating_add(lifetime.as_secs()))
            .map_err(|_| EnrolError::TooLong)?;
        let secret = Secret::generate()?;
        let edge_key = PrivateKey::generate()?;
        let keys = secret.bootstrap_keys();
        let code = JoinCode { endpoint, edge_key: edge_key.public(), secret, expires };
        let invite = Invite {
            edge_key,
            home_key: keys.home_key.public(),
            preshared_key: keys.preshared_key,
            expires: Some(expires.into()),
            awaited: None,
            used_by: None,
        };
        self.file.change(|state| state.invite = Some(invite))?;
        Ok(code)
    }

    /// Lets in the home of this identity without a code, once, where none has joined yet. A code that is open stays, and so
    /// does a wait for the same home.
    ///
    /// # Errors
    /// When the state cannot be stored or the operating system gives no random numbers.
    pub fn await_home(&mut self, identity: PublicIdentity, now: SystemTime) -> Result<(), EnrolError> {
        let state = self.file.state();
        let is_kept = |invite: &Invite| match &invite.awaited {
            Some(awaited) => awaited.identity == identity,
            None => !invite.is_over(now),
        };
        if state.home.is_some() || state.invite.as_ref().is_some_and(is_kept) {
            return Ok(());
        }
        let keys = waiting_keys(&identity);
        let invite = Invite {
            edge_key: keys.edge_key,
            home_key: keys.home.home_key.public(),
            preshared_key: keys.home.preshared_key,
            expires: None,
            awaited: Some(Awaited { identity, first_key: PrivateKey::generate()? }),
            used_by: None,
        };
        Ok(self.file.change(|state| state.invite = Some(invite))?)
    }

    /// Answers `POST /v1/enrol`. The caller has checked that the request came from the bootstrap epoch.
    ///
    /// # Errors
    /// The refusal to send back.
    pub fn accept(
        &mut self,
        body: &[u8],
        signature: Option<&str>,
        terms: &Terms,
        now: SystemTime,
    ) -> Result<EnrolResponse, Refusal> {
        let request: EnrolRequest = serde_json::from_slice(body).map_err(|_| Refusal::Malformed)?;
        let signature = verified(&request, body, signature)?;
        let first_key = self.check_invite(&request, &signature, now)?;
        if let Some(answer) = self.repeated_answer(&request, terms) {
            return Ok(answer);
        }
        let home = new_home(&request, &signature, first_key).map_err(|_| Refusal::NotStored)?;
        let answer = answer(&home, terms);
        let stored = self.file.change(|state| {
            if let Some(invite) = &mut state.invite {
                invite.used_by = Some(request.identity);
            }
            state.home = Some(home);
        });
        stored.map_err(|error| {
            tracing::error!(%error, "cannot store the enrolment");
            Refusal::NotStored
        })?;
        tracing::info!(home = %request.identity, "home has enrolled");
        Ok(answer)
    }

    /// Gives the edge's key of epoch 1 where it was made beforehand.
    fn check_invite(
        &self,
        request: &EnrolRequest,
        signature: &RequestSignature,
        now: SystemTime,
    ) -> Result<Option<PrivateKey>, Refusal> {
        let invite = self.file.state().invite.as_ref();
        let invite = invite
            .filter(|invite| invite.edge_key.public() == request.invite)
            .ok_or(Refusal::UnknownInvite)?;
        if invite.awaited.as_ref().is_some_and(|awaited| awaited.identity != request.identity) {
            return Err(Refusal::OtherHome);
        }
        let home = self.file.state().home.as_ref();
        match invite.used_by {
            Some(identity) if identity != request.identity => Err(Refusal::Used),
            Some(_) if home.is_some_and(|home| home.confirmed) => Err(Refusal::Used),
            Some(_) if home.is_some_and(|home| signature.counter <= home.last_counter) => {
                Err(Refusal::Replayed)
            }
            _ if invite.is_over(now) => Err(Refusal::Expired),
            _ => Ok(invite.awaited.as_ref().map(|awaited| awaited.first_key.clone())),
        }
    }

    /// The answer given before to the very same request.
    fn repeated_answer(&self, request: &EnrolRequest, terms: &Terms) -> Option<EnrolResponse> {
        let state = self.file.state();
        state.invite.as_ref()?.used_by?;
        let home = state.home.as_ref()?;
        (home.identity == request.identity && home.ladder.current().home_key == request.home_key)
            .then(|| answer(home, terms))
    }

    /// Notes that home was heard on a real epoch: the invite is used up. Tells whether that was news; costs nothing where it
    /// was not. A used code stays to be refused with a reason; a used wait goes, since anybody could derive its keys.
    ///
    /// # Errors
    /// When the state cannot be stored; the invite then ends with the next request.
    pub fn confirm(&mut self) -> Result<bool, EnrolError> {
        if self.file.state().home.as_ref().is_none_or(|home| home.confirmed) {
            return Ok(false);
        }
        tracing::info!("home has joined: the invite is used up");
        self.file.change(|state| {
            state.invite = state.invite.take().filter(|invite| invite.awaited.is_none());
            if let Some(home) = &mut state.home {
                home.confirmed = true;
            }
        })?;
        Ok(true)
    }

    /// Checks the signature of a control request and stores its counter.
    ///
    /// # Errors
    /// Why the request is not believed.
    pub fn authorize(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
        signature: Option<&str>,
    ) -> Result<(), NotAuthorized> {
        let home = self.file.state().home.as_ref().ok_or(NotAuthorized::NotJoined)?;
        let signature: RequestSignature = signature.ok_or(NotAuthorized::Unsigned)?.parse()?;
        home.identity.verify_request(method, path, body, &signature)?;
        if signature.counter <= home.last_counter {
            return Err(NotAuthorized::Replayed { got: signature.counter, last: home.last_counter });
        }
        let stored = self.file.change(|state| {
            if let Some(home) = &mut state.home {
                home.last_counter = signature.counter;
            }
        });
        stored.map_err(NotAuthorized::NotStored)
    }

    /// Takes an offered epoch, which the tunnel is to accept from now on.
    ///
    /// # Errors
    /// See [`StepError`]; nothing has changed then.
    pub fn offer(&mut self, offer: &Offer) -> Result<Answer, StepError> {
        let entropy = Entropy::draw()?;
        self.climb(|ladder| ladder.offered(offer, entropy))
    }

    /// Prefers an offered epoch.
    ///
    /// # Errors
    /// See [`StepError`]; nothing has changed then.
    pub fn commit(&mut self, commit: &Commit) -> Result<Changed, StepError> {
        self.climb(|ladder| {
            let next = ladder.committed(commit)?;
            let changed = next != *ladder;
            Ok((next, Changed { changed }))
        })
    }

    /// What a home means that commits to an epoch by its number alone.
    ///
    /// # Errors
    /// See [`StepError`].
    pub fn commit_by_number(&self, epoch: EpochId) -> Result<Commit, StepError> {
        let home = self.file.state().home.as_ref().ok_or(StepError::NotJoined)?;
        Ok(home.ladder.commit_by_number(epoch)?)
    }

    /// Drops a former epoch.
    ///
    /// # Errors
    /// See [`StepError`]; nothing has changed then.
    pub fn retire(&mut self, epoch: EpochId) -> Result<Changed, StepError> {
        self.climb(|ladder| {
            let next = ladder.retired(epoch)?;
            let changed = next != *ladder;
            Ok((next, Changed { changed }))
        })
    }

    /// Makes one step durable before its answer is given.
    fn climb<T>(
        &mut self,
        step: impl FnOnce(&EdgeLadder) -> Result<(EdgeLadder, T), LadderError>,
    ) -> Result<T, StepError> {
        let ladder = &self.file.state().home.as_ref().ok_or(StepError::NotJoined)?.ladder;
        let (next, answer) = step(ladder)?;
        if next != *ladder {
            self.file.change(|state| {
                if let Some(home) = &mut state.home {
                    home.ladder = next;
                }
            })?;
        }
        Ok(answer)
    }

    /// The epochs that the tunnel shall keep now. Ask again after every change and every minute.
    pub fn epochs(&self, inner: &InnerAddresses, now: SystemTime) -> Vec<EpochConfig> {
        let state = self.file.state();
        let is_answered =
            |invite: &&Invite| !invite.is_over(now.checked_sub(REFUSAL_GRACE).unwrap_or(UNIX_EPOCH));
        let bootstrap = state.invite.as_ref().filter(is_answered).map(bootstrap_epoch);
        let accepted = state.home.iter().flat_map(|home| home.ladder.accepted());
        bootstrap.into_iter().chain(accepted.map(|keys| home_epoch(keys, inner))).collect()
    }

    /// Who has joined.
    pub fn status(&self, now: SystemTime) -> EnrolStatus {
        let state = self.file.state();
        let home = state.home.as_ref();
        let is_open = |invite: &&Invite| invite.used_by.is_none() && !invite.is_over(now);
        let invite = state.invite.as_ref().filter(is_open);
        EnrolStatus {
            home: home.map(|home| home.identity.fingerprint()),
            confirmed: home.is_some_and(|home| home.confirmed),
            last_counter: home.map_or(0, |home| home.last_counter),
            invite_expires: invite.and_then(|invite| invite.expires),
            awaits: invite.and_then(|invite| invite.awaited.as_ref()).map(AwaitedHome::from),
            not_stored: self.file.failure().map(str::to_owned),
            epochs: home.map(|home| places(&home.ladder)).unwrap_or_default(),
        }
    }
}

fn verified(
    request: &EnrolRequest,
    body: &[u8],
    signature: Option<&str>,
) -> Result<RequestSignature, Refusal> {
    let signature: RequestSignature =
        signature.and_then(|text| text.parse().ok()).ok_or(Refusal::BadSignature)?;
    let verified = request.identity.verify_request("POST", ENROL_PATH, body, &signature);
    verified.map(|()| signature).map_err(|_| Refusal::BadSignature)
}

fn new_home(
    request: &EnrolRequest,
    signature: &RequestSignature,
    first_key: Option<PrivateKey>,
) -> Result<Home, NoRandomness> {
    Ok(Home {
        identity: request.identity,
        ladder: EdgeLadder::new(EdgeEpoch {
            epoch: EpochId::FIRST,
            edge_key: first_key.map_or_else(PrivateKey::generate, Ok)?,
            home_key: request.home_key,
            preshared_key: PresharedKey::generate()?,
        }),
        last_counter: signature.counter,
        confirmed: false,
    })
}

fn answer(home: &Home, terms: &Terms) -> EnrolResponse {
    let epoch = home.ladder.current();
    EnrolResponse {
        edge_key: epoch.edge_key.public(),
        preshared_key: epoch.preshared_key.clone(),
        inner: terms.inner,
        mtu: terms.mtu,
        control_port: terms.control_port,
        public_addresses: terms.public_addresses.clone(),
    }
}

fn bootstrap_epoch(invite: &Invite) -> EpochConfig {
    EpochConfig {
        id: EpochId::BOOTSTRAP,
        private_key: invite.edge_key.clone(),
        peer: invite.home_key,
        preshared_key: invite.preshared_key.clone(),
        endpoint: None,
        allowed_ips: vec![IpNet::from(IpAddr::from(BOOTSTRAP_HOME_V4))],
        admission: Admission::Everything,
        heartbeat: HeartbeatAddresses { local: BOOTSTRAP_EDGE_V4, peer: BOOTSTRAP_HOME_V4 },
    }
}

fn home_epoch(keys: &EdgeEpoch, inner: &InnerAddresses) -> EpochConfig {
    EpochConfig {
        id: keys.epoch,
        private_key: keys.edge_key.clone(),
        peer: keys.home_key,
        preshared_key: keys.preshared_key.clone(),
        endpoint: None,
        allowed_ips: vec![IpNet::from(IpAddr::from(inner.home_v4)), IpNet::from(IpAddr::from(inner.home_v6))],
        admission: Admission::Everything,
        heartbeat: HeartbeatAddresses { local: inner.edge_v4, peer: inner.home_v4 },
    }
}

fn places(ladder: &EdgeLadder) -> Vec<EpochKeys> {
    let place = |keys: &EdgeEpoch, place| EpochKeys {
        id: keys.epoch,
        place,
        edge_key: keys.edge_key.public(),
        home_key: keys.home_key,
    };
    let offered = ladder.next().map(|keys| place(keys, EpochPlace::Offered));
    let former = ladder.former().map(|keys| place(keys, EpochPlace::Former));
    offered.into_iter().chain([place(ladder.current(), EpochPlace::Preferred)]).chain(former).collect()
}

impl Invite {
    /// Whether the invite's time is over.
    fn is_over(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| seconds(now) >= expires)
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |duration| duration.as_secs())
}
