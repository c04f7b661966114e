use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, broadcast};

use crate::store::{
    AttemptRequest, Expiry, Granted, HeldBy, Inspection, LockEvent, LossSignal, Mode, Release,
    Renewal, Renewed,
};
use crate::{AttemptId, FencingToken, Grant, Instant, OwnerLabel};

/// How long a free lock is reserved for the head of the queue before the next one gets it (R11).
const GRACE: Duration = Duration::from_millis(500);

/// Waiters who have not come for this long after their grace are gone.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// One lock: its holder, its queue, its watchers.
#[derive(Default)]
pub(super) struct NameState {
    holder: Option<Holder>,
    /// First in, first out. The head of a free lock has it reserved until `reserved_until`.
    queue: VecDeque<Waiter>,
    reserved_until: Option<Instant>,
    watchers: Option<broadcast::Sender<LockEvent>>,
}

struct Holder {
    grant: Grant,
    label: OwnerLabel,
    expires_at: Instant,
    loss: LossSignal,
}

struct Waiter {
    id: AttemptId,
    wakeup: Arc<Notify>,
}

/// What a waiter finds when it looks.
pub(super) enum Turn {
    /// Ask the store.
    Now,
    /// Nothing to do before a wakeup or this instant.
    NotBefore(Instant),
}

impl NameState {
    /// Brings the state to `now`: an expired lease ends, an unused reservation passes on.
    pub(super) fn settle(&mut self, now: Instant) {
        if self
            .holder
            .take_if(|holder| holder.expires_at <= now)
            .is_some()
        {
            self.freed(now, LockEvent::Expired);
        }
        while let Some(until) = self.reserved_until.filter(|until| *until <= now) {
            // R11: a head that did not come costs its grace once. It queues again when it wakes up.
            // The next one's grace starts now, when it is woken, and not in the past: after a pause
            // of the whole process nobody could have come. Long after, all are dead.
            self.queue.pop_front();
            self.reserve_from(if now.since(until) < LONGEST_PAUSE {
                now
            } else {
                until
            });
        }
    }

    pub(super) fn is_unused(&self) -> bool {
        let watched = self
            .watchers
            .as_ref()
            .is_some_and(|watchers| watchers.receiver_count() > 0);
        self.holder.is_none() && self.queue.is_empty() && !watched
    }

    /// `Err`: busy, with the wakeup of our queue entry when the attempt is queued.
    pub(super) fn attempt(
        &mut self,
        request: &AttemptRequest,
        now: Instant,
        mint: impl FnOnce() -> FencingToken,
    ) -> Result<Granted, (HeldBy, Option<Arc<Notify>>)> {
        match &self.holder {
            Some(holder) if holder.grant.id == request.id => {
                return Ok(Granted {
                    grant: holder.grant,
                    expiry: Expiry::ByEarlierCall,
                });
            }
            Some(holder) => {
                let held_by = HeldBy::new(
                    Some(holder.label.clone()),
                    Some(holder.expires_at.since(now)),
                );
                return Err((held_by, self.enqueue(request)));
            }
            None => {}
        }
        let first_in_line = self.queue.front().is_none_or(|head| head.id == request.id);
        if !first_in_line {
            return Err((HeldBy::default(), self.enqueue(request)));
        }
        self.queue.pop_front();
        self.reserved_until = None;
        let grant = Grant {
            id: request.id,
            token: mint(),
        };
        let label = request.label.clone();
        self.tell(LockEvent::Locked {
            label: Some(label.clone()),
            token: Some(grant.token),
        });
        self.holder = Some(Holder {
            grant,
            label,
            expires_at: now + request.ttl,
            loss: request.loss.clone(),
        });
        Ok(Granted {
            grant,
            expiry: Expiry::ByThisCall,
        })
    }

    pub(super) fn renew(&mut self, renewal: &Renewal, now: Instant) -> Renewed {
        match &mut self.holder {
            Some(holder) if holder.grant == renewal.grant => {
                // R6: never closer.
                holder.expires_at = holder.expires_at.max(now + renewal.ttl);
                Renewed::Until(Expiry::ByThisCall)
            }
            _ => Renewed::NotOwner,
        }
    }

