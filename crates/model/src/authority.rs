//! Authorities: what the trust domain signs with, and which of them are to be believed. Only public material is here;
//! private keys never leave the issuer's files.
//!
//! ```text
//! prepared ──activate──► active ──(another is activated)──► old ──retire──► gone
//!     └────retire──► gone                                    └──taint──► tainted ──► withdrawn ──retire──► gone
//! ```
//!
//! INVARIANTS
//! - Once there is an authority, exactly one is active, and it alone signs.
//! - Everything but a withdrawn authority is in the bundle, so a leaf is believed for as long as it is valid, unless
//!   somebody tainted its authority or retired it by force.
//! - `sequence` rises with every change that nodes have to know of.

use crate::id::Digest;
use crate::time::Timestamp;
use minicbor::{Decode, Encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;

/// Most authorities at once: every one of them is in the bundle that everybody holds.
pub const AUTHORITIES_MAX: usize = 8;
/// Most retired authorities whose id is remembered, so that their left-over files can be told from unknown ones.
pub const RETIRED_MAX: usize = 64;
/// How long what a tainted authority signed may take to be replaced everywhere before the authority leaves the bundle all
/// the same, in seconds.
pub const REISSUE_SECS_MAX: u64 = 60;
/// Largest root certificate in DER, in bytes.
pub const ROOT_BYTES_MAX: usize = 4096;

/// Bytes of a key or certificate in DER; hexadecimal in JSON.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Der(pub Vec<u8>);

impl fmt::Debug for Der {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of DER", self.0.len())
    }
}

impl Serialize for Der {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&hex::encode(&self.0));
        }
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Der {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Vec::deserialize(deserializer).map(Self);
        }
        hex::decode(String::deserialize(deserializer)?).map(Self).map_err(serde::de::Error::custom)
    }
}

impl<C> Encode<C> for Der {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Der {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Ok(Self(d.bytes()?.to_vec()))
    }
}

impl JsonSchema for Der {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Der".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^([0-9a-f]{2})*$" })
    }
}

/// The public half of an authority.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[cbor(map)]
pub struct AuthorityKeys {
    /// The root certificate.
    #[n(0)]
    pub root: Der,
    /// SubjectPublicKeyInfo of the key that signs tokens.
    #[n(1)]
    pub jwt_key: Der,
    /// The `kid` of that key.
    #[n(2)]
    pub jwt_key_id: String,
    /// When the root expires.
    #[n(3)]
    pub not_after: Timestamp,
}

impl AuthorityKeys {
    /// The authority's id: SHA-256 of its root certificate, which is also what join tokens carry.
    pub fn id(&self) -> Digest {
        Digest::of(&self.root.0)
    }
}

/// Where an authority is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum AuthorityState {
    /// In the bundle, and signs nothing yet.
    #[n(0)]
    Prepared,
    /// Signs.
    #[n(1)]
    Active,
    /// Signs no more; what it signed is still believed.
    #[n(2)]
    Old,
    /// Its key is in wrong hands: what it signed is being replaced, and is believed until then.
    #[n(3)]
    Tainted,
    /// Tainted, and out of the bundle: nothing that it signed is believed.
    #[n(4)]
    Withdrawn,
    /// Gone; its files are removed.
    #[n(5)]
    Retired,
}

impl fmt::Display for AuthorityState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prepared => "prepared",
            Self::Active => "active",
            Self::Old => "old",
            Self::Tainted => "tainted",
            Self::Withdrawn => "withdrawn",
            Self::Retired => "retired",
        })
    }
}

/// An authority in the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// Its id.
    pub id: Digest,
    /// Its public half.
    pub keys: AuthorityKeys,
    /// Where it is in its life.
    pub state: AuthorityState,
    /// Since when.
    pub since: Timestamp,
    /// The bundle's sequence at that moment: who holds this one or a later one knows of it.
    pub sequence: u64,
    /// End of the longest-lived credential that it signed.
    pub signed_until: Timestamp,
}

/// All authorities of the trust domain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorities {
    /// Rises with every change.
    pub sequence: u64,
    /// In the order in which they were prepared, without those that are gone.
    pub all: Vec<Authority>,
    /// Ids of those that are gone, the last ones.
    pub retired: VecDeque<Digest>,
}

impl Authorities {
    /// The one with this id.
    pub fn find(&self, id: &Digest) -> Option<&Authority> {
        self.all.iter().find(|authority| authority.id == *id)
    }

    /// The one that signs.
    pub fn active(&self) -> Option<&Authority> {
        self.in_state(AuthorityState::Active)
    }

    /// The one that is prepared.
    pub fn prepared(&self) -> Option<&Authority> {
        self.in_state(AuthorityState::Prepared)
    }

    /// Those that the bundle holds, the one that signs first.
    pub fn in_bundle(&self) -> impl Iterator<Item = &Authority> {
        let others = |authority: &&Authority| {
            !matches!(authority.state, AuthorityState::Active | AuthorityState::Withdrawn | AuthorityState::Retired)
        };
        self.active().into_iter().chain(self.all.iter().filter(others))
    }

    /// Those whose signatures are to be replaced at once.
    pub fn tainted(&self) -> impl Iterator<Item = &Authority> {
        self.all.iter().filter(|authority| authority.state == AuthorityState::Tainted)
    }

    fn in_state(&self, state: AuthorityState) -> Option<&Authority> {
        self.all.iter().find(|authority| authority.state == state)
    }
}
