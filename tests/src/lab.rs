//! A lab as its owner and its visitors see it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::control::{self, Answer, DaemonStatus, Reply, Request, Signal};
use crate::enter;
use crate::host::HostHandle;
use crate::hosts::DAEMONS;
use crate::instances;
use crate::names::{ADD_DS, HOME_DOMAIN};
use crate::options::{Lifetime, Options, Stage};
use crate::topology::{EDGE_OTHER_V4, EDGE_OTHER_V6, Host, ISP_OTHER_V4, ISP_V4};
use crate::wait::wait_until;

/// How long the lab's own servers may take until they answer.
const START_LIMIT: Duration = Duration::from_secs(60);

/// The user at home that the demo and most scenarios use.
pub const ANA: &str = "ana@home.example";
/// Ana's password.
pub const ANA_PASSWORD: &str = "correct horse battery staple";

/// A running lab. When the value that [`Lab::start`] gave is dropped, the lab ends.
pub struct Lab {
    name: String,
    owned: Option<Owned>,
    /// The machines that stand in a host's place: the process 1 of each.
    pub(crate) machines: Mutex<BTreeMap<Host, i32>>,
}

/// What keeps an owned lab alive: the supervisor goes when its standard input ends.
struct Owned {
    supervisor: Child,
    input: ChildStdin,
}

impl Lab {
    /// Starts a lab and waits until its name system, its Postfix and, if wanted, its Postern answer.
    ///
    /// # Errors
    /// When the process is not root, a program is missing, or a daemon does not come up; says which.
    pub fn start(options: Options) -> Result<Lab> {
        require(&options)?;
        let state = instances::claim(&options.name)?;
        let lab = launch(&options).inspect_err(|_| {
            fs::remove_dir_all(&state).ok();
        })?;
        lab.await_internet().map_err(|error| lab.explain(error))?;
        if options.stage == Stage::Running {
            lab.await_daemon(Host::Edge, "postern-edge")?;
            lab.await_daemon(Host::Home, "postern-home")?;
        }
        Ok(lab)
    }

    /// Starts a lab with a name of its own, for a scenario.
    ///
    /// # Errors
    /// As [`Lab::start`].
    pub fn running() -> Result<Lab> {
        Lab::start(scenario_options()?)
    }

    /// Starts a lab in which home has joined the edge and serves `home.example` with the user [`ANA`].
    ///
    /// # Errors
    /// As [`Lab::start`], and when a step of joining fails.
    pub fn joined() -> Result<Lab> {
        let lab = Lab::running()?;
        lab.join().and_then(|()| lab.set_up_home()).map_err(|error| lab.explain(error))?;
        Ok(lab)
    }

    /// The lab called `name`, started by another process.
    ///
    /// # Errors
    /// When it does not run.
    pub fn attach(name: &str) -> Result<Lab> {
        let lab = Lab { name: name.to_owned(), owned: None, machines: Mutex::default() };
        lab.ask(&Request::Status).with_context(|| {
            format!("no lab {name:?} runs; `lab up {name}` starts it, `lab list` shows those that run")
        })?;
        Ok(lab)
    }

    /// The lab's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The supervisor's process id, as this process sees it.
    ///
    /// # Errors
    /// When the lab has ended.
    pub fn supervisor(&self) -> Result<i32> {
        Ok(self.ask(&Request::Status)?.supervisor)
    }

    /// A host of the lab, or the machine that stands in its place.
    pub fn host(&self, host: Host) -> HostHandle {
        self.try_host(host).expect("a running lab has all hosts")
    }

    fn try_host(&self, host: Host) -> Result<HostHandle> {
        if let Some(systemd) = self.machines.lock().expect("no user of it panics").get(&host) {
            return Ok(HostHandle::machine(host, *systemd));
        }
        let reply = self.ask(&Request::Status)?;
        let anchor = reply.status.anchors.get(&host).context("every host has an anchor")?;
        Ok(HostHandle::new(host, reply.supervisor, *anchor))
    }

