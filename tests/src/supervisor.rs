//! Process 1 of a lab: builds the small internet, keeps its daemons, and takes everything with it when it ends.
//!
//! In: the [`Options`] as one line of JSON on standard input, then nothing. Out: one line on standard output,
//! an `Answer`, once the hosts stand and the daemons are started. It serves `control.sock` until it is told
//! to go, or until its standard input ends, which is when its owner has ended, however that came.
//!
//! The state directory:
//! ```text
//! /run/postern-lab/NAME/
//!   control.sock          requests of `lab` and of the scenarios
//!   logs/HOST/DAEMON.log  what each daemon printed
//!   hosts/                a tmpfs, seen only inside the lab: keys, and each host's etc, var and home
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, bail};

use crate::authority::Authority;
use crate::control::{self, Answer, Request, Status};
use crate::daemons::Daemons;
use crate::enter;
use crate::hosts::{self, DAEMONS, Made};
use crate::instances;
use crate::names::Names;
use crate::options::{Lifetime, Options, Stage};
use crate::shell;
use crate::topology::Host;

/// Runs the supervisor to the end of the lab.
///
/// # Errors
/// When the lab cannot be built; the reason has then been told on standard output too.
pub fn supervise() -> Result<()> {
    let mut input = BufReader::new(io::stdin());
    let mut line = String::new();
    input.read_line(&mut line)?;
    let options: Options = serde_json::from_str(&line).context("reading the lab's options")?;
    let state = instances::state_directory(&options.name);

    let built = build(&options, &state);
    let answer: Answer = built.as_ref().map(Lab::status).map_err(|error| format!("{error:#}"));
    let mut output = io::stdout().lock();
    writeln!(output, "{}", serde_json::to_string(&answer)?)?;
    output.flush()?;
    drop(output);

    let lab = built?;
    if options.lifetime == Lifetime::Owner {
        thread::spawn(move || end_with_owner(input, &state));
    }
    lab.serve()
}

/// Waits for the end of standard input, and ends the lab then.
fn end_with_owner(mut input: impl Read, state: &Path) {
    let _ = io::copy(&mut input, &mut io::sink());
    end(state)
}

/// Removes the state directory and ends the process, with which the kernel ends the lab.
fn end(state: &Path) -> ! {
    let _ = shell::output(shell::command("umount").arg("--lazy").arg(state.join("hosts")));
    let _ = fs::remove_dir_all(state);
    std::process::exit(0)
}

struct Lab {
    state: PathBuf,
    listener: UnixListener,
    anchors: BTreeMap<Host, i32>,
    daemons: Arc<Daemons>,
}

impl Lab {
    fn status(&self) -> Status {
        Status { anchors: self.anchors.clone(), daemons: self.daemons.status() }
    }

    fn serve(&self) -> Result<()> {
        thread::scope(|scope| {
            loop {
                let (stream, _) = self.listener.accept()?;
                scope.spawn(move || self.converse(&stream));
            }
        })
    }

    /// One connection; its failure is the client's to notice.
    fn converse(&self, stream: &UnixStream) {
        let answer = control::read_request(stream).and_then(|request| self.obey(&request));
        let _ = control::answer(stream, &answer.map_err(|error| format!("{error:#}")));
    }

    fn obey(&self, request: &Request) -> Result<Status> {
        match request {
            Request::Status => {}
            Request::Start { host, daemon } => self.daemons.start(Daemons::find(*host, daemon)?)?,
            Request::Stop { host, daemon, signal } => {
                self.daemons.stop(Daemons::find(*host, daemon)?, *signal)?;
            }
            Request::Down => end(&self.state),
        }
        Ok(self.status())
    }
}

fn build(options: &Options, state: &Path) -> Result<Lab> {
    let area = state.join("hosts");
    fs::create_dir_all(&area)?;
    shell::output(shell::command("mount").args(["-t", "tmpfs", "-o", "mode=700", "tmpfs"]).arg(&area))?;

    let authority = Authority::create(&area.join("authority"))?;
    let made = Made { names: Names::sign(&area.join("dnssec"), &authority.stranger)?, authority };
    for host in Host::ALL {
        lay_out(host, options, &made, &area.join(host.name()))?;
    }
    let anchors = raise(&area, options)?;
    connect(&anchors)?;

    let daemons = Arc::new(Daemons::new(anchors.clone(), &state.join("logs"), options.home_rights));
    let reaper = Arc::clone(&daemons);
    thread::spawn(move || reaper.reap());
    let is_wanted = |daemon: &&hosts::Daemon| options.stage == Stage::Running || !daemon.is_postern();
    for daemon in DAEMONS.iter().filter(|daemon| !daemon.is_on_demand()).filter(is_wanted) {
        daemons.start(daemon)?;
    }
    let listener = UnixListener::bind(state.join("control.sock"))?;
    Ok(Lab { state: state.to_owned(), listener, anchors, daemons })
}

