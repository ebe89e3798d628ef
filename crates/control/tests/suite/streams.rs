//! The streams of nodes, as the cell sees them: told in order, replaced, cut.

use crate::fixture::{
    alpha, apply_class, apply_pool, attest, by_admin, cell, create, held, hits, join_token, keys, report, resume, spec,
    suspend, worker,
};
use credence_control::{Attachment, Cell, DIRECTIVES_QUEUED_MAX, Directed};
use credence_journal::{Fault, MemoryDisk};
use credence_model::actor::Outcome;
use credence_model::command::{Command, Report};
use credence_model::directive::{Bind, Directive};
use credence_model::id::NodeName;
use credence_model::refusal::Kind;
use credence_telemetry::span::Trace;
use credence_telemetry::trace::TraceContext;

async fn ok(cell: &Cell, command: Command) {
    cell.submit(by_admin(command)).await.unwrap();
}

/// A cell with node alpha, and an actor to run on it.
async fn furnished(disk: &MemoryDisk) -> Cell {
    let cell = cell(disk);
    for command in [apply_pool(), apply_class(spec()), join_token(60), attest(), create("a-1")] {
        ok(&cell, command).await;
    }
    cell
}

async fn attach(cell: &Cell) -> Attachment {
    let attachment = cell.attach(cell.opening(), alpha(), vec![worker("w1")], Vec::new()).await.unwrap();
    cell.submit(report(attachment.session, keys(attachment.session * 10_000, 4))).await.unwrap();
    attachment
}

fn bind(directed: Directed) -> Bind {
    match directed.directive {
        Directive::Bind(bind) => *bind,
        other => panic!("expected Bind: {other:?}"),
    }
}

#[tokio::test]
async fn a_binding_is_on_its_way_before_whoever_asked_is_answered() {
    let cell = furnished(&MemoryDisk::new()).await;
    let mut attachment = attach(&cell).await;
    ok(&cell, resume("a-1")).await;
    let bound = bind(attachment.directives.try_recv().unwrap());
    assert_eq!((bound.session, bound.epoch.0), (1, 1));
    ok(&cell, suspend("a-1")).await;
    let unbind = attachment.directives.try_recv().unwrap().directive;
    assert!(matches!(unbind, Directive::Unbind { unbind, .. } if unbind.binding == bound.binding));
    cell.stop().await;
    assert!(attachment.directives.recv().await.is_none(), "the end of the cell is the end of its streams");
}

#[tokio::test]
async fn what_a_node_is_told_carries_the_id_of_the_request_that_caused_it() {
    let cell = furnished(&MemoryDisk::new()).await;
    let mut attachment = attach(&cell).await;
    let trace = TraceContext::begin([5; 24]);
    // In one turn with others, each has its own.
    let others = (0..8).map(|nth| cell.submit_traced(by_admin(create(&format!("b-{nth}"))), Trace::default()));
    let others: Vec<_> = others.map(Box::pin).collect();
    cell.submit_traced(by_admin(resume("a-1")), trace.into()).await.unwrap();
    drop(others);
    let told = attachment.directives.recv().await.unwrap();
    assert!(matches!(told.directive, Directive::Bind(_)) && told.trace.context() == Some(trace), "{told:?}");
    ok(&cell, suspend("a-1")).await;
    assert_eq!(attachment.directives.recv().await.unwrap().trace.context(), None);
    cell.stop().await;
}

#[tokio::test]
async fn a_newer_stream_replaces_an_older_one() {
    let cell = furnished(&MemoryDisk::new()).await;
    let mut older = attach(&cell).await;
    ok(&cell, resume("a-1")).await;
    let first = bind(older.directives.recv().await.unwrap());
    let mut newer = cell.attach(cell.opening(), alpha(), vec![worker("w1")], vec![held(&first)]).await.unwrap();
    assert_eq!((older.session, newer.session, newer.unbind.len()), (1, 2, 0));
    assert!(older.directives.recv().await.is_none(), "nothing more comes on the older one");
    let stale = cell.submit(report(1, Report::Heartbeat)).await.unwrap_err();
    assert_eq!(stale.kind, Kind::Stale);
    cell.submit(report(2, Report::Heartbeat)).await.unwrap();
    // The end of the older stream is no news about the node.
    cell.submit(report(1, Report::Detached)).await.unwrap();
    ok(&cell, suspend("a-1")).await;
    assert!(matches!(newer.directives.recv().await.map(|directed| directed.directive), Some(Directive::Unbind { .. })));
    cell.stop().await;
}

#[tokio::test]
async fn a_node_that_may_not_attach_gets_no_stream_and_disturbs_none() {
    let cell = furnished(&MemoryDisk::new()).await;
    let mut attachment = attach(&cell).await;
    let stranger = NodeName::parse("beta").unwrap();
    assert_eq!(cell.attach(cell.opening(), stranger, Vec::new(), Vec::new()).await.unwrap_err().kind, Kind::NotFound);
    let foreign = vec!["other/pool/w1".parse().unwrap()];
    cell.attach(cell.opening(), alpha(), foreign, Vec::new()).await.unwrap_err();
    ok(&cell, resume("a-1")).await;
    bind(attachment.directives.recv().await.unwrap());
    cell.stop().await;
}

#[tokio::test]
async fn a_node_that_is_deleted_loses_its_stream() {
    let cell = furnished(&MemoryDisk::new()).await;
    let mut attachment = attach(&cell).await;
    ok(&cell, Command::DeleteNode { node: alpha() }).await;
    assert!(attachment.directives.recv().await.is_none());
    cell.stop().await;
}

#[tokio::test]
async fn every_stream_ends_when_a_write_failed_since_nobody_knows_what_was_told() {
    let disk = MemoryDisk::new();
    let cell = furnished(&disk).await;
    let mut attachment = attach(&cell).await;
    disk.inject(Fault::LoseAnswer);
    cell.submit(by_admin(resume("a-1"))).await.unwrap_err();
    assert!(attachment.directives.recv().await.is_none(), "the binding is not told on this stream");
    // The node says that it does not hold what it was never told, and gets the actor anew.
    let mut again = attach(&cell).await;
    let bound = bind(again.directives.recv().await.unwrap());
    assert_eq!((bound.session, bound.epoch.0), (2, 2));
    cell.stop().await;
}

#[tokio::test]
async fn a_node_that_does_not_read_is_cut_and_the_cell_goes_on() {
    let cell = furnished(&MemoryDisk::new()).await;
    let mut attachment = attach(&cell).await;
    let before = hits("node_directives");
    let mut told = 0;
    for nth in 1.. {
        cell.submit(report(1, keys(nth * 10, 1))).await.unwrap();
        ok(&cell, resume("a-1")).await;
        ok(&cell, suspend("a-1")).await;
        told += 2;
        let seen = |state: &credence_model::state::State| {
            let binding = state.actors.all_active().next()?.binding.as_ref()?;
            Some(credence_model::command::Held { binding: binding.id, epoch: binding.epoch })
        };
        let held = cell.read(seen).await.unwrap().unwrap();
        cell.submit(report(1, Report::Ended { held, outcome: Outcome::Stopped, archive: None })).await.unwrap();
        if told > DIRECTIVES_QUEUED_MAX {
            break;
        }
    }
    let mut heard = 0;
    while attachment.directives.recv().await.is_some() {
        heard += 1;
    }
    assert_eq!(heard, DIRECTIVES_QUEUED_MAX);
    assert!(hits("node_directives") > before);
    cell.stop().await;
}
