//! What operators do: classes and pools, nodes, authorities, the configuration, holding and releasing.

use super::check::Broken;
use super::world::{START, World};
use credence_model::authority::{AuthorityKeys, AuthorityState, Der};
use credence_model::class::ClassSpec;
use credence_model::command::Command;
use credence_model::hold::{HoldCause, Seen};
use credence_model::id::{Digest, Epoch};
use credence_model::label::Labels;
use credence_model::node::PoolGrant;
use credence_model::pool::PoolSpec;

/// Leases that the configuration gives. In the longest one clocks run apart by less than the margin.
const LEASES_MS: [u64; 3] = [5_000, 10_000, 15_000];
/// Life of an authority, in seconds.
const AUTHORITY_SECS: u64 = 10 * 365 * 86_400;

impl World {
    /// Something that an operator does.
    pub(super) fn operate(&mut self) -> Result<(), Broken> {
        if self.checks.state().hold.is_some() {
            if self.random.one_in(4) {
                self.note("release", String::new());
                self.ask(Command::Release { reason: None });
            }
            return Ok(());
        }
        match self.random.below(60) {
            0..=24 => self.rotate(),
            25..=31 => self.reload(),
            32..=41 => self.delete_node(),
            42 => self.hold(),
            43..=50 => self.apply_catalogue()?,
            _ => self.change_catalogue(),
        }
        Ok(())
    }

    /// The classes and pools that everything needs.
    pub(super) fn apply_catalogue(&mut self) -> Result<(), Broken> {
        self.note("catalogue applied", String::new());
        let mut spec = self.spec.clone();
        // Revised now and then.
        spec.description = format!("{}", self.made / 16);
        let (class, labels) = (named("ns/class")?, Labels::new());
        self.ask(Command::ApplyClass { class, labels, spec, if_version: None });
        self.ask(Command::ApplyPool {
            pool: named("ns/pool")?,
            labels: Labels::new(),
            spec: PoolSpec::default(),
            if_version: None,
        });
        let spec = PoolSpec { direct: true, ..PoolSpec::default() };
        self.ask(Command::ApplyPool { pool: named("ns/direct")?, labels: Labels::new(), spec, if_version: None });
        Ok(())
    }

    /// A class and a pool that nobody needs come and go.
    fn change_catalogue(&mut self) {
        let (Ok(class), Ok(pool)) = ("ns/spare".parse(), "ns/spare".parse()) else { return };
        let labels = Labels::from([("nth".to_owned(), self.fresh().to_string())]);
        let spec = ClassSpec { owner: "sim".into(), ..ClassSpec::default() };
        self.note("catalogue changed", String::new());
        let command = match self.random.below(4) {
            0 => Command::ApplyClass { class, labels, spec, if_version: None },
            1 => Command::ApplyPool { pool, labels, spec: PoolSpec::default(), if_version: None },
            2 => Command::DeleteClass { class },
            _ => Command::DeletePool { pool },
        };
        self.ask(command);
    }

    /// A node proves its origin; the answer may be lost and the node ask again, which must not work.
    pub(super) fn attest(&mut self, index: usize) -> Result<(), Broken> {
        let Some(name) = self.names.get(index).cloned() else { return Ok(()) };
        let token = Digest::of(format!("token {}", self.fresh()).as_bytes());
        let grant = |pool: &str, workers_max| Ok(PoolGrant { pool: named(pool)?, workers_max });
        let grants = vec![grant("ns/pool", 2)?, grant("ns/direct", 0)?];
        self.ask(Command::CreateJoinToken { token, node: None, grants, ttl_secs: 60 });
        let fault = self.options.fault;
        for _ in 0..if self.random.one_in(4) { 2 } else { 1 } {
            let Some(key) = self.nodes.get_mut(index).map(|node| node.key(fault)) else { return Ok(()) };
            self.note("node attested", format!("{index}"));
            self.ask(Command::AttestNode { node: name.clone(), token, key });
        }
        Ok(())
    }

    fn delete_node(&mut self) {
        let index = self.random.below(self.names.len() as u64) as usize;
        let Some(node) = self.names.get(index).cloned() else { return };
        self.note("node deleted", format!("{index}"));
        self.ask(Command::DeleteNode { node });
    }

    /// The first authority, as a server that finds none makes it.
    pub(super) fn adopt_authority(&mut self) {
        let keys = self.authority();
        self.ask(Command::AdoptAuthority { keys });
    }

    /// One step in the life of an authority.
    fn rotate(&mut self) {
        let authorities = &self.checks.state().authorities;
        if authorities.active().is_none() {
            return self.adopt_authority();
        }
        let all: Vec<_> = authorities.all.iter().map(|authority| (authority.id, authority.state)).collect();
        let force = self.random.one_in(3);
        let Some((authority, state)) = all.get(self.random.below(all.len() as u64) as usize).copied() else { return };
        let (name, command) = match (self.random.below(3), state) {
            (0, AuthorityState::Prepared) => ("authority retired", Command::RetireAuthority { authority, force }),
            (_, AuthorityState::Prepared) => ("authority activated", Command::ActivateAuthority { authority, force }),
            (0, AuthorityState::Old) => {
                ("authority tainted", Command::TaintAuthority { authority, reason: Some("stolen".into()) })
            }
            (1, _) | (_, AuthorityState::Withdrawn) => {
                ("authority retired", Command::RetireAuthority { authority, force })
            }
            _ => ("authority prepared", Command::PrepareAuthority { keys: self.authority() }),
        };
        let is_hurried = force && matches!(command, Command::TaintAuthority { .. });
        self.note(name, format!("{authority:?}"));
        self.ask(command);
        if is_hurried {
            // Nobody waits until what it signed is replaced.
            self.note("authority retired", format!("{authority:?}"));
            self.ask(Command::RetireAuthority { authority, force });
        }
    }

    /// The configuration is changed and read again.
    fn reload(&mut self) {
        let nth = self.random.below(LEASES_MS.len() as u64) as usize;
        self.ground.settings.lease_ms = LEASES_MS.get(nth).copied().unwrap_or(10_000);
        self.note("settings reloaded", format!("lease {} ms", self.ground.settings.lease_ms));
        self.ask(Command::Configure(self.ground.settings.clone()));
    }

    fn hold(&mut self) {
        let state = self.checks.state();
        let epoch = Epoch(state.epoch_max.0 + self.random.below(3));
        let seen = Seen { index: state.last_index, epoch, bundle_sequence: state.authorities.sequence };
        let restored = HoldCause::Restored { made_at: state.last_at, last_index: seen.index, last_at: state.last_at };
        let behind = HoldCause::Behind { by: "node alpha".into(), seen };
        let cause = if self.random.one_in(2) { restored } else { behind };
        self.note("hold", String::new());
        self.ask(Command::Hold { cause });
    }

    /// A key for something that was never there before.
    fn authority(&mut self) -> AuthorityKeys {
        let nth = self.fresh();
        AuthorityKeys {
            root: Der(format!("root {nth}").into_bytes()),
            jwt_key: Der(format!("key {nth}").into_bytes()),
            jwt_key_id: format!("{nth}"),
            not_after: START.plus_secs(AUTHORITY_SECS),
        }
    }

    pub(super) fn fresh(&mut self) -> u64 {
        self.made += 1;
        self.made
    }
}

fn named<T: std::str::FromStr>(name: &str) -> Result<T, Broken> {
    name.parse().map_err(|_| Broken::Stuck(format!("{name} is no name")))
}
