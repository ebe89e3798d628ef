//! Lists: in pages, ordered by name.

use crate::app::App;
use credence_model::refusal::{Kind, Refusal};
use credence_model::state::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Bound;
use std::str::FromStr;

/// Most items in one page.
pub const PAGE_ITEMS_MAX: usize = 1000;
/// Items in a page if the caller does not say.
pub const PAGE_ITEMS_DEFAULT: usize = 100;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Listed<T> {
    /// The items, ordered by namespace and name.
    pub items: Vec<T>,
    /// Pass it as `after` to read the next page; missing on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Most items that one look at the registry passes over; a longer search goes on with the next look, so that no list
/// holds up the cell.
const LOOK_ITEMS_MAX: usize = 10_000;

/// Collects one page: the items of `map(state)` after `after` for which `view` gives something.
pub(crate) async fn page<K, V, T>(
    app: &App,
    limit: Option<usize>,
    after: Option<&str>,
    map: fn(&State) -> &BTreeMap<K, V>,
    view: impl Fn(&State, &V) -> Option<T> + Clone + Send + 'static,
) -> Result<Listed<T>, Refusal>
where
    K: Ord + Clone + Display + FromStr<Err: Display> + Send + 'static,
    V: 'static,
    T: Send + 'static,
{
    let limit = limit.unwrap_or(PAGE_ITEMS_DEFAULT);
    if !(1..=PAGE_ITEMS_MAX).contains(&limit) {
        let message = format!("{limit} is not from 1 to {PAGE_ITEMS_MAX}");
        return Err(Refusal::new(Kind::Malformed, message).field("limit"));
    }
    let read = |text: &str| text.parse().map_err(|error: K::Err| malformed_after(&error));
    let mut after: Option<K> = after.map(read).transpose()?;
    let mut items = Vec::new();
    loop {
        let (view, begin, room) = (view.clone(), after.take(), limit - items.len());
        let (found, last) = app.cell.read(move |state| look(state, map(state), begin, room, view)).await?;
        items.extend(found);
        match last {
            Some(last) if items.len() < limit => after = Some(last),
            last => return Ok(Listed { items, next: last.map(|last| last.to_string()) }),
        }
    }
}

/// What one look finds, and the key it came to if there may be more.
fn look<K: Ord + Clone, V, T>(
    state: &State,
    map: &BTreeMap<K, V>,
    begin: Option<K>,
    room: usize,
    view: impl Fn(&State, &V) -> Option<T>,
) -> (Vec<T>, Option<K>) {
    let mut found = Vec::new();
    let begin = begin.map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = map.range((begin, Bound::Unbounded)).peekable();
    let mut passed = 0;
    while let Some((key, value)) = rest.next() {
        found.extend(view(state, value));
        passed += 1;
        if found.len() == room || passed == LOOK_ITEMS_MAX {
            return (found, rest.peek().map(|_| key.clone()));
        }
    }
    (found, None)
}

fn malformed_after(error: &impl Display) -> Refusal {
    Refusal::new(Kind::Malformed, error.to_string()).field("after").hint("Pass what `next` said")
}
