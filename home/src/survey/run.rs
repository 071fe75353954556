//! The questions of a survey, put to all servers at once.
//!
//! In: a domain, what home wants of its parent or publishes. Out: a [`Delegation`] or a [`Difference`], made of what each
//! server answered by itself. Refused: servers that this machine has been seen not to reach, answers without authority, and a
//! server that takes longer than [`VIEW_LIMIT`] for a zone.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RecordType};
use postern_message::address::DomainName;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::ask::{Audience, Question, ask};
use super::delegation::{self, Delegation, Observed, Serving};
use super::difference::{Difference, Published, Standard, Trouble, View, compare};
use super::parent::{self, Fault, Glue, Held, held, serial};
use super::servers::{self, Server};
use crate::resolver::{ResolveError, Resolver};
use crate::zone::delegation::Wanted;
use crate::zone::text;

/// Questions that one server is asked at a time.
const AT_A_TIME: usize = 8;
/// How long one server may take over all questions about a zone.
const VIEW_LIMIT: Duration = Duration::from_secs(12);

/// Asks the world about domains; cheap to clone.
#[derive(Clone)]
pub struct Surveyor {
    resolver: Resolver,
}

/// What to compare with the world.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The domain.
    pub domain: DomainName,
    /// The same as an absolute name.
    pub origin: Name,
    /// The serial of home's zone, where home has one.
    pub serial: Option<u32>,
    /// What home publishes, or wants to be published.
    pub published: Vec<Published>,
    /// How closely it is compared.
    pub standard: Standard,
}

impl Surveyor {
    /// Asks by this resolver which servers there are.
    pub fn new(resolver: Resolver) -> Self {
        Self { resolver }
    }

    /// How the domain is delegated.
    pub async fn delegation(&self, domain: &DomainName, wanted: &Wanted) -> Delegation {
        let (parent, observed) = match self.parent(&wanted.domain).await {
            Ok(found) => found,
            Err(error) => return Delegation::unknown(domain, wanted, format!("{error}.")),
        };
        let servers = self.delegated(&observed).await;
        let (origin, reach) = (wanted.domain.clone(), Reach::learnt(&observed));
        let serving = each(servers, move |server| serving(server, origin.clone(), reach)).await;
        delegation::judge(domain, wanted, &text::host(&parent), &observed, &serving)
    }

    /// What the domain's servers, as the parent names them, and the resolver answer.
    pub async fn difference(&self, subject: Subject) -> Difference {
        let (servers, reach, trouble) = match self.parent(&subject.origin).await {
            Ok((parent, observed)) => {
                let servers = self.delegated(&observed).await;
                let trouble = servers.is_empty().then(|| Trouble::of(&parent, &subject.domain, &observed));
                (servers, Reach::learnt(&observed), trouble)
            }
            Err(error) => (Vec::new(), Reach::default(), Some(Trouble::Unasked(format!("{error}.")))),
        };
        let resolver = self.resolver.servers().first().copied();
        let view_of = subject.clone();
        let of_servers = each(servers, move |server| view(Seat::NameServer(server), view_of.clone(), reach));
        let of_resolver = async {
            match resolver {
                Some(address) => Some(view(Seat::Resolver(address), subject.clone(), Reach::default()).await),
                None => None,
            }
        };
        let (mut views, of_resolver) = tokio::join!(of_servers, of_resolver);
        views.extend(of_resolver);
        Difference::new(&subject.domain, subject.serial, trouble, views)
    }

    /// The parent zone, and what each of its servers has of the domain.
    async fn parent(&self, domain: &Name) -> Result<(Name, Vec<Observed>), ResolveError> {
        let (parent, hosts) = servers::parent(&self.resolver, domain).await?;
        let hosts = hosts.into_iter().collect();
        let servers = servers::addresses(&self.resolver, hosts, &Glue::new()).await;
        let domain = domain.clone();
        Ok((parent, each(servers, move |server| observe(server, domain.clone())).await))
    }

    /// The domain's servers as any of the parent's servers names them.
    async fn delegated(&self, observed: &[Observed]) -> Vec<Server> {
        let (mut hosts, mut glue) = (BTreeSet::new(), Glue::new());
        for held in observed.iter().filter_map(|(_, outcome)| outcome.as_ref().ok()) {
            hosts.extend(held.name_servers.iter().cloned());
            for (host, addresses) in held.glue.iter().flatten() {
                glue.entry(host.clone()).or_default().extend(addresses);
            }
        }
        servers::addresses(&self.resolver, hosts, &glue).await
    }
}

