macro_rules! flaws {
    ($($(#[doc = $doc:literal])+ $flaw:ident,)+) => {
        /// One mistake that stores make. Each is a few lines away from a right store.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Flaw {
            $($(#[doc = $doc])+ $flaw,)+
        }

        impl Flaw {
            /// Every flaw.
            pub const ALL: &'static [Flaw] = &[$(Flaw::$flaw,)+];
        }
    };
}

flaws! {
    /// Grants whoever asks, and takes the lock away from its holder.
    GrantsToEverybody,
    /// Looks whether the lock is free, and writes a moment later.
    CheckThenAct,
    /// Takes the client for the owner: a client's second attempt gets the lock, too.
    ReentrantByClient,
    /// The first request of an attempt is always refused.
    FreeLockRefused,
    /// `SETNX` without `EXPIRE`.
    NoExpiry,
    /// The lease ends at half its TTL.
    ExpiresEarly,

    /// Tokens from a wall clock that goes back.
    TokensFall,
    /// All grants have the same token.
    TokensRepeat,
    /// Every client counts its own tokens.
    TokensOfTheClient,
    /// The counter is deleted along with the lock by a forced release.
    TokensStartAnew,
    /// Every renewal mints a token.
    TokenChangesWithRenewal,

    /// A retry of the holder's own attempt is refused, as a plain `SETNX` does.
    RetryRefused,
    /// A retry mints a new token.
    RetryMintsToken,
    /// A retry sets the expiry anew.
    RetryLengthens,
    /// A retry claims that it has set the expiry.
    RetryClaimsExpiry,
    /// Answers a known attempt from memory, although its grant has ended.
    GrantRemembered,
    /// Answers a refused attempt from memory, although the lock is free by now.
    RefusalRemembered,
    /// A refused try stays in the queue.
    TryQueues,
    /// A try takes a free lock although others are in line for it.
    TryPassesTheQueue,

    /// A release deletes whatever is there.
    ReleaseComparesNothing,
    /// A release compares the id, not the token.
    ReleaseComparesIdOnly,
    /// A release compares the token, not the id.
    ReleaseComparesTokenOnly,
    /// A release ends all locks.
    ReleaseEndsAll,
    /// A release claims success and does nothing.
    ReleaseDoesNothing,
    /// A release always claims to have removed something.
    ReleaseClaimsRemoval,
    /// A release by attempt id ends queue entries only.
    ReleaseOfAttemptSparesGrant,
    /// A release by attempt id ends grants only.
    ReleaseOfAttemptSparesEntry,
    /// Only the client that got a grant can release or renew it.
    GrantBoundToClient,

    /// A renewal extends whatever is there.
    RenewalComparesNothing,
    /// A renewal compares the id, not the token.
    RenewalComparesIdOnly,
    /// A renewal compares the token, not the id.
    RenewalComparesTokenOnly,
    /// A renewal of a grant that has ended takes the free lock again.
    RenewalResurrects,
    /// A renewal sets the expiry, also to an earlier one.
    RenewalShortens,
    /// A renewal is answered and not done.
    RenewalDoesNothing,
    /// The answers of a batch come back to front.
    BatchReversed,
    /// The second half of a batch is not answered.
    BatchCut,
    /// All of a batch is renewed for the first one's TTL.
    BatchOfOneTtl,

    /// Lock names are compared without case.
    NamesLowered,
    /// Blanks around lock names are dropped.
    NamesTrimmed,
    /// Lock names end at a NUL byte, and after 255 bytes.
    NamesCut,
    /// Of a lock name with braces, only what is in them counts.
    NamesHashed,
    /// `a` and `a/b` exclude each other, as under one etcd prefix.
    NamesNested,
    /// Control characters in a lock name are refused.
    NamesRefused,

    /// Declares other capabilities each time.
    CapabilitiesChange,
    /// Declares to keep any TTL.
    TtlUnlimited,
    /// TTLs are silently rounded up to minutes.
    TtlRounded,
    /// TTLs above an hour silently become an hour.
    TtlCapped,
    /// TTLs below 10 s silently become 10 s.
    TtlRaised,

    /// A free lock shows its last holder.
    InspectShowsTheDead,
    /// The time left shows doubled.
    TimeLeftDoubled,
    /// The label is not stored.
    LabelLost,
    /// The label ends at the first colon.
    LabelCut,
    /// A refusal does not say who holds the lock.
    RefusalNamesNobody,
    /// Nobody is ever seen to wait.
    WaitersMiscounted,
    /// A forced release claims success and does nothing.
    ForcedReleaseDoesNothing,
    /// A forced release claims to have found a holder of a free lock.
    ForcedReleaseClaimsHolder,
    /// A forced release takes all locks whose names begin with the name.
    ForcedReleaseTakesPrefix,

    /// A watch does not show releases.
    WatchMissesUnlock,
    /// A watch shows an expiry as a release.
    WatchMistakesExpiry,
    /// A watch does not show who holds the lock at its start.
    WatchForgetsTheStart,
    /// A watch shows the events of all names.
    WatchSeesAllNames,

    /// A waiting attempt is never woken.
    WakeupDropped,
    /// A waiting attempt looks every 2 s and is not woken.
    WakeupLate,
    /// A waiting attempt is woken all the time.
    WakeupStorm,
    /// A waiting attempt is woken by a release only, not by an expiry.
    WakeupOnlyByRelease,
    /// A wait that was dropped once is never woken again.
    WaitNotCancelSafe,
    /// Who came last is granted first.
    QueueLifo,
    /// A free lock goes to whoever asks first, although fairness is declared.
    QueueIgnored,
    /// A head that leaves the queue of a free lock leaves it reserved.
    ReservationKept,
    /// A dead head blocks the queue for ever.
    DeadHeadBlocks,
    /// Declares turns of participants and queues by attempt.
    FairnessOverclaimed,

    /// Declares to report a loss at once and does not.
    LossNotReported,
    /// A store that was closed stays closed.
    DeadAfterClose,
}
