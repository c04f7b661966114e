use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use dlock_core::store::{AttemptRequest, LossSignal};
use dlock_core::{AttemptId, FencingToken, Instant};
use tokio::sync::Notify;

use crate::entry::{Ahead, Entry};
use crate::keys::Keys;
use crate::lease::Lease;
use crate::minder::Minder;
use crate::recipe::Own;
use crate::value::{Owner, Standing, written};
use crate::waiting::{Looking, Next, Waiting};
use crate::watch::{Change, Hub, Listener, Subscription};

/// One attempt, as far as etcd has something of it: a lease or two, an entry under one of them.
pub(crate) struct Candidate {
    pub id: AttemptId,
    pub keys: Keys,
    waiting: Vec<u8>,
    holding: Vec<u8>,
    /// Something was heard that its wait should look at.
    pub news: Notify,
    /// One renewal at a time: two could see the entry under two leases.
    pub renewing: tokio::sync::Mutex<()>,
    /// One release at a time: two would give its lease back twice.
    pub ending: tokio::sync::Mutex<()>,
    minder: Weak<Minder>,
    state: Mutex<State>,
}

struct State {
    stage: Stage,
    /// The key was named after the first lease that it was written under; empty before.
    key: Vec<u8>,
    /// Under which lease the entry is, as far as we know.
    lease: Option<Arc<Lease>>,
    /// All that it may be under, now or when a request arrives late.
    leases: Vec<Arc<Lease>>,
    created: i64,
    modified: i64,
    in_flight: u32,
    /// R3: a request may still be applied.
    unanswered: bool,
    loss: LossSignal,
    own: Option<Watched>,
    others: Vec<Watched>,
    /// R1: the entry was read after the watch of it was created, and has not changed since.
    verified: bool,
    /// How often a watch was reset: a read that began before one proves nothing.
    resets: u64,
    /// The entry was deleted by somebody else.
    deleted: bool,
    /// A move to another lease was not answered: the entry may be there or here, now or later.
    moving: bool,
    /// How many places there are to wait at.
    places: u32,
}

#[derive(Debug)]
enum Stage {
    /// Nothing at etcd, as far as we know.
    New,
    Waiting(Box<Waiting>),
    Held,
    /// It is being released; nothing more is asked for it.
    Over,
}

struct Watched {
    subscription: Subscription,
    created: bool,
}

/// What to ask etcd for.
pub(crate) enum Step {
    Enter,
    Confirm { created: i64, modified: i64 },
    Look { created: i64 },
    Nothing,
}

/// What a release has to end.
pub(crate) struct Remains {
    pub key: Vec<u8>,
    pub leases: Vec<Arc<Lease>>,
    /// Something may still be applied: the leases have to be revoked.
    pub in_doubt: bool,
}

/// An entry whose lease is to be renewed.
pub(crate) struct HeldEntry {
    pub key: Vec<u8>,
    pub created: i64,
    pub modified: i64,
    pub lease: Arc<Lease>,
    pub verified: bool,
    pub moving: bool,
}

impl Candidate {
    pub fn new(request: &AttemptRequest, keys: Keys, minder: &Arc<Minder>) -> Self {
        let value = |standing| written(standing, request.id, &request.label);
        Self {
            id: request.id,
            keys,
            waiting: value(Standing::Waiting),
            holding: value(Standing::Holding),
            news: Notify::new(),
            renewing: tokio::sync::Mutex::default(),
            ending: tokio::sync::Mutex::default(),
            minder: Arc::downgrade(minder),
            state: Mutex::new(State {
                stage: Stage::New,
                key: Vec::new(),
                lease: None,
                leases: Vec::new(),
                created: 0,
                modified: 0,
                in_flight: 0,
                unanswered: false,
                loss: request.loss.clone(),
                own: None,
                others: Vec::new(),
                verified: false,
                resets: 0,
                deleted: false,
                moving: false,
                places: 0,
            }),
        }
    }

