//! What is known of a provider's keys, how long that counts, and when to ask again.

use credence_credential::openid::KeySet;
use credence_model::time::Timestamp;
use std::sync::Arc;

/// How long keys count after they were asked for, in seconds: so long a provider may be away before its users are refused,
/// and so long a key that it has withdrawn may still be believed while it is.
pub(super) const KEYS_SECS_MAX: u64 = 3_600;
/// After how long they are asked for again in the background, in seconds.
pub(super) const KEYS_REFRESH_SECS: u64 = 300;
/// How long after the end of an attempt nobody is asked again, whatever tokens say, in milliseconds.
pub(super) const ASK_PAUSE_MS: u64 = 3_000;

/// What is known of a provider's keys.
#[derive(Debug, Default)]
pub(super) struct Cache {
    keys: Arc<KeySet>,
    /// When those keys were asked for.
    as_of: Option<Timestamp>,
    /// When an attempt to ask for them last ended, whatever came of it, and why nothing did.
    tried: Option<(Timestamp, Option<String>)>,
}

/// What is known of one key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is among these.
    Keys(Arc<KeySet>),
    /// The provider does not have it.
    Unknown,
    /// Nobody can say before the provider is asked.
    Ask,
    /// Nobody can say, and the provider is not asked now.
    NotNow {
        /// Why not.
        why: String,
        /// When it is asked again, in milliseconds from now.
        retry_after_ms: u64,
    },
}

impl Cache {
    /// Looks for a key that a token has named since then.
    pub(super) fn find(&self, key_id: &str, since: Timestamp, now: Timestamp) -> Found {
        let is_fresh = self.as_of.is_some_and(|as_of| now.ms_since(as_of) <= KEYS_SECS_MAX * 1000);
        if is_fresh && self.keys.has(key_id) {
            return Found::Keys(Arc::clone(&self.keys));
        }
        if is_fresh && self.as_of.is_some_and(|as_of| as_of >= since) {
            return Found::Unknown;
        }
        match &self.tried {
            Some((at, why)) if now.ms_since(*at) < ASK_PAUSE_MS => Found::NotNow {
                why: why.clone().unwrap_or_else(|| "they were asked for a moment ago, without the token's kid".into()),
                retry_after_ms: ASK_PAUSE_MS - now.ms_since(*at),
            },
            _ => Found::Ask,
        }
    }

    /// Whether it is time to ask without being asked.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let is_over = |at: Timestamp, ms: u64| now.ms_since(at) >= ms;
        self.as_of.is_none_or(|as_of| is_over(as_of, KEYS_REFRESH_SECS * 1000))
            && self.tried.as_ref().is_none_or(|(at, _)| is_over(*at, ASK_PAUSE_MS))
    }

    /// Why no token can be verified after this answer, unless that was so already.
    pub(super) fn news<'a>(&self, asked: &'a Result<KeySet, String>) -> Option<&'a str> {
        match asked {
            Ok(keys) if keys.is_empty() => {
                let is_new = self.as_of.is_none() || !self.keys.is_empty();
                is_new.then_some("the key set has no key that tokens are verified with")
            }
            Ok(_) => None,
            Err(why) => (!matches!(&self.tried, Some((_, Some(before))) if before == why)).then_some(why),
        }
    }

    /// What came of asking. The keys are as old as its begin; the pause counts from its end, for a provider that hangs takes
    /// longer than the pause.
    pub(super) fn told(&mut self, asked: Result<KeySet, String>, began: Timestamp, ended: Timestamp) {
        match asked {
            // A set without keys is an answer too: the provider has taken them all away.
            Ok(keys) => {
                (self.keys, self.as_of) = (Arc::new(keys), Some(began));
                self.tried = Some((ended, None));
            }
            Err(why) => self.tried = Some((ended, Some(why))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn keys(ids: &[&str]) -> KeySet {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"; // RFC 8037 §A.2
        let key = |id: &&str| format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","kid":"{id}"}}"#);
        let keys: Vec<_> = ids.iter().map(key).collect();
        KeySet::read(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes()).expect("a key set")
    }

    fn asked(ids: &[&str]) -> Cache {
        let mut cache = Cache::default();
        cache.told(Ok(keys(ids)), T0, T0);
        cache
    }

    #[test]
    fn a_key_is_known_until_it_is_too_old_and_asked_for_long_before() {
        let mut cache = asked(&["a"]);
        let last = T0.plus_secs(KEYS_SECS_MAX);
        assert!(matches!(cache.find("a", last, last), Found::Keys(_)));
        assert!(!cache.is_due(T0.plus_secs(KEYS_REFRESH_SECS - 1)) && cache.is_due(T0.plus_secs(KEYS_REFRESH_SECS)));
        let (refused, other) = (Err("connection refused".to_owned()), Err("no route to host".to_owned()));
        assert_eq!(cache.news(&refused), Some("connection refused"));
        cache.told(refused.clone(), last, last);
        assert_eq!((cache.news(&refused), cache.news(&other)), (None, Some("no route to host")));
        assert!(matches!(cache.find("a", last, last), Found::Keys(_)), "a provider that is away takes nothing away");
        let after = last.plus_ms(1);
        let retry_after_ms = ASK_PAUSE_MS - 1;
        assert_eq!(cache.find("a", after, after), Found::NotNow { why: "connection refused".into(), retry_after_ms });
        let later = last.plus_ms(ASK_PAUSE_MS);
        assert_eq!(cache.find("a", later, later), Found::Ask);
        assert!(cache.is_due(later));
    }

    #[test]
    fn an_unknown_key_is_asked_for_but_not_all_the_time() {
        let cache = asked(&["a"]);
        let soon = T0.plus_ms(10);
        assert!(
            matches!(cache.find("b", soon, soon), Found::NotNow { retry_after_ms, .. } if retry_after_ms == ASK_PAUSE_MS - 10)
        );
        assert_eq!(cache.find("b", T0, soon), Found::Unknown, "the provider was asked after the token had come");
        let later = T0.plus_ms(ASK_PAUSE_MS);
        assert_eq!(cache.find("b", later, later), Found::Ask);
        assert_eq!(Cache::default().find("b", T0, T0), Found::Ask);
    }

    #[test]
    fn a_key_that_the_provider_has_taken_away_is_not_believed_any_more() {
        let mut cache = asked(&["a"]);
        let then = T0.plus_secs(1);
        cache.told(Ok(keys(&["b"])), then, then);
        assert_eq!(cache.find("a", T0, then), Found::Unknown);
        assert!(matches!(cache.find("b", T0, then), Found::Keys(_)));
        let none = Ok(keys(&[]));
        assert!(cache.news(&none).is_some());
        cache.told(none.clone(), then, then);
        assert_eq!(cache.find("b", T0, then), Found::Unknown);
        assert_eq!(cache.news(&none), None);
    }

    #[test]
    fn whoever_waited_for_an_attempt_that_hung_makes_none_of_its_own() {
        let (mut cache, ended) = (Cache::default(), T0.plus_ms(3 * ASK_PAUSE_MS));
        cache.told(Err("no whole answer".into()), T0, ended);
        let found = Found::NotNow { why: "no whole answer".into(), retry_after_ms: ASK_PAUSE_MS };
        assert_eq!(cache.find("a", T0.plus_ms(1), ended), found);
        assert!(!cache.is_due(ended));
        cache.told(Ok(keys(&["a"])), T0, ended);
        let old = T0.plus_ms(KEYS_SECS_MAX * 1000 + 1);
        assert_eq!(cache.find("a", old, old), Found::Ask, "keys are as old as the begin of asking for them");
    }
}
