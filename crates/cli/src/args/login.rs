//! What was typed after the verbs about who one is: `login`, `logout`, `whoami`.

use clap::Args;
use std::path::PathBuf;

/// `credence login`.
#[derive(Debug, Args)]
#[command(
    after_help = "It shows an address and a code; open the address in any browser, on any machine, and enter the code.\n\
    From then on `credence delegation …` and `credence whoami` act as you, until `credence logout`;\n\
    all other verbs stay whoever they were. The tokens are in $CREDENCE_HOME/login.json, which only you\n\
    can read. Without a person: --token-file FILE, with any verb, acts as the user whom it names."
)]
pub(crate) struct LoginArgs {
    /// The identity provider, if the server has several
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: Option<String>,
    /// Certificates (PEM) of the authorities that the provider is known by (default: those of this machine)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}
