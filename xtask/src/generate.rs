//! `cargo xtask gen`: Rust code from `proto/`, checked in, so that nobody needs a protobuf compiler to build.
//!
//! INVARIANT: `crates/wire/src/generated` holds exactly what [`render`] makes of `proto/`; the test below compares.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::step::{self, Failure, Outcome};

const FROM: &str = "proto";
const TO: &str = "crates/wire/src/generated";
/// What has many streams that are silent, and the codec for it.
const SILENT: &str = "workload.proto";
const SMALL_CODEC: &str = "crate::codec::SmallCodec";

/// Writes the generated files and removes those that no proto file makes any more.
pub(crate) fn write() -> Outcome {
    let root = step::root();
    let to = root.join(TO);
    let wanted = render(&root)?;
    fs::create_dir_all(&to).map_err(|error| cannot("create", &to, &error))?;
    for name in present(&root)?.keys().filter(|name| !wanted.contains_key(*name)) {
        fs::remove_file(to.join(name)).map_err(|error| cannot("remove", &to.join(name), &error))?;
    }
    for (name, text) in &wanted {
        fs::write(to.join(name), text).map_err(|error| cannot("write", &to.join(name), &error))?;
    }
    eprintln!("wrote {} file(s) to {TO}", wanted.len());
    Ok(())
}

/// File name to content, as it ought to be.
fn render(root: &Path) -> Outcome<BTreeMap<String, String>> {
    let from = root.join(FROM);
    let protos = proto_files(&from)?;
    if protos.is_empty() {
        return Ok(BTreeMap::new());
    }
    let aside = step::target_dir().join("xtask-gen").join(std::process::id().to_string());
    fs::create_dir_all(&aside).map_err(|error| cannot("create", &aside, &error))?;
    let (silent, others): (Vec<_>, Vec<_>) = protos.into_iter().partition(|path| path.ends_with(SILENT));
    generate(&from, &others, tonic_prost_build::configure(), &aside)?;
    generate(&from, &silent, tonic_prost_build::configure().codec_path(SMALL_CODEC), &aside)?;
    let rendered = read_all(&aside);
    fs::remove_dir_all(&aside).map_err(|error| cannot("remove", &aside, &error))?;
    rendered
}

fn generate(from: &Path, protos: &[PathBuf], with: tonic_prost_build::Builder, to: &Path) -> Outcome {
    let descriptors = protox::compile(protos, [from]).map_err(|error| Failure::new(format!("{error:?}")))?;
    let generated = with.out_dir(to).emit_rerun_if_changed(false).compile_fds(descriptors);
    generated.map_err(|error| Failure::new(format!("cannot generate code from {FROM}/: {error}")))
}

/// File name to content, as it is.
fn present(root: &Path) -> Outcome<BTreeMap<String, String>> {
    let to = root.join(TO);
    if to.is_dir() { read_all(&to) } else { Ok(BTreeMap::new()) }
}

fn proto_files(from: &Path) -> Outcome<Vec<PathBuf>> {
    if !from.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for path in entries(from)? {
        if path.is_dir() {
            files.extend(proto_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(files)
}

fn read_all(dir: &Path) -> Outcome<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for path in entries(dir)? {
        let text = fs::read_to_string(&path).map_err(|error| cannot("read", &path, &error))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.insert(name, text);
    }
    Ok(files)
}

/// Sorted, so that the output does not depend on the file system.
fn entries(dir: &Path) -> Outcome<Vec<PathBuf>> {
    let listing = fs::read_dir(dir).map_err(|error| cannot("list", dir, &error))?;
    let mut paths = listing
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| cannot("list", dir, &error))?;
    paths.sort();
    Ok(paths)
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generated_code_is_what_the_protos_say() {
        let root = step::root();
        let (wanted, present) = (render(&root).unwrap(), present(&root).unwrap());
        let names: Vec<_> = wanted.keys().collect();
        assert_eq!(names, present.keys().collect::<Vec<_>>(), "run `cargo xtask gen`");
        for (name, text) in &wanted {
            assert!(present.get(name) == Some(text), "{TO}/{name} is not what {FROM}/ says: run `cargo xtask gen`");
        }
    }
}
