"""Postfix and Dovecot's LMTP server, each on loopback, with durable writes, as Debian packages them."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "store"))
from servers import Server, exists, run  # noqa: E402


class Postfix(Server):
    """What it takes it holds: the rate is that of its queue alone, without any delivery."""

    def __init__(self, port, folder):
        super().__init__("Postfix", port, folder)
        self.config = config = self.folder / "etc"
        config.mkdir()
        for parent in [self.folder, *list(self.folder.parents)[:2]]:
            parent.chmod(0o755)
        (self.folder / "data").mkdir()
        run("chown", "postfix", str(self.folder / "data"))
        (config / "main.cf").write_text(f"""
compatibility_level = 3.6
queue_directory = {self.folder}/spool
data_directory = {self.folder}/data
maillog_file = /var/log/postern-bench.log
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
default_process_limit = 250
smtpd_client_connection_count_limit = 0
smtpd_recipient_restrictions = check_recipient_access static:HOLD, permit_mynetworks, reject
""")
        services = pathlib.Path("/usr/share/postfix/master.cf.dist")
        (config / "master.cf").write_text(services.read_text())
        (self.folder / "spool").mkdir()
        run("postconf", "-c", str(config), "-F", "*/*/chroot=n")
        run("postconf", "-c", str(config), "-MX", "smtp/inet")
        run("postconf", "-c", str(config), "-Me", f"127.0.0.1:{port}/inet=127.0.0.1:{port} inet n - n - - smtpd")
        self.start("postfix", "-c", str(config), "start-fg")

    def stop(self):
        """A signal would reach the script that waits for Postfix, not Postfix."""
        run("postfix", "-c", str(self.config), "stop")
        self.child.wait(30)


class DovecotLmtp(Server):
    """LMTP into a Maildir; `mail_fsync` is Dovecot's default, which flushes deliveries."""

    def __init__(self, port, folder):
        super().__init__("Dovecot", port, folder)
        mail = self.folder / "mail"
        mail.mkdir()
        run("useradd", "--system", "--no-create-home", "postern-bench") if not exists("postern-bench") else None
        run("chown", "postern-bench", str(mail))
        for parent in [self.folder, *list(self.folder.parents)[:2]]:
            parent.chmod(0o755)
        (self.folder / "dovecot.conf").write_text(f"""
base_dir = {self.folder}/run
log_path = {self.folder}/log
protocols = lmtp
listen = 127.0.0.1
ssl = no
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid=postern-bench gid=postern-bench home={mail} allow_all_users=yes
}}
mail_location = maildir:{mail}/Maildir
service lmtp {{
  process_limit = 250
  inet_listener lmtp {{
    port = {port}
  }}
}}
""")
        self.start("dovecot", "-F", "-c", str(self.folder / "dovecot.conf"))
