//! The registry and its journal: one turn decides a batch of requests, applies them, and records them with one append.

use credence_journal::{
    BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, ENTRY_BYTES_MAX, Fence, Index, Journal, JournalError, Note, StoreSnapshot,
};
use credence_model::apply::apply;
use credence_model::caller::Caller;
use credence_model::command::{Answer, Command, Request};
use credence_model::decide::{Entropy, decide};
use credence_model::directive::{Directive, directives};
use credence_model::event::{Entry, EntryError, Event, FORMAT};
use credence_model::id::{Digest, Epoch};
use credence_model::refusal::{Kind, Refusal};
use credence_model::settings::Settings;
use credence_model::state::{SnapshotError, State};
use credence_model::time::Timestamp;

/// What callers are told to wait when a batch is full, in milliseconds.
const RETRY_AFTER_MS: u64 = 50;

/// Why a cell cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum CellError {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal holds what this version does not understand.
    #[error("entry {index} of the journal cannot be read")]
    Entry {
        /// Its number.
        index: u64,
        /// Why.
        #[source]
        source: EntryError,
    },
    /// An entry has another number than its place in the journal.
    #[error("entry {place} of the journal says that it is entry {says}; restore the journal from a backup")]
    Misnumbered {
        /// Where it is.
        place: u64,
        /// What it says.
        says: u64,
    },
    /// Another server has taken the journal over.
    #[error("another server took the journal over and recorded its start; start this one again to take it back")]
    Replaced,
    /// The settings do not suit the journal.
    #[error("{0}")]
    Settings(Refusal),
    /// A snapshot could not be made.
    #[error("the state cannot be written as a snapshot")]
    Snapshot(#[source] SnapshotError),
}

/// How far the record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Index of the last entry.
    pub index: u64,
    /// SHA-256 of its bytes: another history has another one there.
    pub digest: Digest,
    /// The highest epoch of any actor.
    pub epoch: Epoch,
}

/// What was found at the start.
#[derive(Debug)]
pub struct StartReport {
    /// What the journal repaired or passed over.
    pub notes: Vec<Note>,
    /// How many entries were replayed after the snapshot.
    pub replayed: u64,
    /// The last entry found, before this start.
    pub last: u64,
    /// Whether the trust domain began with this start.
    pub created: bool,
}

/// An answer to one request.
#[derive(Debug)]
pub struct Answered {
    /// What the caller is told.
    pub answer: Answer,
    /// Index of the last entry recorded by then.
    pub index: u64,
    /// When, by the journal's clock.
    pub at: Timestamp,
    /// Orders that this request caused: [`Directive::X509`], [`Directive::Jwt`] and [`Directive::NodeSvid`] only.
    pub orders: Vec<Directive>,
}

/// What one turn led to. All of it is recorded.
#[derive(Debug)]
pub struct Turn {
    /// One for each request, in order.
    pub answers: Vec<Result<Answered, Refusal>>,
    /// What the nodes are to be told, in order: everything but the orders in `answers`.
    pub directives: Vec<Directive>,
    /// For each directive the request that caused it, by its place; `None` where none alone did.
    pub causes: Vec<Option<usize>>,
    /// The entries recorded.
    pub entries: Vec<Entry>,
}

/// The cell without its thread.
pub struct Registry {
    journal: Box<dyn Journal>,
    fence: Fence,
    state: State,
    snapshot_at: u64,
    behind_ms: u64,
    /// The last entry that is known to be recorded; `None` before the first recovery.
    recorded: Option<u64>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("last_index", &self.state.last_index).finish_non_exhaustive()
    }
}

impl Registry {
    /// Takes the journal over, replays it and records the start.
    pub fn open(
        journal: Box<dyn Journal>,
        settings: Settings,
        now: Timestamp,
        entropy: &Entropy,
    ) -> Result<(Self, StartReport), CellError> {
        let mut registry = Self {
            journal,
            fence: Fence::default(),
            state: State::default(),
            snapshot_at: 0,
            behind_ms: 0,
            recorded: None,
        };
        let (notes, replayed) = registry.recover()?;
        let last = registry.state.last_index;
        // A clock that was set back while nobody ran must not stop time, or no lease would ever end.
        registry.behind_ms = registry.state.last_at.ms_since(now);
        let start = Request { caller: Caller::System, idempotency_key: None, command: Command::Start(settings) };
        let turn = registry.turn(now, &mut || *entropy, &[start])?;
        match turn.answers.into_iter().next() {
            Some(Err(refusal)) => Err(CellError::Settings(refusal)),
            _ => Ok((registry, StartReport { notes, replayed, last, created: last == 0 })),
        }
    }

