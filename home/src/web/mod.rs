//! What home offers over HTTPS: the policy that other servers fetch, and the settings that mail programs ask for.
//!
//! * In: connections under TLS, HTTP/1.1 (RFC 9112, RFC 9110). The client's address is the true one, through the edge too.
//! * Out: `mta-sts.txt` (RFC 8461), Thunderbird's autoconfig, Outlook's autodiscover, Apple's configuration profile.
//! * Refused: a request without one valid `Host` (400), methods that a page does not have (405), a header over
//!   [`connection::HEADER_OCTETS`] (431), a body over what its page takes (413), and whoever takes longer than the limits in
//!   [`connection`]. All other hosts and paths are 404. No answer depends on whether an address exists.
//!
//! Data flows in this order: [`connection`] bounds what a client may cost, [`request`] is one request, [`site`] finds the page
//! by host name and path, a file for each page makes the [`response`]. To add a page, write its file and name it in `site`.

mod connection;

mod request;
mod response;

mod names;
mod site;

mod policy;

mod offer;

mod autoconfig;
mod autodiscover;
mod mobileconfig;

mod xml;

use std::sync::Arc;

use tokio::sync::watch;

use crate::net::Connection;

pub use names::WebName;
pub use offer::Offer;
pub use site::Site;

/// The service; cheap to clone.
#[derive(Clone)]
pub struct Web {
    site: Arc<Site>,
}

impl Web {
    /// Serves the pages of a site.
    pub fn new(site: Site) -> Self {
        Self { site: Arc::new(site) }
    }

    /// Serves one connection to its end.
    pub async fn serve(self, connection: Connection, shutdown: watch::Receiver<bool>) {
        let site = self.site;
        let page = move |request| {
            let site = site.clone();
            async move { site.answer(request).await }
        };
        connection::serve(connection.stream, connection::TIMES, shutdown, page).await;
    }
}
