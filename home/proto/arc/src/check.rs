//! The steps of §5.2: first what the message says by itself, then what the keys say of it.

use crate::fields::{Signature, Validation};
use crate::set::{Set, sets};
use crate::signature::{NoKey, has_signed_body, sealed, signed_by_message_signature, verifies};
use crate::{Chain, Dns, Fault, Sealed, Status};

/// A chain that holds as far as can be told without keys.
#[derive(Debug)]
pub struct Claim<'a> {
    sets: Vec<Set<'a>>,
    /// What the last message signature signs.
    signed: Vec<u8>,
}

/// Reads the chain of a message and hashes the body that it speaks of; `now` in seconds since 1970. Takes as long as the
/// message has octets, and asks nobody.
///
/// # Errors
/// Why the chain is broken.
pub fn read(message: &[u8], now: u64) -> Result<Claim<'_>, Fault> {
    let sets = sets(message)?;
    vouched_for(&sets)?;
    let signed = match sets.last() {
        Some(last) => check_message(message, last, now)?,
        None => Vec::new(),
    };
    Ok(Claim { sets, signed })
}

/// Judges the chain of a message; `now` in seconds since 1970.
pub async fn check(dns: &impl Dns, message: &[u8], now: u64) -> Chain {
    match read(message, now) {
        Ok(claim) => claim.check(dns).await,
        Err(fault) => Chain::broken(fault),
    }
}

impl Claim<'_> {
    /// Asks for the keys and judges the chain.
    pub async fn check(self, dns: &impl Dns) -> Chain {
        match self.verify(dns).await {
            Err(fault) => Chain::broken(fault),
            Ok(()) if self.sets.is_empty() => Chain { status: Status::None, seals: Vec::new() },
            Ok(()) => Chain { status: Status::Pass, seals: self.sets.into_iter().map(seal).collect() },
        }
    }

    /// Steps 4 and 6.
    async fn verify(&self, dns: &impl Dns) -> Result<(), Fault> {
        let Some(last) = self.sets.last() else { return Ok(()) };
        verify(dns, &last.signature.read.signature, &self.signed, "ARC-Message-Signature").await?;
        for through in (1..=self.sets.len()).rev() {
            check_seal(dns, self.sets.get(..through).unwrap_or_default()).await?;
        }
        Ok(())
    }
}

/// Steps 2 and 3.C.
fn vouched_for(sets: &[Set<'_>]) -> Result<(), Fault> {
    for (place, set) in sets.iter().enumerate() {
        let due = if place == 0 { Validation::None } else { Validation::Pass };
        if set.seal.read.validation != due {
            return Err(Fault::NotVouchedFor(place + 1));
        }
    }
    Ok(())
}

/// Step 4 as far as it needs no key; gives what is signed.
fn check_message(message: &[u8], set: &Set<'_>, now: u64) -> Result<Vec<u8>, Fault> {
    let read = &set.signature.read;
    let instance = read.signature.instance;
    if read.expires.is_some_and(|expires| expires < now) {
        return Err(Fault::Expired(instance));
    }
    if !has_signed_body(message, read) {
        return Err(Fault::BodyChanged(instance));
    }
    Ok(signed_by_message_signature(message, &set.signature))
}

/// Step 6, for the last of these sets.
async fn check_seal(dns: &impl Dns, sets: &[Set<'_>]) -> Result<(), Fault> {
    let Some(last) = sets.last() else { return Ok(()) };
    verify(dns, &last.seal.read.signature, &sealed(sets), "ARC-Seal").await
}

async fn verify(
    dns: &impl Dns,
    signature: &Signature,
    signed: &[u8],
    field: &'static str,
) -> Result<(), Fault> {
    let instance = signature.instance;
    let records = dns.txt(&signature.key_name()).await.unwrap_or_default();
    match verifies(&records, signature, signed) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Fault::Forged { field, instance }),
        Err(NoKey) => Err(Fault::NoKey(instance)),
    }
}

fn seal(set: Set<'_>) -> Sealed {
    let Signature { domain, selector, .. } = set.seal.read.signature;
    Sealed { domain, selector, results: set.results.read.payload }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::NoAnswer;

    struct Silent;

    impl Dns for Silent {
        async fn txt(&self, _name: &str) -> Result<Vec<Vec<u8>>, NoAnswer> {
            Err(NoAnswer)
        }
    }

    fn status(message: &[u8]) -> Status {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(check(&Silent, message, 0)).status
    }

    #[test]
    fn no_more_than_fifty_sets() {
        let seal =
            |instance| format!("ARC-Seal: i={instance}; a=rsa-sha256; cv=none; d=a.example; s=s; b=YQ==\r\n");
        assert_eq!(status(seal(50).as_bytes()), Status::Fail(Fault::Incomplete(1)));
        assert_eq!(status(seal(51).as_bytes()), Status::Fail(Fault::TooLong));
    }

    proptest! {
        #[test]
        fn fields_of_strangers_never_pass_without_a_key(fields in prop::collection::vec(prop::sample::select(vec![
            "ARC-Seal: i=1; a=rsa-sha256; cv=none; d=a.example; s=s; b=YQ==\r\n",
            "ARC-Message-Signature: i=1; a=rsa-sha256; h=from; d=a.example; s=s; bh=YQ==; b=YQ==\r\n",
            "ARC-Authentication-Results: i=1; mx.a.example; dmarc=pass\r\n",
            "ARC-Authentication-Results: (((i=1;\r\n", "ARC-Seal: ;=\r\n", "arc-seal:\r\n", "From: a\r\n",
        ]), 0..8)) {
            let message = fields.concat() + "\r\nbody\r\n";
            prop_assert_ne!(status(message.as_bytes()), Status::Pass);
        }
    }
}
