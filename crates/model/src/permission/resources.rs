//! Resources of a kind, as somebody answers for them: `tool/expenses/**`, `host/**.example.org`.

use super::target::{Name, Pattern, Resource, Target};
use crate::text::{InvalidText, text_type};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// Longest text, in bytes: a kind, a slash and a name.
pub const RESOURCES_BYTES_MAX: usize = 576;

/// Resources of a kind, named exactly or by whole segments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Resources {
    text: SmolStr,
    /// Of which kind.
    pub kind: Name,
    /// Which of them.
    pub id: Pattern,
}

impl Resources {
    /// Reads `KIND/NAME`, with `*` and `**` in the name as in a permission.
    ///
    /// # Errors
    /// If it is not that.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        let no_kind = || InvalidText::new("resource", text, "expected KIND/NAME, e.g. tool/expenses/**");
        let (kind, id) = text.split_once('/').ok_or_else(no_kind)?;
        let kind = Name::parse(kind)?;
        let id = Pattern::parse(&kind, id)?;
        Ok(Self { text: text.into(), kind, id })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this one is among them.
    pub fn cover(&self, resource: &Resource) -> bool {
        self.kind == resource.kind && self.id.covers(resource)
    }

    /// Whether all that a permission is about is among them.
    pub fn contain(&self, target: &Target) -> bool {
        self.kind == target.kind && self.id.contains(&self.kind, &target.id)
    }

    /// Whether something that a permission is about is among them.
    pub fn meet(&self, target: &Target) -> bool {
        self.kind == target.kind && self.id.overlaps(&self.kind, &target.id)
    }

    /// Whether something is among these and those.
    pub fn overlap(&self, other: &Self) -> bool {
        self.kind == other.kind && self.id.overlaps(&self.kind, &other.id)
    }

    /// Where to look for them: the kind, and the segments before the first that is not said.
    pub(crate) fn place(&self) -> SmolStr {
        let said = self.id.segments(&self.kind).into_iter().take_while(|segment| !segment.starts_with('*'));
        places(&self.kind, said).last().unwrap_or_default()
    }
}

impl Resource {
    /// Where patterns that cover it can be: one place more than it has segments.
    pub(crate) fn places(&self) -> impl Iterator<Item = SmolStr> + '_ {
        places(&self.kind, self.segments().into_iter())
    }
}

/// The kind, then with each segment more. A segment of a host's name has no slash either, so each place has one text.
fn places<'a>(kind: &Name, segments: impl Iterator<Item = &'a str>) -> impl Iterator<Item = SmolStr> {
    let mut place = kind.as_str().to_owned();
    let more = segments.map(|segment| format!("/{segment}")).collect::<Vec<_>>();
    std::iter::once(String::new()).chain(more).map(move |more| {
        place.push_str(&more);
        SmolStr::from(place.as_str())
    })
}

text_type!(Resources, "^[a-z][a-z0-9_-]*/.+$", RESOURCES_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::{Name, Resource, Resources};

    fn resource(text: &str) -> Resource {
        let (kind, id) = text.split_once('/').expect("a kind");
        Resource::new(Name::parse(kind).expect("a kind"), id).expect("a resource")
    }

    #[test]
    fn whatever_covers_a_resource_is_in_one_of_its_places() {
        for (resources, inside, outside) in [
            ("tool/**", "tool/a/b", "model/a/b"),
            ("tool/a/**", "tool/a/b/c", "tool/ab/c"),
            ("tool/a/*", "tool/a/b", "tool/a/b/c"),
            ("tool/*/b", "tool/a/b", "tool/a/c"),
            ("tool/a/b", "tool/a/b", "tool/a/B"),
            ("host/**.example.org", "host/api.example.org", "host/api.example.org.evil.test"),
            ("host/example.org", "host/example.org", "host/www.example.org"),
        ] {
            let all = Resources::parse(resources).expect(resources);
            assert_eq!(all.to_string(), resources);
            assert!(all.cover(&resource(inside)) && !all.cover(&resource(outside)), "{resources}");
            assert!(resource(inside).places().any(|place| place == all.place()), "{resources}: {}", all.place());
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for bad in [
            "",
            "tool",
            "tool/",
            "Tool/a",
            "tool/a%2fb",
            "tool/../a",
            "tool/**/a",
            "tооl/a",
            "host/API.org",
            "tool/a b",
        ] {
            assert!(Resources::parse(bad).is_err(), "{bad}");
        }
    }
}