    /// R5: only what belongs to the grant, or the attempt.
    pub(super) fn release(&mut self, release: &Release, now: Instant) -> bool {
        let ours = |holder: &mut Holder| match release {
            Release::Grant(grant, _) => holder.grant == *grant,
            Release::Attempt(id, _) => holder.grant.id == *id,
        };
        if self.holder.take_if(ours).is_some() {
            self.freed(now, LockEvent::Unlocked);
            return true;
        }
        let Release::Attempt(id, _) = release else {
            return false;
        };
        let Some(at) = self.queue.iter().position(|waiter| waiter.id == *id) else {
            return false;
        };
        self.queue.remove(at);
        if at == 0 && self.reserved_until.is_some() {
            self.reserve_from(now);
        }
        true
    }

    pub(super) fn inspect(&self, now: Instant) -> Option<Inspection> {
        let holder = self.holder.as_ref()?;
        Some(Inspection {
            label: Some(holder.label.clone()),
            token: Some(holder.grant.token),
            time_left: Some(holder.expires_at.since(now)),
            waiters: Some(self.queue.len() as u64),
        })
    }

    pub(super) fn force_release(&mut self, now: Instant) -> bool {
        let Some(holder) = self.holder.take() else {
            return false;
        };
        holder.loss.not_owner(holder.grant.token);
        self.freed(now, LockEvent::Unlocked);
        true
    }

    /// A receiver of later events, and the present holder as an event.
    pub(super) fn watch(&mut self) -> (broadcast::Receiver<LockEvent>, Option<LockEvent>) {
        let locked = self.holder.as_ref().map(|holder| LockEvent::Locked {
            label: Some(holder.label.clone()),
            token: Some(holder.grant.token),
        });
        let watchers = self
            .watchers
            .get_or_insert_with(|| broadcast::channel(64).0);
        (watchers.subscribe(), locked)
    }

    /// When the lease ends, for watchers who want to see it.
    pub(super) fn expires_at(&self) -> Option<Instant> {
        self.holder.as_ref().map(|holder| holder.expires_at)
    }

    /// What the waiter with this id has to do.
    pub(super) fn turn(&self, id: AttemptId) -> Turn {
        let Some(position) = self.queue.iter().position(|waiter| waiter.id == id) else {
            // It lost its place: asking again gives it a new one.
            return Turn::Now;
        };
        // The second looks together with the head, should that be frozen; one grace more for each
        // further one before us.
        let patience = GRACE * u32::try_from(position.saturating_sub(1)).unwrap_or(u32::MAX);
        match (&self.holder, self.reserved_until) {
            (Some(holder), _) => Turn::NotBefore(holder.expires_at + patience),
            (None, _) if position == 0 => Turn::Now,
            (None, Some(until)) => Turn::NotBefore(until + patience),
            (None, None) => Turn::Now,
        }
    }

    fn enqueue(&mut self, request: &AttemptRequest) -> Option<Arc<Notify>> {
        if request.mode == Mode::Try {
            return None;
        }
        if let Some(waiter) = self.queue.iter().find(|waiter| waiter.id == request.id) {
            return Some(waiter.wakeup.clone());
        }
        let wakeup = Arc::new(Notify::new());
        self.queue.push_back(Waiter {
            id: request.id,
            wakeup: wakeup.clone(),
        });
        Some(wakeup)
    }

    fn freed(&mut self, at: Instant, event: LockEvent) {
        self.tell(event);
        self.reserve_from(at);
    }

    /// Reserves the free lock for the head, wakes it, and lets the next one set its timer to the
    /// end of the grace.
    fn reserve_from(&mut self, at: Instant) {
        self.reserved_until = (!self.queue.is_empty()).then_some(at + GRACE);
        self.queue
            .iter()
            .take(2)
            .for_each(|waiter| waiter.wakeup.notify_one());
    }

    fn tell(&self, event: LockEvent) {
        if let Some(watchers) = &self.watchers {
            let _ = watchers.send(event);
        }
    }
}
