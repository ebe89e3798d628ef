//! What agent and tool agree on: where the tool is, and who it is.

use crate::environment::{Missing, required};
use std::path::Path;

/// Path of the SPIFFE IDs of the tool's class, in the trust domain of whoever asks.
pub const TOOL_PATH: &str = "/ns/finance/agent/expense-reports/actor/";
/// Path of the SPIFFE IDs of those who may file reports.
pub const AGENT_PATH: &str = "/ns/finance/agent/expense-agent/actor/";
/// Audience of tokens for the tool.
pub const AUDIENCE: &str = "expense-reports";
/// Names the tool: its URL, or a file that holds it.
const VARIABLE: &str = "EXPENSE_TOOL";

/// Why the tool is not known.
#[derive(Debug, thiserror::Error)]
pub enum UnknownTool {
    /// Nothing names it.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The file that names it cannot be read.
    #[error("{0} cannot be read: {1}")]
    File(String, std::io::Error),
}

/// URL of the tool.
///
/// # Errors
/// Nothing names it, or the file that does cannot be read.
pub fn url() -> Result<String, UnknownTool> {
    let named = required(VARIABLE)?;
    if named.starts_with("https://") {
        return Ok(named);
    }
    let text = std::fs::read_to_string(Path::new(&named));
    text.map(|url| url.trim().to_owned()).map_err(|error| UnknownTool::File(named, error))
}
