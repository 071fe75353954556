//! What goes wrong by mistake is told in one paragraph that names the place and the way to mend it.

use anyhow::Result;
use postern_lab::host::Output;
use postern_lab::{Host, HostHandle, Lab, Signal};

const FAILED: i32 = 1;
const USAGE: i32 = 2;
const UNREACHABLE: i32 = 4;

/// Asserts the exit status, that every word stands in the complaint, and that it is one short paragraph.
fn assert_complains(output: &Output, status: i32, words: &[&str]) {
    let said = output.stderr.trim();
    assert_eq!(output.code(), status, "{}: {said}", output.command);
    for word in words {
        assert!(said.contains(word), "{}: no {word:?} in: {said}", output.command);
    }
    assert!(!said.contains("panicked"), "{said}");
    assert!(!said.contains("\n\n"), "{}: more than a paragraph: {said}", output.command);
}

fn check_config(host: &HostHandle, program: &str, text: &str) -> Result<Output> {
    host.write("/run/wrong.toml", text.as_bytes())?;
    host.run([program, "config", "check", "--config", "/run/wrong.toml"])
}

#[test]
fn a_wrong_configuration_is_refused_with_file_line_and_key() -> Result<()> {
    let lab = Lab::running()?;
    for (host, program) in [(Host::Edge, "postern-edge"), (Host::Home, "postern-home")] {
        let host = lab.host(host);
        let misspelt = check_config(&host, program, "\n[tunel]\nmtu = 1380\n")?;
        assert_complains(&misspelt, USAGE, &["/run/wrong.toml", "2", "tunel", "tunnel"]);
        let key = check_config(&host, program, "[tunnel]\nmtuu = 1380\n")?;
        assert_complains(&key, USAGE, &["/run/wrong.toml", "mtuu", "mtu"]);
        let wrong_type = check_config(&host, program, "[tunnel]\n\nmtu = \"big\"\n")?;
        assert_complains(&wrong_type, USAGE, &["/run/wrong.toml", "3", "mtu"]);
        let syntax = check_config(&host, program, "[tunnel\n")?;
        assert_complains(&syntax, USAGE, &["/run/wrong.toml", "1"]);
        let missing = host.run([program, "config", "check", "--config", "/run/nowhere.toml"])?;
        assert_complains(&missing, USAGE, &["/run/nowhere.toml"]);
        let command = host.run([program, "statsu"])?;
        assert_eq!(command.code(), USAGE, "{}", command.stderr);
        check_config(&host, program, "")?.success()?;
    }
    Ok(())
}

#[test]
fn an_edge_that_cannot_start_says_why() -> Result<()> {
    let lab = Lab::running()?;
    let edge = lab.host(Host::Edge);
    lab.stop_daemon(Host::Edge, "postern-edge", Signal::Terminate)?;

    let complaint = edge.run(["postern-edge", "status"])?;
    assert_complains(&complaint, UNREACHABLE, &["postern-edge"]);
    // A start that succeeds would run for ever.
    let run = "timeout 30 postern-edge run --config /etc/postern/edge.toml";
    let no_nft =
        edge.run(["sh", "-c", "PATH=/nowhere /run/bin/postern-edge run --config /etc/postern/edge.toml"])?;
    assert_complains(&no_nft, FAILED, &["nft"]);
    let no_tun = edge.run([
        "unshare",
        "--mount",
        "sh",
        "-ec",
        &format!("mount -t tmpfs -o ro none /dev/net; exec {run}"),
    ])?;
    assert_complains(&no_tun, FAILED, &["/dev/net/tun"]);
    let nobody = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "sh", "-c", run];
    let no_permission = edge.run(nobody)?;
    assert_eq!(no_permission.code(), FAILED, "{}", no_permission.stderr);

    let holder = "import socket, sys; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('0.0.0.0', 53)); print('bound', flush=True); sys.stdin.read()";
    let mut holder = edge.spawn(["python3", "-c", holder])?;
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(holder.stdout.as_mut().expect("piped")),
        &mut line,
    )?;
    let port_in_use = edge.run(["sh", "-c", run])?;
    assert_complains(&port_in_use, FAILED, &["53", "dns.listen", "ss "]);
    drop(holder.stdin.take());
    holder.wait()?;

    let left = edge.sh("nft list tables; ip link show type tun")?.stdout;
    assert!(!left.contains("postern"), "half of a failed start stays: {left}");
    // And once nothing is in the way it starts.
    lab.start_daemon(Host::Edge, "postern-edge")
}

