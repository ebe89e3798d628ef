//! The cell on its thread: overload, failures of the journal, restarts.

use crate::fixture::{apply_class, apply_pool, by_admin, cell, cell_on, create, hits, replayed, retried, spec};
use credence_control::{BATCH_REQUESTS_MAX, Cell, LANE_QUEUED_MAX, QUEUED_MAX};
use credence_journal::{
    Fault, Fence, Index, Journal, JournalError, MemoryDisk, MemoryJournal, Obstacle, Recovered, StoreSnapshot,
};
use credence_model::command::{Answer, Command};
use credence_model::label::Labels;
use credence_model::pool::PoolSpec;
use credence_model::refusal::{Kind, Refusal};
use std::io;
use std::pin::Pin;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::task::{Context, Poll, Waker};

async fn furnish(cell: &Cell) {
    for command in [apply_pool(), apply_class(spec())] {
        cell.submit(by_admin(command)).await.unwrap();
    }
}

fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Lets the cell look at something until the other end says go.
async fn blocked(cell: &Cell) -> (tokio::task::JoinHandle<Result<(), Refusal>>, SyncSender<()>) {
    let ((begun, has_begun), (go_on, may_go_on)) = (sync_channel(1), sync_channel::<()>(1));
    let cell = cell.clone();
    let look = move |_: &_| {
        begun.send(()).unwrap();
        may_go_on.recv().unwrap();
    };
    let blocked = tokio::spawn(async move { cell.read(look).await });
    tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
    (blocked, go_on)
}

#[tokio::test]
async fn beyond_its_queue_a_namespace_is_refused_and_told_when_to_come_again_and_others_are_served() {
    let disk = MemoryDisk::new();
    let cell = cell(&disk);
    furnish(&cell).await;
    let (held, go_on) = blocked(&cell).await;
    let mut waiting: Vec<_> =
        (0..LANE_QUEUED_MAX).map(|nth| Box::pin(cell.submit(by_admin(create(&format!("a-{nth}")))))).collect();
    assert!(waiting.iter_mut().all(|future| poll(future.as_mut()).is_pending()));
    let before = hits("cell_namespace_queue");
    let refusal = cell.submit(by_admin(create("one-too-many"))).await.unwrap_err();
    assert_eq!(refusal.kind, Kind::Unavailable);
    assert!(refusal.retry_after_ms.is_some() && refusal.message.contains("limit"), "{refusal}");
    assert!(hits("cell_namespace_queue") > before);
    let mut other = Box::pin(cell.submit(by_admin(other_pool())));
    let mut read = Box::pin(cell.read(|_| ()));
    assert!(poll(other.as_mut()).is_pending() && poll(read.as_mut()).is_pending(), "they have queues of their own");
    go_on.send(()).unwrap();
    held.await.unwrap().unwrap();
    other.await.unwrap();
    read.await.unwrap();
    for future in waiting {
        future.await.unwrap();
    }
    let actors = cell.read(|state| state.actors.len()).await.unwrap();
    assert_eq!(actors, LANE_QUEUED_MAX, "everything that was taken was done, and nothing else");
    assert_eq!(disk.last().0, cell.read(|state| state.last_index).await.unwrap());
    cell.stop().await;
}

#[tokio::test]
async fn a_glance_sees_everything_that_was_answered_and_waits_while_the_cell_is_at_work() {
    let disk = MemoryDisk::new();
    let cell = cell(&disk);
    furnish(&cell).await;
    for nth in 1..100 {
        cell.submit(by_admin(create(&format!("a-{nth}")))).await.unwrap();
        assert_eq!(cell.glance(|state| state.actors.len()).await, Ok(nth));
    }
    let (held, go_on) = blocked(&cell).await;
    let mut glance = Box::pin(cell.glance(|state| state.actors.len()));
    assert!(poll(glance.as_mut()).is_pending());
    go_on.send(()).unwrap();
    held.await.unwrap().unwrap();
    assert_eq!(glance.await, Ok(99));
    cell.stop().await;
    assert_eq!(cell.glance(|_| ()).await.unwrap_err().kind, Kind::Unavailable, "what is not lent is not there");
}

