//! The program's environment.

/// A variable that the program cannot do without.
///
/// # Errors
/// Says which one is missing.
#[expect(clippy::disallowed_methods, reason = "an example program reads its own environment, here and nowhere else")]
pub fn required(name: &'static str) -> Result<String, Missing> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or(Missing(name))
}

/// A variable is not set.
#[derive(Debug, thiserror::Error)]
#[error("the environment variable {0} is not set")]
pub struct Missing(&'static str);