#[test]
fn a_join_code_is_good_once_in_time_and_as_it_was_printed() -> Result<()> {
    let lab = Lab::running()?;
    let (edge, home) = (lab.host(Host::Edge), lab.host(Host::Home));
    let join = |code: &str| home.run_with_input(["postern-home", "join"], format!("{code}\n").as_bytes());

    let code = lab.invite()?;
    let last = code.trim().chars().last().expect("a code is not empty");
    let mistyped = format!(
        "{}{}",
        &code.trim()[..code.trim().len() - 1],
        if last.eq_ignore_ascii_case(&'q') { 'p' } else { 'q' }
    );
    let refused = join(&mistyped)?;
    assert!([FAILED, USAGE].contains(&refused.code()), "{}", refused.stderr);
    let refused = join("hello")?;
    assert!([FAILED, USAGE].contains(&refused.code()), "{}", refused.stderr);
    let missing = home.run(["postern-home", "join", "--code-file", "/run/nowhere"])?;
    assert!(
        [FAILED, USAGE].contains(&missing.code()) && missing.stderr.contains("/run/nowhere"),
        "{}",
        missing.stderr
    );

    let short = edge.run(["postern-edge", "invite", "--expires", "1s", "--json"])?.success()?;
    let short: serde_json::Value = serde_json::from_str(&short.stdout)?;
    let short = short.get("code").and_then(|code| code.as_str()).expect("a code");
    edge.sh("sleep 2")?; // The code lives one second: time itself is what is tested.
    let expired = join(short)?;
    assert_complains(&expired, FAILED, &["expired"]);

    let code = lab.invite()?;
    join(&code)?.success().map_err(|error| lab.explain(error))?;
    let again = join(&code)?;
    assert_complains(&again, FAILED, &["join"]);
    lab.join().map_err(|error| lab.explain(error))
}

#[test]
fn commands_of_home_refuse_nonsense_and_leave_nothing_half_done() -> Result<()> {
    let lab = Lab::joined()?;
    let home = lab.host(Host::Home);
    let postern = |arguments: &str| home.run(["sh", "-c", &format!("postern-home {arguments} </dev/null")]);
    for (arguments, words) in [
        ("domain add home..example", &["home..example"] as &[&str]),
        ("domain add home.example", &["home.example", "already"]),
        ("user add bob@elsewhere.test --password-file /run/password", &["elsewhere.test"]),
        ("user add ana@home.example --password-file /run/password", &["ana@home.example"]),
        ("user add bob@home.example --password-file /run/nowhere", &["/run/nowhere"]),
        ("user remove nobody@home.example", &["nobody@home.example"]),
        ("alias add info@home.example nobody@home.example", &["nobody@home.example"]),
        ("queue show 4711", &["4711"]),
    ] {
        let output = postern(arguments)?;
        assert!([FAILED, USAGE].contains(&output.code()), "{arguments}: {}", output.stderr);
        for word in words {
            assert!(output.stderr.contains(word), "{arguments}: no {word:?} in: {}", output.stderr);
        }
    }
    assert_eq!(postern("user add bob@home.example --password secret")?.code(), USAGE);
    let users = postern("user list")?.success()?.stdout;
    assert!(users.contains("ana@home.example") && !users.contains("bob"), "{users}");
    Ok(())
}
