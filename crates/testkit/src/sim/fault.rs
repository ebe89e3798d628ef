//! Faults in the product itself, planted to see them caught.

/// A deliberately broken server, node, journal or disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nodes are told a longer lease than the server counts.
    LeaseTooLong,
    /// Nodes go on serving after their lease is over.
    LeaseIgnored,
    /// A node's clock stands while its machine is suspended.
    ClockStands,
    /// The server reads the machine's wall clock, which people set, instead of counting from its start.
    ClockStepped,
    /// What a node said on an older stream, and comes after what it said on a newer one, is believed.
    OldWordsBelieved,
    /// A server that was replaced reads the journal again and goes on, on its own clock, without a start.
    GoesOnReplaced,
    /// The server tells a second node to hold the binding, too.
    ToldTwice,
    /// A node starts every actor in its first worker.
    WorkerShared,
    /// The server answers although the append failed.
    AnswersUnrecorded,
    /// The journal does not wait for the sync before it acknowledges.
    AcknowledgesBeforeSync,
    /// A sync failed, and the journal goes on as if it had not.
    IgnoresFailedSync,
    /// A torn batch at the end of the journal is believed as far as it can be read.
    BelievesTornTail,
    /// A torn batch is not cut off, and what is recorded next is written over its beginning.
    CutsNothing,
    /// The server records another worker than it decided on: one that is held.
    WorkerBoundTwice,
    /// The server records the order for a credential under an epoch that is over.
    OrderedOutside,
    /// The server records an actor's old epoch for its new binding.
    EpochRepeated,
    /// The server records a deleted actor's id for a new one.
    IdentityReused,
    /// A node has one key certified again and again.
    KeyReused,
    /// The server records other labels than it decided on and remembers.
    RecordsOther,
    /// The server signs what a node asks for though the registry refused it.
    SignsRefused,
    /// The server lets no stream of a node attach after the first.
    NewStreamsRefused,
    /// The keys that nodes offer are lost on the way: nobody can be bound.
    KeysLost,
    /// A program that is told to end never does.
    NeverEnds,
    /// The server never looks at leases and queues.
    NeverExpires,
    /// A retried command is done a second time.
    RetriedAnew,
    /// The lock of the journal keeps nobody out: two serve from one.
    ForgetsLock,
    /// The journal takes appends from an owner that was replaced.
    ForgetsFence,
    /// The server decides without what the owners of resources say.
    GuardsIgnored,
    /// The server decides by its clock alone, though what is recorded is ahead of it.
    JudgesByItsOwnClock,
    /// The server records what it decided, and not what that uses up.
    UsesUncounted,
    /// The server answers what it decided though it was not recorded.
    AnswersUndecided,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 31] = [
        Self::LeaseTooLong,
        Self::LeaseIgnored,
        Self::ClockStands,
        Self::ClockStepped,
        Self::OldWordsBelieved,
        Self::GoesOnReplaced,
        Self::ToldTwice,
        Self::WorkerShared,
        Self::AnswersUnrecorded,
        Self::AcknowledgesBeforeSync,
        Self::IgnoresFailedSync,
        Self::BelievesTornTail,
        Self::CutsNothing,
        Self::WorkerBoundTwice,
        Self::OrderedOutside,
        Self::EpochRepeated,
        Self::IdentityReused,
        Self::KeyReused,
        Self::RecordsOther,
        Self::SignsRefused,
        Self::NewStreamsRefused,
        Self::KeysLost,
        Self::NeverEnds,
        Self::NeverExpires,
        Self::RetriedAnew,
        Self::ForgetsLock,
        Self::ForgetsFence,
        Self::GuardsIgnored,
        Self::JudgesByItsOwnClock,
        Self::UsesUncounted,
        Self::AnswersUndecided,
    ];

    /// Whether it has to do with permissions.
    pub fn is_of_permissions(self) -> bool {
        matches!(self, Self::GuardsIgnored | Self::JudgesByItsOwnClock | Self::UsesUncounted | Self::AnswersUndecided)
    }
}
