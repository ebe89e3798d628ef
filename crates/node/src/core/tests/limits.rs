//! What a node holds and remembers at most.

use super::super::binding::{Binding, End, Heard, Phase};
use super::*;
use crate::fixture::hits;

/// Ids that are smaller than those of the other tests.
fn ids(count: usize) -> impl Iterator<Item = BindingId> {
    (0..count as u32).map(|number| {
        let mut entropy = [0; ID_ENTROPY_BYTES];
        entropy[..4].copy_from_slice(&number.to_be_bytes());
        BindingId::generate(Timestamp(0), entropy)
    })
}

#[test]
fn a_node_that_holds_as_many_bindings_as_it_may_says_so() {
    let (mut core, before) = (connected(), hits("node_bindings"));
    for id in ids(BINDINGS_MAX) {
        let notice = Box::new(BindNotice { binding: id, ..*notice(1, 9) });
        core.bindings.insert(id, Binding { notice, phase: Phase::Running, heard: Heard::Yes });
    }
    let reason = format!("the node holds {BINDINGS_MAX} bindings, which is its limit");
    check(&mut core, &[(0, bind(1, 2, 1), &[ended(1, 2, Outcome::Failed { reason }, None)])]);
    assert!(hits("node_bindings") > before);
}

#[test]
fn of_too_many_ends_that_nobody_heard_the_oldest_is_forgotten() {
    let (mut core, before) = (holding(), hits("node_ends"));
    for id in ids(ENDS_MAX) {
        let held = Held { binding: id, epoch: Epoch(1) };
        core.ends.insert(id, End { held, outcome: Outcome::Stopped, archive: None, heard: Heard::Yes });
    }
    let told = ended(1, 1, Outcome::Stopped, None);
    check(
        &mut core,
        &[(0, unbind(1, 1, UnbindMode::Suspend), &[stop(1, UnbindMode::Suspend)]), (0, stopped(1, None), &[told])],
    );
    assert_eq!(core.ends.len(), ENDS_MAX);
    assert!(!core.ends.contains_key(&ids(1).next().expect("one")) && core.ends.contains_key(&id(1)));
    assert!(hits("node_ends") > before);
}
