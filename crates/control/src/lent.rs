//! The registry between turns, lent to whoever only glances at it: without a way to the cell's thread and back, which takes longer
//! than the glance.
//!
//! INVARIANT: what is lent is recorded, all of it, and everything that was answered is in it. During a turn nothing is lent.

use credence_model::state::State;
use std::sync::{Arc, PoisonError, RwLock, TryLockError};

/// Both the lender and the readers have one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lent(Arc<RwLock<Loan>>);

#[derive(Debug, Default)]
struct Loan {
    is_there: bool,
    /// Nothing that anybody sees if it is not there.
    state: State,
}

impl Lent {
    /// Lends what is in `state`, until it is recalled.
    pub(crate) fn lend(&self, state: &mut State) {
        let mut loan = self.0.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut loan.state, state);
        loan.is_there = true;
    }

    /// Takes it back, after the last glance.
    pub(crate) fn recall(&self, state: &mut State) {
        let mut loan = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut loan.is_there) {
            std::mem::swap(&mut loan.state, state);
        }
    }

    /// Glances at it, or gives back who wanted to because it is not there.
    pub(crate) fn glance<T, L: FnOnce(&State) -> T>(&self, look: L) -> Result<T, L> {
        let loan = match self.0.try_read() {
            Ok(loan) => loan,
            // Nobody changes anything while holding it but the cell, whose changes are swaps.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(look),
        };
        if loan.is_there { Ok(look(&loan.state)) } else { Err(look) }
    }
}

#[cfg(test)]
mod tests {
    use super::Lent;
    use credence_model::state::State;
    use credence_model::time::Timestamp;

    #[test]
    fn what_is_lent_is_seen_until_it_is_recalled_and_nothing_else_ever() {
        let (lent, mut state) = (Lent::default(), State::default());
        let seen = |lent: &Lent| lent.glance(|state| state.last_index).ok();
        assert_eq!(seen(&lent), None, "nothing was lent yet");
        for index in 7..9 {
            state.last_index = index;
            lent.lend(&mut state);
            assert_eq!((seen(&lent), seen(&lent.clone())), (Some(index), Some(index)));
            lent.recall(&mut state);
            assert_eq!((seen(&lent), state.last_index), (None, index));
        }
        lent.recall(&mut state);
        assert_eq!((seen(&lent), state.last_index), (None, 8), "it is back already");
    }

    #[test]
    fn it_comes_back_only_after_the_last_glance() {
        let (lent, mut state) = (Lent::default(), State::default());
        state.last_at = Timestamp(5);
        lent.lend(&mut state);
        let back = lent.clone();
        let recalling = lent.glance(|state| {
            let recalling = std::thread::spawn(move || {
                let mut state = State::default();
                back.recall(&mut state);
                state.last_at
            });
            // Others may glance or find it asked for back; this one sees it to the end of its look.
            let _ = lent.glance(|_| ());
            assert_eq!(state.last_at, Timestamp(5));
            recalling
        });
        let recalling = recalling.unwrap_or_else(|_| panic!("it was lent"));
        assert_eq!(recalling.join().expect("it came back"), Timestamp(5));
    }
}
