//! Data directories that cannot be used.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// Nobody, on every Linux that we know of. Modes of files mean nothing to root.
const NOBODY: u32 = 65_534;

#[test]
fn a_data_directory_that_cannot_be_written_is_named_and_nothing_is_left_in_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let (program, data) = (dir.path().join("credence"), dir.path().join("data"));
    // Where it was built, only its owner may be able to reach it.
    std::fs::copy(env!("CARGO_BIN_EXE_credence"), &program).expect("a copy");
    std::fs::create_dir(&data).expect("a directory");
    for (path, mode) in [(dir.path(), 0o755), (&data, 0o555)] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode");
    }
    for arguments in [
        &["server", "--trust-domain", "a.test", "--listen", "127.0.0.1:0"][..],
        &["node", "--name", "alpha", "--connect", "127.0.0.1:1"],
    ] {
        let mut command = Command::new(&program);
        command.args(arguments).arg("--data-dir").arg(&data).env_clear().current_dir("/");
        if is_root(dir.path()) {
            command.uid(NOBODY).gid(NOBODY);
        }
        let output = command.output().expect("credence starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.starts_with("error: ") && error.contains(&*data.to_string_lossy()), "{error}");
        assert!(error.contains("ermission denied"), "{error}");
    }
    assert_eq!(std::fs::read_dir(&data).expect("it is there").count(), 0);
}

/// Whether this test runs as root: it owns what it made.
fn is_root(made: &Path) -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(made).expect("it is there")) == 0
}
