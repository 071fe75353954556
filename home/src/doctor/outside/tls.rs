//! Rows of TLS as clients find it: the certificate that each port shows, held against home's own, and the versions.

use rustls::pki_types::CertificateDer;

use super::{Code, Row, Verdict, Wanted, port_name};
use crate::certificate::x509::describe;
use crate::look::Outside;
use crate::look::port::TlsSeen;
use crate::zone::clock::timestamp;

pub fn rows(seen: &Outside, wanted: &Wanted) -> Vec<Row> {
    let of_ports: Vec<(u16, &TlsSeen)> = seen
        .ports
        .iter()
        .filter_map(|(port, look)| Some((*port, look.best()?.outcome.as_ref().ok()?.tls.as_ref()?)))
        .collect();
    if of_ports.is_empty() {
        return Vec::new();
    }
    [shown(&of_ports, wanted), versions(&of_ports)].concat()
}

/// One row where all ports show home's own, else one for each that does not.
fn shown(of_ports: &[(u16, &TlsSeen)], wanted: &Wanted) -> Vec<Row> {
    let own = wanted.shown.first();
    let with_chain: Vec<_> =
        of_ports.iter().filter_map(|(port, tls)| Some((*port, tls.chain.first()?))).collect();
    let others: Vec<_> = with_chain.iter().filter(|(_, shown)| Some(*shown) != own).collect();
    if let (true, Some(own)) = (others.is_empty(), own) {
        let ports: Vec<String> = with_chain.iter().map(|(port, _)| port.to_string()).collect();
        let found = format!("ports {} show home's own: {}", ports.join(", "), described(own));
        return match with_chain.is_empty() {
            true => Vec::new(),
            false => vec![Row::well(Code::Presented, "", found)],
        };
    }
    let row = |(port, shown): &&(u16, &CertificateDer<'static>)| {
        Row::well(Code::Presented, port_name(*port), format!("another certificate: {}", described(shown)))
            .but(Verdict::Failed)
            .expected(own.map_or_else(|| "home's own".to_owned(), |own| format!("home's own: {}", described(own))))
            .mend(
                "Another server answers at this port: see that the edge forwards it to this home (`postern-edge status`), \
                 and that nothing before the edge or on this machine takes it.",
            )
    };
    others.iter().map(row).collect()
}

fn described(certificate: &CertificateDer<'_>) -> String {
    match describe(certificate) {
        Some(description) => format!(
            "for {}, issued by {}, until {}",
            if description.names.is_empty() { "no name".to_owned() } else { description.names.join(", ") },
            description.issuer,
            timestamp(description.span.until).strftime("%Y-%m-%d")
        ),
        None => "one that cannot be read".to_owned(),
    }
}

/// One row where all ports agree to what they should and to nothing else, else one for each that does not.
fn versions(of_ports: &[(u16, &TlsSeen)]) -> Vec<Row> {
    let troubles: Vec<(u16, Verdict, String)> = of_ports
        .iter()
        .filter_map(|(port, tls)| versions_of(tls).map(|(verdict, found)| (*port, verdict, found)))
        .collect();
    if troubles.is_empty() {
        let ports: Vec<String> = of_ports.iter().map(|(port, _)| port.to_string()).collect();
        let found = format!("ports {} agree to TLS 1.3 and 1.2, and refuse 1.1 and 1.0", ports.join(", "));
        return vec![Row::well(Code::TlsVersions, "", found)];
    }
    let row = |(port, verdict, found): (u16, Verdict, String)| {
        Row::well(Code::TlsVersions, port_name(port), found)
            .but(verdict)
            .expected("TLS 1.3 and 1.2, and no older one")
            .mend("Home itself speaks no other: see what answers at this port in its place.")
    };
    troubles.into_iter().map(row).collect()
}

fn versions_of(tls: &TlsSeen) -> Option<(Verdict, String)> {
    let forbidden: Vec<&str> =
        tls.forbidden.iter().filter(|(_, agreed)| *agreed == Ok(true)).map(|(name, _)| *name).collect();
    if !forbidden.is_empty() {
        return Some((Verdict::Failed, format!("agrees to {}", forbidden.join(" and "))));
    }
    let refused: Vec<String> = tls
        .agreed
        .iter()
        .filter_map(|(name, agreed)| Some(format!("{name} fails: {}", agreed.as_ref().err()?)))
        .collect();
    let unknown = tls.forbidden.iter().find_map(|(name, agreed)| Some((name, agreed.as_ref().err()?)));
    match (refused.len(), unknown) {
        (0, None) => None,
        (0, Some((name, error))) => {
            Some((Verdict::Unknown, format!("whether it refuses {name} is not known: {error}")))
        }
        (missing, _) if missing == tls.agreed.len() => Some((Verdict::Failed, refused.join("; "))),
        _ => Some((Verdict::Warning, refused.join("; "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls() -> TlsSeen {
        TlsSeen {
            chain: Vec::new(),
            agreed: vec![("TLS 1.3", Ok(())), ("TLS 1.2", Ok(()))],
            forbidden: vec![("TLS 1.1", Ok(false)), ("TLS 1.0", Ok(false))],
        }
    }

    #[test]
    fn versions_are_judged_by_what_clients_need_and_what_is_forbidden() {
        assert_eq!(versions_of(&tls()), None);
        let old = TlsSeen { forbidden: vec![("TLS 1.1", Ok(false)), ("TLS 1.0", Ok(true))], ..tls() };
        assert_eq!(versions_of(&old), Some((Verdict::Failed, "agrees to TLS 1.0".to_owned())));
        let fail = || Err("alert".to_owned());
        let one = TlsSeen { agreed: vec![("TLS 1.3", fail()), ("TLS 1.2", Ok(()))], ..tls() };
        assert_eq!(versions_of(&one).map(|(verdict, _)| verdict), Some(Verdict::Warning));
        let none = TlsSeen { agreed: vec![("TLS 1.3", fail()), ("TLS 1.2", fail())], ..tls() };
        assert_eq!(versions_of(&none).map(|(verdict, _)| verdict), Some(Verdict::Failed));
        let unknown = TlsSeen { forbidden: vec![("TLS 1.1", Err("late".to_owned()))], ..tls() };
        assert_eq!(versions_of(&unknown).map(|(verdict, _)| verdict), Some(Verdict::Unknown));
    }

    fn certificate(name: &str) -> CertificateDer<'static> {
        rcgen::generate_simple_self_signed([name.to_owned()]).expect("made").cert.der().clone()
    }

    #[test]
    fn what_is_shown_is_held_against_what_home_shows() {
        let (own, other) = (certificate("mail.home.example"), certificate("router.lan"));
        let seen =
            |certificate: &CertificateDer<'static>| TlsSeen { chain: vec![certificate.clone()], ..tls() };
        let wanted = Wanted {
            mail_host: "mail.home.example".parse().expect("a name"),
            shown: vec![own.clone()],
            serials: Default::default(),
            path_mtu: None,
        };
        let (right, wrong) = (seen(&own), seen(&other));
        let rows = shown(&[(25, &right), (993, &right)], &wanted);
        assert!(rows.len() == 1 && rows[0].verdict == Verdict::Well, "{rows:?}");
        let rows = shown(&[(25, &right), (993, &wrong)], &wanted);
        assert!(rows.len() == 1 && rows[0].verdict == Verdict::Failed, "{rows:?}");
        assert!(rows[0].about == "993 (imaps)" && rows[0].found.contains("for router.lan"), "{rows:?}");
        assert!(
            rows[0].expected.as_deref().is_some_and(|own| own.contains("for mail.home.example")),
            "{rows:?}"
        );
    }
}