    /// A grant that was made elsewhere, found at etcd.
    pub fn found(
        keys: Keys,
        id: AttemptId,
        value: Vec<u8>,
        entry: &Entry,
        lease: Arc<Lease>,
    ) -> Self {
        Self {
            id,
            keys,
            waiting: Vec::new(),
            holding: value,
            news: Notify::new(),
            renewing: tokio::sync::Mutex::default(),
            ending: tokio::sync::Mutex::default(),
            minder: Weak::new(),
            state: Mutex::new(State {
                stage: Stage::Held,
                key: entry.key.clone(),
                leases: vec![lease.clone()],
                lease: Some(lease),
                created: entry.created,
                modified: entry.modified,
                in_flight: 0,
                unanswered: false,
                loss: LossSignal::unheard(),
                own: None,
                others: Vec::new(),
                verified: true,
                resets: 0,
                deleted: false,
                moving: false,
                places: 0,
            }),
        }
    }

    pub fn step(&self) -> Step {
        let state = self.state();
        let (created, modified) = (state.created, state.modified);
        match state.stage {
            Stage::New => Step::Enter,
            Stage::Waiting(_) => Step::Confirm { created, modified },
            Stage::Held => Step::Look { created },
            Stage::Over => Step::Nothing,
        }
    }

    /// The lease to enter with, if there is one of which enough is left.
    pub fn lease(&self, now: Instant) -> Option<Arc<Lease>> {
        let state = self.state();
        state.lease.clone().filter(|lease| lease.is_fresh(now))
    }

    /// The lease that the entry is under.
    pub fn lease_in_use(&self) -> Option<Arc<Lease>> {
        self.state().lease.clone()
    }

    /// Enters with this lease; returns the one that it replaces.
    pub fn use_lease(&self, lease: &Arc<Lease>) -> Option<Arc<Lease>> {
        let mut state = self.state();
        state.key = self.keys.entry(lease.id);
        state.leases.push(lease.clone());
        state.lease.replace(lease.clone())
    }

    /// R3: on record before a request leaves that may change something.
    pub fn sending(self: &Arc<Self>) -> Sending {
        self.state().in_flight += 1;
        Sending {
            candidate: self.clone(),
            answered: false,
        }
    }

    pub fn key(&self) -> Vec<u8> {
        self.state().key.clone()
    }

    pub fn own<'a>(&'a self, key: &'a [u8], lease: &Lease) -> Own<'a> {
        Own {
            keys: &self.keys,
            key,
            lease: lease.id,
            waiting: &self.waiting,
            holding: &self.holding,
        }
    }

    pub fn holding(&self) -> &[u8] {
        &self.holding
    }

    /// The lock is ours. `None` when etcd's revision is not a token, or the attempt was ended meanwhile.
    pub fn granted(
        self: &Arc<Self>,
        created: i64,
        modified: i64,
    ) -> Option<(FencingToken, Instant)> {
        let token = u64::try_from(created).ok().and_then(FencingToken::new)?;
        let mut state = self.state();
        if matches!(state.stage, Stage::Over) {
            return None;
        }
        state.created = created;
        state.modified = state.modified.max(modified);
        let others = std::mem::take(&mut state.others);
        if !matches!(state.stage, Stage::Held) {
            // The look of the wait came after the watch of our own entry.
            state.verified = matches!(&state.stage, Stage::Waiting(waiting) if waiting.is_sure())
                && state.own.as_ref().is_some_and(|own| own.created);
            state.deleted = false;
            state.stage = Stage::Held;
        }
        let unwatched = state.own.is_none();
        let unverified = !state.verified && state.own.as_ref().is_some_and(|own| own.created);
        let renewed_from = state.lease.as_ref()?.renewed_from();
        drop(state);
        drop(others);
        if let Some(minder) = self.minder() {
            if unwatched {
                minder.watch_soon(self);
            } else if unverified {
                minder.verify(self);
            }
        }
        Some((token, renewed_from))
    }

    /// Others stand before us.
    pub fn waits(&self, created: i64, modified: i64, ahead: Ahead, now: Instant) {
        let mut state = self.state();
        if matches!(state.stage, Stage::Over) {
            return;
        }
        state.created = created;
        state.modified = state.modified.max(modified);
        match &mut state.stage {
            Stage::Waiting(waiting) => waiting.told(ahead, now),
            stage => *stage = Stage::Waiting(Box::new(Waiting::behind(ahead, now))),
        }
    }

