//! Files that only their owner may read, and that are there whole or not at all.

use std::io::Write as _;
use std::path::Path;

/// Writes `bytes` aside, readable by the owner alone, and renames the file into place.
///
/// # Errors
/// The directory does not exist or cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    // A new temporary file has mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
