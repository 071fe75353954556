//! What to put into the configuration of a secondary, in the words of each program.

use std::fmt::{self, Display, Formatter};

use crate::admin::wire::secondary::SecondarySetup;

/// All of it, for people.
pub(super) struct Setup<'a>(pub &'a SecondarySetup);

impl Display for Setup<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (Self(setup), secret) = (self, self.0.key.secret.to_base64());
        writeln!(
            f,
            "For {}. Whoever has the secret can read the zones: send it by a safe way.\n",
            setup.name
        )?;
        if setup.primaries.is_empty() {
            writeln!(f, "No edge is joined yet: the primary's addresses are missing below.\n")?;
        }
        self.plain(f, &secret)?;
        self.nsd(f, &secret)?;
        self.knot(f, &secret)?;
        self.bind(f, &secret)
    }
}

impl Setup<'_> {
    /// What forms of providers ask for.
    fn plain(&self, f: &mut Formatter<'_>, secret: &str) -> fmt::Result {
        let Self(setup) = self;
        let primaries: Vec<String> = setup.primaries.iter().map(ToString::to_string).collect();
        let domains: Vec<&str> = setup.domains.iter().map(|domain| domain.as_str()).collect();
        writeln!(f, "key name     {}\nalgorithm    hmac-sha256\nsecret       {secret}", setup.key.name)?;
        writeln!(f, "primary      {}\nzones        {}", primaries.join(" "), domains.join(" "))
    }

    fn nsd(&self, f: &mut Formatter<'_>, secret: &str) -> fmt::Result {
        let (Self(setup), key) = (self, &self.0.key.name);
        writeln!(f, "\n# NSD: /etc/nsd/nsd.conf.d/postern.conf")?;
        writeln!(f, "key:\n    name: \"{key}\"\n    algorithm: hmac-sha256\n    secret: \"{secret}\"")?;
        for domain in &setup.domains {
            writeln!(f, "zone:\n    name: \"{domain}\"\n    zonefile: \"{domain}.zone\"")?;
            for primary in &setup.primaries {
                writeln!(f, "    allow-notify: {primary} {key}\n    request-xfr: {primary} {key}")?;
            }
        }
        Ok(())
    }

    fn knot(&self, f: &mut Formatter<'_>, secret: &str) -> fmt::Result {
        let (Self(setup), key) = (self, &self.0.key.name);
        let primaries: Vec<String> = setup.primaries.iter().map(ToString::to_string).collect();
        let primaries = primaries.join(", ");
        writeln!(f, "\n# Knot: /etc/knot/knot.conf")?;
        writeln!(f, "key:\n  - id: {key}\n    algorithm: hmac-sha256\n    secret: {secret}")?;
        writeln!(f, "remote:\n  - id: postern\n    address: [{primaries}]\n    key: {key}")?;
        writeln!(f, "acl:\n  - id: postern\n    address: [{primaries}]\n    key: {key}\n    action: notify")?;
        writeln!(f, "zone:")?;
        for domain in &setup.domains {
            writeln!(f, "  - domain: {domain}\n    master: postern\n    acl: postern")?;
        }
        Ok(())
    }

    fn bind(&self, f: &mut Formatter<'_>, secret: &str) -> fmt::Result {
        let (Self(setup), key) = (self, &self.0.key.name);
        writeln!(f, "\n// BIND: /etc/bind/named.conf.local")?;
        write!(f, "key \"{key}\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};")?;
        for domain in &setup.domains {
            write!(
                f,
                "\nzone \"{domain}\" {{\n    type secondary;\n    file \"{domain}.zone\";\n    primaries {{"
            )?;
            for primary in &setup.primaries {
                write!(f, " {primary} key \"{key}\";")?;
            }
            write!(f, " }};\n}};")?;
        }
        Ok(())
    }
}
