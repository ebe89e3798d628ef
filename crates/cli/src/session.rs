//! What every verb works with: where the server is, how to print, and the surroundings.

use crate::args::Global;
use crate::client::{Client, ClientOptions};
use crate::context::{self, ServerAddress};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::login::{self, Login};
use crate::output::Output;
use crate::output::style::Style;
use crate::token::Token;

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

    /// The server that is meant.
    pub(crate) fn server(&self) -> Result<ServerAddress, Failure> {
        context::server(self.global.server.as_deref(), &self.environment)
    }

    /// A client of the server that is meant, as whoever the connection is, or as the user of a token that was handed in.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        self.client_with(self.global.token_file.as_deref().map(Token::read).transpose()?)
    }

    /// Whoever is logged in at that server; nobody where a token was handed in.
    pub(crate) async fn logged_in(&self) -> Result<Option<Login>, Failure> {
        match self.global.token_file {
            Some(_) => Ok(None),
            None => login::current(&self.server()?, &self.environment).await,
        }
    }

    /// A client as whoever is logged in, else as [`Self::client`].
    pub(crate) fn client_as(&self, login: Option<Login>) -> Result<Client, Failure> {
        login.map_or_else(|| self.client(), |login| self.client_with(Some(login.token)))
    }

    /// A client that shows this token.
    pub(crate) fn client_with(&self, token: Option<Token>) -> Result<Client, Failure> {
        Client::new(&ClientOptions {
            address: self.server()?,
            token,
            bundle: self.global.bundle.clone(),
            identity: self.global.svid.clone().zip(self.global.key.clone()),
            trace: self.environment.trace,
        })
    }
}
