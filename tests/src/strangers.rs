//! Mail systems that stand in the place of the stranger's Postfix: Exim, OpenSMTPD and chasquid, as Debian packs them.
//!
//! `tests/setup/strangers.sh` unpacks them under `target/strangers`, since Debian lets no two be installed together. Here one of
//! them is laid over the stranger's `/usr`, set up as an administrator of a small domain would, and started. Exim and OpenSMTPD insist
//! on TLS towards others.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::control::Signal;
use crate::host::HostHandle;
use crate::lab::Lab;
use crate::mail::SAM;
use crate::topology::Host;
use crate::wait::wait_until;

/// Where the packages are.
const UNPACKED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/strangers");
/// How long a mail system may take to answer.
const START_LIMIT: Duration = Duration::from_secs(20);
/// What the mail system prints, on its host.
const LOG: &str = "/var/spool/mta.log";
/// The password that chasquid wants of sam.
const SAM_PASSWORD: &str = "password-of-sam";

/// A mail system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mta {
    /// Exim 4.
    Exim,
    /// OpenSMTPD.
    OpenSmtpd,
    /// chasquid.
    Chasquid,
}

impl Mta {
    /// All of them.
    pub const ALL: [Mta; 3] = [Mta::Exim, Mta::OpenSmtpd, Mta::Chasquid];

    fn directory(self) -> &'static str {
        match self {
            Mta::Exim => "exim",
            Mta::OpenSmtpd => "opensmtpd",
            Mta::Chasquid => "chasquid",
        }
    }

    /// What its `Received` field says of how a message of home's came: over TLS, but for OpenSMTPD. That of Debian 12 offers
    /// TLS and fails in every handshake as a server (its keys are in a process of their own, to which OpenSSL 3 does not
    /// find); mail is to reach it all the same.
    pub fn trace_of_home(self) -> &'static str {
        match self {
            Mta::Exim => "with esmtps",
            Mta::OpenSmtpd => "with ESMTP id",
            Mta::Chasquid => "with ESMTPS",
        }
    }
}

impl Lab {
    /// Stops the stranger's Postfix and starts another mail system in its place, for the same user and domain.
    ///
    /// # Errors
    /// When it is not unpacked, or does not answer.
    pub fn replace_postfix(&self, mta: Mta) -> Result<()> {
        let unpacked = Path::new(UNPACKED).join(mta.directory()).join("usr");
        ensure!(unpacked.is_dir(), "{} is not there; `make checkers` unpacks it", unpacked.display());
        let unpacked = unpacked.canonicalize()?;
        self.stop_daemon(Host::Stranger, "postfix", Signal::Terminate)?;
        let stranger = self.host(Host::Stranger);
        stranger.sh(&format!("mount -t overlay -o 'lowerdir={}:/usr' overlay /usr", unpacked.display()))?;
        match mta {
            Mta::Exim => start_exim(stranger)?,
            Mta::OpenSmtpd => start_opensmtpd(stranger)?,
            Mta::Chasquid => start_chasquid(stranger)?,
        }
        wait_until(&format!("{mta:?} answers"), START_LIMIT, || -> Result<()> {
            let hello = ["swaks", "--server", "127.0.0.1", "--quit-after", "EHLO"];
            let said = || stranger.sh(&format!("cat {LOG}")).map(|log| log.stdout).unwrap_or_default();
            stranger.run(hello)?.success().map(drop).with_context(said)
        })
    }

    /// Hands a message to the mail system, on its own host.
    ///
    /// # Errors
    /// When it does not take it.
    pub fn send_from(&self, mta: Mta, to: &str, message: &str) -> Result<()> {
        let envelope = ["swaks", "--from", SAM, "--to", to, "--data", "-"];
        let way: &[&str] = match mta {
            Mta::Exim | Mta::OpenSmtpd => &["--server", "127.0.0.1"],
            Mta::Chasquid => &[
                "--server",
                "127.0.0.1",
                "--port",
                "587",
                "--tls",
                "--auth-user",
                SAM,
                "--auth-password",
                SAM_PASSWORD,
            ],
        };
        self.host(Host::Stranger)
            .run_with_input([&envelope[..], way].concat(), message.as_bytes())?
            .success()?;
        Ok(())
    }
}

/// Starts what runs until the lab ends, with its output in a file: nobody reads a pipe.
fn run_on(stranger: HostHandle, command: &str) -> Result<()> {
    let shell = format!("exec {command} >{LOG} 2>&1");
    stranger.spawn(["sh", "-c", &shell]).map(drop).with_context(|| command.to_owned())
}

const EXIM: &str = "\
primary_hostname = mx.stranger.test
domainlist local_domains = stranger.test
hostlist relay_from_hosts = 127.0.0.1 : ::1
acl_smtp_rcpt = acl_check_rcpt
acl_smtp_data = acl_check_data
tls_advertise_hosts = *
tls_certificate = /etc/exim4/cert.pem
tls_privatekey = /etc/exim4/key.pem
spool_directory = /var/spool/exim4
log_file_path = /var/spool/exim4/%slog
begin acl
acl_check_rcpt:
  accept hosts = +relay_from_hosts
  accept domains = +local_domains
  deny message = relay not permitted
