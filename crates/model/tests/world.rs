//! A registry to try commands on: time and entropy are set by hand, and every step is audited.

use credence_model::apply::apply;
use credence_model::caller::Caller;
use credence_model::class::{ClassSpec, Runtime};
use credence_model::command::{Answer, Command, Held, Report, Request};
use credence_model::decide::{Decision, decide};
use credence_model::directive::{Bind, Directive, directives};
use credence_model::event::{Entry, FORMAT};
use credence_model::id::{ActorRef, BindingId, Digest, NodeName, WorkerRef};
use credence_model::invariant::Auditor;
use credence_model::label::Labels;
use credence_model::node::PoolGrant;
use credence_model::pool::PoolSpec;
use credence_model::refusal::Refusal;
use credence_model::settings::Settings;
use credence_model::spiffe_id::TrustDomain;
use credence_model::state::State;
use credence_model::time::Timestamp;

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) entries: Vec<Entry>,
    pub(crate) directives: Vec<Directive>,
    pub(crate) now: Timestamp,
    draws: u64,
    keys: u64,
}

pub(crate) const START: Timestamp = Timestamp::from_secs(1_800_000_000);

impl World {
    pub(crate) fn new() -> Self {
        let mut world = Self {
            state: State::default(),
            entries: Vec::new(),
            directives: Vec::new(),
            now: START,
            draws: 0,
            keys: 0,
        };
        world.ok(Command::Start(settings()));
        world
    }

    /// One class, one pool, nodes alpha (2 workers) and beta (1 worker), connected, with keys.
    pub(crate) fn furnished() -> Self {
        let mut world = Self::new();
        world.ok(apply_pool());
        world.ok(apply_class(spec()));
        world.attest("alpha", 2);
        world.attest("beta", 1);
        world.attach("alpha", &["alpha-w1", "alpha-w2"], &[]);
        world.attach("beta", &["beta-w1"], &[]);
        world
    }

    pub(crate) fn attest(&mut self, node: &str, workers_max: u32) {
        let token = Digest::of(node.as_bytes());
        let grants = vec![PoolGrant { pool: "finance/standard".parse().unwrap(), workers_max }];
        self.ok(Command::CreateJoinToken { token, node: None, grants, ttl_secs: 60 });
        let key = self.key();
        self.ok(Command::AttestNode { node: name(node), token, key });
    }

    pub(crate) fn attach(&mut self, node: &str, workers: &[&str], held: &[Held]) -> Answer {
        let workers = workers.iter().map(|id| worker(id)).collect();
        let answer = self.ok(Command::AttachNode { node: name(node), workers, held: held.to_vec() });
        let keys = (0..4).map(|_| self.key()).collect();
        self.report(node, Report::KeysOffered(keys)).unwrap();
        answer
    }

    pub(crate) fn report(&mut self, node: &str, report: Report) -> Result<Answer, Refusal> {
        let session = self.state.nodes[&name(node)].session;
        self.run(Command::Report { node: name(node), session, report })
    }

    pub(crate) fn create(&mut self, id: &str) -> ActorRef {
        let class = "finance/expense-agent".parse().unwrap();
        self.ok(Command::CreateActor { class, id: Some(id.parse().unwrap()), labels: Labels::new() });
        actor(id)
    }

    pub(crate) fn resume(&mut self, id: &str) -> Result<Answer, Refusal> {
        self.run(Command::ResumeActor { actor: actor(id), worker: None, wait_ms: None })
    }

    /// Resumes an actor and lets its node say that it runs.
    pub(crate) fn running(&mut self, id: &str) -> Bind {
        self.resume(id).unwrap();
        let bind = self.bound(id);
        self.report(bind.node.as_str(), Report::Running(held(&bind))).unwrap();
        bind
    }

