//! What holds whatever happens, judged by an onlooker that sees only inputs and effects.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Debug, Clone)]
enum Move {
    Wait(u64),
    Open,
    Close,
    End,
    Welcome(bool),
    Ack(u64),
    Bind(u8, bool),
    Unbind(u8, u8, bool),
    Below(u8, u8),
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => (1u64..4000).prop_map(Move::Wait),
        2 => Just(Move::Open),
        1 => Just(Move::Close),
        1 => Just(Move::End),
        4 => any::<bool>().prop_map(Move::Welcome),
        4 => (0u64..3).prop_map(Move::Ack),
        6 => (1u8..3, any::<bool>()).prop_map(|(on, old)| Move::Bind(on, old)),
        4 => (0u8..30, 0u8..4, any::<bool>()).prop_map(|(binding, mode, old)| Move::Unbind(binding, mode, old)),
        8 => (0u8..30, 0u8..4).prop_map(|(binding, what)| Move::Below(binding, what)),
    ]
}

/// What an onlooker knows from inputs and effects alone.
#[derive(Default)]
struct Onlooker {
    now: u64,
    stream: u64,
    next: u8,
    beats: Vec<u64>,
    /// It said that it leaves.
    left: bool,
    /// Started and not gone, with the worker and whether the end was ordered.
    alive: BTreeMap<BindingId, (WorkerRef, Option<UnbindMode>)>,
    ended: BTreeSet<BindingId>,
}

impl Onlooker {
    fn input(&mut self, next: &Move) -> Option<Input> {
        let stream_for = |old: bool| if old { self.stream.saturating_sub(1) } else { self.stream };
        Some(match *next {
            Move::Wait(ms) => {
                self.now += ms;
                Input::Tick
            }
            Move::Open => {
                self.stream += 1;
                self.beats.clear();
                Input::Opened { stream: self.stream }
            }
            Move::End => Input::Shutdown,
            Move::Close => Input::Closed { stream: self.stream },
            Move::Welcome(old) => welcome(stream_for(old)),
            Move::Ack(back) => Input::HeartbeatAck {
                stream: self.stream,
                number: self.beats.iter().rev().nth(back as usize).copied()?,
            },
            Move::Bind(on, old) => {
                let stream = stream_for(old);
                self.next = self.next.checked_add(1)?;
                bind(stream, self.next, on)
            }
            Move::Unbind(number, mode, old) => {
                let modes = [UnbindMode::Suspend, UnbindMode::Terminate, UnbindMode::Quarantine, UnbindMode::Drop];
                unbind(stream_for(old), number, modes[mode as usize])
            }
            Move::Below(pick, what) => {
                let (binding, (_, ordered)) = self.alive.iter().nth(pick as usize % self.alive.len().max(1))?;
                let binding = *binding;
                match what {
                    0 => Input::Started { binding },
                    1 => Input::Exited { binding, code: 1 },
                    2 => Input::StartFailed { binding, reason: "no".into() },
                    _ if ordered.is_some() => Input::Stopped { binding, archive: None, trouble: None },
                    _ => return None,
                }
            }
        })
    }

    fn watch(&mut self, core: &Core, input: &Input, effects: &[Effect]) -> Result<(), TestCaseError> {
        if let Input::StartFailed { binding, .. } | Input::Stopped { binding, .. } = input {
            self.alive.remove(binding);
        }
        for effect in effects {
            match effect {
                Effect::Send { stream, message } => {
                    prop_assert_eq!(*stream, self.stream);
                    match message {
                        FromNodeMessage::Heartbeat { number } => self.beats.push(*number),
                        FromNodeMessage::Ended { held, .. } => {
                            prop_assert!(!self.alive.contains_key(&held.binding), "ended while something was left");
                            self.ended.insert(held.binding);
                        }
                        FromNodeMessage::Leaving => self.left = true,
                        FromNodeMessage::Running(held) => prop_assert!(self.alive.contains_key(&held.binding)),
                        FromNodeMessage::Hello { held, .. } => {
                            for binding in self.alive.keys() {
                                prop_assert!(held.iter().any(|held| held.binding == *binding), "Hello hides a binding");
                            }
                        }
                    }
                }
                Effect::Start(notice) => {
                    prop_assert!(core.lease_until().is_some_and(|until| self.now < until.0), "started without a lease");
                    prop_assert!(!self.left, "started after it said that it leaves");
                    prop_assert!(self.alive.values().all(|(worker, _)| *worker != notice.worker), "two on one worker");
                    prop_assert!(!self.ended.contains(&notice.binding), "started again after its end");
                    self.alive.insert(notice.binding, (notice.worker.clone(), None));
                }
                Effect::Stop { binding, mode } => {
                    let alive = self.alive.get_mut(binding);
                    prop_assert!(alive.is_some(), "stopped what does not live");
                    alive.into_iter().for_each(|(_, ordered)| *ordered = Some(*mode));
                }
                Effect::Disconnect { stream } => prop_assert_eq!(*stream, self.stream),
            }
        }
        let dropped = |mode: &Option<UnbindMode>| *mode == Some(UnbindMode::Drop);
        if core.lease_until().is_none_or(|until| until.0 <= self.now) {
            prop_assert!(core.held(MonoMs(self.now)).is_empty(), "served without a lease");
            prop_assert!(self.alive.values().all(|(_, mode)| dropped(mode)), "not dropped when the lease was over");
        }
        for live in core.held(MonoMs(self.now)) {
            prop_assert!(
                self.alive.get(&live.binding).is_some_and(|(_, mode)| !dropped(mode)),
                "served what was dropped"
            );
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn whatever_happens_no_worker_holds_two_and_nothing_outlives_its_lease(moves in prop::collection::vec(moves(), 1..200)) {
        let mut core = Core::new(vec![worker(1), worker(2)]);
        let mut onlooker = Onlooker::default();
        for next in moves {
            let Some(input) = onlooker.input(&next) else { continue };
            let effects = core.step(MonoMs(onlooker.now), input.clone());
            onlooker.watch(&core, &input, &effects)?;
        }
    }

    #[test]
    fn every_end_is_heard_at_last(breaks in 0usize..5) {
        let mut core = holding();
        core.step(MonoMs(1), unbind(1, 1, UnbindMode::Suspend));
        core.step(MonoMs(2), Input::Closed { stream: 1 });
        core.step(MonoMs(3), stopped(1, None));
        for stream in 2..2 + breaks as u64 {
            core.step(MonoMs(4), Input::Opened { stream });
            prop_assert_eq!(core.step(MonoMs(4), welcome(stream)), vec![ended(stream, 1, Outcome::Stopped, None)]);
        }
    }
}
