//! Texts and records of the model.

use super::refused_alike;
use credence_model::event::Entry;
use credence_model::spiffe_id::{SPIFFE_ID_BYTES_MAX, SpiffeId, TrustDomain};
use credence_model::state::State;
use credence_model::template::PathTemplates;

/// A SPIFFE ID is the text it was read from, falls into trust domain and path and is made of them again, and another
/// implementation reads the same.
pub fn spiffe_id(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let theirs = spiffe::SpiffeId::new(text);
    match SpiffeId::parse(text) {
        Ok(id) => {
            assert!(text.len() <= SPIFFE_ID_BYTES_MAX);
            assert_eq!(id.as_str(), text);
            assert_eq!(SpiffeId::from_parts(&id.trust_domain(), id.path()).as_ref(), Ok(&id));
            assert!(id.is_in(&id.trust_domain()));
            assert_eq!(TrustDomain::parse(id.trust_domain().as_str()), Ok(id.trust_domain()));
            let json = serde_json::to_string(&id).expect("JSON");
            assert_eq!(serde_json::from_str::<SpiffeId>(&json).ok().as_ref(), Some(&id));
            let templates = PathTemplates::default();
            assert_eq!(templates.read(&id), templates.read(&id));
            let theirs = theirs.expect("the other implementation accepts it too");
            assert_eq!((theirs.trust_domain_name(), theirs.path()), (id.trust_domain().as_str(), id.path()));
        }
        Err(refusal) => {
            refused_alike(&refusal, SpiffeId::parse(text).expect_err("accepted the second time"));
            // The other one writes upper case in scheme and trust domain small, and leaves some limits of length to its
            // caller. Ours refuses both, and nothing else that the other accepts.
            let known = text.len() > 255 || SpiffeId::parse(&small_until_path(text)).is_ok();
            assert!(theirs.is_err() || known, "only the other implementation accepts {text:?}: {refusal}");
        }
    }
}

fn small_until_path(text: &str) -> String {
    let path = text.match_indices('/').nth(2).map_or(text.len(), |(at, _)| at);
    let (before, path) = text.split_at(path);
    format!("{}{path}", before.to_ascii_lowercase())
}

/// What is read as an entry is written to bytes that are read as the same entry, and written again to the same bytes.
pub fn entry(bytes: &[u8]) {
    match Entry::decode(bytes) {
        Ok(entry) => {
            let written = entry.encode();
            assert!(!written.is_empty(), "an entry that cannot be written: {entry:?}");
            let again = Entry::decode(&written).expect("reads what it wrote");
            assert_eq!(again, entry);
            assert_eq!(again.encode(), written, "two ways to write one entry");
        }
        Err(refusal) => refused_alike(&refusal, Entry::decode(bytes).expect_err("accepted the second time")),
    }
}

/// A registry that is read from a snapshot is written to bytes that give the same registry.
pub fn state(bytes: &[u8]) {
    match State::decode(bytes) {
        Ok(state) => {
            let written = state.encode().expect("a registry that was read can be written");
            let again = State::decode(&written).expect("reads what it wrote");
            assert_eq!(again.encode().expect("written again"), written, "two ways to write one registry");
        }
        Err(refusal) => refused_alike(&refusal, State::decode(bytes).expect_err("accepted the second time")),
    }
}
