//! `cargo xtask crash`: the campaign of real crashes of `credence-testkit`.

use clap::Args;

use crate::{
    needs,
    step::{self, Outcome},
};

/// How much is to go wrong.
#[derive(Args)]
pub(crate) struct Crashes {
    /// How many misfortunes
    #[arg(long, default_value_t = 100)]
    count: u32,
    /// Instead: go on until so many processes were killed
    #[arg(long, conflicts_with = "count")]
    kills: Option<u32>,
    /// What makes their order, and that of the load
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// A full and a read-only disk, too: needs root, for mounts
    #[arg(long)]
    mounts: bool,
    /// Real cuts of the network, too: needs root and iproute2, for a network namespace
    #[arg(long)]
    netns: bool,
}

impl Crashes {
    pub(crate) fn run(&self) -> Outcome {
        let Self { count, kills, seed, mounts, netns } = self;
        if *mounts || *netns {
            needs::install_programs()?;
        }
        let campaign =
            "crash::whatever_is_killed_stopped_or_cut_off_nothing_acknowledged_is_lost_and_nobody_has_two_holders";
        // Whatever is mounted is gone with the campaign, however that ends.
        let around: &[&str] = if *mounts { &["unshare", "--mount"] } else { &[] };
        let test = ["test", "--quiet", "--package", "credence-testkit", "--test", "suite", "--"];
        let mut command = step::cargo_in(around, &[&test[..], &["--exact", campaign, "--nocapture"]].concat());
        command.env("CREDENCE_CRASH_COUNT", count.to_string()).env("CREDENCE_CRASH_SEED", seed.to_string());
        command.env("CREDENCE_CRASH_MOUNTS", u8::from(*mounts).to_string());
        command.env("CREDENCE_CRASH_NETNS", u8::from(*netns).to_string());
        command.envs(kills.map(|kills| ("CREDENCE_CRASH_KILLS", kills.to_string())));
        let end = kills.map_or(format!("{count} misfortunes"), |kills| format!("misfortunes with {kills} kills"));
        step::run(&format!("let {end} happen from seed {seed}"), &mut command)
    }
}