#[tokio::test]
async fn when_all_queues_are_full_the_longest_makes_room_for_a_new_one() {
    let disk = MemoryDisk::new();
    let cell = cell(&disk);
    furnish(&cell).await;
    let (held, go_on) = blocked(&cell).await;
    let of = |namespace: usize| {
        let class = format!("n{namespace}/none").parse().unwrap();
        by_admin(Command::CreateActor { class, id: None, labels: Labels::new() })
    };
    let namespaces = QUEUED_MAX / LANE_QUEUED_MAX;
    let mut waiting: Vec<_> = (0..QUEUED_MAX).map(|nth| Box::pin(cell.submit(of(nth % namespaces)))).collect();
    assert!(waiting.iter_mut().all(|future| poll(future.as_mut()).is_pending()));
    let before = hits("cell_queue");
    let mut new = Box::pin(cell.submit(by_admin(create("a-1"))));
    assert!(poll(new.as_mut()).is_pending(), "it has a place");
    assert!(hits("cell_queue") > before);
    let displaced: Vec<_> = waiting.iter_mut().filter_map(|future| ready(poll(future.as_mut()))).collect();
    let [Err(refusal)] = &displaced[..] else { panic!("one gives way: {}", displaced.len()) };
    assert_eq!(refusal.kind, Kind::Unavailable);
    assert!(refusal.message.contains("limit") && refusal.retry_after_ms.is_some(), "{refusal}");
    drop(waiting);
    go_on.send(()).unwrap();
    held.await.unwrap().unwrap();
    new.await.unwrap();
    cell.stop().await;
}

