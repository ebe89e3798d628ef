//! What every verb works with: where the server is, how to print, and the surroundings.

use crate::args::Global;
use crate::client::{Client, ClientOptions};
use crate::context;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::Output;
use crate::output::style::Style;

/// One run of the program.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// Options of all verbs.
    pub(crate) global: Global,
    /// The surroundings.
    pub(crate) environment: Environment,
    /// How to print.
    pub(crate) out: Output,
}

impl Session {
    /// Joins what was typed with the surroundings.
    pub(crate) fn new(global: Global, environment: Environment) -> Self {
        let style = Style::new(environment.color && !global.no_color);
        let out = Output { format: global.output, style };
        Self { global, environment, out }
    }

    /// A client of the server that is meant.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Client::new(&ClientOptions {
            address: context::server(self.global.server.as_deref(), &self.environment)?,
            bundle: self.global.bundle.clone(),
            identity: self.global.svid.clone().zip(self.global.key.clone()),
            trace: self.environment.trace,
        })
    }
}
