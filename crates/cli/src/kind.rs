//! The kinds of objects, as they are typed and printed, and how an object is named on the command line.

use crate::failure::Failure;
use credence_model::id::{ActorRef, ClassRef, GuardRef, Namespace, NodeName, PoolRef, WorkerRef};
use std::fmt;

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What an agent is.
    Class,
    /// A group of workers.
    Pool,
    /// What an owner of resources says of them.
    Guard,
    /// A running instance of a class.
    Actor,
    /// The daemon on a host.
    Node,
    /// An execution slot.
    Worker,
}

/// Every kind with the words that name it: singular, plural, short.
const WORDS: [(Kind, [&str; 3]); 6] = [
    (Kind::Class, ["class", "classes", "cl"]),
    (Kind::Pool, ["pool", "pools", "po"]),
    (Kind::Guard, ["guard", "guards", "gu"]),
    (Kind::Actor, ["actor", "actors", "ac"]),
    (Kind::Node, ["node", "nodes", "no"]),
    (Kind::Worker, ["worker", "workers", "wo"]),
];

impl Kind {
    /// Reads a kind in any of its spellings, in any case.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let lower = text.to_ascii_lowercase();
        let found = WORDS.iter().find(|(_, words)| words.contains(&lower.as_str()));
        found.map(|(kind, _)| *kind).ok_or_else(|| {
            let failure = Failure::used_wrongly(format!("there is no kind of object `{}`", text.escape_debug()));
            failure.hint("Kinds are class, pool, guard, actor, node and worker")
        })
    }

    /// The singular word.
    pub(crate) fn word(self) -> &'static str {
        WORDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, words)| words[0])
    }

    /// The plural word, which is also the first part of its API paths.
    pub(crate) fn plural(self) -> &'static str {
        WORDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, words)| words[1])
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One object, fully named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Object {
    /// A class.
    Class(ClassRef),
    /// A pool.
    Pool(PoolRef),
    /// A guard.
    Guard(GuardRef),
    /// An actor.
    Actor(ActorRef),
    /// A node.
    Node(NodeName),
    /// A worker.
    Worker(WorkerRef),
}

impl Object {
    /// Reads a name of this kind: `NAME` in `namespace`, or with its namespace written before it.
    pub(crate) fn named(kind: Kind, name: &str, namespace: &Namespace) -> Result<Self, Failure> {
        let parts = name.split('/').count();
        let whole = if parts == if kind == Kind::Worker { 2 } else { 1 } {
            format!("{namespace}/{name}")
        } else {
            name.to_owned()
        };
        Ok(match kind {
            Kind::Class => Self::Class(whole.parse()?),
            Kind::Pool => Self::Pool(whole.parse()?),
            Kind::Guard => Self::Guard(whole.parse()?),
            Kind::Actor => Self::Actor(whole.parse()?),
            Kind::Worker => Self::Worker(whole.parse()?),
            Kind::Node => Self::Node(name.parse()?),
        })
    }

    /// Its path in the control API.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Class(class) => format!("/v1/classes/{class}"),
            Self::Pool(pool) => format!("/v1/pools/{pool}"),
            Self::Guard(guard) => format!("/v1/guards/{guard}"),
            Self::Actor(actor) => format!("/v1/actors/{actor}"),
            Self::Node(node) => format!("/v1/nodes/{node}"),
            Self::Worker(worker) => format!("/v1/workers/{worker}"),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class(class) => write!(f, "class {class}"),
            Self::Pool(pool) => write!(f, "pool {pool}"),
            Self::Guard(guard) => write!(f, "guard {guard}"),
            Self::Actor(actor) => write!(f, "actor {actor}"),
            Self::Node(node) => write!(f, "node {node}"),
            Self::Worker(worker) => write!(f, "worker {worker}"),
        }
    }
}

/// What `get`, `describe` and `delete` were given: a kind, and the objects of it that are meant (none: all).
pub(crate) fn parse_objects(words: &[String], namespace: &Namespace) -> Result<(Kind, Vec<Object>), Failure> {
    let Some((first, names)) = words.split_first() else {
        return Err(Failure::used_wrongly("no kind of object was named").hint("Try: credence get actors"));
    };
    let Some((kind, name)) = first.split_once('/') else {
        let kind = Kind::parse(first)?;
        let names = names.iter().map(|name| Object::named(kind, name, namespace));
        return Ok((kind, names.collect::<Result<_, _>>()?));
    };
    let kind = Kind::parse(kind)?;
    let mut objects = vec![Object::named(kind, name, namespace)?];
    for word in names {
        let (other, name) = word.split_once('/').ok_or_else(|| {
            Failure::used_wrongly(format!("`{}` is not KIND/NAME like the word before it", word.escape_debug()))
        })?;
        if Kind::parse(other)? != kind {
            return Err(Failure::used_wrongly("objects of several kinds were named").hint("Name one kind at a time"));
        }
        objects.push(Object::named(kind, name, namespace)?);
    }
    Ok((kind, objects))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(Kind, Vec<String>), String> {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let namespace = Namespace::parse("home").expect("valid");
        let (kind, objects) = parse_objects(&words, &namespace).map_err(|failure| failure.to_string())?;
        Ok((kind, objects.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn kinds_are_understood_in_singular_plural_and_short() {
        for (kind, words) in WORDS {
            for word in words {
                assert_eq!(parse(word), Ok((kind, vec![])), "{word}");
            }
        }
        assert_eq!(parse("Actors"), Ok((Kind::Actor, vec![])));
    }

    #[test]
    fn a_name_is_in_the_chosen_namespace_unless_it_brings_its_own() {
        let cases = [
            ("actor a", "actor home/a"),
            ("actor/a", "actor home/a"),
            ("actor ns/a", "actor ns/a"),
            ("actor/ns/a", "actor ns/a"),
            ("worker beta/w1", "worker home/beta/w1"),
            ("worker/ns/beta/w1", "worker ns/beta/w1"),
            ("no/alpha", "node alpha"),
            ("guard expenses", "guard home/expenses"),
            ("gu/ns/expenses", "guard ns/expenses"),
        ];
        for (text, object) in cases {
            assert_eq!(parse(text).map(|(_, objects)| objects), Ok(vec![object.to_owned()]), "{text}");
        }
        assert_eq!(parse("cl/a cl/b").map(|(_, objects)| objects.len()), Ok(2));
    }

    #[test]
    fn what_names_no_object_is_refused_with_what_to_type_instead() {
        for text in [
            "",
            "agent",
            "actor A",
            "actor ../x",
            "actor a/b/c",
            "worker w1",
            "actor/a pool/b",
            "actor/a b",
            "node a%2f",
        ] {
            assert!(parse(text).is_err(), "{text} was accepted");
        }
        let unknown = parse("agents").expect_err("no such kind");
        assert_eq!(
            unknown,
            "there is no kind of object `agents`. Kinds are class, pool, guard, actor, node and worker"
        );
    }
}
