//! One entry of the journal and its canonical bytes.
//!
//! # The canonical bytes of an entry
//! Deterministic CBOR (RFC 8949 §4.2.1): definite lengths, shortest integers, no floats, map keys ascending (numbers by
//! value, texts by their bytes, which differs from §4.2.1 for texts of different length). An entry is the array
//! `[format, index, at_ms, caller, event]`; an event is `[variant, {field: value}]`, where variants and fields have the
//! numbers written below. Numbers are never reused and never change their meaning; a later version adds variants, or
//! optional fields at the end of a variant. The Merkle log is built over exactly these bytes.
//! `docs/formats/entry.md` shows them with an example.

use super::Event;
use crate::caller::Caller;
use crate::time::Timestamp;
use minicbor::{Decode, Encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The format of entries that this version writes.
pub const FORMAT: u8 = 1;

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[cbor(array)]
pub struct Entry {
    /// Always [`FORMAT`] in entries of this version.
    #[n(0)]
    pub format: u8,
    /// Its number, counted from 1 without gaps.
    #[n(1)]
    pub index: u64,
    /// When it was decided.
    #[n(2)]
    pub at: Timestamp,
    /// Who asked.
    #[n(3)]
    pub caller: Caller,
    /// What happened.
    #[n(4)]
    pub event: Event,
}

/// Why stored bytes are not an entry.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// The bytes are not an entry of any known format.
    #[error("not a journal entry: {0}")]
    Malformed(#[source] minicbor::decode::Error),
    /// Another version wrote it.
    #[error("entry {index} has format {format}; this version reads format {FORMAT} only, use a newer one")]
    Format {
        /// The format it has.
        format: u8,
        /// Its number.
        index: u64,
    },
}

impl Entry {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        // Memory takes every byte and no field refuses to be written; should that ever change, an empty entry is one
        // that no reader accepts.
        if minicbor::encode(self, &mut bytes).is_err() {
            bytes.clear();
        }
        bytes
    }

    /// Reads the canonical bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let entry: Self = minicbor::decode(bytes).map_err(EntryError::Malformed)?;
        if entry.format == FORMAT {
            Ok(entry)
        } else {
            Err(EntryError::Format { format: entry.format, index: entry.index })
        }
    }
}
