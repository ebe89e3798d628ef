//! Lists: in pages, ordered by name.

use crate::app::App;
use credence_model::actor::Actor;
use credence_model::actors::Actors;
use credence_model::delegation::Delegation;
use credence_model::delegations::Delegations;
use credence_model::guard::Guard;
use credence_model::guards::Guards;
use credence_model::id::{ActorRef, DelegationId, GuardRef};
use credence_model::refusal::{Kind, Refusal};
use credence_model::state::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
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
const LOOK_ITEMS_MAX: usize = 2_000;

/// Items and their names, in order.
pub(crate) type InOrder<'s, K, V> = Box<dyn Iterator<Item = (K, Cow<'s, V>)> + 's>;

/// What is kept in order of its names, and read from a name on.
pub(crate) trait Ordered: 'static {
    /// The names.
    type Name: Ord + Clone + Display + FromStr<Err: Display> + Send + 'static;
    /// What is named.
    type Item: Clone;

    /// Items and their names from `begin` on.
    fn from<'s>(&'s self, begin: Bound<Self::Name>) -> InOrder<'s, Self::Name, Self::Item>;
}

impl<K, V> Ordered for BTreeMap<K, V>
where
    K: Ord + Clone + Display + FromStr<Err: Display> + Send + 'static,
    V: Clone + 'static,
{
    type Name = K;
    type Item = V;

    fn from<'s>(&'s self, begin: Bound<K>) -> InOrder<'s, K, V> {
        Box::new(self.range((begin, Bound::Unbounded)).map(|(name, item)| (name.clone(), Cow::Borrowed(item))))
    }
}

impl Ordered for Actors {
    type Name = ActorRef;
    type Item = Actor;

    fn from<'s>(&'s self, begin: Bound<ActorRef>) -> InOrder<'s, ActorRef, Actor> {
        Box::new(Actors::from(self, begin).map(|actor| (actor.actor.clone(), actor)))
    }
}

impl Ordered for Delegations {
    type Name = DelegationId;
    type Item = Delegation;

    fn from<'s>(&'s self, begin: Bound<DelegationId>) -> InOrder<'s, DelegationId, Delegation> {
        Box::new(Delegations::from(self, begin).map(|delegation| (delegation.id, Cow::Owned(delegation))))
    }
}

impl Ordered for Guards {
    type Name = GuardRef;
    type Item = Guard;

    fn from<'s>(&'s self, begin: Bound<GuardRef>) -> InOrder<'s, GuardRef, Guard> {
        Box::new(Guards::from(self, begin).map(|guard| (guard.guard.clone(), Cow::Borrowed(guard))))
    }
}

/// What a list is about: items of the registry, in order of their names.
pub(crate) trait Source: Clone + Send + 'static {
    /// The names.
    type Name: Ord + Clone + Display + FromStr<Err: Display> + Send + 'static;
    /// What is named.
    type Item: Clone;

    /// Items and their names from `begin` on.
    fn from<'s>(&'s self, state: &'s State, begin: Bound<Self::Name>) -> InOrder<'s, Self::Name, Self::Item>;
}

/// Everything in a part of the registry.
struct All<M>(fn(&State) -> &M);

impl<M> Clone for All<M> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl<M: Ordered> Source for All<M> {
    type Name = M::Name;
    type Item = M::Item;

    fn from<'s>(&'s self, state: &'s State, begin: Bound<M::Name>) -> InOrder<'s, M::Name, M::Item> {
        (self.0)(state).from(begin)
    }
}

/// Collects one page: the items of `map(state)` after `after` for which `view` gives something.
pub(crate) async fn page<M: Ordered, T: Send + 'static>(
    app: &App,
    limit: Option<usize>,
    after: Option<&str>,
    map: fn(&State) -> &M,
    view: impl Fn(&State, &M::Item) -> Option<T> + Clone + Send + 'static,
) -> Result<Listed<T>, Refusal> {
    page_of(app, limit, after, All(map), view).await
}

/// The same of any source.
pub(crate) async fn page_of<S: Source, T: Send + 'static>(
    app: &App,
    limit: Option<usize>,
    after: Option<&str>,
    source: S,
    view: impl Fn(&State, &S::Item) -> Option<T> + Clone + Send + 'static,
) -> Result<Listed<T>, Refusal> {
    let limit = limit.unwrap_or(PAGE_ITEMS_DEFAULT);
    if !(1..=PAGE_ITEMS_MAX).contains(&limit) {
        let message = format!("{limit} is not from 1 to {PAGE_ITEMS_MAX}");
        return Err(Refusal::new(Kind::Malformed, message).field("limit"));
    }
    let read = |text: &str| text.parse().map_err(|error: <S::Name as FromStr>::Err| malformed_after(&error));
    let mut after: Option<S::Name> = after.map(read).transpose()?;
    let mut items = Vec::new();
    loop {
        let (source, view, begin, room) = (source.clone(), view.clone(), after.take(), limit - items.len());
        let (found, last) = app.cell.read(move |state| look(state, &source, begin, room, view)).await?;
        items.extend(found);
        match last {
            Some(last) if items.len() < limit => after = Some(last),
            last => return Ok(Listed { items, next: last.map(|last| last.to_string()) }),
        }
    }
}

/// What one look finds, and the key it came to if there may be more.
fn look<S: Source, T>(
    state: &State,
    source: &S,
    begin: Option<S::Name>,
    room: usize,
    view: impl Fn(&State, &S::Item) -> Option<T>,
) -> (Vec<T>, Option<S::Name>) {
    let mut found = Vec::new();
    let begin = begin.map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = source.from(state, begin).peekable();
    let mut passed = 0;
    while let Some((key, value)) = rest.next() {
        found.extend(view(state, &value));
        passed += 1;
        if found.len() == room || passed == LOOK_ITEMS_MAX {
            return (found, rest.peek().map(|_| key));
        }
    }
    (found, None)
}

fn malformed_after(error: &impl Display) -> Refusal {
    Refusal::new(Kind::Malformed, error.to_string()).field("after").hint("Pass what `next` said")
}
