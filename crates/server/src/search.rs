//! What may be done, of all that could be asked: which actors, which actions, which resources. Each of them is decided by the
//! engine that decides questions, so that what is found is what a question would be answered.
//!
//! Nothing is used up or recorded: nobody may do anything because it was found.

use crate::app::App;
use crate::asker::Asker;
use credence_model::budget::Budgets;
use credence_model::class::ClassSpec;
use credence_model::guards::Guards;
use credence_model::id::{ActorId, ActorRef, ClassRef, Digest, Namespace};
use credence_model::permission::Permission;
use credence_model::permission::question::{Facts, Question};
use credence_model::permission::target::{Name, Resource};
use credence_model::refusal::{Kind, Refusal};
use credence_model::state::State;
use credence_model::time::Timestamp;
use credence_policy::asked::Asked;
use credence_policy::brief::{Ancestor, Brief};
use credence_policy::decision::decide;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

/// Most that is decided for one page; whoever wants the rest asks for the next.
pub(crate) const DECIDED_MAX: usize = 4_096;
/// Most actors that one look at the registry is about, and most decisions before somebody else has a turn.
const AT_ONCE: usize = 64;
/// How often policies are compiled before a search gives up.
const TRIES: usize = 3;

/// What is found, and behind what the search goes on.
#[derive(Debug)]
pub(crate) struct Found<T> {
    pub(crate) all: Vec<T>,
    /// The last that was looked at; nothing follows if missing.
    pub(crate) until: Option<T>,
}

/// Where a page begins, and how much there is room for.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) after: Option<T>,
    pub(crate) limit: usize,
}

/// What is said of a request beside what is searched for.
#[derive(Debug)]
pub(crate) struct Around {
    pub(crate) properties: Facts,
    pub(crate) context: Facts,
}

/// What the registry says of some actors at one moment.
struct Seen {
    briefs: Vec<Brief>,
    guards: Guards,
    budgets: Budgets,
    now: Timestamp,
}

/// The actors that may do it, of those that may be asked about: all of the registry, or those of a namespace.
pub(crate) async fn subjects(
    app: &App,
    asker: &mut Asker,
    of: Option<Namespace>,
    (action, resource): (Name, Resource),
    around: &Around,
    page: Page<ActorRef>,
) -> Result<Found<ActorRef>, Refusal> {
    let (mut all, mut after, mut decided) = (Vec::new(), page.after, 0);
    let question = question(&action, &resource, around);
    while all.len() < page.limit && decided < DECIDED_MAX {
        let from = (of.clone(), after.clone(), AT_ONCE);
        let seen = see(app, move |state| following(state, &from)).await?;
        if seen.briefs.is_empty() {
            return Ok(Found { all, until: None });
        }
        decided += seen.briefs.len();
        for brief in &seen.briefs {
            // Of others nothing is said, not even that they are there.
            let is_meant = match asker.may_ask_of(app, &brief.actor, &brief.class).await {
                Err(refusal) if refusal.kind != Kind::Denied => return Err(refusal),
                may => may.is_ok(),
            };
            if is_meant && seen.allows(brief, &question) {
                all.push(brief.actor.clone());
            }
            after = Some(brief.actor.clone());
            if all.len() == page.limit {
                break;
            }
        }
    }
    Ok(Found { all, until: after })
}

/// The actions that an actor may do to a resource, of those that its layers name. `*` names none.
pub(crate) async fn actions(
    app: &App,
    who: (ActorRef, Option<ClassRef>),
    resource: Resource,
    around: &Around,
    page: Page<Name>,
) -> Result<Found<Name>, Refusal> {
    let Some(seen) = see_one(app, who).await? else { return Ok(Found { all: Vec::new(), until: None }) };
    let mut named = BTreeSet::new();
    for brief in seen.chain() {
        let targets = lines(brief).map(|line| &line.target).filter(|target| target.kind == resource.kind);
        named.extend(targets.filter_map(|target| target.action.clone()));
        let (actions, _) = brief.policies.as_ref().map(|policies| policies.named()).unwrap_or_default();
        named.extend(actions.iter().filter_map(|action| Name::parse(action).ok()));
    }
    seen.sift(named, |action| question(action, &resource, around), page).await
}

/// The resources of a kind to which an actor may do something, of those that its layers name exactly. A pattern names none.
pub(crate) async fn resources(
    app: &App,
    who: (ActorRef, Option<ClassRef>),
    (action, kind): (Name, Name),
    around: &Around,
    page: Page<Resource>,
) -> Result<Found<Resource>, Refusal> {
    let Some(seen) = see_one(app, who).await? else { return Ok(Found { all: Vec::new(), until: None }) };
    let mut named = BTreeSet::new();
    let guarding = seen.guards.all().flat_map(|guard| &guard.spec.allow);
    let guarding = guarding.map(|line| &line.target).filter(|target| target.kind == kind);
    named.extend(guarding.filter_map(|target| Resource::new(kind.clone(), target.id.as_str()).ok()));
    for brief in seen.chain() {
        let targets = lines(brief).map(|line| &line.target).filter(|target| target.kind == kind);
        let exact = targets.filter_map(|target| Resource::new(kind.clone(), target.id.as_str()).ok());
        named.extend(exact);
        let (_, resources) = brief.policies.as_ref().map(|policies| policies.named()).unwrap_or_default();
        let of_kind = resources.iter().filter_map(|text| text.split_once('/').filter(|(of, _)| *of == kind.as_str()));
        named.extend(of_kind.filter_map(|(_, id)| Resource::new(kind.clone(), id).ok()));
    }
    seen.sift(named, |resource| question(&action, resource, around), page).await
}