    /// The registry as recorded, to be lent between turns.
    pub(crate) fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// The registry as recorded.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How far the record is, after this entry, which is the last one.
    pub fn recorded(&self, last: &Entry) -> Recorded {
        Recorded { index: last.index, digest: Digest::of(&last.encode()), epoch: self.state.epoch_max }
    }

    /// Decides, applies and records a batch of requests, and whatever can be scheduled then.
    ///
    /// # Errors
    /// If recording fails nothing of the batch may be answered, and the registry must be [`Self::recover`]ed.
    pub fn turn(
        &mut self,
        now: Timestamp,
        entropy: &mut dyn FnMut() -> Entropy,
        requests: &[Request],
    ) -> Result<Turn, CellError> {
        let now = self.journal_time(now);
        let mut draft = Draft::new(requests.len());
        for (nth, request) in requests.iter().enumerate() {
            let answered = self.decide_one(&mut draft, request, now, &entropy());
            draft.turn.answers.push(answered);
            draft.turn.causes.resize(draft.turn.directives.len(), Some(nth));
        }
        let schedule = Request { caller: Caller::System, idempotency_key: None, command: Command::Schedule };
        while !self.state.waiting.is_empty() {
            let before = draft.batch.len();
            // It does nothing when no worker is free, and is refused when the batch is full: the next turn goes on.
            let _ = self.decide_one(&mut draft, &schedule, now, &entropy());
            if draft.batch.len() == before {
                break;
            }
        }
        draft.turn.causes.resize(draft.turn.directives.len(), None);
        let Draft { turn, batch, .. } = draft;
        self.journal.append(self.fence, &batch)?;
        self.recorded = Some(self.state.last_index);
        Ok(turn)
    }

    /// The time that the journal gives this reading of the clock: it never runs backwards.
    pub fn journal_time(&self, now: Timestamp) -> Timestamp {
        now.plus_ms(self.behind_ms).max(self.state.last_at)
    }

    /// Throws the memory away and reads it again from the journal, under a new fence.
    ///
    /// # Errors
    /// [`CellError::Replaced`] if another server has recorded its start meanwhile. It counts leases on another clock, so only
    /// a start, which gives every node a whole lease from its own time, can take the journal back.
    pub fn recover(&mut self) -> Result<(Vec<Note>, u64), CellError> {
        let recovered = self.journal.recover()?;
        self.fence = recovered.fence;
        let mut entries = recovered.entries;
        let snapshot = recovered.snapshot.and_then(|snapshot| State::decode(&snapshot.bytes).ok());
        if snapshot.is_none() && entries.len() as u64 != recovered.last.0 {
            // The snapshot is another version's: the journal has everything.
            entries = self.read_all()?;
        }
        self.state = snapshot.unwrap_or_default();
        self.snapshot_at = self.state.last_index;
        let recorded = self.recorded.unwrap_or(u64::MAX);
        // A snapshot of what this server did not record is another's.
        let mut is_replaced = self.state.last_index > recorded;
        let replayed = entries.len() as u64;
        for bytes in &entries {
            let place = self.state.last_index + 1;
            let entry = Entry::decode(bytes).map_err(|source| CellError::Entry { index: place, source })?;
            if entry.index != place {
                return Err(CellError::Misnumbered { place, says: entry.index });
            }
            is_replaced |= place > recorded && matches!(entry.event, Event::CellStarted {});
            apply(&mut self.state, &entry);
        }
        if is_replaced {
            return Err(CellError::Replaced);
        }
        self.recorded = Some(self.state.last_index);
        Ok((recovered.report, replayed))
    }

    /// Reads recorded entries.
    pub fn read(&mut self, from: u64, limit: usize) -> Result<Vec<Entry>, CellError> {
        let found = self.journal.read(Index(from.max(1)), limit)?;
        let decode = |(index, bytes): (Index, Vec<u8>)| {
            Entry::decode(&bytes).map_err(|source| CellError::Entry { index: index.0, source })
        };
        found.into_iter().map(decode).collect()
    }

    /// Writes a snapshot if `entries` were recorded since the last one.
    pub fn snapshot_after(&mut self, entries: u64) -> Result<bool, CellError> {
        self.begin_snapshot_after(entries)?.map_or(Ok(false), |snapshot| snapshot.store().map(|()| true))
    }

