//! Identifiers: validated once, compared exactly, never reused.
//!
//! Names are DNS labels (RFC 1123 §2.1): they go into SPIFFE ID paths, file names and URLs, so `/`, `..`, `%2f`, NUL and
//! upper case end at this door (threats T11 and T13).

use crate::text::{InvalidText, text_type};
use crate::time::Timestamp;
use crate::ulid_id::{ulid, ulid_id};
use minicbor::{Decode, Encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::fmt;

pub use crate::ulid_id::ID_ENTROPY_BYTES;

/// Longest DNS label, in bytes (RFC 1035 §2.3.4).
pub const LABEL_BYTES_MAX: usize = 63;

fn check_label(what: &'static str, text: &str) -> Result<(), InvalidText> {
    let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let why = if text.is_empty() {
        "it is empty"
    } else if text.len() > LABEL_BYTES_MAX {
        "it is longer than 63 characters"
    } else if !text.bytes().all(|byte| edge(byte) || byte == b'-') {
        "only a-z, 0-9 and - are allowed"
    } else if text.starts_with('-') || text.ends_with('-') {
        "it begins or ends with -"
    } else {
        return Ok(());
    };
    Err(InvalidText::new(what, text, why))
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(SmolStr);

        impl $name {
            /// Reads a DNS label: 1 to 63 of `a-z`, `0-9` and `-`, with no `-` at either end.
            pub fn parse(text: &str) -> Result<Self, InvalidText> {
                check_label($what, text)?;
                Ok(Self(text.into()))
            }

            /// The label as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Read(Self::parse))
            }
        }

        text_type!($name, "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", 63);
    };
}

label!(
    /// A tenancy boundary inside the trust domain.
    Namespace,
    "namespace"
);
label!(
    /// The name of a class inside its namespace.
    ClassName,
    "class name"
);
label!(
    /// The name of a pool inside its namespace.
    PoolName,
    "pool name"
);
label!(
    /// The name of a guard inside its namespace.
    GuardName,
    "guard name"
);
label!(
    /// The id of a worker inside its pool.
    WorkerId,
    "worker id"
);
label!(
    /// The name of a node inside the trust domain.
    NodeName,
    "node name"
);
label!(
    /// The id of an actor: unique inside its namespace for ever, whatever its class. Generated ids are ULIDs in lower
    /// case (time-ordered, 128 bit); a caller may propose any DNS label that was never used before.
    ActorId,
    "actor id"
);

/// Reads a label from text without a copy in between.
struct Read<T>(fn(&str) -> Result<T, InvalidText>);

impl<T> serde::de::Visitor<'_> for Read<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

impl ActorId {
    /// A new id: 48 bits of time and 80 bits of entropy.
    pub fn generate(now: Timestamp, entropy: [u8; ID_ENTROPY_BYTES]) -> Self {
        Self::from_ulid(ulid(now, entropy).0)
    }

    /// The id that a ULID of this number is, in lower case.
    pub(crate) fn from_ulid(number: u128) -> Self {
        let mut text = [0; ulid::ULID_LEN];
        let text = ulid::Ulid(number).array_to_str(&mut text);
        text.make_ascii_lowercase();
        Self(SmolStr::new(text))
    }

    /// The number of the ULID that this id is, if it is one in its canonical form.
    pub(crate) fn as_ulid(&self) -> Option<u128> {
        let found = ulid::Ulid::from_string(&self.0).ok()?;
        let mut text = [0; ulid::ULID_LEN];
        let canonical = found.array_to_str(&mut text);
        canonical.eq_ignore_ascii_case(&self.0).then_some(found.0)
    }

    /// An id that was checked before.
    pub(crate) fn trusted(text: &str) -> Self {
        Self(SmolStr::new(text))
    }
}

impl WorkerId {
    /// The id of a worker that exists only for one process tree (`credence run`).
    pub fn generate(now: Timestamp, entropy: [u8; ID_ENTROPY_BYTES]) -> Self {
        Self(format!("run-{}", ulid(now, entropy).to_string().to_ascii_lowercase()).into())
    }
}

ulid_id!(
    /// The id of one binding: a ULID, written in lower case. Names sockets and directories on a node, so it is never
    /// reused either.
    BindingId,
    "binding id"
);
ulid_id!(
    /// The id of a delegation: a ULID, written in lower case.
    DelegationId,
    "delegation id"
);
ulid_id!(
    /// The id of a decision: a ULID, written in lower case.
    DecisionId,
    "decision id"
);

