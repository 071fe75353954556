//! What notices are about, and how long each is waited for.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Something that is still to be set up; shown by `status`, never told by itself.
    Setup,
    /// The edge and the tunnel to it.
    Tunnel,
    /// The domains' DNS.
    Dns,
    /// Certificates.
    Certificate,
    /// Outgoing mail that waits.
    Queue,
    /// Room on the disk, or a disk that takes nothing.
    Disk,
    /// The edge's address on a list of senders whose mail is refused.
    Blocklist,
    /// A destination whose mail goes by the relay now.
    Overflow,
    /// A user's account that is held.
    Account,
    /// Somebody who guesses passwords.
    Attack,
    /// Backups.
    Backup,
    /// A newer version.
    Update,
}

impl Kind {
    /// For how many looks (two a minute) it must last before it is told; `None` for never.
    ///
    /// A router that restarts, a name server that is slow, a retry that succeeds are no news.
    pub fn patience(self) -> Option<u32> {
        match self {
            Self::Setup => None,
            Self::Tunnel => Some(20),
            Self::Dns | Self::Queue => Some(60),
            Self::Certificate => Some(10),
            Self::Disk => Some(4),
            Self::Blocklist | Self::Overflow | Self::Account | Self::Attack | Self::Backup | Self::Update => {
                Some(1)
            }
        }
    }
}

impl Display for Kind {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Setup => "set-up",
            Self::Tunnel => "tunnel",
            Self::Dns => "DNS",
            Self::Certificate => "certificate",
            Self::Queue => "queue",
            Self::Disk => "disk",
            Self::Blocklist => "blocklist",
            Self::Overflow => "overflow",
            Self::Account => "account",
            Self::Attack => "attack",
            Self::Backup => "backup",
            Self::Update => "update",
        })
    }
}