    /// Begins a snapshot if `entries` were recorded since the last one. It is of this moment, whatever is recorded until
    /// it is stored.
    pub fn begin_snapshot_after(&mut self, entries: u64) -> Result<Option<BegunSnapshot>, CellError> {
        if self.state.last_index < self.snapshot_at + entries.max(1) {
            return Ok(None);
        }
        let store = self.journal.begin_snapshot(self.fence, Index(self.state.last_index))?;
        self.snapshot_at = self.state.last_index;
        Ok(Some(BegunSnapshot { state: self.state.clone(), store }))
    }

    /// Refused or decided as a whole: memory changes only by what the journal takes.
    fn decide_one(
        &mut self,
        draft: &mut Draft,
        request: &Request,
        now: Timestamp,
        entropy: &Entropy,
    ) -> Result<Answered, Refusal> {
        draft.check_room(0, 0)?;
        let decision = decide(&self.state, request, now, entropy)?;
        let entry = |(nth, event): (u64, Event)| {
            let index = self.state.last_index + 1 + nth;
            Entry { format: FORMAT, index, at: now, caller: request.caller.clone(), event }
        };
        let entries: Vec<_> = (0..).zip(decision.events).map(entry).collect();
        let encoded: Vec<_> = entries.iter().map(Entry::encode).collect();
        check_size(&encoded)?;
        draft.check_room(encoded.len(), encoded.iter().map(Vec::len).sum())?;
        draft.add(encoded);
        let mut orders = Vec::new();
        for entry in entries {
            apply(&mut self.state, &entry);
            for directive in directives(&self.state, &entry) {
                match directive {
                    Directive::X509 { .. } | Directive::Jwt { .. } | Directive::NodeSvid { .. } => {
                        orders.push(directive)
                    }
                    Directive::Bind(_)
                    | Directive::Unbind { .. }
                    | Directive::Reconsider { .. }
                    | Directive::EndSessions { .. } => {
                        draft.turn.directives.push(directive);
                    }
                }
            }
            draft.turn.entries.push(entry);
        }
        Ok(Answered { answer: decision.answer, index: self.state.last_index, at: now, orders })
    }

    fn read_all(&mut self) -> Result<Vec<Vec<u8>>, CellError> {
        let mut all = Vec::new();
        loop {
            let page = self.journal.read(Index(all.len() as u64 + 1), usize::MAX)?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page.into_iter().map(|(_, bytes)| bytes));
        }
    }
}

/// A snapshot that is to be stored, on any thread.
pub struct BegunSnapshot {
    state: State,
    store: StoreSnapshot,
}

impl BegunSnapshot {
    /// Writes it.
    pub fn store(self) -> Result<(), CellError> {
        let bytes = self.state.encode().map_err(CellError::Snapshot)?;
        // What is millions of records is not needed beside its bytes.
        drop(self.state);
        Ok((self.store)(bytes)?)
    }
}

impl std::fmt::Debug for BegunSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BegunSnapshot").field("upto", &self.state.last_index).finish_non_exhaustive()
    }
}

/// A turn that is being decided, with the bytes that will be its batch.
struct Draft {
    turn: Turn,
    batch: Vec<Vec<u8>>,
    bytes: usize,
}

impl Draft {
    fn new(requests: usize) -> Self {
        let turn = Turn {
            answers: Vec::with_capacity(requests),
            directives: Vec::new(),
            causes: Vec::new(),
            entries: Vec::new(),
        };
        Self { turn, batch: Vec::new(), bytes: 0 }
    }

    /// A batch that the journal would refuse would take every other request of the turn down with it.
    fn check_room(&self, entries: usize, bytes: usize) -> Result<(), Refusal> {
        let is_room = self.batch.len() + entries < BATCH_ENTRIES_MAX && self.bytes + bytes < BATCH_BYTES_MAX;
        if is_room {
            return Ok(());
        }
        let message = "too much is being recorded at once";
        Err(Refusal::new(Kind::Unavailable, message).retry_after_ms(RETRY_AFTER_MS))
    }

    fn add(&mut self, encoded: Vec<Vec<u8>>) {
        self.bytes += encoded.iter().map(Vec::len).sum::<usize>();
        self.batch.extend(encoded);
    }
}

fn check_size(encoded: &[Vec<u8>]) -> Result<(), Refusal> {
    match encoded.iter().map(Vec::len).max() {
        Some(bytes) if bytes > ENTRY_BYTES_MAX => {
            let message = format!("it takes {bytes} bytes to record; at most {ENTRY_BYTES_MAX} are recorded at once");
            Err(Refusal::new(Kind::Limited, message).hint("Make it smaller"))
        }
        _ => Ok(()),
    }
}