/// Does the same with every server at once; the results are in the order of the servers.
async fn each<T, F>(servers: Vec<Server>, work: impl Fn(Server) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for (place, server) in servers.into_iter().enumerate() {
        let work = work(server);
        tasks.spawn(async move { (place, work.await) });
    }
    let mut done = tasks.join_all().await;
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

async fn put(server: &Server, name: &Name, record_type: RecordType) -> Result<Message, Fault> {
    let question = Question { name: name.clone(), record_type, audience: Audience::NameServer };
    Ok(ask(server.socket_address(), &question).await?)
}

async fn observe(server: Server, domain: Name) -> Observed {
    let asked = tokio::join!(put(&server, &domain, RecordType::NS), put(&server, &domain, RecordType::DS));
    let outcome = match asked {
        (Ok(ns), Ok(ds)) => held(&domain, &ns, &ds),
        (Err(fault), _) | (_, Err(fault)) => Err::<Held, _>(fault),
    };
    let outcome = match outcome {
        Err(fault) => Err(unmasked(&server, &domain, fault).await),
        held => held,
    };
    (server, outcome)
}

/// A resolver in a name server's place may refuse a question that does not ask for recursion; one that does gives it away.
async fn unmasked(server: &Server, domain: &Name, fault: Fault) -> Fault {
    if !matches!(fault, Fault::Refuses { .. } | Fault::NotAuthoritative) {
        return fault;
    }
    let question =
        Question { name: domain.clone(), record_type: RecordType::NS, audience: Audience::Resolver };
    match ask(server.socket_address(), &question).await {
        Ok(answer) if answer.metadata.recursion_available => Fault::Cache,
        Ok(_) | Err(_) => fault,
    }
}

async fn serving(server: Server, domain: Name, reach: Reach) -> Serving {
    if !reach.includes(server.address) {
        return (server, Err(Fault::NoRoute));
    }
    let outcome = put(&server, &domain, RecordType::SOA).await.and_then(|soa| serial(&domain, &soa));
    (server, outcome)
}

impl Trouble {
    /// Why the parent's servers have told of no server of the domain.
    fn of(parent: &Name, domain: &DomainName, observed: &[Observed]) -> Self {
        let parent = text::host(parent);
        if observed.iter().any(|(_, outcome)| outcome.is_ok()) {
            Self::NotDelegated(format!(
                "{parent} names no name server of {domain} that has an address, so nobody finds the domain. Register it, or \
                 give the registrar the name servers of the provider that has its DNS."
            ))
        } else {
            Self::Unasked(delegation::silent_parent(&parent, observed))
        }
    }
}

/// Whether this machine reaches IPv6 addresses, as the parent's servers have shown: where all of them keep silent over IPv6
/// and others do not over IPv4, the silence is this side's.
#[derive(Debug, Clone, Copy, Default)]
struct Reach {
    lacks_ipv6: bool,
}

impl Reach {
    fn learnt(observed: &[Observed]) -> Self {
        let is_silent = |(_, outcome): &Observed| {
            matches!(outcome, Err(Fault::Silent | Fault::NoRoute | Fault::Unreachable { .. }))
        };
        let (over_v6, over_v4): (Vec<_>, Vec<_>) =
            observed.iter().partition(|(server, _)| server.address.is_ipv6());
        let v6_is_silent = !over_v6.is_empty() && over_v6.iter().all(|it| is_silent(it));
        Self { lacks_ipv6: v6_is_silent && !over_v4.iter().all(|it| is_silent(it)) }
    }

    fn includes(self, address: IpAddr) -> bool {
        !(self.lacks_ipv6 && address.is_ipv6())
    }
}

/// Who is asked for a view.
#[derive(Debug, Clone)]
enum Seat {
    NameServer(Server),
    Resolver(SocketAddr),
}

impl Seat {
    fn address(&self) -> SocketAddr {
        match self {
            Self::NameServer(server) => server.socket_address(),
            Self::Resolver(address) => *address,
        }
    }

    fn audience(&self) -> Audience {
        match self {
            Self::NameServer(_) => Audience::NameServer,
            Self::Resolver(_) => Audience::Resolver,
        }
    }

    /// A name server must answer with authority, a resolver must answer.
    fn judge(&self, response: Message) -> Result<Message, Fault> {
        match self {
            Self::NameServer(_) => parent::authoritative(&response)?,
            Self::Resolver(_) => parent::successful(&response)?,
        };
        Ok(response)
    }

    async fn ask(&self, name: Name, record_type: RecordType) -> Result<Message, Fault> {
        let question = Question { name, record_type, audience: self.audience() };
        self.judge(ask(self.address(), &question).await?)
    }
}

/// What one server answers to everything.
async fn view(seat: Seat, subject: Subject, reach: Reach) -> View {
    let mut view = View {
        host: match &seat {
            Seat::NameServer(server) => Some(text::host(&server.host)),
            Seat::Resolver(_) => None,
        },
        address: seat.address().ip(),
        serial: None,
        right: 0,
        deviations: Vec::new(),
        fault: None,
    };
    if !reach.includes(view.address) {
        view.fault = Some(Fault::NoRoute);
        return view;
    }
    let looked = timeout(VIEW_LIMIT, look(&seat, &subject, &mut view)).await;
    view.fault = looked.unwrap_or(Err(Fault::Silent)).err();
    view
}

async fn look(seat: &Seat, subject: &Subject, view: &mut View) -> Result<(), Fault> {
    let soa = seat.ask(subject.origin.clone(), RecordType::SOA).await?;
    view.serial = parent::soa_serial(&subject.origin, &soa);
    for sets in subject.published.chunks(AT_A_TIME) {
        let mut answers = JoinSet::new();
        for (place, set) in sets.iter().enumerate() {
            let (seat, owner, record_type) = (seat.clone(), set.owner.clone(), set.record_type);
            answers.spawn(async move { (place, seat.ask(owner, record_type).await) });
        }
        let mut answers = answers.join_all().await;
        answers.sort_by_key(|(place, _)| *place);
        for (set, (_, answer)) in sets.iter().zip(answers) {
            match compare(set, &answer?, subject.standard) {
                Some(deviation) => view.deviations.push(deviation),
                None => view.right += 1,
            }
        }
    }
    Ok(())
}
