//! Apple's configuration profile for mail: `/apple.mobileconfig?email=ana@home.example`.
//!
//! In: an address of one of home's domains. Out: a profile with the services that the world reaches, whether there is such a
//! user or not; the device asks for the password. Unsigned, so the device says that it is not verified. The same address gives
//! the same profile, so that loading it again replaces the account instead of adding one.

use aws_lc_rs::digest::{SHA256, digest};
use hyper::header::{CONTENT_DISPOSITION, HeaderValue};
use postern_message::address::EmailAddress;

use super::offer::{Offer, Protocol, Service};
use super::response::Response;
use super::xml::escape;

pub(super) const PATH: &str = "/apple.mobileconfig";

pub(super) fn page(offer: &Offer, address: &EmailAddress) -> Response {
    document(offer, address).map_or_else(Response::not_found, |document| {
        Response::ok("application/x-apple-aspen-config", document)
            .with(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"mail.mobileconfig\""))
    })
}

/// `None` where either half is not offered: Apple's mail program wants both.
fn document(offer: &Offer, address: &EmailAddress) -> Option<String> {
    let (imap, submission) = (offer.preferred(Protocol::Imap)?, offer.preferred(Protocol::Submission)?);
    let (name, domain) = (escape(&address.to_string()), escape(address.domain().as_str()));
    let incoming = server("Incoming", offer, imap, &name);
    let outgoing = server("Outgoing", offer, submission, &name);
    let (profile, account) = (uuid(&format!("profile {address}")), uuid(&format!("account {address}")));
    Some(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">
<plist version=\"1.0\"><dict>
<key>PayloadType</key><string>Configuration</string>
<key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>postern.{profile}</string>
<key>PayloadUUID</key><string>{profile}</string>
<key>PayloadDisplayName</key><string>{name}</string>
<key>PayloadOrganization</key><string>{domain}</string>
<key>PayloadContent</key><array><dict>
<key>PayloadType</key><string>com.apple.mail.managed</string>
<key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>postern.{account}</string>
<key>PayloadUUID</key><string>{account}</string>
<key>PayloadDisplayName</key><string>{name}</string>
<key>EmailAccountType</key><string>EmailTypeIMAP</string>
<key>EmailAccountDescription</key><string>{name}</string>
<key>EmailAddress</key><string>{name}</string>
{incoming}{outgoing}<key>OutgoingPasswordSameAsIncomingPassword</key><true/>
</dict></array></dict></plist>
"
    ))
}

/// `UseSSL` is both ways of beginning TLS; the device finds out which.
fn server(direction: &str, offer: &Offer, service: Service, name: &str) -> String {
    let (host, port) = (escape(offer.host.as_str()), service.port);
    format!(
        "<key>{direction}MailServerAuthentication</key><string>EmailAuthPassword</string>
<key>{direction}MailServerHostName</key><string>{host}</string>
<key>{direction}MailServerPortNumber</key><integer>{port}</integer>
<key>{direction}MailServerUseSSL</key><true/>
<key>{direction}MailServerUsername</key><string>{name}</string>
"
    )
}

/// A UUID of a digest (RFC 9562 §5.8).
fn uuid(of: &str) -> String {
    let digest = digest(&SHA256, of.as_bytes());
    let mut number =
        digest.as_ref().iter().take(16).fold(0_u128, |number, octet| number << 8 | u128::from(*octet));
    number = number & !(0xf << 76) | 8 << 76;
    number = number & !(0x3 << 62) | 2 << 62;
    let hexadecimal = format!("{number:032X}");
    let mut groups = Vec::new();
    let mut rest = hexadecimal.as_str();
    for length in [8, 4, 4, 4, 12] {
        let (group, tail) = rest.split_at_checked(length).unwrap_or((rest, ""));
        groups.push(group);
        rest = tail;
    }
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServiceKind;

    fn profile(address: &str, services: &[ServiceKind]) -> Option<String> {
        let offer = Offer::new("mail.home.example".parse().expect("a name"), services);
        document(&offer, &address.parse().expect("an address"))
    }

    #[test]
    fn a_profile_holds_both_servers_or_is_not_there() {
        let both = [ServiceKind::Submissions, ServiceKind::Imaps];
        let ana = profile("ana@home.example", &both).expect("a profile");
        assert!(ana.contains("<key>IncomingMailServerPortNumber</key><integer>993</integer>"), "{ana}");
        assert!(ana.contains("<key>OutgoingMailServerPortNumber</key><integer>465</integer>"), "{ana}");
        assert_eq!(profile("ana@home.example", &both).as_ref(), Some(&ana));
        assert_ne!(profile("eve@home.example", &both), Some(ana));
        assert_eq!(profile("ana@home.example", &[ServiceKind::Imaps]), None);
        let sly = profile("\"<x>\"@home.example", &both).expect("a profile");
        assert!(!sly.contains("<x>"), "{sly}");
    }

    #[test]
    fn uuids_have_their_form() {
        let uuid = uuid("x");
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(&uuid[14..15], "8");
        assert!("89AB".contains(&uuid[19..20]), "{uuid}");
    }
}