    /// Every daemon and its state.
    ///
    /// # Errors
    /// When the lab has ended.
    pub fn daemons(&self) -> Result<Vec<DaemonStatus>> {
        Ok(self.ask(&Request::Status)?.status.daemons)
    }

    /// Starts a daemon that was stopped, and waits until it answers if it is Postfix or one of Postern's.
    ///
    /// # Errors
    /// When it runs already or does not come up.
    pub fn start_daemon(&self, host: Host, daemon: &str) -> Result<()> {
        self.ask(&Request::Start { host, daemon: daemon.to_owned() })?;
        match daemon {
            "postfix" => self.await_postfix(),
            _ if daemon.starts_with("postern-") => self.await_daemon(host, daemon),
            _ => Ok(()),
        }
    }

    /// Ends a daemon and its children, and waits for its end.
    ///
    /// # Errors
    /// When it does not run, or does not end.
    pub fn stop_daemon(&self, host: Host, daemon: &str, signal: Signal) -> Result<()> {
        self.ask(&Request::Stop { host, daemon: daemon.to_owned(), signal })?;
        Ok(())
    }

    /// The log files of a host, oldest daemon first.
    pub fn logs(&self, host: Host) -> Vec<PathBuf> {
        let directory = instances::state_directory(&self.name).join("logs").join(host.name());
        let of_host = DAEMONS.iter().filter(|daemon| daemon.host == host);
        of_host
            .map(|daemon| directory.join(format!("{}.log", daemon.name)))
            .filter(|path| path.exists())
            .collect()
    }

    /// The whole text of a host's logs.
    pub fn log_text(&self, host: Host) -> String {
        self.logs(host)
            .iter()
            .filter_map(|path| Some(String::from_utf8_lossy(&fs::read(path).ok()?).into_owned()))
            .collect()
    }

    /// Enrols home at the edge: an invitation, its code handed over in a file, and a wait for the tunnel.
    ///
    /// # Errors
    /// When a command fails or the tunnel does not come up.
    pub fn join(&self) -> Result<()> {
        self.join_with(&self.invite()?)
    }

    /// Enrols home at the edge, which it shall dial at `endpoint`: a name or an address, and a port.
    ///
    /// # Errors
    /// As [`Lab::join`].
    pub fn join_at(&self, endpoint: &str) -> Result<()> {
        self.join_with(&self.invitation(&["--endpoint", endpoint])?)
    }

    fn join_with(&self, code: &str) -> Result<()> {
        self.host(Host::Home).write("/run/join-code", code.as_bytes())?;
        self.host(Host::Home).run(["postern-home", "join", "--code-file", "/run/join-code"])?.success()?;
        wait_until("home is connected to the edge", Duration::from_secs(20), || self.is_connected())
    }

    /// A fresh join code of the edge.
    ///
    /// # Errors
    /// When the edge makes none.
    pub fn invite(&self) -> Result<String> {
        self.invitation(&[])
    }

    fn invitation(&self, more: &[&str]) -> Result<String> {
        let invite = [&["postern-edge", "invite", "--json"], more].concat();
        let output = self.host(Host::Edge).run(invite)?.success()?;
        let answer: serde_json::Value = serde_json::from_str(&output.stdout)?;
        let code = answer.get("code").and_then(|code| code.as_str());
        Ok(code.with_context(|| format!("no code in {}", output.stdout))?.to_owned())
    }

    /// Gives home its domain and its user [`ANA`], and waits until the world resolves the domain.
    ///
    /// # Errors
    /// When a command fails or the domain does not resolve.
    pub fn set_up_home(&self) -> Result<()> {
        let home = self.host(Host::Home);
        home.run(["postern-home", "domain", "add", HOME_DOMAIN])?.success()?;
        home.write("/run/password", format!("{ANA_PASSWORD}\n").as_bytes())?;
        home.run(["postern-home", "user", "add", ANA, "--password-file", "/run/password"])?.success()?;
        wait_until("the world resolves home.example", Duration::from_secs(20), || {
            self.resolve(HOME_DOMAIN, "MX").map(drop)
        })?;
        self.secure_delegation()
    }

