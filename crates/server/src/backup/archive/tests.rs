//! Whatever happens to the bytes of a backup, it is refused.

use super::{Reader, Writer};
use crate::backup::BackupError;
use credence_model::time::Timestamp;
use proptest::prelude::{any, proptest};
use std::fs;
use std::path::Path;

fn backup(path: &Path) -> Vec<u8> {
    let mut writer = Writer::new(fs::File::create(path).unwrap(), path).unwrap();
    for (name, bytes) in
        [("journal/VERSION", &b"1\n"[..]), ("empty", b""), ("archives/a/b", b"state\n{\"sha256\":\"\"}\n")]
    {
        writer.file(name, bytes, bytes.len() as u64, path).unwrap();
    }
    writer.finish(Timestamp(7), vec!["authority/root.key.pem".into()]).unwrap();
    fs::read(path).unwrap()
}

fn read(path: &Path, bytes: &[u8]) -> Result<u64, BackupError> {
    fs::write(path, bytes).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut reader = Reader::open(path)?;
    while reader.next_file(dir.path())? {}
    reader.end().map(|end| end.files)
}

#[test]
fn no_byte_can_be_changed_or_missing_and_none_added() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("backup");
    let whole = backup(&path);
    assert_eq!(read(&path, &whole).unwrap(), 3);
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert!(read(&path, &changed).is_err(), "byte {at} was changed");
        assert!(read(&path, &whole[..at]).is_err(), "cut after {at} bytes");
    }
    assert!(read(&path, &[&whole[..], b"\n"].concat()).is_err());
}

proptest! {
    #[test]
    fn bytes_from_strangers_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400), magic in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let begin: &[u8] = if magic { b"credence-backup 1\n" } else { b"" };
        assert!(read(&dir.path().join("backup"), &[begin, &bytes].concat()).is_err());
    }
}