fn question(action: &Name, resource: &Resource, around: &Around) -> Question {
    let Around { properties, context } = around;
    Question {
        action: action.clone(),
        resource: resource.clone(),
        context: context.clone(),
        properties: properties.clone(),
        // When it is asked is said when it is.
        at: Timestamp::default(),
    }
}

/// Every line that a layer of an actor allows, but none of its ancestors.
fn lines(brief: &Brief) -> impl Iterator<Item = &Permission> {
    let delegated = brief.delegations.iter().flat_map(|found| &found.terms.allow);
    brief.spec.permissions.allow.iter().chain(&brief.only).chain(delegated)
}

/// The next actors by their names.
fn following(state: &State, (of, after, most): &(Option<Namespace>, Option<ActorRef>, usize)) -> Vec<ActorRef> {
    let begin = match (after, of) {
        (Some(after), _) => Bound::Excluded(after.clone()),
        (None, Some(namespace)) => first_of(namespace),
        (None, None) => Bound::Unbounded,
    };
    let is_meant = |actor: &ActorRef| of.as_ref().is_none_or(|of| *of == actor.namespace);
    let names = state.actors.from(begin).map(|actor| actor.actor.clone());
    names.take_while(is_meant).take(*most).collect()
}

/// Where the actors of a namespace begin: no id is before this one.
fn first_of(namespace: &Namespace) -> Bound<ActorRef> {
    let first = |actor| ActorRef { namespace: namespace.clone(), actor };
    ActorId::parse("0").map_or(Bound::Unbounded, |id| Bound::Included(first(id)))
}

async fn see_one(app: &App, (actor, class): (ActorRef, Option<ClassRef>)) -> Result<Option<Seen>, Refusal> {
    let seen = see(app, move |_| vec![actor.clone()]).await?;
    let is_meant = |brief: &Brief| class.as_ref().is_none_or(|class| *class == brief.class);
    Ok(seen.briefs.first().is_some_and(is_meant).then_some(seen))
}

/// What the registry says of these actors now, with their policies ready. Who does not exist is left out.
async fn see(app: &App, which: impl Fn(&State) -> Vec<ActorRef> + Clone + Send + 'static) -> Result<Seen, Refusal> {
    for _ in 0..TRIES {
        let (now, which, compiled) = (app.clock.now(), which.clone(), app.policies.clone());
        let look = move |state: &State| {
            if let Some(hold) = &state.hold {
                return Err(hold.refusal());
            }
            let brief = |actor: &ActorRef| Brief::of(state, actor, &|digest| compiled.of(digest));
            let briefs = which(state).iter().filter_map(brief).collect();
            Ok(Seen { briefs, guards: state.guards.clone(), budgets: state.budgets.clone(), now })
        };
        let seen: Seen = app.cell.read(look).await??;
        let uncompiled: Vec<(Digest, Arc<ClassSpec>)> = seen.briefs.iter().flat_map(Brief::uncompiled).collect();
        if uncompiled.is_empty() {
            return Ok(seen);
        }
        for (digest, spec) in uncompiled {
            app.policies.compile(digest, spec).await?;
        }
    }
    Err(Refusal::new(Kind::Unavailable, "classes change all the time").retry_after_ms(100))
}

impl Seen {
    /// The first actor and its ancestors.
    fn chain(&self) -> impl Iterator<Item = &Brief> {
        std::iter::successors(self.briefs.first(), |brief| match &brief.parent {
            Some(Ancestor::Known(parent)) => Some(parent),
            Some(Ancestor::Deleted(_)) | None => None,
        })
    }

    fn allows(&self, brief: &Brief, question: &Question) -> bool {
        let spent = |actor: &ActorRef, budget, since| self.budgets.taken(actor, budget, since);
        decide(brief, &Question { at: self.now, ..question.clone() }, &self.guards, &spent).allowed
    }

    /// Those of what is named that are allowed to the first actor.
    async fn sift<T: Ord + Clone>(
        &self,
        named: BTreeSet<T>,
        question: impl Fn(&T) -> Question,
        page: Page<T>,
    ) -> Result<Found<T>, Refusal> {
        let Some(brief) = self.briefs.first() else { return Ok(Found { all: Vec::new(), until: None }) };
        let (mut all, mut until) = (Vec::new(), page.after.clone());
        let begin = page.after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = named.range((begin, Bound::Unbounded));
        for decided in 0..DECIDED_MAX {
            if all.len() >= page.limit {
                break;
            }
            let Some(one) = rest.next() else { return Ok(Found { all, until: None }) };
            if self.allows(brief, &question(one)) {
                all.push(one.clone());
            }
            until = Some(one.clone());
            if decided % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
        }
        Ok(Found { all, until: until.filter(|_| rest.next().is_some()) })
    }
}

impl Around {
    /// Reads what is said beside what is searched for, within the limits of a question.
    pub(crate) fn read(properties: &serde_json::Value, context: &serde_json::Value) -> Result<Self, Refusal> {
        Asked::check_size(properties, context)?;
        Ok(Self {
            properties: Asked::facts("resource.properties", properties)?,
            context: Asked::facts("context", context)?,
        })
    }
}