    /// Does the registrar's part: puts home's DS record into the parent zone, and waits until the resolver validates.
    ///
    /// # Errors
    /// When a command fails or the answers do not validate.
    pub fn secure_delegation(&self) -> Result<()> {
        let ds = self.host(Host::Home).run(["postern-home", "dns", "ds", HOME_DOMAIN])?.success()?.stdout;
        self.register(&ds)?;
        wait_until("the resolver validates home.example", Duration::from_secs(20), || {
            self.require_validated(HOME_DOMAIN, "MX")
        })
    }

    /// Puts records beside the delegation of home's domain into the parent zone, in the place of those put there before.
    ///
    /// # Errors
    /// When the parent zone cannot be signed with them.
    pub fn register(&self, records: &str) -> Result<()> {
        self.host(Host::Registry).run_with_input(["sh", "-ec", ADD_DS], records.as_bytes())?.success()?;
        self.stop_daemon(Host::Registry, "nsd", Signal::Terminate)?;
        self.start_daemon(Host::Registry, "nsd")
    }

    /// Asks the public resolver from the outside and asks for the AD bit (RFC 4035 §3.2.3).
    ///
    /// # Errors
    /// When the resolver has not validated the answer, positive or negative.
    pub fn require_validated(&self, name: &str, record_type: &str) -> Result<()> {
        let dig = ["dig", "+adflag", "+time=2", "+tries=1", name, record_type];
        let answer = self.host(Host::Cafe).run(dig)?.success()?.stdout;
        let flags = answer.lines().find(|line| line.starts_with(";; flags:")).unwrap_or_default();
        let is_validated = flags.split([' ', ';']).any(|flag| flag == "ad") && !answer.contains("SERVFAIL");
        if is_validated { Ok(()) } else { Err(anyhow!("{name} {record_type} is not validated:\n{answer}")) }
    }

    /// Says whether home and edge have a live tunnel, in home's opinion.
    ///
    /// # Errors
    /// When home does not answer, or has no tunnel.
    pub fn is_connected(&self) -> Result<()> {
        let output = self.host(Host::Home).run(["postern-home", "status", "--json"])?;
        let status: serde_json::Value =
            serde_json::from_str(&output.stdout).with_context(|| output.stderr.clone())?;
        match status.pointer("/link/state").and_then(|state| state.as_str()) {
            Some("connected") => Ok(()),
            _ => bail!("home's status is {status}"),
        }
    }

