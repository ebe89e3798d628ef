//! `cargo xtask fuzz`: every target of `fuzz/` for a while, from its corpus on.
//!
//! The toolchain is the stable one: no sanitizer (the code under test is safe Rust), only coverage counters.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
};

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
    /// How many targets run at a time; several need --out
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
    /// Grow copies of the corpora in this directory instead, beside a log and the findings of each target
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
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
        if self.jobs > 1 && self.out.is_none() {
            return Err(Failure::new(
                "several targets at a time would write over each other; name a directory with --out",
            ));
        }
        if step::output(&mut step::cargo(&["fuzz", "--version"])).is_err() {
            step::run("install cargo-fuzz", &mut step::cargo(&["install", "--quiet", "--locked", "cargo-fuzz"]))?;
        }
        match &self.out {
            None => chosen.into_iter().try_for_each(|target| self.fuzz(target)),
            Some(out) => self.fuzz_aside(&chosen, &std::path::absolute(out).map_err(|error| unusable(out, &error))?),
        }
    }

    fn fuzz(&self, target: &str) -> Outcome {
        let mut command = step::cargo(&["fuzz", "run", "--sanitizer", "none", target, "--"]);
        command.args(self.engine());
        step::run(&format!("fuzz {target} for {} s", self.seconds), &mut command)?;
        if self.minimise {
            let mut command = step::cargo(&["fuzz", "cmin", "--sanitizer", "none", target]);
            step::run(&format!("minimise the corpus of {target}"), &mut command)?;
        }
        Ok(())
    }

    fn engine(&self) -> [String; 4] {
        [
            format!("-max_total_time={}", self.seconds),
            format!("-max_len={INPUT_BYTES_MAX}"),
            "-timeout=60".to_owned(),
            "-print_final_stats=1".to_owned(),
        ]
    }

    /// Every target to its end, some at a time; those that found something are named together.
    fn fuzz_aside(&self, targets: &[&str], out: &Path) -> Outcome {
        step::run("build the targets", &mut step::cargo(&["fuzz", "build", "--sanitizer", "none"]))?;
        let (waiting, failed) = (Mutex::new(targets.iter()), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for _ in 0..self.jobs.min(targets.len()) {
                scope.spawn(|| {
                    while let Some(target) = next(&waiting) {
                        if let (Err(failure), Ok(mut failed)) = (self.fuzz_one_aside(target, out), failed.lock()) {
                            failed.push(failure.to_string());
                        }
                    }
                });
            }
        });
        let mut failed = failed.into_inner().unwrap_or_default();
        failed.sort();
        if failed.is_empty() { Ok(()) } else { Err(Failure::new(failed.join("; "))) }
    }

    fn fuzz_one_aside(&self, target: &str, out: &Path) -> Outcome {
        let (corpus, findings) = (out.join("corpus").join(target), out.join("findings").join(target));
        let log = out.join(format!("{target}.log"));
        copy(&step::root().join("fuzz/corpus").join(target), &corpus)?;
        fs::create_dir_all(&findings).map_err(|error| unusable(&findings, &error))?;
        let mut run = step::cargo(&["fuzz", "run", "--sanitizer", "none", target]);
        // A directory, so the slash is a part of the prefix.
        run.arg(&corpus).arg("--").args(self.engine()).arg(format!("-artifact_prefix={}/", findings.display()));
        logged(&mut run, &log)?;
        step::run(&format!("fuzz {target} for {} s", self.seconds), &mut run)
            .map_err(|failure| Failure::new(format!("{failure}, see {}", log.display())))?;
        if self.minimise {
            let mut minimise = step::cargo(&["fuzz", "cmin", "--sanitizer", "none", target]);
            minimise.arg(&corpus).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            step::run(&format!("minimise the corpus of {target}"), &mut minimise)?;
        }
        Ok(())
    }
}

fn next<'t>(waiting: &Mutex<std::slice::Iter<'t, &'t str>>) -> Option<&'t str> {
    waiting.lock().ok()?.next().copied()
}

fn logged(command: &mut Command, log: &Path) -> Outcome {
    let file = File::create(log).map_err(|error| unusable(log, &error))?;
    let again = file.try_clone().map_err(|error| unusable(log, &error))?;
    command.stdout(file).stderr(again);
    Ok(())
}

/// Adds the files of one directory to another.
fn copy(from: &Path, to: &Path) -> Outcome {
    fs::create_dir_all(to).map_err(|error| unusable(to, &error))?;
    for entry in fs::read_dir(from).map_err(|error| unusable(from, &error))? {
        let entry = entry.map_err(|error| unusable(from, &error))?;
        fs::copy(entry.path(), to.join(entry.file_name())).map_err(|error| unusable(&entry.path(), &error))?;
    }
    Ok(())
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}

/// The names of the programs in `directory`, in order.
fn targets(directory: &Path) -> Outcome<Vec<String>> {
    let entries = fs::read_dir(directory).map_err(|error| unusable(directory, &error))?;
    let stem = |entry: fs::DirEntry| Some(entry.path().file_stem()?.to_str()?.to_owned());
    let mut names: Vec<String> = entries.filter_map(|entry| stem(entry.ok()?)).collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(fuzzing: Fuzzing) -> String {
        fuzzing.run().unwrap_err().to_string()
    }

    #[test]
    fn a_target_that_there_is_not_is_refused_with_those_there_are() {
        let target = Some("nothing".to_owned());
        let refusal = refusal(Fuzzing { target, seconds: 1, minimise: false, jobs: 1, out: None });
        assert!(refusal.starts_with("there is no target nothing; there are archive, backup, "), "{refusal}");
    }

    #[test]
    fn several_at_a_time_need_a_place_for_their_logs() {
        let refusal = refusal(Fuzzing { target: None, seconds: 1, minimise: false, jobs: 2, out: None });
        assert!(refusal.contains("--out"), "{refusal}");
    }
}
