//! Help and completion.

use crate::program::{golden, run};
use std::io::Write;
use std::process::{Command, Stdio};

const VERBS: [&str; 56] = [
    "",
    "backup",
    "restore",
    "release",
    "bench",
    "demo",
    "dev",
    "run",
    "server",
    "node",
    "apply",
    "get",
    "describe",
    "explain",
    "doctor",
    "delete",
    "class enable",
    "class disable",
    "class consent",
    "class withdraw",
    "class diff",
    "class test",
    "can",
    "login",
    "logout",
    "whoami",
    "delegation",
    "delegation grant",
    "delegation list",
    "delegation narrow",
    "delegation revoke",
    "actor permissions",
    "actor create",
    "actor resume",
    "actor suspend",
    "actor terminate",
    "actor quarantine",
    "actor logs",
    "actor exec",
    "worker list",
    "worker drain",
    "token create",
    "bundle show",
    "authority",
    "authority list",
    "authority prepare",
    "authority activate",
    "authority taint",
    "authority retire",
    "authority rotate",
    "svid inspect",
    "verify",
    "log tail",
    "completion",
    "class",
    "actor",
];

#[test]
fn the_help_of_every_verb_is_the_one_that_was_reviewed() {
    for verb in VERBS {
        let mut arguments: Vec<&str> = verb.split(' ').filter(|word| !word.is_empty()).collect();
        arguments.push("--help");
        let ran = run(&arguments, "");
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{verb}");
        let name = if verb.is_empty() { "credence".into() } else { verb.replace(' ', "-") };
        golden(&format!("help/{name}.txt"), &ran.stdout);
    }
}

#[test]
fn every_verb_that_the_help_lists_has_its_help_reviewed() {
    let listed = run(&["--help"], "").stdout;
    let listed =
        listed.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| line.starts_with("  "));
    let verbs: Vec<&str> = listed.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(verbs.len() > 10);
    for verb in verbs {
        assert!(VERBS.iter().any(|known| known.split(' ').next() == Some(verb)), "{verb} is missing here");
    }
}

#[test]
fn the_hidden_verb_of_the_node_is_in_no_help() {
    assert!(!run(&["--help"], "").stdout.contains("actor-init"));
}

#[test]
fn completion_scripts_are_read_by_their_shells() {
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let ran = run(&["completion", shell], "");
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{shell}");
        assert!(ran.stdout.contains("credence") && ran.stdout.contains("quarantine"), "{shell}");
        // Of the three only bash is on every machine that builds this.
        let Ok(mut child) = Command::new(shell).arg(check).arg("/dev/stdin").stdin(Stdio::piped()).spawn() else {
            continue;
        };
        child.stdin.take().expect("a pipe").write_all(ran.stdout.as_bytes()).expect("written");
        assert!(child.wait().expect("the shell ends").success(), "{shell} does not read its script");
    }
    assert!(Command::new("bash").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()));
}

#[test]
fn the_version_is_printed() {
    assert_eq!(run(&["--version"], "").stdout, format!("credence {}\n", env!("CARGO_PKG_VERSION")));
}