    /// Asks the public resolver from the outside; returns the answer's lines as `dig +short` prints them.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn resolve(&self, name: &str, record_type: &str) -> Result<Vec<String>> {
        let dig = ["dig", "+short", "+time=2", "+tries=1", name, record_type];
        let output = self.host(Host::Cafe).run(dig)?.success()?;
        let lines: Vec<_> = output.stdout.lines().map(str::to_owned).collect();
        if lines.is_empty() { Err(anyhow!("no {record_type} of {name}")) } else { Ok(lines) }
    }

    /// Gives the provider's router its other address, as after a nightly reconnection.
    ///
    /// # Errors
    /// When the router refuses.
    pub fn change_isp_address(&self) -> Result<()> {
        let isp = self.host(Host::Isp);
        let now = isp.sh("ip -4 -o address show dev eth0")?.stdout;
        let (old, new) = if now.contains(&format!(" {ISP_V4}/")) {
            (ISP_V4, ISP_OTHER_V4)
        } else {
            (ISP_OTHER_V4, ISP_V4)
        };
        // Deleting the address drops the NAT state that masquerade had made with it.
        isp.sh(&format!(
            "ip address del {old}/24 dev eth0; ip address add {new}/24 dev eth0; ip route replace default via 203.0.113.1"
        ))?;
        Ok(())
    }

    /// Destroys the edge, as a provider does with a machine, and puts a fresh one at another address; the registrar gives the
    /// world its new glue. `postern-edge` runs there then, and knows nobody.
    ///
    /// # Errors
    /// When a command fails, or the new edge does not come up.
    pub fn replace_edge(&self) -> Result<()> {
        self.stop_daemon(Host::Edge, "postern-edge", Signal::Kill)?;
        let (old, new) = (Host::Edge.uplink().context("the edge has a link")?, EDGE_OTHER_V4);
        let (old_v6, new_v6) = (old.v6.context("the edge has IPv6")?, EDGE_OTHER_V6);
        self.host(Host::Edge).sh(&format!(
            "rm -rf /var/lib/postern-edge
             nft flush ruleset
             ip address del {}/24 dev eth0
             ip address add {new}/24 dev eth0
             ip route replace default via {}
             ip address del {old_v6}/64 dev eth0
             ip address add {new_v6}/64 dev eth0 nodad",
            old.v4,
            old.gateway_v4(),
        ))?;
        let glue =
            format!("sed -i 's/\\b{}$/{new}/; s/\\b{old_v6}$/{new_v6}/' /etc/nsd/example.zone", old.v4);
        self.host(Host::Registry).sh(&glue)?;
        self.stop_daemon(Host::Registry, "nsd", Signal::Terminate)?;
        self.start_daemon(Host::Registry, "nsd")?;
        self.start_daemon(Host::Edge, "postern-edge")
    }

    /// Holds an owned lab until it is ended by another process (`lab down`), or this process is.
    ///
    /// # Errors
    /// When the supervisor cannot be waited for.
    pub fn hold(mut self) -> Result<()> {
        if let Some(Owned { supervisor, input: _input }) = &mut self.owned {
            supervisor.wait()?;
        }
        Ok(())
    }

    /// Ends the lab.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn down(&self) -> Result<()> {
        let reply = self.ask(&Request::Status)?;
        // The supervisor ends instead of answering.
        let _ = self.ask(&Request::Down);
        let process = Path::new("/proc").join(reply.supervisor.to_string());
        wait_until("the lab has ended", Duration::from_secs(10), || !process.exists())
    }

    /// Adds the end of Postern's and the stranger's logs to an error.
    pub fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        anyhow!("{error:#}\n{}", self.log_tails())
    }

    /// The last lines of the logs of home, edge and stranger.
    pub fn log_tails(&self) -> String {
        let mut text = String::new();
        for host in [Host::Stranger, Host::Edge, Host::Home] {
            for path in self.logs(host) {
                let log = fs::read_to_string(&path).unwrap_or_default();
                let lines: Vec<_> = log.lines().collect();
                let tail = &lines[lines.len().saturating_sub(40)..];
                text += &format!("--- end of {} ---\n{}\n", path.display(), tail.join("\n"));
            }
        }
        let machines: Vec<Host> =
            self.machines.lock().expect("no user of it panics").keys().copied().collect();
        for host in machines {
            let journal = self.host(host).run(["journalctl", "--no-pager", "--lines=40"]);
            text += &format!(
                "--- end of {host}'s journal ---\n{}\n",
                journal.map_or_else(|e| e.to_string(), |o| o.stdout)
            );
        }
        text
    }

    fn ask(&self, request: &Request) -> Result<Reply> {
        control::ask(&instances::control_socket(&self.name), request)
    }

    fn await_internet(&self) -> Result<()> {
        wait_until("the resolver finds stranger.test", START_LIMIT, || self.resolve("stranger.test", "MX"))?;
        self.await_postfix()
    }

    fn await_postfix(&self) -> Result<()> {
        wait_until("the stranger's Postfix answers", START_LIMIT, || {
            self.host(Host::Stranger)
                .sh("echo QUIT | timeout 2 bash -c 'exec 3<>/dev/tcp/127.0.0.1/25 && head -1 <&3'")
        })?;
        Ok(())
    }

    /// Waits until one of Postern's daemons answers its own `status`, or has ended.
    fn await_daemon(&self, host: Host, daemon: &str) -> Result<()> {
        let answered = wait_until(&format!("{daemon} answers"), START_LIMIT, || {
            let daemons = self.daemons()?;
            let state = daemons.iter().find(|state| state.host == host && state.name == daemon);
            if let Some(state) = state.filter(|state| !state.running) {
                return Ok(Err(anyhow!("{daemon} ended: {}", state.last_end.as_deref().unwrap_or("?"))));
            }
            let status = self.host(host).run([daemon, "status"])?;
            // 4: the daemon cannot be reached.
            if status.code() == 4 {
                bail!("{}{}", status.stdout, status.stderr)
            }
            Ok(Ok(()))
        });
        answered.and_then(|end| end).map_err(|error| self.explain(error))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log_tails());
        }
        if let Some(Owned { mut supervisor, input }) = self.owned.take() {
            drop(input);
            let _ = supervisor.wait();
        }
    }
}