acl_check_data:
  accept
begin routers
dnslookup:
  driver = dnslookup
  domains = ! +local_domains
  transport = remote_smtp
  no_more
localuser:
  driver = accept
  local_parts = sam
  transport = maildir
begin transports
remote_smtp:
  driver = smtp
  hosts_require_tls = *
maildir:
  driver = appendfile
  directory = /var/mail/sam/Maildir
  maildir_format
  create_directory
  user = 2525
  group = 2525
  return_path_add
begin retry
* * F,1h,5s
";

fn start_exim(stranger: HostHandle) -> Result<()> {
    stranger.sh("mkdir -p /etc/exim4")?;
    stranger.write("/etc/exim4/exim4.conf", EXIM.as_bytes())?;
    stranger.sh("echo 'Debian-exim:x:2526:2526::/var/spool/exim4:/usr/sbin/nologin' >> /etc/passwd
         echo 'Debian-exim:x:2526:' >> /etc/group
         install -d -o 2526 -g 2526 /var/spool/exim4
         install -m 644 /etc/postfix/tls/cert.pem /etc/exim4/cert.pem
         install -m 640 -g 2526 /etc/postfix/tls/key.pem /etc/exim4/key.pem")?;
    run_on(stranger, "exim4 -bdf -q5s")
}

const OPENSMTPD: &str = "\
pki mx.stranger.test cert \"/etc/smtpd/cert.pem\"
pki mx.stranger.test key \"/etc/smtpd/key.pem\"
listen on 0.0.0.0 tls pki mx.stranger.test hostname mx.stranger.test
listen on :: tls pki mx.stranger.test hostname mx.stranger.test
action \"in\" maildir \"/var/mail/sam/Maildir\"
action \"out\" relay helo mx.stranger.test tls no-verify
match from any for domain \"stranger.test\" action \"in\"
match from local for any action \"out\"
";

fn start_opensmtpd(stranger: HostHandle) -> Result<()> {
    stranger.sh("mkdir -p /etc/smtpd
         for user in opensmtpd:2527 opensmtpq:2528; do
             name=${user%:*} number=${user#*:}
             echo \"$name:x:$number:$number::/var/lib/opensmtpd/empty:/usr/sbin/nologin\" >> /etc/passwd
             echo \"$name:x:$number:\" >> /etc/group
         done
         install -d -m 755 /var/lib/opensmtpd /var/lib/opensmtpd/empty
         install -m 600 /etc/postfix/tls/cert.pem /etc/smtpd/cert.pem
         install -m 600 /etc/postfix/tls/key.pem /etc/smtpd/key.pem
         echo 'sam:x:2525:' >> /etc/group")?;
    stranger.write("/etc/smtpd/smtpd.conf", OPENSMTPD.as_bytes())?;
    run_on(stranger, "smtpd -d -f /etc/smtpd/smtpd.conf")
}

const CHASQUID: &str = "\
hostname: \"mx.stranger.test\"
smtp_address: \":25\"
submission_address: \":587\"
monitoring_address: \"\"
mail_delivery_agent_bin: \"/usr/local/bin/to-maildir\"
mail_delivery_agent_args: \"%to_user%\"
data_dir: \"/var/lib/chasquid\"
mail_log_path: \"/var/lib/chasquid/mail.log\"
";

fn start_chasquid(stranger: HostHandle) -> Result<()> {
    stranger.sh(
        "mkdir -p /etc/chasquid/domains/stranger.test /etc/chasquid/certs/mx.stranger.test /var/lib/chasquid
         cp /etc/postfix/tls/cert.pem /etc/chasquid/certs/mx.stranger.test/fullchain.pem
         cp /etc/postfix/tls/key.pem /etc/chasquid/certs/mx.stranger.test/privkey.pem
         mkdir -p /var/mail/sam/Maildir/new /var/mail/sam/Maildir/cur /var/mail/sam/Maildir/tmp",
    )?;
    stranger.write(
        "/etc/chasquid/chasquid.conf",
        CHASQUID.replace("/usr/local/bin", "/etc/chasquid").as_bytes(),
    )?;
    let deliver = "#!/bin/sh\nexec cat > /var/mail/sam/Maildir/new/$(date +%s%N).mx\n";
    stranger.write("/etc/chasquid/to-maildir", deliver.as_bytes())?;
    stranger.sh(&format!(
        "chmod 755 /etc/chasquid/to-maildir
         chasquid-util --configdir=/etc/chasquid user-add {SAM} --password={SAM_PASSWORD}"
    ))?;
    run_on(stranger, "chasquid -config_dir=/etc/chasquid")
}