    /// The newest directive to hold this actor.
    pub(crate) fn bound(&self, id: &str) -> Bind {
        let binds = self.directives.iter().rev().filter_map(|directive| match directive {
            Directive::Bind(bind) if bind.actor == actor(id) => Some(bind),
            _ => None,
        });
        binds.map(|bind| (**bind).clone()).next().expect("bound")
    }

    pub(crate) fn ok(&mut self, command: Command) -> Answer {
        self.run(command).unwrap()
    }

    pub(crate) fn run(&mut self, command: Command) -> Result<Answer, Refusal> {
        self.request(&Request { caller: Caller::Local { uid: 0 }, idempotency_key: None, command })
    }

    pub(crate) fn request(&mut self, request: &Request) -> Result<Answer, Refusal> {
        let decision = self.decide(request)?;
        self.record(&request.caller, decision.events);
        let schedule = Request { caller: Caller::System, idempotency_key: None, command: Command::Schedule };
        loop {
            let events = self.decide(&schedule).unwrap().events;
            if events.is_empty() {
                break;
            }
            self.record(&Caller::System, events);
        }
        self.audit();
        Ok(decision.answer)
    }

    pub(crate) fn decide(&mut self, request: &Request) -> Result<Decision, Refusal> {
        self.draws += 1;
        let entropy = Digest::of(&self.draws.to_be_bytes()).0;
        decide(&self.state, request, self.now, &entropy)
    }

    pub(crate) fn pass_ms(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.ok(Command::Expire);
    }

    /// The same registry as another machine would have it after a restore: what it draws is not what this one draws.
    pub(crate) fn restored(&self, now: Timestamp, draws: u64) -> Self {
        Self { now, draws: self.draws + draws, keys: self.keys + draws, ..self.clone() }
    }

    pub(crate) fn key(&mut self) -> Digest {
        self.keys += 1;
        Digest::of(format!("key {}", self.keys).as_bytes())
    }

    fn record(&mut self, caller: &Caller, events: Vec<credence_model::event::Event>) {
        for event in events {
            let index = self.state.last_index + 1;
            let entry = Entry { format: FORMAT, index, at: self.now, caller: caller.clone(), event };
            apply(&mut self.state, &entry);
            self.directives.extend(directives(&self.state, &entry));
            self.entries.push(entry);
        }
    }

    fn audit(&self) {
        let mut auditor = Auditor::default();
        self.entries.iter().for_each(|entry| auditor.read(entry));
        auditor.compare(&self.state);
        assert_eq!(auditor.violations, Vec::new());
    }
}

pub(crate) fn settings() -> Settings {
    Settings::new(TrustDomain::parse("demo.internal").unwrap())
}

pub(crate) fn spec() -> ClassSpec {
    let runtime = Runtime { command: vec!["expense-agent".into()], ..Runtime::default() };
    ClassSpec { owner: "finance@example.org".into(), runtime, ..ClassSpec::default() }
}

pub(crate) fn apply_class(spec: ClassSpec) -> Command {
    let class = "finance/expense-agent".parse().unwrap();
    Command::ApplyClass { class, labels: Labels::new(), spec, if_version: None }
}

pub(crate) fn apply_pool() -> Command {
    let labels = Labels::from([("tier".into(), "standard".into())]);
    let spec = PoolSpec { direct: true, ..PoolSpec::default() };
    Command::ApplyPool { pool: "finance/standard".parse().unwrap(), labels, spec, if_version: None }
}

pub(crate) fn actor(id: &str) -> ActorRef {
    format!("finance/{id}").parse().unwrap()
}

pub(crate) fn worker(id: &str) -> WorkerRef {
    format!("finance/standard/{id}").parse().unwrap()
}

pub(crate) fn name(node: &str) -> NodeName {
    NodeName::parse(node).unwrap()
}

pub(crate) fn held(bind: &Bind) -> Held {
    Held { binding: bind.binding, epoch: bind.epoch }
}

pub(crate) fn binding(n: u8) -> BindingId {
    BindingId::generate(START, [n; 10])
}