/// The options of a scenario's lab: a name that no other has, and the programs beside the running test.
///
/// # Errors
/// When the programs have not been built.
pub fn scenario_options() -> Result<Options> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    Ok(Options::new(format!("test-{}-{count}", std::process::id()), programs()?))
}

/// The directory of the programs: that of the running program, or the one above for a test of Cargo's.
///
/// # Errors
/// When it does not hold all three.
pub fn programs() -> Result<PathBuf> {
    let running = std::env::current_exe()?;
    let directories = running.ancestors().skip(1).take(2);
    let complete = |directory: &&Path| {
        ["lab", "postern-edge", "postern-home"].iter().all(|program| directory.join(program).exists())
    };
    directories.into_iter().find(complete).map(Path::to_owned).with_context(|| {
        format!(
            "lab, postern-edge and postern-home do not stand together near {}; build them first: \
             cargo build -p postern-edge -p postern-home -p postern-lab",
            running.display()
        )
    })
}

/// Refuses early what would fail obscurely later.
fn require(options: &Options) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!(
            "the lab makes network and mount namespaces with several users in them, which takes root: use sudo"
        );
    }
    if options.stage == Stage::Running && !Path::new("/dev/net/tun").exists() {
        bail!(
            "/dev/net/tun is missing, and the tunnel needs it; on a normal machine `modprobe tun` makes it"
        );
    }
    for program in
        ["unshare", "nsenter", "ip", "nft", "nsd", "unbound", "postfix", "dnssec-signzone", "openssl", "dig"]
    {
        let found =
            crate::shell::PATH.split(':').any(|directory| Path::new(directory).join(program).exists());
        if !found {
            bail!("{program} is not installed; `make packages` installs what the lab needs");
        }
    }
    Ok(())
}

fn launch(options: &Options) -> Result<Lab> {
    let mut command = enter::supervisor_command(&options.programs.join("lab"));
    // A group of its own: Ctrl-C ends the owner, and with it this.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
    if options.lifetime == Lifetime::Detached {
        command.stderr(Stdio::null());
    }
    let mut supervisor = command.spawn().context("starting the supervisor")?;
    let mut input = supervisor.stdin.take().context("standard input is piped")?;
    writeln!(input, "{}", serde_json::to_string(options)?)?;
    let output = supervisor.stdout.take().context("standard output is piped")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let answer: Answer = serde_json::from_str(&line).context("the supervisor ended early")?;
    answer.map_err(|error| anyhow!(error))?;
    let owned = (options.lifetime == Lifetime::Owner).then_some(Owned { supervisor, input });
    Ok(Lab { name: options.name.clone(), owned, machines: Mutex::default() })
}
