use super::{Keeper, PAUSE_MS};
use crate::backoff::Backoff;
use crate::backoff::tests::check_around;
use crate::event::{EVENTS, Event, Events, Renewed};
use crate::fixture::Authority;
use crate::signing::Signing;
use credence_model::refusal::{Kind, Refusal};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_node_asks_for_its_svid_again_after_growing_pauses_that_are_never_shorter_than_told() {
    let authority = Authority::new();
    let (events, mut happening) = Events::new(&EVENTS);
    let mut keeper = Keeper {
        dir: std::path::PathBuf::new(),
        passphrase: None,
        identities: watch::Sender::new(Arc::new(authority.node())),
        bundles: watch::Sender::new(Arc::clone(&authority.bundle)).subscribe(),
        signing: watch::Sender::new(Signing::default()).subscribe(),
        connected: watch::Sender::new(true).subscribe(),
        events,
        backoff: Backoff::new(PAUSE_MS, 4 * PAUSE_MS),
    };
    let mut refused = async |refusal: Refusal| {
        let hub = async {
            let Some(Event::RenewNode { answer, .. }) = happening.recv().await else { panic!("it asks") };
            answer.send(Renewed::Err(refusal)).expect("it waits");
        };
        let (again_at, ()) = tokio::join!(keeper.renewed(), hub);
        again_at - Instant::now()
    };
    let away = || Refusal::new(Kind::Unavailable, "away");
    let pauses = [refused(away()).await, refused(away()).await];
    check_around(&pauses, &[PAUSE_MS, 2 * PAUSE_MS]);
    let told = refused(away().retry_after_ms(40_000)).await;
    assert!(told >= Duration::from_millis(40_000), "{told:?}");
}
