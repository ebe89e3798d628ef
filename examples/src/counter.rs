//! The number of the last report that was filed, kept in the working directory.

use crate::private_file;
use std::io;
use std::path::Path;

/// The file.
const FILE: &str = "last-report";

/// The last number; zero if none was filed.
///
/// # Errors
/// The file cannot be read or holds no number.
pub fn last() -> io::Result<u64> {
    match std::fs::read_to_string(FILE) {
        Ok(text) => text.trim().parse().map_err(|_| io::Error::other(format!("{FILE} does not hold a number"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// Keeps the number.
///
/// # Errors
/// The directory cannot be written.
pub fn keep(number: u64) -> io::Result<()> {
    private_file::write(Path::new(FILE), number.to_string().as_bytes())
}
