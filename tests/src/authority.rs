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
}

impl Authority {
    /// Makes the authority and the certificates; `scratch` receives the files.
    pub fn create(scratch: &Path) -> Result<Authority> {
        fs::create_dir_all(scratch)?;
        request(scratch, "ca", "Postern lab authority", &[])?;
        let names = "subjectAltName=DNS:mail.home.example,DNS:*.home.example,DNS:home.example";
        let issued =
            ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", names, "-addext", "basicConstraints=CA:FALSE"];
        let home = request(scratch, "home", "mail.home.example", &issued)?;
        let names = "subjectAltName=DNS:acme.test";
        let issued =
            ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", names, "-addext", "basicConstraints=CA:FALSE"];
        let acme = request(scratch, "acme", "acme.test", &issued)?;
        let stranger = request(scratch, "stranger", "mx.stranger.test", &[])?;
        let hash = shell::output(
            shell::command("openssl").current_dir(scratch).args(["x509", "-noout", "-hash", "-in", "ca.pem"]),
        )?;
        let certificate = fs::read_to_string(scratch.join("ca.pem"))?;
        Ok(Authority { certificate, hash: hash.trim().to_owned(), home, acme, stranger })
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
