//! Certificates without a person: ordered by ACME, proven by home's own zones, announced in them, renewed in time.
//!
//! * In: the host name, the domains, the section `[acme]`, the time; wishes of the operator. Out: certificates in
//!   [`Tls`](crate::tls::Tls), what the zones shall say of them ([`Issuance`](crate::zone::issuance::Issuance)), and a
//!   [`report::Report`].
//! * Refused: chains that are not of the key, the names and the present; orders by a clock in doubt.
//! * RFC 8555 (ACME), RFC 9773 (renewal information), RFC 6698, RFC 7671 and RFC 7672 (TLSA), RFC 8657 (CAA).
//!
//! [`life`] decides, and is pure. [`keeper`] carries out: it alone changes the [`book`], which is durable before each next
//! step. [`names`] says what certificates there are, [`acme`] speaks with the authority, [`publication`] sees whether the
//! world can see what was published.

pub mod names;

pub mod life;

pub mod book;
pub mod key;
pub mod x509;

pub mod publication;

pub mod acme;

pub mod keeper;

pub mod import;
pub mod report;
