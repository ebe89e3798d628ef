//! What would have been decided at an earlier time: the journal is read up to then into a registry beside the present one, and
//! the engine that decides questions is asked with that.

use crate::app::App;
use crate::judge::{Looked, TRIES, decision_id, look};
use credence_model::apply::apply;
use credence_model::event::Entry;
use credence_model::refusal::{Kind, Refusal};
use credence_model::state::State;
use credence_model::time::Timestamp;
use credence_policy::asked::Asked;
use credence_policy::judged::Judged;
use credence_policy::together::Ahead;

/// Most entries that are gone through for one question about the past.
pub const ENTRIES_MAX: u64 = 2_000_000;
/// Entries that are read at once.
const PAGE: usize = 1_000;
/// What callers are told to wait while somebody else's question is answered, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

/// Decides as it would have been decided then, and changes nothing.
///
/// # Errors
/// If that was before the beginning or is still to come, or if too much was recorded until then.
pub(crate) async fn consider_at(app: &App, asked: Asked, at: Timestamp) -> Result<Judged, Refusal> {
    let Ok(_turn) = app.past.try_acquire() else {
        let message = "another question about the past is being answered";
        return Err(Refusal::new(Kind::Unavailable, message).retry_after_ms(RETRY_AFTER_MS));
    };
    let now = app.clock.now();
    if at > now {
        return Err(no_past("that time is still to come"));
    }
    let state = state_at(app, at).await?;
    if state.hold.is_some() {
        return Err(no_past("the control plane was held then, and decided nothing"));
    }
    for _ in 0..TRIES {
        match look(&state, &asked, &app.policies, at, &Ahead::default())? {
            Looked::Decided((brief, decision)) => return Ok(Judged { id: decision_id(now)?, brief, decision }),
            Looked::Uncompiled(all) => {
                for (digest, spec) in all {
                    app.policies.compile(digest, spec).await?;
                }
            }
        }
    }
    Err(Refusal::new(Kind::Unavailable, "its policies are forgotten as soon as they are compiled").retry_after_ms(100))
}

/// The registry as it was after everything that was recorded until then.
async fn state_at(app: &App, at: Timestamp) -> Result<State, Refusal> {
    let (mut state, mut from) = (State::default(), 1);
    loop {
        let page = app.cell.entries(from, PAGE).await?;
        let Some(last) = page.last().map(|entry| entry.index) else { return Ok(state) };
        if from == 1 && page.first().is_some_and(|first| first.at > at) {
            return Err(no_past("nothing was recorded before that time"));
        }
        if last > ENTRIES_MAX {
            let message = format!("more than {ENTRIES_MAX} entries were recorded before that time");
            let hint = "Restore a backup elsewhere and ask there";
            return Err(Refusal::new(Kind::Limited, message).field("as_of").hint(hint));
        }
        let is_over = page.last().is_some_and(|entry| entry.at > at);
        // Applying takes no longer than reading, but nobody else is to wait for it.
        let replayed = tokio::task::spawn_blocking(move || replay(state, &page, at)).await;
        state = replayed.map_err(|_| Refusal::new(Kind::Bug, "replaying the journal broke off"))?;
        if is_over {
            return Ok(state);
        }
        from = last + 1;
    }
}

fn replay(mut state: State, entries: &[Entry], at: Timestamp) -> State {
    // The time of the journal never runs backwards.
    entries.iter().take_while(|entry| entry.at <= at).for_each(|entry| apply(&mut state, entry));
    state
}

fn no_past(message: &str) -> Refusal {
    Refusal::new(Kind::NotFound, message).field("as_of")
}
