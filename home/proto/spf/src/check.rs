//! The evaluation (§4, §5, §6): records one after the other, within the limits of §4.6.4.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use crate::macros::{Facts, MacroString, Place};
use crate::record::{Directive, Mechanism, Prefixes, Record, is_record};
use crate::{Dns, NoAnswer, Outcome, Query, Records, Verdict, name};

/// Terms that ask the DNS, in all records together.
const MOST_TERMS: usize = 10;
/// Answers without records, in all records together.
const MOST_VOID: usize = 2;
/// Names whose addresses are looked up, for one term.
const MOST_NAMES: usize = 10;

/// Judges.
pub async fn check(dns: &impl Dns, query: Query<'_>) -> Verdict {
    let (local_part, sender_domain) = match query.sender.rsplit_once('@') {
        Some(("", domain)) => ("postmaster", domain),
        Some((local_part, domain)) => (local_part, domain),
        None if query.sender.is_empty() => ("postmaster", query.helo),
        None => ("postmaster", query.sender),
    };
    let address = query.address.to_canonical();
    let mut check = Check { dns, query, address, local_part, sender_domain, terms: 0, void: 0 };
    let (outcome, exp) = match check.host(sender_domain).await {
        Ok(Judged { outcome, exp }) => (outcome, exp),
        Err(stop) => (stop.into(), None),
    };
    let explanation = match (outcome, exp) {
        (Outcome::Fail, Some((exp, domain))) => check.explanation(&exp, &domain).await,
        _ => None,
    };
    Verdict { outcome, explanation }
}

struct Check<'a, D> {
    dns: &'a D,
    query: Query<'a>,
    address: IpAddr,
    local_part: &'a str,
    sender_domain: &'a str,
    terms: usize,
    void: usize,
}

/// What one record came to, and where its explanation stands, with the domain that has it.
struct Judged {
    outcome: Outcome,
    exp: Option<(MacroString, String)>,
}

impl Judged {
    fn bare(outcome: Outcome) -> Self {
        Self { outcome, exp: None }
    }
}

/// Why the whole check ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Temporary,
    Permanent,
}

impl From<NoAnswer> for Stop {
    fn from(NoAnswer: NoAnswer) -> Self {
        Self::Temporary
    }
}

impl From<Stop> for Outcome {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Temporary => Self::TempError,
            Stop::Permanent => Self::PermError,
        }
    }
}

type Boxed<'b, T> = Pin<Box<dyn Future<Output = T> + Send + 'b>>;

impl<'a, D: Dns> Check<'a, D> {
    /// `check_host` of §4, for the domain of the sender, of an `include` or of a `redirect`.
    fn host<'b>(&'b mut self, domain: &'b str) -> Boxed<'b, Result<Judged, Stop>> {
        Box::pin(async move {
            let Some(domain) = name::of_domain(domain) else { return Ok(Judged::bare(Outcome::None)) };
            let texts = self.dns.txt(&domain).await?;
            let mut records = texts.iter().filter(|text| is_record(text));
            let record = match (records.next(), records.next()) {
                (None, _) => return Ok(Judged::bare(Outcome::None)),
                (Some(_), Some(_)) => return Err(Stop::Permanent),
                (Some(record), None) => Record::parse(record).ok_or(Stop::Permanent)?,
            };
            self.evaluate(record, domain).await
        })
    }

    async fn evaluate(&mut self, record: Record, domain: String) -> Result<Judged, Stop> {
        for Directive { outcome, mechanism } in &record.directives {
            if self.matches(mechanism, &domain).await? {
                let exp = record.exp.map(|exp| (exp, domain));
                return Ok(Judged { outcome: *outcome, exp });
            }
        }
        let Some(redirect) = &record.redirect else { return Ok(Judged::bare(Outcome::Neutral)) };
        self.count_term()?;
        let target = self.expand(redirect, &domain).await;
        match self.host(&target).await? {
            Judged { outcome: Outcome::None, .. } => Err(Stop::Permanent),
            judged => Ok(judged),
        }
    }

