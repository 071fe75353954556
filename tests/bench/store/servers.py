"""The two servers, each with one account `ana@bench.example`, on loopback, with TLS and durable writes."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

USER, PASSWORD = "ana@bench.example", "correct-horse-battery"
TICKS = os.sysconf("SC_CLK_TCK")


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


class Server:
    """A server with all its processes."""

    def __init__(self, name, port, folder):
        self.name, self.port, self.folder = name, port, folder / name.lower()
        self.folder.mkdir()

    def start(self, *command):
        self.log = self.folder / "log"
        self.child = subprocess.Popen(command, stdout=self.log.open("a"), stderr=subprocess.STDOUT, start_new_session=True)
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline or self.child.poll() is not None:
                    sys.exit(f"bench: {self.name} does not listen: {self.log.read_text()}")
                time.sleep(0.1)

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        self.child.wait(30)

    def processes(self):
        parents = {}
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
        family = {self.child.pid}
        while more := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= more
        return family

    def processor_seconds(self):
        """Of all processes, and of those that have ended."""
        total = 0
        for pid in self.processes():
            try:
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            total += sum(map(int, fields[11:15]))
        return total / TICKS

    def pss_megabytes(self):
        total = 0
        for pid in self.processes():
            try:
                lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return total / 1024

    def disk_octets(self):
        return int(run("du", "-s", "-B1", str(self.mail)).split()[0])


class Postern(Server):
    def __init__(self, port, folder, program):
        super().__init__("Postern", port, folder)
        self.program, self.mail, self.smtp_port = program, self.folder / "state/accounts", port + 1
        self.config = self.folder / "home.toml"
        resolver = Resolver()
        self.config.write_text(
            f'state_dir = "{self.folder}/state"\nruntime_dir = "{self.folder}/run"\nhostname = "mail.bench.example"\n'
            f'[listen]\nsmtp = ["127.0.0.1:{self.smtp_port}"]\nsubmissions = []\nsubmission = []\nhttps = []\npop3s = []\n'
            f'imaps = ["127.0.0.1:{port}"]\n'
            f'[acme]\ndirectory = "off"\n[dns]\nresolver = ["127.0.0.1:{resolver.port}"]\n[tunnel]\nlink = "userspace"\n[log]\nlevel = "warn"\n')
        (self.folder / "password").write_text(PASSWORD + "\n")
        self.up()
        self.command("domain", "add", "bench.example", "--dns", "external")
        self.command("user", "add", USER, "--password-file", str(self.folder / "password"))

    def up(self):
        self.start(self.program, "run", "--config", str(self.config))

    def command(self, *words):
        return run(self.program, "--config", str(self.config), *words)


class Dovecot(Server):
    """Maildir, as Debian packages it, with every commit flushed; `mail_fsync` is Dovecot's default."""

    def __init__(self, port, folder):
        super().__init__("Dovecot", port, folder)
        self.mail = self.folder / "mail"
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=bench.example",
            "-keyout", str(self.folder / "key.pem"), "-out", str(self.folder / "cert.pem"))
        run("useradd", "--system", "--no-create-home", "postern-bench") if not exists("postern-bench") else None
        self.mail.mkdir()
        run("chown", "postern-bench", str(self.mail))
        for parent in self.folder.parents[:2]:
            parent.chmod(0o755)
        (self.folder / "dovecot.conf").write_text(f"""
base_dir = {self.folder}/run
log_path = {self.folder}/log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{self.folder}/cert.pem
ssl_key = <{self.folder}/key.pem
auth_username_format = %Lu
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid=postern-bench gid=postern-bench home={self.mail}
}}
mail_location = maildir:{self.mail}/Maildir
service imap-login {{
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
""")
        self.up()

    def up(self):
        self.start("dovecot", "-F", "-c", str(self.folder / "dovecot.conf"))


def exists(user):
    return subprocess.run(["id", user], capture_output=True).returncode == 0


# Of the root, for five minutes: owner, type, class, TTL; mname, rname, serial, refresh, retry, expire, minimum.
SOA = b"\0\0\6\0\1\0\0\1\x2c\0\x16" + b"\0\0" + b"\0\0\0\1" * 4 + b"\0\0\1\x2c"


# The name asked for has one mail exchange, for five minutes.
MX = b"\xc0\x0c\0\x0f\0\1\0\0\1\x2c\0\6\0\x0a\2mx\0"
MX_TYPE = b"\0\x0f"


class Resolver:
    """Every domain takes mail; every other question is answered with NXDOMAIN, at once, and with the SOA record by which it
    may be remembered: the checks of a delivery cost what they cost, and no waiting."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            question, client = self.socket.recvfrom(4096)
            end = question.find(b"\0", 12) + 5
            if question[end - 4:end - 2] == MX_TYPE:
                answer = b"\x81\x80\0\x01\0\x01\0\0\0\0" + question[12:end] + MX
            else:
                answer = b"\x81\x83\0\x01\0\0\0\x01\0\0" + question[12:end] + SOA
            self.socket.sendto(question[:2] + answer, client)
