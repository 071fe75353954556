//! The task behind the link's handle.

use postern_shared::identity::Identity;
use tokio::sync::{mpsc, watch};

use super::{Command, EdgeAddresses, LinkConfig, LinkError, LinkState, LinkStatus};

pub(super) struct Task {
    inbox: mpsc::Receiver<Command>,
    _status: watch::Sender<LinkStatus>,
    _addresses: watch::Sender<Option<EdgeAddresses>>,
}

impl Task {
    pub(super) fn new(
        _config: LinkConfig,
        identity: Identity,
        inbox: mpsc::Receiver<Command>,
    ) -> (Self, watch::Receiver<LinkStatus>, watch::Receiver<Option<EdgeAddresses>>) {
        let (status, status_out) = watch::channel(LinkStatus {
            state: LinkState::Unjoined,
            identity: identity.public().fingerprint(),
            edge: None,
            addresses: None,
            epochs: Vec::new(),
            zones: Vec::new(),
            last_error: None,
        });
        let (addresses, addresses_out) = watch::channel(None);
        (Self { inbox, _status: status, _addresses: addresses }, status_out, addresses_out)
    }

    pub(super) async fn run(mut self) {
        while let Some(command) = self.inbox.recv().await {
            match command {
                Command::Join(_, answer) => drop(answer.send(Err(LinkError::Busy("not ready")))),
                Command::Zones(_) => {}
                Command::Shutdown(done) => {
                    let _ = done.send(());
                    return;
                }
            }
        }
    }
}
