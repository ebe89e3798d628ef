//! Golden files of the unit tests: `tests/golden/NAME`, rewritten when `CREDENCE_GOLDEN=accept`.

/// Compares `text` with the golden file of this name.
#[expect(clippy::disallowed_methods, reason = "a test may be told to accept what it sees")]
pub(crate) fn check(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let text = format!("{}\n", text.trim_end());
    if std::env::var("CREDENCE_GOLDEN").is_ok_and(|value| value == "accept") {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("created");
        std::fs::write(&path, &text).expect("written");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == text, "{name} differs; CREDENCE_GOLDEN=accept takes this over:\n{text}");
}
