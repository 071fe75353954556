//! Outlook's autodiscover, plain XML (MS-OXDSCLI): which servers a mail program shall use.
//!
//! In: a request with an address. Out: the services that the world reaches; the address comes back as the name to log in by,
//! whether there is such a user or not. Refused, by the protocol's own error answers: what is no request (600), and other
//! answers than Outlook's (601), since home has none of Exchange's protocols.

use jiff::Timestamp;
use postern_message::address::{DomainName, EmailAddress};

use super::offer::{Offer, Protocol, Security, Service};
use super::response::Response;
use super::xml::{element_text, escape};

/// Programs write it in small and in capital letters.
pub(super) const PATH: &str = "/autodiscover/autodiscover.xml";
/// A request is some hundred octets.
pub(super) const MOST_OCTETS: usize = 16 * 1024;

const OUTLOOK: &str = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a";
const ENVELOPE: &str = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006";

/// `offer` is what a domain offers, where it is one of home's.
pub(super) fn page(body: &[u8], offer: impl FnOnce(&DomainName) -> Option<Offer>) -> Response {
    Response::ok("application/xml; charset=utf-8", document(body, offer, Timestamp::now()))
}

fn document(body: &[u8], offer: impl FnOnce(&DomainName) -> Option<Offer>, now: Timestamp) -> String {
    let request = String::from_utf8_lossy(body);
    let text = |name: &str| element_text(&request, name);
    if text("AcceptableResponseSchema").is_some_and(|schema| schema != OUTLOOK) {
        return error(601, "The requested schema is not supported", now);
    }
    let address = text("EMailAddress").and_then(|text| text.parse::<EmailAddress>().ok());
    let settings = address.and_then(|address| Some(settings(&offer(address.domain())?, &address)));
    settings.unwrap_or_else(|| error(600, "Invalid request", now))
}

fn settings(offer: &Offer, address: &EmailAddress) -> String {
    let services = [Protocol::Imap, Protocol::Submission].into_iter().filter_map(|it| offer.preferred(it));
    let protocols: String = services.map(|service| protocol(offer, service, address)).collect();
    let name = escape(&address.to_string());
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Autodiscover xmlns=\"{ENVELOPE}\">\n  <Response xmlns=\"{OUTLOOK}\">\n    \
         <User>\n      <DisplayName>{name}</DisplayName>\n    </User>\n    <Account>\n      \
         <AccountType>email</AccountType>\n      <Action>settings</Action>\n{protocols}    </Account>\n  \
         </Response>\n</Autodiscover>\n"
    )
}

fn protocol(offer: &Offer, service: Service, address: &EmailAddress) -> String {
    let (kind, more) = match service.protocol {
        Protocol::Imap => ("IMAP", ""),
        Protocol::Pop3 => ("POP3", ""),
        Protocol::Submission => {
            ("SMTP", "        <UsePOPAuth>on</UsePOPAuth>\n        <SMTPLast>off</SMTPLast>\n")
        }
    };
    let (ssl, encryption) = match service.security {
        Security::Implicit => ("on", "SSL"),
        Security::StartTls => ("off", "TLS"),
    };
    let (host, port, login) = (escape(offer.host.as_str()), service.port, escape(&address.to_string()));
    format!(
        "      <Protocol>\n        <Type>{kind}</Type>\n        <Server>{host}</Server>\n        <Port>{port}</Port>\n        \
         <DomainRequired>off</DomainRequired>\n        <LoginName>{login}</LoginName>\n        <SPA>off</SPA>\n        \
         <SSL>{ssl}</SSL>\n        <Encryption>{encryption}</Encryption>\n        <AuthRequired>on</AuthRequired>\n{more}      \
         </Protocol>\n"
    )
}

fn error(code: u16, message: &str, now: Timestamp) -> String {
    let time = now.strftime("%H:%M:%S");
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Autodiscover xmlns=\"{ENVELOPE}\">\n  <Response>\n    \
         <Error Time=\"{time}\" Id=\"0\">\n      <ErrorCode>{code}</ErrorCode>\n      <Message>{message}</Message>\n      \
         <DebugData/>\n    </Error>\n  </Response>\n</Autodiscover>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServiceKind;

    fn ask(body: &str) -> String {
        let offer = |domain: &DomainName| {
            let host = "mail.home.example".parse().expect("a name");
            let services = [ServiceKind::Submissions, ServiceKind::Submission, ServiceKind::Imaps];
            (domain.as_str() == "home.example").then(|| Offer::new(host, &services))
        };
        document(body.as_bytes(), offer, Timestamp::UNIX_EPOCH)
    }

    fn request(address: &str, schema: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Autodiscover \
             xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006\"><Request>\
             <EMailAddress>{address}</EMailAddress><AcceptableResponseSchema>{schema}</AcceptableResponseSchema>\
             </Request></Autodiscover>"
        )
    }

    #[test]
    fn outlook_is_told_the_preferred_services() {
        let answer = ask(&request("ana@home.example", OUTLOOK));
        assert!(answer.contains(
            "<Type>IMAP</Type>\n        <Server>mail.home.example</Server>\n        <Port>993</Port>"
        ));
        assert!(answer.contains("<Type>SMTP</Type>") && answer.contains("<Port>465</Port>"), "{answer}");
        assert!(!answer.contains("587"), "{answer}");
        assert_eq!(element_text(&answer, "LoginName").as_deref(), Some("ana@home.example"));
    }

    #[test]
    fn who_exists_is_not_told_and_nothing_is_injected() {
        let (ana, eve) =
            (ask(&request("ana@home.example", OUTLOOK)), ask(&request("eve@home.example", OUTLOOK)));
        assert_eq!(ana.replace("ana@", "eve@"), eve);
        let sly = ask(&request("&quot;&lt;/LoginName&gt;&lt;x&gt;&amp;&quot;@home.example", OUTLOOK));
        assert!(!sly.contains("<x>"), "{sly}");
        assert_eq!(element_text(&sly, "LoginName").as_deref(), Some("\"</LoginName><x>&\"@home.example"));
    }

    #[test]
    fn what_is_no_request_of_outlooks_gets_an_error() {
        let sync = "http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006";
        assert!(ask(&request("ana@home.example", sync)).contains("<ErrorCode>601</ErrorCode>"));
        for body in ["", "<", "{}", &request("ana", OUTLOOK), &request("ana@other.example", OUTLOOK)] {
            assert!(ask(body).contains("<ErrorCode>600</ErrorCode>"), "{body}");
        }
    }
}
