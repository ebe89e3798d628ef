//! Why an actor has its identity, or why it has none.

use crate::route::{Ask, Route, route};
use crate::who::Who;
use credence_model::explain::{Explanation, explain};
use credence_model::id::ActorRef;
use credence_model::refusal::{Kind, Refusal};
use http::Method;

pub(crate) fn routes() -> Vec<Route> {
    const PATH: &str = "/v1/actors/{namespace}/{id}/explain";
    vec![route(Method::GET, PATH, Who::Admin, "says why an actor has its identity or why not, link by link", read)]
}

async fn read(ask: Ask) -> Result<Explanation, Refusal> {
    let actor = ActorRef { namespace: ask.path("namespace")?, actor: ask.path("id")? };
    let now = ask.app.clock.now();
    let look = move |state: &credence_model::state::State| {
        let found = state.actors.get(&actor).ok_or_else(|| {
            let deleted = if state.is_tombstone(&actor) { " any more; its id is never used again" } else { "" };
            Refusal::new(Kind::NotFound, format!("there is no actor {actor}{deleted}"))
        });
        found.map(|found| explain(state, &found, now))
    };
    ask.app.cell.read(look).await?
}