    async fn matches(&mut self, mechanism: &Mechanism, domain: &str) -> Result<bool, Stop> {
        match mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Ip4(network, prefix) => Ok(self.is_in(IpAddr::V4(*network), *prefix)),
            Mechanism::Ip6(network, prefix) => Ok(self.is_in(IpAddr::V6(*network), *prefix)),
            Mechanism::Include(target) => {
                self.count_term()?;
                let target = self.expand(target, domain).await;
                self.includes(&target).await
            }
            Mechanism::A(target, prefixes) => {
                let Some(target) = self.target(target.as_ref(), domain).await? else { return Ok(false) };
                self.has_address(&target, *prefixes).await
            }
            Mechanism::Mx(target, prefixes) => {
                let Some(target) = self.target(target.as_ref(), domain).await? else { return Ok(false) };
                self.has_mail_host(&target, *prefixes).await
            }
            Mechanism::Ptr(target) => {
                let Some(target) = self.target(target.as_ref(), domain).await? else { return Ok(false) };
                let validated = self.validated_names().await?;
                Ok(validated.iter().any(|found| name::is_within(found, &target)))
            }
            Mechanism::Exists(target) => {
                let Some(target) = self.target(Some(target), domain).await? else { return Ok(false) };
                let found = self.dns.ipv4(&target).await;
                Ok(!self.count_void(found)?.is_empty())
            }
        }
    }

    async fn includes(&mut self, target: &str) -> Result<bool, Stop> {
        match self.host(target).await?.outcome {
            Outcome::Pass => Ok(true),
            Outcome::Fail | Outcome::SoftFail | Outcome::Neutral => Ok(false),
            Outcome::TempError => Err(Stop::Temporary),
            Outcome::None | Outcome::PermError => Err(Stop::Permanent),
        }
    }

    async fn has_address(&mut self, host: &str, prefixes: Prefixes) -> Result<bool, Stop> {
        let found = self.addresses(host).await;
        let found = self.count_void(found)?;
        Ok(self.is_one_of(&found, prefixes))
    }

    async fn has_mail_host(&mut self, domain: &str, prefixes: Prefixes) -> Result<bool, Stop> {
        let hosts = self.dns.mx(domain).await;
        let hosts = self.count_void(hosts)?;
        if hosts.len() > MOST_NAMES {
            return Err(Stop::Permanent);
        }
        for host in hosts.iter().filter_map(|host| name::valid(host)) {
            let found = self.addresses(&host).await?;
            if self.is_one_of(&found, prefixes) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The client's names that have its address (§5.5).
    async fn validated_names(&mut self) -> Result<Vec<String>, Stop> {
        let Ok(names) = self.dns.ptr(self.address).await else { return Ok(Vec::new()) };
        let names = self.count_void(Ok(names))?;
        let mut validated = Vec::new();
        for found in names.iter().take(MOST_NAMES).filter_map(|found| name::valid(found)) {
            if self.addresses(&found).await.is_ok_and(|addresses| addresses.contains(&self.address)) {
                validated.push(found);
            }
        }
        Ok(validated)
    }

    /// The addresses of a name that are of the client's family.
    async fn addresses(&self, host: &str) -> Records<IpAddr> {
        Ok(match self.address {
            IpAddr::V4(_) => self.dns.ipv4(host).await?.into_iter().map(IpAddr::V4).collect(),
            IpAddr::V6(_) => self.dns.ipv6(host).await?.into_iter().map(IpAddr::V6).collect(),
        })
    }

    fn is_one_of(&self, addresses: &[IpAddr], Prefixes { v4, v6 }: Prefixes) -> bool {
        let prefix = if self.address.is_ipv4() { v4 } else { v6 };
        addresses.iter().any(|address| self.is_in(*address, prefix))
    }

    fn is_in(&self, network: IpAddr, prefix: u8) -> bool {
        match (self.address, network) {
            (IpAddr::V4(address), IpAddr::V4(network)) => {
                let differing = u32::from(address) ^ u32::from(network);
                differing.leading_zeros() >= u32::from(prefix)
            }
            (IpAddr::V6(address), IpAddr::V6(network)) => {
                let differing = u128::from(address) ^ u128::from(network);
                differing.leading_zeros() >= u32::from(prefix)
            }
            _ => false,
        }
    }

    /// The name that a term asks for, which counts; `None` where no zone could have it.
    async fn target(&mut self, spec: Option<&MacroString>, domain: &str) -> Result<Option<String>, Stop> {
        self.count_term()?;
        let target = match spec {
            Some(spec) => self.expand(spec, domain).await,
            None => domain.to_owned(),
        };
        Ok(name::valid(&target))
    }

    async fn expand(&mut self, spec: &MacroString, domain: &str) -> String {
        name::shortened(&self.text(spec, domain).await).to_owned()
    }

    async fn text(&mut self, spec: &MacroString, domain: &str) -> String {
        let validated = match spec.needs_validated_name() {
            true => self.validated_name(domain).await,
            false => None,
        };
        spec.expand(&Facts {
            local_part: self.local_part,
            sender_domain: self.sender_domain,
            domain,
            address: self.address,
            helo: self.query.helo,
            validated: validated.as_deref().unwrap_or("unknown"),
            receiver: self.query.receiver,
            now: self.query.now,
        })
    }

    /// The domain itself if it is one of them, else a name below it, else any (§7.3).
    async fn validated_name(&mut self, domain: &str) -> Option<String> {
        let mut names = self.validated_names().await.unwrap_or_default();
        names.sort_by_key(|found| (found != domain, !name::is_within(found, domain)));
        names.into_iter().next()
    }

    /// §6.2: nothing where anything about it is wrong.
    async fn explanation(&mut self, exp: &MacroString, domain: &str) -> Option<String> {
        let target = name::valid(&self.expand(exp, domain).await)?;
        let texts = self.dns.txt(&target).await.ok()?;
        let [text] = texts.as_slice() else { return None };
        let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii())?;
        let text = MacroString::parse(text, Place::Explanation)?;
        Some(self.text(&text, domain).await)
    }

    fn count_term(&mut self) -> Result<(), Stop> {
        self.terms += 1;
        if self.terms > MOST_TERMS { Err(Stop::Permanent) } else { Ok(()) }
    }

    fn count_void<T>(&mut self, found: Records<T>) -> Result<Vec<T>, Stop> {
        let found = found?;
        self.void += usize::from(found.is_empty());
        if self.void > MOST_VOID { Err(Stop::Permanent) } else { Ok(found) }
    }
}
