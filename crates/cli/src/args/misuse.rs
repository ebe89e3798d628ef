//! A wrong command line in one line, like every other error.

use crate::args::Format;

/// The parser's explanation without its usage and its pointer to the help, joined to one line.
pub(crate) fn one_line(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let mut line = String::new();
    for part in text.lines().map(str::trim).take_while(|part| !part.starts_with("Usage:")) {
        if part.is_empty() || part.starts_with("For more information") {
            continue;
        }
        if !line.is_empty() {
            line += if line.ends_with(':') { " " } else { "; " };
        }
        line += part.strip_prefix("tip: ").unwrap_or(part);
    }
    line += "; --help shows what can be written";
    line
}

/// Which output was asked for on a command line that could not be understood otherwise.
pub(crate) fn format(arguments: impl Iterator<Item = String>) -> Format {
    let mut expects_value = false;
    for argument in arguments.take_while(|argument| argument != "--") {
        let value = match argument.as_str() {
            "-o" | "--output" => {
                expects_value = true;
                continue;
            }
            other if expects_value => other,
            other => other.strip_prefix("--output=").or_else(|| other.strip_prefix("-o")).unwrap_or_default(),
        };
        if value == "json" {
            return Format::Json;
        }
        expects_value = false;
    }
    Format::Table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_parser_says_becomes_one_line() {
        let text = "error: unrecognized subcommand 'acto'\n\n  tip: a similar subcommand exists: 'actor'\n\nUsage: credence [OPTIONS]\n\nFor more information, try '--help'.\n";
        let expected =
            "unrecognized subcommand 'acto'; a similar subcommand exists: 'actor'; --help shows what can be written";
        assert_eq!(one_line(text), expected);
        let text =
            "error: the following required arguments were not provided:\n  --class <NS/NAME>\n  <CMD>...\n\nUsage: x\n";
        let expected = "the following required arguments were not provided: --class <NS/NAME>; <CMD>...; --help shows what can be written";
        assert_eq!(one_line(text), expected);
    }

    #[test]
    fn json_is_recognised_however_it_is_written() {
        let asked = |line: &str| format(line.split(' ').map(str::to_owned)) == Format::Json;
        assert!(asked("credence x -o json") && asked("credence -ojson x") && asked("credence x --output=json"));
        assert!(!asked("credence x -o yaml") && !asked("credence x -- -o json") && !asked("credence json"));
    }
}
