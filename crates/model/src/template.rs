//! Path templates: how the trust domain writes SPIFFE ID paths, and how it reads them back.
//!
//! A template is a path whose segments are either fixed text or one placeholder (`/ns/{namespace}/agent/{class}`).
//! Rendering and matching work segment by segment, so no name can spill into another (threat T11).

use crate::id::{
    ActorId, ActorRef, ClassName, ClassRef, LABEL_BYTES_MAX, Namespace, NodeName, PoolName, PoolRef, WorkerId,
    WorkerRef,
};
use crate::spiffe_id::{SPIFFE_ID_BYTES_MAX, SpiffeId, TRUST_DOMAIN_BYTES_MAX, TrustDomain, check_segment};
use crate::text::InvalidText;
use minicbor::{Decode, Encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The path templates of a trust domain. Fixed when the trust domain is created: changing them would rename everybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[cbor(map)]
pub struct PathTemplates {
    /// Path of a class; holds `{namespace}` and `{class}`.
    #[n(0)]
    pub class: String,
    /// Path of an actor; holds `{namespace}`, `{class}` and `{actor}`.
    #[n(1)]
    pub actor: String,
    /// Path of a worker; holds `{namespace}`, `{pool}` and `{worker}`.
    #[n(2)]
    pub worker: String,
    /// Path of a node; holds `{node}`.
    #[n(3)]
    pub node: String,
    /// Path of the control plane itself; holds no placeholder.
    #[n(4)]
    pub server: String,
}

impl Default for PathTemplates {
    fn default() -> Self {
        Self {
            class: "/ns/{namespace}/agent/{class}".into(),
            actor: "/ns/{namespace}/agent/{class}/actor/{actor}".into(),
            worker: "/ns/{namespace}/pool/{pool}/worker/{worker}".into(),
            node: "/node/{node}".into(),
            server: "/credence/server".into(),
        }
    }
}

/// What a SPIFFE ID of this trust domain names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// A class.
    Class(ClassRef),
    /// An actor, and the class it is an instance of.
    Actor(ClassRef, ActorRef),
    /// A worker.
    Worker(WorkerRef),
    /// A node.
    Node(NodeName),
    /// The control plane.
    Server,
}

impl PathTemplates {
    /// Checks that every template holds exactly its placeholders, that no two can produce the same path, and that the
    /// longest path still fits a SPIFFE ID.
    pub fn validate(&self) -> Result<(), InvalidText> {
        for (what, template, wanted) in self.all() {
            let mut found = Vec::new();
            let path =
                template.strip_prefix('/').ok_or_else(|| InvalidText::new(what, template, "it must begin with /"))?;
            for segment in path.split('/') {
                match placeholder(segment) {
                    Some(name) => found.push(name),
                    None => check_segment(segment).map_err(|why| InvalidText::new(what, template, why))?,
                }
            }
            if found != wanted {
                let wanted: Vec<_> = wanted.iter().map(|name| format!("{{{name}}}")).collect();
                let why = format!("it must hold {} in this order, each once, as whole segments", wanted.join(", "));
                let none = "it must hold no placeholder".to_owned();
                return Err(InvalidText::new(what, template, if wanted.is_empty() { none } else { why }));
            }
            let segments =
                path.split('/').map(|segment| placeholder(segment).map_or(segment.len(), |_| LABEL_BYTES_MAX));
            let path_bytes: usize = segments.map(|bytes| 1 + bytes).sum();
            if "spiffe://".len() + TRUST_DOMAIN_BYTES_MAX + path_bytes > SPIFFE_ID_BYTES_MAX {
                let why = format!("a SPIFFE ID of it can be longer than {SPIFFE_ID_BYTES_MAX} bytes");
                return Err(InvalidText::new(what, template, why));
            }
        }
        for (index, (what, template, _)) in self.all().into_iter().enumerate() {
            if self.all().iter().skip(index + 1).any(|(_, other, _)| may_collide(template, other)) {
                return Err(InvalidText::new(what, template, "another template can produce the same path"));
            }
        }
        Ok(())
    }

