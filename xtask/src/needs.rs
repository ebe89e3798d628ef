//! What the tests need beside the Rust toolchain, installed when missing.
//!
//! Debian packages come from `apt-get` (only as root and only when a program is missing), the Python clients go into
//! a virtual environment under the target directory, the Node packages beside it. When everything is present nothing is
//! asked of the network.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::step::{self, Failure, Outcome};

/// Program, and the Debian package that brings it.
const PROGRAMS: [(&str, &str); 5] =
    [("cc", "gcc libc6-dev"), ("openssl", "openssl"), ("python3", "python3"), ("node", "nodejs"), ("npm", "npm")];
/// What only root can use: for disks and networks that fail. Without it, tests leave that out and say so.
const OF_ROOT: [(&str, &str); 3] = [("ip", "iproute2"), ("nsenter", "util-linux"), ("mount", "mount")];

/// Where the tests find what was installed.
pub(crate) struct Installed {
    /// The Python interpreter that has the clients.
    pub(crate) python: PathBuf,
    /// The directory of `node_modules`.
    pub(crate) node: PathBuf,
}

/// Installs what is missing.
pub(crate) fn install() -> Outcome<Installed> {
    install_programs()?;
    Ok(Installed { python: python()?, node: node()? })
}

/// Installs the programs that are missing.
pub(crate) fn install_programs() -> Outcome {
    let of_root = is_root().then_some(OF_ROOT).into_iter().flatten();
    let missing: Vec<&str> = PROGRAMS
        .into_iter()
        .chain(of_root)
        .filter(|(program, _)| !on_path(program))
        .flat_map(|(_, packages)| packages.split(' '))
        .collect();
    if !missing.is_empty() {
        install_packages(&missing)?;
    }
    Ok(())
}

fn python() -> Outcome<PathBuf> {
    let wanted_at = step::root().join("xtask/requirements.txt");
    let wanted = fs::read_to_string(&wanted_at)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", wanted_at.display())))?;
    let environment = step::target_dir().join("test-python");
    let interpreter = environment.join("bin/python");
    let stamp = environment.join("installed.txt");
    if interpreter.exists() && fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(interpreter);
    }

    create_environment(&environment)?;
    let mut pip = Command::new(&interpreter);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&wanted_at);
    step::run("install the Python clients", &mut pip)?;
    // Last, so that an interrupted installation is begun again.
    fs::write(&stamp, wanted).map_err(|error| Failure::new(format!("cannot write {}: {error}", stamp.display())))?;
    Ok(interpreter)
}

fn node() -> Outcome<PathBuf> {
    let wanted_at = step::root().join("xtask/package.json");
    let directory = step::target_dir().join("test-node");
    let (stamp, manifest) = (directory.join("installed.json"), directory.join("package.json"));
    let cannot =
        |what: &str, at: &Path, error: io::Error| Failure::new(format!("cannot {what} {}: {error}", at.display()));
    let wanted = fs::read_to_string(&wanted_at).map_err(|error| cannot("read", &wanted_at, error))?;
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(directory);
    }

    fs::create_dir_all(&directory).map_err(|error| cannot("make", &directory, error))?;
    fs::write(&manifest, &wanted).map_err(|error| cannot("write", &manifest, error))?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]).current_dir(&directory);
    step::run("install the Node packages", &mut npm)?;
    // Last, so that an interrupted installation is begun again.
    fs::write(&stamp, wanted).map_err(|error| cannot("write", &stamp, error))?;
    Ok(directory)
}

/// Debian's python3 comes without the module that makes virtual environments; the first failure says so.
fn create_environment(at: &Path) -> Outcome {
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(at);
    if step::output(&mut venv).is_ok() {
        return Ok(());
    }
    install_packages(&["python3-venv", "python3-pip"])?;
    step::output(&mut venv).map(drop)
}

fn install_packages(packages: &[&str]) -> Outcome {
    let list = packages.join(" ");
    if !is_root() || !on_path("apt-get") {
        return Err(Failure::new(format!(
            "the tests need these Debian packages or their like, please install: {list}"
        )));
    }
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq").args(arguments);
        command
    };
    step::run("apt-get update", &mut apt(&["update"]))?;
    let mut install = apt(&["install", "--yes", "--no-install-recommends"]);
    step::run(&format!("apt-get install {list}"), install.args(packages))
}

fn is_root() -> bool {
    step::output(Command::new("id").arg("-u")).is_ok_and(|uid| uid.trim() == "0")
}

fn on_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_only_when_it_exists() {
        assert!(on_path("sh"));
        assert!(!on_path("credence-no-such-program"));
    }
}
