//! The fields of a message as sets (§4.2): one of each in every set, and no gap between the sets.

use std::collections::BTreeMap;

use postern_message::header::{self, HeaderField};

use crate::Fault;
use crate::fields::{MOST_SETS, MessageSignature, Results, Seal};

/// A header field as read, and as it stands in the message.
#[derive(Debug)]
pub struct Found<'a, T> {
    pub field: HeaderField<'a>,
    pub read: T,
}

/// What one who passed the message on has added.
#[derive(Debug)]
pub struct Set<'a> {
    pub results: Found<'a, Results>,
    pub signature: Found<'a, MessageSignature>,
    pub seal: Found<'a, Seal>,
}

#[derive(Default)]
struct Parts<'a> {
    results: Option<Found<'a, Results>>,
    signature: Option<Found<'a, MessageSignature>>,
    seal: Option<Found<'a, Seal>>,
}

impl<'a> Parts<'a> {
    fn whole(self, due: usize, instance: usize) -> Result<Set<'a>, Fault> {
        match self {
            Self { results: Some(results), signature: Some(signature), seal: Some(seal) }
                if instance == due =>
            {
                Ok(Set { results, signature, seal })
            }
            _ => Err(Fault::Incomplete(due)),
        }
    }
}

/// Collects the sets of a message, the first one first; none is an empty list.
pub fn sets(message: &[u8]) -> Result<Vec<Set<'_>>, Fault> {
    let mut found: BTreeMap<usize, Parts<'_>> = BTreeMap::new();
    for field in header::fields(message) {
        take(&mut found, field)?;
    }
    let parts = found.into_iter().enumerate();
    parts.map(|(place, (instance, parts))| parts.whole(place + 1, instance)).collect()
}

fn take<'a>(found: &mut BTreeMap<usize, Parts<'a>>, field: HeaderField<'a>) -> Result<(), Fault> {
    if field.is(RESULTS) {
        let read = read(field, RESULTS, Results::parse)?;
        let parts = parts(found, read.instance)?;
        keep(&mut parts.results, field, read, |read| read.instance)
    } else if field.is(SIGNATURE) {
        let read = read(field, SIGNATURE, MessageSignature::parse)?;
        let parts = parts(found, read.signature.instance)?;
        keep(&mut parts.signature, field, read, |read| read.signature.instance)
    } else if field.is(SEAL) {
        let read = read(field, SEAL, Seal::parse)?;
        let parts = parts(found, read.signature.instance)?;
        keep(&mut parts.seal, field, read, |read| read.signature.instance)
    } else {
        Ok(())
    }
}

const RESULTS: &str = "ARC-Authentication-Results";
const SIGNATURE: &str = "ARC-Message-Signature";
const SEAL: &str = "ARC-Seal";

fn read<T>(
    field: HeaderField<'_>,
    name: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, Fault> {
    let value = std::str::from_utf8(field.value).ok();
    value.and_then(parse).ok_or(Fault::Malformed(name))
}

fn parts<'m, 'a>(
    found: &'m mut BTreeMap<usize, Parts<'a>>,
    instance: usize,
) -> Result<&'m mut Parts<'a>, Fault> {
    if instance > MOST_SETS {
        return Err(Fault::TooLong);
    }
    Ok(found.entry(instance).or_default())
}

fn keep<'a, T>(
    slot: &mut Option<Found<'a, T>>,
    field: HeaderField<'a>,
    read: T,
    instance: impl Fn(&T) -> usize,
) -> Result<(), Fault> {
    match slot {
        Some(found) => Err(Fault::Incomplete(instance(&found.read))),
        None => {
            *slot = Some(Found { field, read });
            Ok(())
        }
    }
}
