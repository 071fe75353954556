//! Thunderbird's autoconfig, format 1.1: which servers a mail program shall use. K-9, Evolution, KMail and others read it too.
//!
//! In: the domain. Out: `config-v1.1.xml` with the services that the world reaches. The address that a program sends along is
//! not read: the answer has a placeholder in its place, and so is the same for all.

use postern_message::address::DomainName;

use super::offer::{Offer, Protocol, Security, Service};
use super::response::Response;
use super::xml::escape;

/// Where programs look: below `autoconfig.DOMAIN`, and at the domain itself.
pub(super) const PATHS: [&str; 2] = ["/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml"];

pub(super) fn page(offer: &Offer, domain: &DomainName) -> Response {
    Response::ok("application/xml; charset=utf-8", document(offer, domain))
}

fn document(offer: &Offer, domain: &DomainName) -> String {
    let (id, shown) = (escape(domain.as_str()), escape(&domain.to_unicode()));
    let servers: String = offer.services.iter().map(|service| server(&offer.host, *service)).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<clientConfig version=\"1.1\">\n  <emailProvider id=\"{id}\">\n    \
         <domain>{id}</domain>\n    <displayName>{shown}</displayName>\n    \
         <displayShortName>{shown}</displayShortName>\n{servers}  </emailProvider>\n</clientConfig>\n"
    )
}

/// The password goes through TLS, so a program needs no cleverer way to send it.
fn server(host: &DomainName, service: Service) -> String {
    let (element, kind) = match service.protocol {
        Protocol::Imap => ("incomingServer", "imap"),
        Protocol::Pop3 => ("incomingServer", "pop3"),
        Protocol::Submission => ("outgoingServer", "smtp"),
    };
    let socket = match service.security {
        Security::Implicit => "SSL",
        Security::StartTls => "STARTTLS",
    };
    let (host, port) = (escape(host.as_str()), service.port);
    format!(
        "    <{element} type=\"{kind}\">\n      <hostname>{host}</hostname>\n      <port>{port}</port>\n      \
         <socketType>{socket}</socketType>\n      <authentication>password-cleartext</authentication>\n      \
         <username>%EMAILADDRESS%</username>\n    </{element}>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServiceKind;

    #[test]
    fn only_what_is_offered_is_told() {
        let domain = "home.example".parse().expect("a domain");
        let host: DomainName = "mail.home.example".parse().expect("a name");
        let of = |services: &[ServiceKind]| document(&Offer::new(host.clone(), services), &domain);
        let all =
            of(&[ServiceKind::Smtp, ServiceKind::Submissions, ServiceKind::Submission, ServiceKind::Imaps]);
        assert_eq!(all.matches("<hostname>mail.home.example</hostname>").count(), 3);
        let at = |text: &str| all.find(text).expect(text);
        assert!(at("<port>465</port>") < at("<port>587</port>"), "TLS from the first octet is preferred");
        assert!(all.contains("<port>993</port>\n      <socketType>SSL</socketType>"), "{all}");
        assert!(all.contains("<port>587</port>\n      <socketType>STARTTLS</socketType>"), "{all}");
        assert!(!of(&[ServiceKind::Smtp]).contains("Server"));
    }
}
