//! Every file of the corpora in `fuzz/`, as a test: what fuzzing once found stays found.

use credence_testkit::fuzz::TARGETS;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn listing(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

#[test]
fn the_laws_hold_for_every_file_of_the_corpora() {
    let mut broken = Vec::new();
    for target in TARGETS {
        let files = listing(&fuzz().join("corpus").join(target.name));
        assert!(!files.is_empty(), "{} has no corpus", target.name);
        for file in files {
            let bytes = fs::read(&file).expect("its bytes");
            if catch_unwind(|| (target.check)(&bytes)).is_err() {
                broken.push(file);
            }
        }
    }
    assert!(broken.is_empty(), "laws broken by {broken:#?}");
}

#[test]
fn every_target_has_its_program_and_its_corpus_and_there_are_no_others() {
    let mut names: Vec<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    names.sort();
    for (directory, what) in [("fuzz_targets", "program"), ("corpus", "corpus")] {
        let found: Vec<_> = listing(&fuzz().join(directory))
            .iter()
            .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
            .collect();
        assert_eq!(found, names, "each target has one {what}");
    }
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).expect("the manifest");
    for name in names {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is in fuzz/Cargo.toml");
    }
}
