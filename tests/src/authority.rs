//! The lab's own certificate authority, made with `openssl` at each start and trusted on every host.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::hosts::File;
use crate::shell;

/// A certificate chain and its private key, both PEM.
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

/// The authority's certificate and what it has issued.
pub struct Authority {
    certificate: String,
    /// The name under which OpenSSL looks the authority up in `/etc/ssl/certs`.
    hash: String,
    /// Home's, for `mail.home.example` and every name below `home.example`.
    pub home: Identity,
    /// That of the ACME server's own HTTPS.
    pub acme: Identity,
    /// The stranger's, self-signed, as most of the internet's mail servers are.
    pub stranger: Identity,
    /// One that the authority issued to the stranger too, for the mail host and the policy of `sts.test`.
    pub stranger_issued: Identity,
}

impl Authority {
    /// Makes the authority and the certificates; `scratch` receives the files.
    pub fn create(scratch: &Path) -> Result<Authority> {
        fs::create_dir_all(scratch)?;
        request(scratch, "ca", "Postern lab authority", &[])?;
        let issue = |file, names: &[&str]| {
            let alternatives: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
            let alternatives = format!("subjectAltName={}", alternatives.join(","));
            let issuer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=CA:FALSE"];
            request(scratch, file, names[0], &[&issuer[..], &["-addext", &alternatives]].concat())
        };
        let home = issue("home", &["mail.home.example", "*.home.example", "home.example"])?;
        let acme = issue("acme", &["acme.test"])?;
        let stranger_issued = issue("stranger-issued", &["mx.sts.test", "mta-sts.sts.test"])?;
        let stranger = request(scratch, "stranger", "mx.stranger.test", &[])?;
        let hash = shell::output(
            shell::command("openssl").current_dir(scratch).args(["x509", "-noout", "-hash", "-in", "ca.pem"]),
        )?;
        let certificate = fs::read_to_string(scratch.join("ca.pem"))?;
        Ok(Authority { certificate, hash: hash.trim().to_owned(), home, acme, stranger, stranger_issued })
    }

    /// The files that make a stock TLS client trust this authority: the bundle and the hashed directory.
    pub fn trust_files(&self) -> Result<Vec<File>> {
        let bundle = fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();
        Ok(vec![
            File { path: String::from("ssl/certs/ca-certificates.crt"), content: bundle + &self.certificate },
            File { path: format!("ssl/certs/{}.0", self.hash), content: self.certificate.clone() },
        ])
    }
}

fn request(scratch: &Path, file: &str, name: &str, more: &[&str]) -> Result<Identity> {
    let (certificate, key) = (format!("{file}.pem"), format!("{file}.key"));
    shell::output(
        shell::command("openssl")
            .current_dir(scratch)
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-days", "400", "-subj", &format!("/CN={name}"), "-out", &certificate, "-keyout", &key])
            .args(more),
    )?;
    Ok(Identity {
        certificate: fs::read_to_string(scratch.join(certificate))?,
        key: fs::read_to_string(scratch.join(key))?,
    })
}