/// Writes a host's files below `area`, where its mounts will find them.
fn lay_out(host: Host, options: &Options, made: &Made, area: &Path) -> Result<()> {
    for directory in ["etc", "work", "lib", "spool", "mail", "tmp"] {
        fs::create_dir_all(area.join(directory))?;
    }
    fs::set_permissions(area.join("mail"), PermissionsExt::from_mode(0o1777))?;
    for file in hosts::files(host, options, made)? {
        let path = area.join("etc").join(&file.path);
        fs::create_dir_all(path.parent().context("a file below etc has a parent")?)?;
        fs::write(&path, &file.content)?;
        if file.path.ends_with("key.pem") {
            fs::set_permissions(&path, PermissionsExt::from_mode(0o600))?;
        }
    }
    Ok(())
}

/// Starts every host's anchor and waits until its mounts stand.
fn raise(area: &Path, options: &Options) -> Result<BTreeMap<Host, i32>> {
    let starting: Vec<(Host, Child)> = Host::ALL
        .into_iter()
        .map(|host| {
            let script = mount_script(host, &area.join(host.name()), options);
            let mut command = enter::anchor_command(&script);
            Ok((host, command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?))
        })
        .collect::<Result<_>>()?;
    starting.into_iter().map(|(host, anchor)| Ok((host, await_anchor(host, anchor)?))).collect()
}

fn await_anchor(host: Host, mut anchor: Child) -> Result<i32> {
    let mut line = String::new();
    BufReader::new(anchor.stdout.take().context("the anchor's output is piped")?).read_line(&mut line)?;
    if line.trim() != "ready" {
        let output = anchor.wait_with_output()?;
        bail!("host {host} cannot be made: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(i32::try_from(anchor.id())?)
}

/// Lays the host's own directories over the machine's, in the host's mount namespace only. Shared memory is among them:
/// what faketime puts there is named by the process number, which another lab may have too.
fn mount_script(host: Host, area: &Path, options: &Options) -> String {
    let (area, programs) = (area.display(), options.programs.display());
    let (forward, set_up) = (u8::from(host.is_router()), hosts::set_up(host, options.home_rights));
    format!(
        "mount -t overlay -o 'lowerdir=/etc,upperdir={area}/etc,workdir={area}/work' overlay /etc
         mount --bind '{area}/lib' /var/lib
         mount --bind '{area}/spool' /var/spool
         mount --bind '{area}/mail' /var/mail
         mount -t tmpfs -o mode=755 tmpfs /run
         mount -t tmpfs tmpfs /dev/shm
         mkdir /run/bin /run/lock
         mount --bind '{programs}' /run/bin
         hostname {host}
         echo {forward} > /proc/sys/net/ipv4/ip_forward
         echo {forward} > /proc/sys/net/ipv6/conf/all/forwarding
         {set_up}
         echo ready
         exec sleep infinity >/dev/null 2>&1"
    )
}

/// Lays the cables and gives every host its addresses and routes.
fn connect(anchors: &BTreeMap<Host, i32>) -> Result<()> {
    let anchor = |host: Host| anchors.get(&host).context("every host has an anchor");
    let mut cables = String::new();
    for host in Host::ALL.into_iter().filter(|host| host.uplink().is_some()) {
        let (router, end) = (anchor(Host::Internet)?, anchor(host)?);
        cables += &format!("link add {host} netns {router} type veth peer name eth0 netns {end}\n");
    }
    let (router, end) = (anchor(Host::Isp)?, anchor(Host::Home)?);
    cables += &format!("link add lan0 netns {router} type veth peer name eth0 netns {end}\n");
    shell::output_with_input(shell::command("ip").args(["-batch", "-"]), &cables)?;

    for host in Host::ALL {
        let mut command = enter::host_command(*anchor(host)?, &["ip", "-batch", "-"]);
        shell::output_with_input(&mut command, &hosts::addresses(host))?;
    }
    let mut nft = enter::host_command(*anchor(Host::Isp)?, &["nft", "-f", "-"]);
    shell::output_with_input(&mut nft, hosts::ISP_NFT)?;
    Ok(())
}
