//! The demo in a pipe: it holds what it says, and leaves nothing behind.

use crate::program::run_with;
use std::path::Path;

#[test]
fn the_demo_holds_what_it_says_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().expect("a home");
    let temporary = home.path().join("tmp");
    std::fs::create_dir(&temporary).expect("a directory");
    // It may have to build the example programs, for which cargo needs its own surroundings.
    let ran = run_with(home.path(), &["demo"], "", |command| {
        command
            .envs(std::env::vars_os())
            .env("TMPDIR", &temporary)
            .env("HOME", std::env::var_os("HOME").unwrap_or_default());
    });
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    for line in [
        "12 actors took turns on 3 workers: 36 bindings",
        "certificate  still in its validity, refused by the tool: epoch 4 is over, 5 is live",
        "resume   refused: finance/actor-04 has lost its node",
        "actor-04 kept its identity",
        "create   refused: actor id finance/actor-12 was used before",
        "ada-1        submits 150 EUR   allowed",
        "ada-1        submits 300 EUR   denied by delegation",
        "ada-1        submits 600 EUR   denied by class and delegation",
        "bob-1        submits 150 EUR   denied by delegation",
        "ada-1-child  submits  50 EUR   allowed",
        "ada-1-child  submits  60 EUR   denied by delegation",
        "revision 2 of the class would permit 5000 EUR: it waits for consent",
        "one to one   ok   registry   ok   continuity   ok",
    ] {
        assert!(ran.stdout.contains(line), "no line says {line:?}:\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains(['\r', '\x1b']), "cursor tricks in a pipe");
    let left: Vec<_> =
        std::fs::read_dir(&temporary).expect("it is there").flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    assert_eq!(processes_in(&temporary), Vec::<String>::new());
}

/// Command lines of processes that name the directory.
fn processes_in(dir: &Path) -> Vec<String> {
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let command_lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let texts = command_lines.map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "));
    texts.filter(|text| text.contains(&*dir.to_string_lossy())).collect()
}