    /// The entry has gone with its lease, or was removed: what comes next is a new entry. Returns the
    /// old lease, and whether it had waited.
    pub fn lost_place(&self) -> (Option<Arc<Lease>>, bool) {
        let mut state = self.state();
        let watches = (state.own.take(), std::mem::take(&mut state.others));
        let waited = matches!(state.stage, Stage::Waiting(_));
        if !matches!(state.stage, Stage::Over) {
            state.stage = Stage::New;
        }
        (state.created, state.modified, state.verified) = (0, 0, false);
        // R1: a read of the old entry says nothing of the next.
        state.resets += 1;
        let lease = state.lease.take();
        if !state.unanswered && state.in_flight == 0 {
            state.leases.clear();
        }
        drop(state);
        drop(watches);
        (lease, waited)
    }

    /// Ends it if it has nothing at etcd and nothing can come: then its leases may serve others.
    pub fn end_if_nothing_was_sent(&self) -> Option<Vec<Arc<Lease>>> {
        let mut state = self.state();
        let nothing =
            matches!(state.stage, Stage::New) && !state.unanswered && state.in_flight == 0;
        nothing.then(|| {
            state.stage = Stage::Over;
            std::mem::take(&mut state.leases)
        })
    }

    /// Whether it was ended, and whatever it had has run out by now.
    pub fn is_past(&self, now: Instant) -> bool {
        let state = self.state();
        let past = |lease: &Arc<Lease>| now >= lease.ends_at();
        matches!(state.stage, Stage::Over) && state.in_flight == 0 && state.leases.iter().all(past)
    }

    pub fn place_taken(&self) {
        self.state().places += 1;
    }

    /// Whether it was the last.
    pub fn place_left(&self) -> bool {
        let mut state = self.state();
        state.places -= 1;
        state.places == 0
    }

    /// Every request was answered.
    pub fn is_clean(&self) -> bool {
        let state = self.state();
        !state.unanswered && state.in_flight == 0
    }

    /// What its wait does next; sees to the watches first.
    pub fn next(self: &Arc<Self>, hub: &Arc<Hub>, now: Instant, foremost: bool) -> Next {
        let mut state = self.state();
        let state = &mut *state;
        let Stage::Waiting(waiting) = &state.stage else {
            return Next::Ask;
        };
        let watch = |key: &[u8]| Watched {
            subscription: hub.watch(key.to_vec(), self.ear()),
            created: false,
        };
        if state.own.is_none() {
            state.own = Some(watch(&state.key));
        }
        let mut before = std::mem::take(&mut state.others);
        let mut created = state.own.as_ref().is_some_and(|own| own.created);
        for key in waiting.keys() {
            let known = before.iter().position(|one| one.subscription.key == key);
            let one = match known {
                Some(at) => before.swap_remove(at),
                None => watch(key),
            };
            created &= one.created;
            state.others.push(one);
        }
        waiting.next(now, created, foremost)
    }

    /// What a look must know that begins now: our creation revision, who was ahead, and what was heard.
    pub fn looking(&self) -> Option<(i64, Ahead, Looking)> {
        let state = self.state();
        let Stage::Waiting(waiting) = &state.stage else {
            return None;
        };
        let watched = state.own.iter().chain(&state.others).all(|one| one.created);
        let heard = waiting.heard();
        let known = waiting.ahead().clone();
        Some((state.created, known, Looking { heard, watched }))
    }

    pub fn looked(&self, modified: i64, ahead: Ahead, looking: Looking, now: Instant) {
        self.waiting(|state, waiting| {
            *state = (*state).max(modified);
            waiting.looked(ahead, looking, now);
        });
    }

    /// Our own entry was not there.
    pub fn not_there(&self) {
        self.waiting(|_, waiting| waiting.own_deleted());
    }

    pub fn look_failed(&self, now: Instant) {
        self.waiting(|_, waiting| waiting.look_failed(now));
    }

    pub fn passed_over(&self) {
        self.waiting(|_, waiting| waiting.passed_over());
    }

    fn waiting(&self, change: impl FnOnce(&mut i64, &mut Waiting)) {
        let mut state = self.state();
        let state = &mut *state;
        if let Stage::Waiting(waiting) = &mut state.stage {
            change(&mut state.modified, waiting);
        }
    }

