//! Who asks, and about whom it may: an administrator about everybody, an actor about itself and about those whose class its own
//! lets it decide about (`decide agent/NAMESPACE/CLASS`).

use crate::app::App;
use crate::judge::{may_ask, no_actor};
use credence_model::caller::Caller;
use credence_model::id::{ActorRef, ClassRef};
use credence_model::refusal::{Kind, Refusal};
use credence_model::state::class_ref;
use credence_model::template::Named;
use std::collections::HashMap;

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    /// As the journal names it.
    pub(crate) caller: Caller,
    /// The actor that it is; an administrator if missing.
    actor: Option<ActorRef>,
    /// About which classes it may ask, as far as that was found out.
    classes: HashMap<ClassRef, Result<(), Refusal>>,
}

impl Asker {
    /// Rows for workloads and administrators always have a caller.
    pub(crate) fn of(app: &App, caller: &Option<Caller>) -> Result<Self, Refusal> {
        let caller = caller.clone().ok_or_else(|| Refusal::new(Kind::Bug, "a question without a caller"))?;
        let actor = match &caller {
            Caller::Svid { id } if !app.administrators.has_id(id) => match app.templates.read(id) {
                Some(Named::Actor(_, actor)) => Some(actor),
                _ => return Err(Refusal::new(Kind::Denied, "only actors and administrators ask")),
            },
            Caller::Svid { .. } => None,
            Caller::Local { uid } if app.administrators.has_uid(*uid) => None,
            _ => return Err(Refusal::new(Kind::Denied, "only actors and administrators ask")),
        };
        Ok(Self { caller, actor, classes: HashMap::new() })
    }

    /// Whether it may ask about an actor.
    pub(crate) async fn may_ask(&mut self, app: &App, about: &ActorRef) -> Result<(), Refusal> {
        if self.actor.as_ref().is_none_or(|asker| asker == about) {
            return Ok(());
        }
        let name = about.clone();
        let class = app.cell.glance(move |state| state.actors.get(&name).map(|found| class_ref(&found))).await?;
        let class = class.ok_or_else(|| no_actor(about).field("subject.id"))?;
        self.may_ask_of(app, about, &class).await
    }

    /// The same of an actor of this class.
    pub(crate) async fn may_ask_of(&mut self, app: &App, about: &ActorRef, class: &ClassRef) -> Result<(), Refusal> {
        let Some(asker) = self.actor.as_ref().filter(|asker| *asker != about) else { return Ok(()) };
        if let Some(known) = self.classes.get(class) {
            return known.clone();
        }
        let may = match may_ask(app, asker, about, class).await {
            Err(refusal) if refusal.kind != Kind::Denied => return Err(refusal),
            may => may,
        };
        self.classes.insert(class.clone(), may.clone());
        may
    }
}
