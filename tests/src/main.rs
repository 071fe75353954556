//! The command `lab`: starts, enters, shows and ends labs.

use std::io::{self, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use postern_lab::lab::{ANA, ANA_PASSWORD, programs};
use postern_lab::{Host, Lab, Lifetime, Options, Stage, demo, instances, supervisor};

/// A small internet in Linux network namespaces, with Postern in it.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:\n  \
    lab up                    start a lab, end it with Ctrl-C\n  \
    lab up alps --keep        start one that stays until `lab down alps`\n  \
    lab sh edge               a shell on the edge\n  \
    lab sh cafe -- dig +short home.example MX\n  \
    lab logs home -f          follow what home prints\n  \
    lab capture isp eth0 -w /tmp/isp.pcap\n\n\
    The hosts: internet, root, registry, resolver, stranger, edge, isp, home, cafe."
)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Start a lab; it ends with this command unless it is kept
    Up {
        /// Its name
        #[arg(default_value = "main")]
        name: String,
        /// Leave it running in the background until `lab down`
        #[arg(long)]
        keep: bool,
        /// Enrol home at the edge, with the domain home.example and its user ana
        #[arg(long)]
        join: bool,
        /// Start no edge and no home
        #[arg(long, conflicts_with = "join")]
        internet_only: bool,
    },
    /// Do the main job before your eyes: enrol, receive, read, answer
    Demo {
        /// End after the last act instead of staying up
        #[arg(long)]
        once: bool,
        /// The lab's name
        #[arg(long, default_value = "demo")]
        name: String,
    },
    /// Open a shell on a host, or run a command there
    #[command(visible_alias = "exec")]
    Sh {
        /// The host
        host: Host,
        #[command(flatten)]
        lab: Which,
        /// The command and its arguments
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Show what a host's daemons printed
    Logs {
        /// The host
        host: Host,
        #[command(flatten)]
        lab: Which,
        /// Go on with new lines
        #[arg(short, long)]
        follow: bool,
    },
    /// Record a host's packets with tcpdump until Ctrl-C
    Capture {
        /// The host
        host: Host,
        /// The interface
        #[arg(default_value = "any")]
        interface: String,
        #[command(flatten)]
        lab: Which,
        /// The file to write; `-` is standard output
        #[arg(short, long)]
        write: PathBuf,
        /// What to record, in tcpdump's words
        #[arg(last = true)]
        filter: Vec<String>,
    },
    /// End a lab
    Down {
        /// Its name; may be left out when only one runs
        name: Option<String>,
    },
    /// List the labs that run
    List,
    /// Be process 1 of a lab
    #[command(hide = true)]
    Supervise,
}

/// Which lab is meant.
#[derive(clap::Args)]
struct Which {
    /// The lab's name; may be left out when only one runs
    #[arg(long = "lab", value_name = "NAME")]
    name: Option<String>,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(action: Action) -> Result<ExitCode> {
    if !rustix::process::geteuid().is_root() {
        return become_root();
    }
    match action {
        Action::Supervise => supervisor::supervise()?,
        Action::Up { name, keep, join, internet_only } => up(name, keep, join, internet_only)?,
        Action::Demo { once, name } => show(name, once)?,
        Action::Sh { host, lab, command } => return Err(enter(&attach(lab.name)?, host, command)),
        Action::Logs { host, lab, follow } => return Err(logs(&attach(lab.name)?, host, follow)),
        Action::Capture { host, interface, lab, write, filter } => {
            return capture(&attach(lab.name)?, host, &interface, &write, &filter);
        }
        Action::Down { name } => attach(name)?.down()?,
        Action::List => instances::list()?.iter().for_each(|name| println!("{name}")),
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs this same command line through sudo.
fn become_root() -> Result<ExitCode> {
    eprintln!("lab: namespaces with several users in them take root; running through sudo");
    let error =
        Command::new("sudo").arg("--").arg(std::env::current_exe()?).args(std::env::args_os().skip(1)).exec();
    Err(error).context("sudo cannot be started; run this as root")
}

fn up(name: String, keep: bool, join: bool, internet_only: bool) -> Result<()> {
    let mut options = Options::new(name, programs()?);
    options.lifetime = if keep { Lifetime::Detached } else { Lifetime::Owner };
    options.stage = if internet_only { Stage::Internet } else { Stage::Running };
    let lab = Lab::start(options)?;
    if join {
        lab.join()?;
        lab.set_up_home()?;
    }
    if keep {
        println!("The lab {0:?} is up; `lab sh HOST` enters it, `lab down {0}` ends it.", lab.name());
        return Ok(());
    }
    println!("The lab {:?} is up; Ctrl-C ends it.", lab.name());
    lab.hold()
}

fn show(name: String, once: bool) -> Result<()> {
    let lab = demo::run(Options::new(name, programs()?))?;
    if once {
        return Ok(());
    }
    let command = std::env::current_exe()?;
    let (command, name) = (command.display(), lab.name());
    println!(
        "\nThe lab stays up until Ctrl-C. Ana is {ANA}, her password is {ANA_PASSWORD:?}.\n\
         The edge is {} and {}, home is behind {}. To try, in another terminal:\n\
         \n  {command} sh --lab {name} edge -- postern-edge status\n  \
         {command} sh --lab {name} stranger -- sendmail {ANA}    (type a message, end with Ctrl-D)\n  \
         {command} sh --lab {name} cafe -- curl --user {ANA} 'imaps://mail.home.example/INBOX;MAILINDEX=*'\n",
        Host::Edge.v4(),
        Host::Edge.v6().context("the edge has an IPv6 address")?,
        Host::Isp.v4(),
    );
    lab.hold()
}

/// The lab of that name, or the only one.
fn attach(name: Option<String>) -> Result<Lab> {
    if let Some(name) = name {
        return Lab::attach(&name);
    }
    match instances::list()?.as_slice() {
        [only] => Lab::attach(only),
        [] => bail!("no lab runs; `lab up` starts one"),
        several => bail!("several labs run ({}); name one with --lab", several.join(", ")),
    }
}

fn enter(lab: &Lab, host: Host, command: Vec<String>) -> anyhow::Error {
    let command = if command.is_empty() {
        let prompt = format!("PS1={host}.{}:\\w\\$ ", lab.name());
        ["env", &prompt, "bash", "--norc", "-i"].map(String::from).to_vec()
    } else {
        command
    };
    lab.host(host).exec(command).into()
}

fn logs(lab: &Lab, host: Host, follow: bool) -> anyhow::Error {
    let files = lab.logs(host);
    if files.is_empty() {
        return anyhow::anyhow!("no daemon has run on {host}");
    }
    Command::new("tail").args(["-n", "+1"]).args(follow.then_some("-F")).args(files).exec().into()
}

/// tcpdump runs on the host; its output is written here, so that the file is where the user stands.
fn capture(lab: &Lab, host: Host, interface: &str, file: &Path, filter: &[String]) -> Result<ExitCode> {
    let standard_output = file == Path::new("-");
    if standard_output && io::stdout().is_terminal() {
        bail!("a capture is binary; give a file, or a pipe for `-w -`");
    }
    let mut arguments = vec!["tcpdump", "--packet-buffered", "--interface", interface, "-w", "-"];
    arguments.extend(filter.iter().map(String::as_str));
    let mut command = lab.host(host).command(arguments);
    if !standard_output {
        command.stdout(std::fs::File::create(file).with_context(|| file.display().to_string())?);
    }
    io::stdout().flush()?;
    Err(command.exec().into())
}
