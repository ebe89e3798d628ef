//! An ordinary workload for the black-box suite: it finds its identity with the published `spiffe` crate, as anybody's
//! program would, and says in lines of JSON what it sees, so that a test can wait for them.
//!
//! Two of its verbs are no ordinary client: `knock` and `metadata` send what no well-behaved client sends.

mod beacon;
mod follow;
mod mtls;
mod raw;
mod say;
mod svid;

use clap::{Parser, Subcommand};
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// What may go wrong: it is only ever printed.
type Failure = Box<dyn Error + Send + Sync>;

/// A workload that says what it sees, one line of JSON each.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Opens one stream of X.509 contexts and says each, and how the stream ended
    Stream {
        /// End after so many
        #[arg(long)]
        count: Option<usize>,
        /// Another endpoint than the own one
        #[arg(long)]
        endpoint: Option<String>,
        /// Stay until standard input closes or the stream ends, whatever SIGTERM says
        #[arg(long)]
        until_stdin_closes: bool,
    },
    /// Fetches its X.509-SVID again and again and writes down when, for ever
    Beacon {
        /// Directory to write to
        #[arg(long)]
        into: PathBuf,
    },
    /// Fetches a JWT-SVID, has it validated by the endpoint, and validates it itself
    Token {
        /// Its audience
        audience: String,
    },
    /// Waits for one mTLS client of a class and says who it is
    Serve {
        /// What the path of the client's SPIFFE ID begins with
        peer: String,
    },
    /// Calls a server of a class over mTLS and says who it is
    Call {
        /// Where it is
        addr: SocketAddr,
        /// What the path of its SPIFFE ID begins with
        peer: String,
    },
    /// Welcomes every mTLS client of a class until it is ended
    Greet {
        /// What the path of a client's SPIFFE ID begins with
        peer: String,
    },
    /// Calls a server again and again, each time with a handshake; says how many failed for each line it is given
    Visit {
        /// Where it is
        addr: SocketAddr,
        /// What the path of its SPIFFE ID begins with
        peer: String,
        /// Time between two handshakes at least, in milliseconds
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
        every_ms: u64,
    },
    /// Follows X.509 and JWT bundles, fetches and validates tokens again and again; says how many failed for each line it
    /// is given
    Follow {
        /// Audience of the tokens
        audience: String,
    },
    /// Calls the Workload API with these values of the security header and says the status code
    Knock {
        /// The values
        values: Vec<String>,
    },
    /// Gets a path from the metadata service and says the answer
    Metadata {
        /// The path, with its query
        path: String,
        /// Header lines
        #[arg(long = "header")]
        headers: Vec<String>,
        /// Method
        #[arg(long, default_value = "GET")]
        method: String,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match Arguments::parse().verb {
        Verb::Stream { count, endpoint, until_stdin_closes } => {
            let staying = if until_stdin_closes { stay() } else { Ok(()) };
            match staying {
                Ok(()) => svid::stream(count, endpoint.as_deref()).await,
                Err(error) => Err(error),
            }
        }
        Verb::Beacon { into } => beacon::beacon(&into).await,
        Verb::Token { audience } => svid::token(&audience).await,
        Verb::Serve { peer } => mtls::serve(peer).await,
        Verb::Call { addr, peer } => mtls::call(addr, peer).await,
        Verb::Greet { peer } => mtls::greet(peer).await,
        Verb::Visit { addr, peer, every_ms } => mtls::visit(addr, peer, Duration::from_millis(every_ms)).await,
        Verb::Follow { audience } => follow::follow(&audience).await,
        Verb::Knock { values } => raw::knock(&values).await,
        Verb::Metadata { path, headers, method } => raw::metadata(&method, &path, &headers),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("workload: {error}");
            ExitCode::FAILURE
        }
    }
}

/// SIGTERM is left to the end of the stream, so that this is always said; the end of standard input is the end of all.
fn stay() -> Result<(), Failure> {
    // A handler that was set once stays, whether anybody listens or not.
    drop(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?);
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    Ok(())
}