    pub fn created(&self) -> i64 {
        self.state().created
    }

    /// Watches our own entry, if the lock is still held.
    pub fn watch_own(self: &Arc<Self>, hub: &Arc<Hub>) {
        let mut state = self.state();
        if matches!(state.stage, Stage::Held) && state.own.is_none() {
            state.own = Some(Watched {
                subscription: hub.watch(state.key.clone(), self.ear()),
                created: false,
            });
        }
    }

    /// The key, if it has to be read before the watch of it can be trusted; and for which watch.
    pub fn to_verify(&self) -> Option<(Vec<u8>, u64)> {
        let state = self.state();
        let wanted = matches!(state.stage, Stage::Held)
            && !state.verified
            && state.own.as_ref().is_some_and(|own| own.created);
        wanted.then(|| (state.key.clone(), state.resets))
    }

    /// The entry was read, after its watch was created if the number of that is given.
    pub fn seen(&self, entry: Option<&Entry>, watch: Option<u64>) {
        let mut state = self.state();
        // A read that began before a reset, or for an earlier entry, says nothing.
        if !matches!(state.stage, Stage::Held) || watch.is_some_and(|watch| watch != state.resets) {
            return;
        }
        match entry {
            Some(entry) if entry.created == state.created => {
                state.verified |= watch == Some(state.resets)
                    && state.own.as_ref().is_some_and(|own| own.created);
                state.is_under(entry.lease, entry.modified);
            }
            _ => {
                let loss = state.is_lost();
                drop(state);
                loss.tell();
            }
        }
    }

    /// The entry of this grant, if it is held still.
    pub fn held(&self, token: FencingToken) -> Option<HeldEntry> {
        let state = self.state();
        let ours = u64::try_from(state.created) == Ok(token.value());
        if !ours || !matches!(state.stage, Stage::Held) || state.deleted {
            return None;
        }
        Some(HeldEntry {
            key: state.key.clone(),
            created: state.created,
            modified: state.modified,
            lease: state.lease.clone()?,
            verified: state.verified,
            moving: state.moving,
        })
    }

    /// A lease that the entry may be under from now on.
    pub fn may_be_under(&self, lease: &Arc<Lease>) {
        self.state().leases.push(lease.clone());
    }

    pub fn set_moving(&self, moving: bool) {
        self.state().moving = moving;
    }

    /// One that is known already, with this TTL.
    pub fn lease_of(&self, ttl: Duration) -> Option<Arc<Lease>> {
        let state = self.state();
        let fits = |lease: &&Arc<Lease>| lease.ttl == ttl && !lease.is_over() && !lease.foreign;
        state.leases.iter().find(fits).cloned()
    }

    /// What was found out about a lease of somebody else.
    pub fn knows(&self, lease: &Arc<Lease>) {
        let mut state = self.state();
        if state
            .lease
            .as_ref()
            .is_some_and(|known| known.id == lease.id)
        {
            state.lease = Some(lease.clone());
        }
    }

    pub fn moved(&self, lease: &Arc<Lease>, modified: i64) {
        let mut state = self.state();
        if modified >= state.modified {
            state.modified = modified;
            state.lease = Some(lease.clone());
        }
    }

    /// It is to be released: nothing more is asked for it, and nothing watched.
    pub fn end(&self) -> Remains {
        let mut state = self.state();
        state.stage = Stage::Over;
        let watches = (state.own.take(), std::mem::take(&mut state.others));
        let remains = Remains {
            key: state.key.clone(),
            leases: state.leases.clone(),
            in_doubt: state.unanswered || state.in_flight > 0,
        };
        drop(state);
        drop(watches);
        self.news.notify_waiters();
        remains
    }

