//! `cargo xtask fuzz`: every target of `fuzz/` for a while, from its corpus on.
//!
//! The toolchain is the stable one: no sanitizer (the code under test is safe Rust), only coverage counters.

use std::{fs, path::Path};

use clap::Args;

use crate::step::{self, Failure, Outcome};

/// Largest input that the engine makes, in bytes.
const INPUT_BYTES_MAX: u32 = 8192;

/// What to fuzz and how long.
#[derive(Args)]
pub(crate) struct Fuzzing {
    /// Only this target; all of them by default
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Afterwards, keep in the corpus only what the rest of it does not reach
    #[arg(long)]
    minimise: bool,
}

impl Fuzzing {
    pub(crate) fn run(&self) -> Outcome {
        let known = targets(&step::root().join("fuzz/fuzz_targets"))?;
        let chosen: Vec<&str> = match &self.target {
            None => known.iter().map(String::as_str).collect(),
            Some(name) if known.contains(name) => vec![name],
            Some(name) => {
                return Err(Failure::new(format!("there is no target {name}; there are {}", known.join(", "))));
            }
        };
        if step::output(&mut step::cargo(&["fuzz", "--version"])).is_err() {
            step::run("install cargo-fuzz", &mut step::cargo(&["install", "--quiet", "--locked", "cargo-fuzz"]))?;
        }
        chosen.into_iter().try_for_each(|target| self.fuzz(target))
    }

    fn fuzz(&self, target: &str) -> Outcome {
        let mut command = step::cargo(&["fuzz", "run", "--sanitizer", "none", target, "--"]);
        command.args([
            format!("-max_total_time={}", self.seconds),
            format!("-max_len={INPUT_BYTES_MAX}"),
            "-timeout=60".to_owned(),
            "-print_final_stats=1".to_owned(),
        ]);
        step::run(&format!("fuzz {target} for {} s", self.seconds), &mut command)?;
        if self.minimise {
            let mut command = step::cargo(&["fuzz", "cmin", "--sanitizer", "none", target]);
            step::run(&format!("minimise the corpus of {target}"), &mut command)?;
        }
        Ok(())
    }
}

/// The names of the programs in `directory`, in order.
fn targets(directory: &Path) -> Outcome<Vec<String>> {
    let entries = fs::read_dir(directory).map_err(|error| Failure::new(format!("{}: {error}", directory.display())))?;
    let stem = |entry: fs::DirEntry| Some(entry.path().file_stem()?.to_str()?.to_owned());
    let mut names: Vec<String> = entries.filter_map(|entry| stem(entry.ok()?)).collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_there_is_not_is_refused_with_those_there_are() {
        let fuzzing = Fuzzing { target: Some("nothing".to_owned()), seconds: 1, minimise: false };
        let refusal = fuzzing.run().unwrap_err().to_string();
        assert!(refusal.starts_with("there is no target nothing; there are archive, bundle, "), "{refusal}");
    }
}
