//! Members that an object names twice: they mean two things (threat T12), and whoever reads them would silently take one.

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Room for as many names as most bodies have.
const NAMES: usize = 32;

/// Reads any JSON and keeps nothing, but refuses an object that names a member twice.
pub(super) struct Members;

/// A member's name, where it stands unless it is written with escapes: `Cow` alone would copy it. Transparent, or whoever
/// notes the path of what is wrong would not see it.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut names = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            let _: Members = map.next_value()?;
            names.push(name);
        }
        if let Some(twice) = twice(&mut names) {
            return Err(A::Error::custom(format!("the member `{}` appears twice", twice.escape_debug())));
        }
        Ok(Members)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Members, A::Error> {
        while items.next_element::<Members>()?.is_some() {}
        Ok(Members)
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<Members, E> {
        Ok(Members)
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<Members, E> {
        Ok(Members)
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<Members, E> {
        Ok(Members)
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<Members, E> {
        Ok(Members)
    }
    fn visit_str<E: Error>(self, _: &str) -> Result<Members, E> {
        Ok(Members)
    }
    fn visit_unit<E: Error>(self) -> Result<Members, E> {
        Ok(Members)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Members, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Members)
    }
}

/// Whether an object in this JSON, which can be read, may name a member twice; if not, none does. Which strings are names is all
/// that is looked for, so it takes a fifth of what reading takes. What a name with an escape says is not told here.
pub(super) fn may_repeat(json: &[u8]) -> bool {
    let (mut names, mut begun, mut rest) = (Vec::with_capacity(NAMES), Vec::with_capacity(NAMES), json);
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match first {
            b'{' => begun.push(names.len()),
            b'}' => {
                let begin = begun.pop().unwrap_or_default();
                let own = names.get_mut(begin..).unwrap_or_default();
                if twice(own).is_some() {
                    return true;
                }
                names.truncate(begin);
            }
            b'"' => {
                let Some((text, behind)) = string(rest) else { return true };
                rest = behind.trim_ascii_start();
                if rest.first() == Some(&b':') {
                    names.push(text);
                }
            }
            _ => {}
        }
    }
    false
}

/// A string without escapes whose first quote is read, and what is behind it.
fn string(json: &[u8]) -> Option<(&[u8], &[u8])> {
    let (text, behind) = json.split_at_checked(json.iter().position(|byte| matches!(byte, b'"' | b'\\'))?)?;
    Some((text, behind.strip_prefix(b"\"")?))
}

/// One that is there twice. Not compared one by one: a body may name many.
fn twice<T: Ord>(names: &mut [T]) -> Option<&T> {
    names.sort_unstable();
    names.array_windows().find_map(|[name, next]| (name == next).then_some(name))
}

#[cfg(test)]
mod tests {
    use super::{Members, may_repeat};
    use proptest::prelude::*;

    fn is_refused(json: &str) -> bool {
        serde_json::from_str::<Members>(json).is_err()
    }

    #[test]
    fn only_names_of_one_object_are_compared() {
        for (json, is_twice) in [
            (r#"{}"#, false),
            (r#"{"a":1,"b":"a","c":["a","a"],"d":{"a":{"a":1}},"e":[{"a":1},{"a":2}]}"#, false),
            (r#"{"a":1,"a":2}"#, true),
            ("{\"a\" \n: 1, \"b\": {}, \"a\"\t:2}", true),
            (r#"{"x":[{"b":{"a":"}","c":"{","a":0}}]}"#, true),
            (r#"{"a":{"a":1},"a":{"a":1}}"#, true),
        ] {
            assert_eq!((is_refused(json), may_repeat(json.as_bytes())), (is_twice, is_twice), "{json}");
        }
        assert!(may_repeat(br#"{"a":1,"\u0061":2}"#), "it is not told here");
        assert!(may_repeat(br#"{"a":"\""}"#));
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf =
            prop::sample::select(vec!["1", "-0.5e3", "true", "null", r#""""#, r#""a""#, r#""{[:,]}""#, r#""ä""#]);
        leaf.prop_map(str::to_owned).prop_recursive(4, 24, 4, |inner| {
            let space = prop::sample::select(vec!["", " ", "\n\t"]);
            let name = prop::sample::select(vec!["a", "b", "", ":", "}", "ä", "a b"]);
            let member = (name, space, inner.clone())
                .prop_map(|(name, space, value)| format!("{space}\"{name}\"{space}:{value}"));
            prop_oneof![
                prop::collection::vec(member, 0..4).prop_map(|all| format!("{{{}}}", all.join(","))),
                prop::collection::vec(inner, 0..4).prop_map(|all| format!("[{}]", all.join(" ,"))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_looked_for_quickly_is_what_is_refused(json in json()) {
            prop_assert_eq!(may_repeat(json.as_bytes()), is_refused(&json), "{}", json);
        }
    }
}
