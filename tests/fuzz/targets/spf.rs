//! Any octets as the SPF record of every name: the check ends, within its limits.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use postern_spf::{Dns, Query, Records, check};

struct Everywhere<'a>(&'a [u8]);

impl Dns for Everywhere<'_> {
    async fn txt(&self, _: &str) -> Records<Vec<u8>> {
        Ok(vec![self.0.to_vec()])
    }

    async fn ipv4(&self, _: &str) -> Records<Ipv4Addr> {
        Ok(vec![Ipv4Addr::new(192, 0, 2, 1)])
    }

    async fn ipv6(&self, _: &str) -> Records<Ipv6Addr> {
        Ok(Vec::new())
    }

    async fn mx(&self, name: &str) -> Records<String> {
        Ok(vec![format!("mx.{name}")])
    }

    async fn ptr(&self, _: IpAddr) -> Records<String> {
        Ok(vec!["client.example".to_owned()])
    }
}

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let query = Query {
        address: IpAddr::from([192, 0, 2, 7]),
        helo: "client.example",
        sender: "ana+spf@example.org",
        receiver: "mx.example",
        now: 0,
    };
    let zone = Everywhere(octets);
    let polled = pin!(check(&zone, query)).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(_)));
});