/// A SHA-256 digest: of a class revision, a public key (its SubjectPublicKeyInfo), a state archive, a join token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Reads 64 hexadecimal digits in lower case, with or without `sha256:` before them.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let wrong = || InvalidText::new("digest", text, "expected sha256: and 64 hexadecimal digits in lower case");
        if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| wrong())?;
        Ok(Self(bytes))
    }

    /// The first 16 bytes, which still do not collide by chance: for what is kept in great numbers.
    pub(crate) fn half(&self) -> [u8; 16] {
        let mut half = [0; 16];
        half.iter_mut().zip(self.0).for_each(|(to, from)| *to = from);
        half
    }

    /// The first 12 hexadecimal digits, for people.
    pub fn short(&self) -> String {
        hex::encode(self.0).chars().take(12).collect()
    }

    /// All 64 hexadecimal digits, without a prefix.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.short())
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return self.0.serialize(serializer);
        }
        // It stands in every credential, so it is written without a detour over the heap.
        let mut text = *b"sha256:0000000000000000000000000000000000000000000000000000000000000000";
        let digits = text.split_at_mut("sha256:".len()).1;
        hex::encode_to_slice(self.0, digits).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(std::str::from_utf8(&text).map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            Self::parse(&text).map_err(serde::de::Error::custom)
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Self)
        }
    }
}

impl<C> Encode<C> for Digest {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Digest {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let bytes = d.bytes()?;
        bytes.try_into().map(Self).map_err(|_| minicbor::decode::Error::message("a digest has 32 bytes"))
    }
}

impl JsonSchema for Digest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" })
    }
}

/// An actor's binding number: 1 at the first binding, +1 at every later one, carried in every credential.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Encode,
    Decode,
    JsonSchema,
)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct Epoch(#[n(0)] pub u64);

impl Epoch {
    /// The epoch of the next binding.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! reference {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $n:literal),+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[cbor(array)]
        pub struct $name {
            $($(#[$field_doc])* #[n($n)] pub $field: $type,)+
        }
    };
}

reference!(
    /// A class, by namespace and name.
    ClassRef {
        /// Its namespace.
        namespace: Namespace = 0,
        /// Its name there.
        class: ClassName = 1
    }
);
reference!(
    /// A pool, by namespace and name.
    PoolRef {
        /// Its namespace.
        namespace: Namespace = 0,
        /// Its name there.
        pool: PoolName = 1
    }
);
reference!(
    /// A guard, by namespace and name.
    GuardRef {
        /// Its namespace.
        namespace: Namespace = 0,
        /// Its name there.
        guard: GuardName = 1
    }
);
reference!(
    /// A worker, by its pool and id.
    WorkerRef {
        /// The pool it belongs to.
        pool: PoolRef = 0,
        /// Its id there.
        worker: WorkerId = 1
    }
);
reference!(
    /// An actor, by namespace and id.
    ActorRef {
        /// Its namespace.
        namespace: Namespace = 0,
        /// Its id there.
        actor: ActorId = 1
    }
);

impl fmt::Display for ClassRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.class)
    }
}

impl fmt::Display for PoolRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.pool)
    }
}

impl fmt::Display for GuardRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.guard)
    }
}

impl fmt::Display for WorkerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.pool, self.worker)
    }
}

impl fmt::Display for ActorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.actor)
    }
}

fn split_two<'t>(what: &'static str, text: &'t str) -> Result<(&'t str, &'t str), InvalidText> {
    text.split_once('/').ok_or_else(|| InvalidText::new(what, text, "expected NAMESPACE/NAME"))
}

impl std::str::FromStr for ClassRef {
    type Err = InvalidText;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, class) = split_two("class", text)?;
        Ok(Self { namespace: namespace.parse()?, class: class.parse()? })
    }
}

impl std::str::FromStr for PoolRef {
    type Err = InvalidText;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, pool) = split_two("pool", text)?;
        Ok(Self { namespace: namespace.parse()?, pool: pool.parse()? })
    }
}

impl std::str::FromStr for GuardRef {
    type Err = InvalidText;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, guard) = split_two("guard", text)?;
        Ok(Self { namespace: namespace.parse()?, guard: guard.parse()? })
    }
}

impl std::str::FromStr for WorkerRef {
    type Err = InvalidText;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (pool, worker) =
            text.rsplit_once('/').ok_or_else(|| InvalidText::new("worker", text, "expected NAMESPACE/POOL/WORKER"))?;
        Ok(Self { pool: pool.parse()?, worker: worker.parse()? })
    }
}

impl std::str::FromStr for ActorRef {
    type Err = InvalidText;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, actor) = split_two("actor", text)?;
        Ok(Self { namespace: namespace.parse()?, actor: actor.parse()? })
    }
}
