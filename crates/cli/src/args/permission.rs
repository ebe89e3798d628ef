//! What was typed after the verbs about permissions: `can`, `delegation`.

use crate::args::NamespaceArg;
use clap::{Args, Subcommand};
use credence_model::id::DelegationId;
use credence_model::permission::Permission;

/// `credence can`.
#[derive(Debug, Args)]
#[command(after_help = "Nothing is recorded, and nothing used up. Exit codes: 0 it may, 1 it may not.\n\
    Example: credence can finance/a-1 tool expenses/submit -c amount=150 -c currency=EUR")]
pub(crate) struct CanArgs {
    /// The actor
    #[arg(value_name = "ACTOR")]
    pub(crate) actor: String,
    /// What it does: an action, or tool, model, egress, agent, spawn
    #[arg(value_name = "ACTION")]
    pub(crate) action: String,
    /// To what: KIND/NAME, or after such a word the name alone
    #[arg(value_name = "RESOURCE")]
    pub(crate) resource: String,
    /// What the request says, as NAME=VALUE or one JSON object; may be given several times
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub(crate) context: Vec<String>,
    /// As it would have been decided then, e.g. 2026-11-24T14:05:10Z (default: now)
    #[arg(long, value_name = "TIME")]
    pub(crate) as_of: Option<String>,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
}

/// `credence delegation …`.
#[derive(Debug, Subcommand)]
pub(crate) enum DelegationVerb {
    /// Delegate something to an actor, or to all actors of a class
    Grant(GrantArgs),
    /// List delegations
    List(ListDelegationsArgs),
    /// Make a delegation narrower
    Narrow(NarrowArgs),
    /// Revoke a delegation
    Revoke(RevokeArgs),
}

/// `credence delegation grant`.
#[derive(Debug, Args)]
pub(crate) struct GrantArgs {
    /// To whom: actor/NS/ID or class/NS/NAME
    #[arg(value_name = "actor/ID|class/NAME")]
    pub(crate) to: String,
    /// What is allowed; may be given several times
    #[arg(long, value_name = "PERMISSION", required = true)]
    pub(crate) allow: Vec<Permission>,
    /// The user who delegates, as NAME@ISSUER; only administrators name another (default: you, see `credence whoami`)
    #[arg(long, value_name = "NAME@ISSUER")]
    pub(crate) user: Option<String>,
    /// Only to actors that act in this session
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
    /// What for, in words
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) purpose: String,
    /// How long it lasts, in seconds (default: an hour)
    #[arg(long, value_name = "SECS")]
    pub(crate) ttl: Option<u64>,
    /// How often it may be used (default: as often as wanted)
    #[arg(long, value_name = "N")]
    pub(crate) uses: Option<u64>,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
}

/// `credence delegation list`.
#[derive(Debug, Args)]
pub(crate) struct ListDelegationsArgs {
    /// Only those of this user, as NAME@ISSUER
    #[arg(long, value_name = "NAME@ISSUER")]
    pub(crate) user: Option<String>,
    /// Those that are over, too
    #[arg(long)]
    pub(crate) all: bool,
}

/// `credence delegation narrow`.
#[derive(Debug, Args)]
pub(crate) struct NarrowArgs {
    /// The delegation
    #[arg(value_name = "ID")]
    pub(crate) id: DelegationId,
    /// What is allowed from now on; may be given several times
    #[arg(long, value_name = "PERMISSION")]
    pub(crate) allow: Vec<Permission>,
    /// Only to actors that act in this session
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
    /// How often it may be used, what was used counted
    #[arg(long, value_name = "N")]
    pub(crate) uses: Option<u64>,
}

/// `credence delegation revoke`.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The delegation
    #[arg(value_name = "ID")]
    pub(crate) id: DelegationId,
    /// Why, in words
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}
