//! STARTTLS (RFC 3207).

use super::{Handshake, Phase, Refusal, Session, Transport};

impl Session {
    pub(super) fn offers_starttls(&self) -> bool {
        self.config.starttls && self.client.transport == Transport::Clear
    }

    pub(super) fn starttls_command(&mut self) {
        if self.client.transport == Transport::Tls {
            return self.refuse(&Refusal::BadSequence("TLS is already active"));
        }
        if !self.config.starttls {
            return self.refuse(&Refusal::NotOffered);
        }
        self.abort_transaction();
        self.accept(220, "2.0.0", "ready to start TLS");
        // What was pipelined in clear could have been put there by anybody on the way (RFC 3207 §4.2).
        self.input.clear();
        self.phase = Phase::Handshake(Handshake::Due);
    }
}
