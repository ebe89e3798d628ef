//! The binary from outside: what it says and how it exits.

#[cfg(test)]
mod suite {
    use std::process::{Command, Output};

    fn credence(arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_credence")).args(arguments).output().expect("it runs")
    }

    #[test]
    fn a_wrong_command_line_is_explained_and_exits_with_2() {
        for arguments in [&["fly"][..], &["get"], &["actor", "resume"], &["--no-such-flag"]] {
            let output = credence(arguments);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}");
            assert!(!output.stderr.is_empty() && output.stdout.is_empty(), "{arguments:?}");
        }
    }

    #[test]
    fn help_goes_to_standard_output() {
        let output = credence(&["--help"]);
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8_lossy(&output.stdout).contains("Usage"));
    }
}