    /// The SPIFFE ID of a class.
    pub fn class_id(&self, td: &TrustDomain, class: &ClassRef) -> SpiffeId {
        render(td, &self.class, &[("namespace", class.namespace.as_str()), ("class", class.class.as_str())])
    }

    /// The SPIFFE ID of an actor: the same for all its epochs.
    pub fn actor_id(&self, td: &TrustDomain, class: &ClassName, actor: &ActorRef) -> SpiffeId {
        let values =
            [("namespace", actor.namespace.as_str()), ("class", class.as_str()), ("actor", actor.actor.as_str())];
        render(td, &self.actor, &values)
    }

    /// The SPIFFE ID of a worker.
    pub fn worker_id(&self, td: &TrustDomain, worker: &WorkerRef) -> SpiffeId {
        let values = [
            ("namespace", worker.pool.namespace.as_str()),
            ("pool", worker.pool.pool.as_str()),
            ("worker", worker.worker.as_str()),
        ];
        render(td, &self.worker, &values)
    }

    /// The SPIFFE ID of a node.
    pub fn node_id(&self, td: &TrustDomain, node: &NodeName) -> SpiffeId {
        render(td, &self.node, &[("node", node.as_str())])
    }

    /// The SPIFFE ID of the control plane.
    pub fn server_id(&self, td: &TrustDomain) -> SpiffeId {
        render(td, &self.server, &[])
    }

    /// What `id` names, if it was written by one of these templates.
    pub fn read(&self, id: &SpiffeId) -> Option<Named> {
        let path = id.path();
        if let Some([namespace, class, actor]) = values(&self.actor, path) {
            let namespace = Namespace::parse(namespace).ok()?;
            let class = ClassRef { namespace: namespace.clone(), class: ClassName::parse(class).ok()? };
            return Some(Named::Actor(class, ActorRef { namespace, actor: ActorId::parse(actor).ok()? }));
        }
        if let Some([namespace, class]) = values(&self.class, path) {
            let namespace = Namespace::parse(namespace).ok()?;
            return Some(Named::Class(ClassRef { namespace, class: ClassName::parse(class).ok()? }));
        }
        if let Some([namespace, pool, worker]) = values(&self.worker, path) {
            let pool = PoolRef { namespace: Namespace::parse(namespace).ok()?, pool: PoolName::parse(pool).ok()? };
            return Some(Named::Worker(WorkerRef { pool, worker: WorkerId::parse(worker).ok()? }));
        }
        if let Some([node]) = values(&self.node, path) {
            return Some(Named::Node(NodeName::parse(node).ok()?));
        }
        (path == self.server).then_some(Named::Server)
    }