fn ready<T>(polled: Poll<T>) -> Option<T> {
    match polled {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[tokio::test]
async fn a_flood_of_one_namespace_does_not_hold_up_another() {
    let disk = MemoryDisk::new();
    let cell = cell(&disk);
    furnish(&cell).await;
    let (held, go_on) = blocked(&cell).await;
    let mut flood: Vec<_> =
        (0..LANE_QUEUED_MAX).map(|nth| Box::pin(cell.submit(by_admin(create(&format!("a-{nth}")))))).collect();
    assert!(flood.iter_mut().all(|future| poll(future.as_mut()).is_pending()));
    let mut other = Box::pin(cell.submit(by_admin(other_pool())));
    assert!(poll(other.as_mut()).is_pending());
    go_on.send(()).unwrap();
    held.await.unwrap().unwrap();
    let index = other.await.unwrap().index;
    // Of the flood, only what shared a turn with it can have been recorded before; in one queue, all of it was.
    assert!(index <= 3 + BATCH_REQUESTS_MAX as u64, "it was recorded as entry {index}");
    for future in flood {
        future.await.unwrap();
    }
    cell.stop().await;
}

fn other_pool() -> Command {
    let pool = "research/standard".parse().unwrap();
    Command::ApplyPool { pool, labels: Labels::new(), spec: PoolSpec::default(), if_version: None }
}

#[tokio::test]
async fn what_could_not_be_recorded_is_not_acknowledged_and_the_cell_goes_on_from_the_journal() {
    let disk = MemoryDisk::new();
    let cell = cell(&disk);
    furnish(&cell).await;
    let last = disk.last();
    disk.inject(Fault::RefuseAppend);
    let refusal = cell.submit(retried("k-1", create("a-1"))).await.unwrap_err();
    assert_eq!(refusal.kind, Kind::Unavailable);
    assert!(refusal.message.contains("not known whether this was recorded"), "{refusal}");
    let why = cell.ready().await.unwrap_err();
    assert!(why.contains("could not be written"), "{why}");
    assert_eq!(refusal.hint.as_deref(), Some("Ask again with the same idempotency key"));
    assert!(refusal.retry_after_ms.is_some());
    assert_eq!((disk.last(), cell.read(|state| state.actors.len()).await), (last, Ok(0)));
    cell.submit(retried("k-1", create("a-1"))).await.unwrap();
    assert_eq!(cell.ready().await, Ok(()), "it has written again");
    // The other way a write can fail: it was stored, and nobody was told.
    disk.inject(Fault::LoseAnswer);
    cell.submit(retried("k-2", create("a-2"))).await.unwrap_err();
    let answered = cell.submit(retried("k-2", create("a-2"))).await.unwrap();
    assert!(matches!(answered.answer, Answer::Actor { actor, .. } if actor.actor.as_str() == "a-2"));
    assert_eq!(cell.read(|state| state.actors.len()).await, Ok(2));
    cell.stop().await;
}

/// A journal that cannot always be read again.
struct Dying {
    memory: MemoryJournal,
    recoveries: u32,
    /// Why not, at this attempt.
    refuse: fn(u32) -> Option<JournalError>,
}

impl Journal for Dying {
    fn recover(&mut self) -> Result<Recovered, JournalError> {
        self.recoveries += 1;
        (self.refuse)(self.recoveries).map_or_else(|| self.memory.recover(), Err)
    }
    fn append(&mut self, fence: Fence, batch: &[Vec<u8>]) -> Result<Index, JournalError> {
        self.memory.append(fence, batch)
    }
    fn begin_snapshot(&mut self, fence: Fence, upto: Index) -> Result<StoreSnapshot, JournalError> {
        self.memory.begin_snapshot(fence, upto)
    }
    fn read(&mut self, from: Index, limit: usize) -> Result<Vec<(Index, Vec<u8>)>, JournalError> {
        self.memory.read(from, limit)
    }
}

#[tokio::test]
async fn a_cell_whose_journal_cannot_be_read_again_stops_and_says_so_to_everyone() {
    let disk = MemoryDisk::new();
    let refuse = |attempt| (attempt > 1).then_some(JournalError::NotRecovered);
    let (cell, _) = cell_on(Box::new(Dying { memory: MemoryJournal::open(&disk), recoveries: 0, refuse }));
    furnish(&cell).await;
    let (last, mut recorded) = (disk.last(), cell.recorded());
    disk.inject(Fault::RefuseAppend);
    assert_eq!(cell.submit(by_admin(create("a-1"))).await.unwrap_err().kind, Kind::Unavailable);
    // Whoever watches sees the end of it, too.
    while recorded.changed().await.is_ok() {}
    for refusal in [
        cell.submit(by_admin(create("a-2"))).await.map(|_| ()).unwrap_err(),
        cell.read(|_| ()).await.unwrap_err(),
        cell.entries(1, 1).await.map(|_| ()).unwrap_err(),
    ] {
        assert_eq!(refusal.kind, Kind::Unavailable);
        assert!(refusal.message.contains("cannot write its journal"), "{refusal}");
    }
    assert_eq!(disk.last(), last);
    cell.stop().await;
}

#[tokio::test]
async fn a_cell_whose_disk_is_ill_refuses_until_it_is_well_and_then_goes_on() {
    let disk = MemoryDisk::new();
    let refuse = |attempt| {
        let source = io::Error::from(io::ErrorKind::StorageFull);
        let ill = JournalError::Io { doing: "write", path: "/journal".into(), obstacle: Obstacle::Full, source };
        (2..5).contains(&attempt).then_some(ill)
    };
    let (cell, _) = cell_on(Box::new(Dying { memory: MemoryJournal::open(&disk), recoveries: 0, refuse }));
    furnish(&cell).await;
    disk.inject(Fault::RefuseAppend);
    assert_eq!(cell.submit(by_admin(create("a-1"))).await.unwrap_err().kind, Kind::Unavailable);
    // What comes while it is ill is told so at once, and what comes after is recorded.
    let refusal = cell.submit(by_admin(create("a-2"))).await.unwrap_err();
    assert!(refusal.message.contains("nothing was recorded"), "{refusal}");
    while cell.submit(by_admin(create("a-3"))).await.is_err() {}
    assert_eq!(cell.read(|state| state.actors.len()).await, Ok(1));
    cell.stop().await;
}

#[tokio::test]
async fn a_cell_that_is_stopped_or_dropped_comes_back_as_it_was() {
    let disk = MemoryDisk::new();
    let first = cell(&disk);
    furnish(&first).await;
    first.submit(by_admin(create("a-1"))).await.unwrap();
    first.stop().await;
    assert_eq!(first.submit(by_admin(create("a-2"))).await.unwrap_err().kind, Kind::Unavailable);
    let (second, report) = cell_on(Box::new(MemoryJournal::open(&disk)));
    assert_eq!((report.replayed, report.created), (0, false), "an orderly end leaves a snapshot: {report:?}");
    second.submit(by_admin(create("a-2"))).await.unwrap();
    drop(second);
    let (third, report) = cell_on(Box::new(MemoryJournal::open(&disk)));
    assert_eq!((report.replayed, report.last), (2, disk.last().0 - 1), "{report:?}");
    let expected = replayed(&third.entries(1, usize::MAX).await.unwrap());
    assert_eq!(third.read(|state| state.clone()).await.unwrap(), expected);
    assert_eq!(expected.actors.len(), 2);
    third.stop().await;
}

#[tokio::test]
async fn what_is_recorded_wakes_whoever_watches_and_can_be_read() {
    let disk = MemoryDisk::new();
    let cell = cell(&disk);
    let mut recorded = cell.recorded();
    let before = recorded.borrow_and_update().index;
    let answered = cell.submit(by_admin(apply_pool())).await.unwrap();
    recorded.changed().await.unwrap();
    assert_eq!((recorded.borrow().index, answered.index), (before + 1, before + 1));
    let entries = cell.entries(before + 1, 10).await.unwrap();
    assert_eq!((entries.len(), entries[0].index), (1, before + 1));
    assert_eq!(cell.entries(before + 2, 10).await, Ok(Vec::new()));
    cell.submit(by_admin(create("a-1"))).await.unwrap_err();
    assert!(
        !recorded.has_changed().unwrap() || recorded.borrow_and_update().index == before + 1,
        "a refusal wakes nobody"
    );
    cell.stop().await;
}
