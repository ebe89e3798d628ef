//! Wrong usage: exit code 2, one line that says what to do. Nobody to talk to: exit code 3.

use crate::program::{run, run_in};

fn check(line: &str, code: i32, error: &str) {
    let arguments: Vec<&str> = line.split(' ').collect();
    let ran = run(&arguments, "");
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str(), ran.code),
        ("", format!("error: {error}\n").as_str(), code),
        "{line}"
    );
}

#[test]
fn a_wrong_command_line_is_told_in_one_line_with_what_to_write() {
    let help = "--help shows what can be written";
    let kinds = "Kinds are class, pool, guard, actor, node and worker";
    for (line, error) in [
        ("acto", format!("unrecognized subcommand 'acto'; a similar subcommand exists: 'actor'; {help}")),
        ("get actors --nope", format!("unexpected argument '--nope' found; to pass '--nope' as a value, use '-- --nope'; {help}")),
        ("run --class a/b", format!("the following required arguments were not provided: <CMD>...; {help}")),
        ("run --class ab -- x", format!("invalid value 'ab' for '--class <NS/NAME>': class `ab` is not valid: expected NAMESPACE/NAME; {help}")),
        ("get actors -n UP", format!("invalid value 'UP' for '--namespace <NS>': namespace `UP` is not valid: only a-z, 0-9 and - are allowed; {help}")),
        ("get agents", format!("there is no kind of object `agents`. {kinds}")),
        ("get actor a/../b", "actor id `../b` is not valid: only a-z, 0-9 and - are allowed".into()),
        ("get actor a%2fb", "actor id `a%2fb` is not valid: only a-z, 0-9 and - are allowed".into()),
        ("describe class", "no class was named. `credence get classes` lists them".into()),
        ("delete actors", "no actor was named. All of them are never meant".into()),
        ("delete worker/a/b", "a worker is not deleted: its node offers it. `credence worker drain` takes it out of use".into()),
        ("get classes --state running", "--class and --state choose among actors, not among other kinds".into()),
        ("--server http://x:1 get actors", "`http://x:1` is not the address of a server. Write unix:PATH of its admin socket, or https://HOST:PORT".into()),
        ("--server https://x:1 get actors", "a server over https:// is only trusted by its bundle. Add --bundle FILE, as `credence bundle show --form spiffe` writes it on the server's machine".into()),
    ] {
        check(line, 2, &error);
    }
}

#[test]
fn that_nobody_answers_is_exit_code_3_with_what_to_start() {
    check(
        "get actors",
        3,
        "no server is known. Start one on this machine with `credence dev`, or name one with --server or CREDENCE_SERVER",
    );
    check(
        "run --class a/b -- true",
        3,
        "no node is known on this machine. Start one with `credence dev`, or name its socket with --node-socket or CREDENCE_NODE_SOCKET",
    );
    check(
        "--server unix:/nowhere/s get actors",
        3,
        "the server at /nowhere/s cannot be reached: No such file or directory (os error 2). Is it running? `credence dev` starts one on this machine",
    );
}

#[test]
fn programs_get_the_same_error_as_an_object() {
    for line in ["get agents -o json", "frobnicate -o json"] {
        let ran = run(&line.split(' ').collect::<Vec<_>>(), "");
        let object: serde_json::Value = serde_json::from_str(&ran.stderr).expect("one object");
        assert_eq!((object["kind"].as_str(), ran.code), (Some("malformed"), 2), "{line}");
    }
}

#[test]
fn a_context_file_that_cannot_be_read_is_named() {
    let home = tempfile::tempdir().expect("a home");
    let state = home.path().join(".local/state/credence");
    std::fs::create_dir_all(&state).expect("created");
    std::fs::write(state.join("context.toml"), "server_socket = 7").expect("written");
    let ran = run_in(home.path(), &["get", "actors"], "");
    assert!(
        ran.stderr.contains("context.toml cannot be read") && ran.stderr.contains("Start `credence dev` again"),
        "{}",
        ran.stderr
    );
}