    fn all(&self) -> [(&'static str, &str, &'static [&'static str]); 5] {
        [
            ("template of classes", &self.class, &["namespace", "class"]),
            ("template of actors", &self.actor, &["namespace", "class", "actor"]),
            ("template of workers", &self.worker, &["namespace", "pool", "worker"]),
            ("template of nodes", &self.node, &["node"]),
            ("template of the server", &self.server, &[]),
        ]
    }
}

fn placeholder(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// Whether some choice of names makes both templates write one path.
fn may_collide(one: &str, other: &str) -> bool {
    let (one, other): (Vec<_>, Vec<_>) = (one.split('/').collect(), other.split('/').collect());
    let meets = |(a, b): (&&str, &&str)| a == b || placeholder(a).is_some() || placeholder(b).is_some();
    one.len() == other.len() && one.iter().zip(&other).all(meets)
}

fn render(td: &TrustDomain, template: &str, values: &[(&str, &str)]) -> SpiffeId {
    let names_bytes: usize = values.iter().map(|(_, value)| value.len()).sum();
    let mut text = td.id_text(template.len() + names_bytes);
    for segment in template.split('/').skip(1) {
        let value = placeholder(segment).and_then(|name| values.iter().find(|(key, _)| *key == name));
        text.push('/');
        text.push_str(value.map_or(segment, |(_, value)| value));
    }
    // Labels are legal segments and templates were validated when the trust domain was made, so this cannot fail;
    // if it ever did, the trust domain's own ID is one that no credential is issued for.
    SpiffeId::parse(&text).unwrap_or_else(|_| td.id())
}

/// The values that `path` holds at the placeholders of `template`, if the fixed segments agree.
fn values<'p, const N: usize>(template: &str, path: &'p str) -> Option<[&'p str; N]> {
    let mut found = Vec::with_capacity(N);
    let mut segments = path.split('/');
    for fixed in template.split('/') {
        let segment = segments.next()?;
        match placeholder(fixed) {
            Some(_) => found.push(segment),
            None if fixed == segment => {}
            None => return None,
        }
    }
    if segments.next().is_some() {
        return None;
    }
    found.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_substrate_identity_comes_out_of_the_right_template() {
        let templates = PathTemplates {
            class: "/ns/{namespace}/actortemplate/{class}".into(),
            actor: "/ns/{namespace}/actortemplate/{class}/actor/{actor}".into(),
            ..PathTemplates::default()
        };
        templates.validate().expect("valid templates");
        let td = TrustDomain::parse("substrate.local").expect("valid");
        let actor: ActorRef = "substrate/actor-id-xyz".parse().expect("valid");
        let class = ClassName::parse("actor-foo").expect("valid");
        let id = templates.actor_id(&td, &class, &actor);
        assert_eq!(id.as_str(), "spiffe://substrate.local/ns/substrate/actortemplate/actor-foo/actor/actor-id-xyz");
        let class = ClassRef { namespace: actor.namespace.clone(), class };
        assert_eq!(templates.read(&id), Some(Named::Actor(class, actor)));
    }

    #[test]
    fn every_identity_is_read_back_as_what_it_names() {
        let (templates, td) = (PathTemplates::default(), TrustDomain::parse("td").expect("valid"));
        let read = |path: &str| templates.read(&SpiffeId::from_parts(&td, path).expect("valid"));
        assert!(matches!(read("/ns/a/agent/b"), Some(Named::Class(_))));
        assert!(matches!(read("/ns/a/pool/p/worker/w"), Some(Named::Worker(_))));
        assert!(matches!(read("/node/alpha"), Some(Named::Node(_))));
        assert_eq!(read("/credence/server"), Some(Named::Server));
        for unknown in ["/ns/a", "/ns/a/agent/B", "/ns/a/agent/b/actor", "/node/alpha/x", "/ns/a/agent/b/actor/c/d"] {
            assert_eq!(read(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn templates_that_are_ambiguous_or_incomplete_are_refused() {
        let with_actor = |actor: &str| PathTemplates { actor: actor.into(), ..PathTemplates::default() }.validate();
        for bad in [
            "",
            "actor",
            "/a/{actor}",
            "/{class}/{namespace}/{actor}",
            "/x-{namespace}/{class}/{actor}",
            "/{namespace}//{class}/{actor}",
        ] {
            assert!(with_actor(bad).is_err(), "{bad}");
        }
        let colliding = PathTemplates { node: "/credence/{node}".into(), ..PathTemplates::default() };
        assert!(colliding.validate().is_err());
        assert!(PathTemplates::default().validate().is_ok());
    }

    #[test]
    fn a_template_whose_longest_id_would_not_fit_is_refused() {
        let with_prefix = |bytes: usize| {
            let actor = format!("/{}/{{namespace}}/{{class}}/{{actor}}", "x".repeat(bytes));
            PathTemplates { actor, ..PathTemplates::default() }.validate()
        };
        let rest = "spiffe://".len() + TRUST_DOMAIN_BYTES_MAX + 1 + 3 * (1 + LABEL_BYTES_MAX);
        assert!(with_prefix(SPIFFE_ID_BYTES_MAX - rest).is_ok());
        assert!(with_prefix(SPIFFE_ID_BYTES_MAX - rest + 1).is_err());
    }
}