    /// It was taken away, and nobody of us will have to do with it any more.
    pub fn is_forgotten(&self) -> Option<Vec<Arc<Lease>>> {
        let state = self.state();
        let forgotten = state.deleted
            && matches!(state.stage, Stage::Held)
            && !state.unanswered
            && state.in_flight == 0;
        forgotten.then(|| state.leases.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ear(self: &Arc<Self>) -> Arc<dyn Listener> {
        Arc::new(Ear(Arc::downgrade(self)))
    }

    fn minder(&self) -> Option<Arc<Minder>> {
        self.minder.upgrade()
    }
}

impl State {
    fn is_own(&self, watch: i64) -> bool {
        let own = self.own.as_ref();
        own.is_some_and(|own| own.subscription.id == watch)
    }

    fn set_created(&mut self, watch: i64, created: bool) {
        let all = self.own.iter_mut().chain(&mut self.others);
        for one in all.filter(|one| one.subscription.id == watch) {
            one.created = created;
        }
    }

    /// The entry is under this lease, whoever put it there.
    fn is_under(&mut self, lease: i64, modified: i64) {
        if modified < self.modified {
            return;
        }
        self.modified = modified;
        if self.lease.as_ref().is_some_and(|known| known.id == lease) {
            return;
        }
        let known = self.leases.iter().find(|known| known.id == lease).cloned();
        // Of a TTL that nobody asks for: the next renewal moves it to a lease of ours.
        let other = || Arc::new(Lease::of_another(lease, Duration::ZERO, Instant::ORIGIN));
        self.lease = Some(known.unwrap_or_else(other));
    }

    fn is_lost(&mut self) -> Loss {
        self.deleted = true;
        self.verified = false;
        Loss {
            token: u64::try_from(self.created).ok().and_then(FencingToken::new),
            signal: self.loss.clone(),
        }
    }
}

/// To be told outside the lock: it wakes people.
#[must_use]
struct Loss {
    token: Option<FencingToken>,
    signal: LossSignal,
}

impl Loss {
    fn tell(self) {
        if let Some(token) = self.token {
            self.signal.not_owner(token);
        }
    }
}

/// What the hub calls.
struct Ear(Weak<Candidate>);

impl Listener for Ear {
    fn created(&self, watch: i64) {
        let Some(candidate) = self.0.upgrade() else {
            return;
        };
        let mut state = candidate.state();
        state.set_created(watch, true);
        let verify = matches!(state.stage, Stage::Held) && state.is_own(watch);
        drop(state);
        match candidate.minder().filter(|_| verify) {
            Some(minder) => minder.verify(&candidate),
            None => candidate.news.notify_waiters(),
        }
    }

    fn reset(&self, watch: i64) {
        let Some(candidate) = self.0.upgrade() else {
            return;
        };
        let mut state = candidate.state();
        state.set_created(watch, false);
        if state.is_own(watch) {
            state.verified = false;
            state.resets += 1;
        }
        if let Stage::Waiting(waiting) = &mut state.stage {
            waiting.reset();
        }
        drop(state);
        candidate.news.notify_waiters();
    }

    fn changed(&self, watch: i64, change: Change) {
        let Some(candidate) = self.0.upgrade() else {
            return;
        };
        let Some(minder) = candidate.minder() else {
            return;
        };
        let mut state = candidate.state();
        if !state.is_own(watch) {
            if let Stage::Waiting(waiting) = &mut state.stage {
                waiting.hear(&change, minder.now());
            }
            drop(state);
            candidate.news.notify_waiters();
            return;
        }
        // What was deleted before ours was made is not ours.
        if change.now.mod_revision <= state.created {
            return;
        }
        if !change.deleted {
            let ours = Owner::parse(&change.now.value).id() == Some(candidate.id);
            if ours && change.now.create_revision == state.created {
                state.is_under(change.now.lease, change.now.mod_revision);
            }
            return;
        }
        match &mut state.stage {
            Stage::Held => {
                let loss = state.is_lost();
                drop(state);
                loss.tell();
                minder.verify(&candidate);
            }
            Stage::Waiting(waiting) => {
                waiting.own_deleted();
                drop(state);
                candidate.news.notify_waiters();
            }
            Stage::New | Stage::Over => {}
        }
    }
}

/// A request that may change something. Dropped without an answer it leaves a doubt.
#[must_use]
pub(crate) struct Sending {
    candidate: Arc<Candidate>,
    answered: bool,
}

impl Sending {
    /// etcd has surely processed the request, or surely never will.
    pub fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let mut state = self.candidate.state();
        state.in_flight -= 1;
        state.unanswered |= !self.answered;
    }
}
