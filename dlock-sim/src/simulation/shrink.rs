use super::{Ask, Judgement, Schedule, client_names};
use crate::checker::Property;
use crate::faults::Plan;

/// The most runs that shrinking may take.
const TRIES: usize = 300;

/// A smaller plan that breaks the same property when it is played like this schedule: fewer faults, shorter ones, fewer
/// clients, fewer names, less time.
pub(crate) fn shrink(schedule: &Schedule, ask: &Ask, property: Option<Property>) -> Plan {
    let mut shrinking = Shrinking {
        schedule,
        ask,
        property,
        best: schedule.plan.clone(),
        tries: 0,
    };
    while shrinking.round() {}
    shrinking.best
}

struct Shrinking<'a> {
    schedule: &'a Schedule,
    ask: &'a Ask,
    property: Option<Property>,
    best: Plan,
    tries: usize,
}

fn without_a_client(plan: &mut Plan) {
    plan.clients -= 1;
    let left = client_names(plan.clients);
    if let Some(core) = &mut plan.core {
        core.retain(|name| left.contains(name));
    }
}

impl Shrinking<'_> {
    /// Tries everything once; whether anything helped.
    fn round(&mut self) -> bool {
        let before = self.best.clone();
        self.drop_faults();
        self.shorten_faults();
        while self.best.clients > 2 && self.try_out(without_a_client) {}
        self.try_out(|plan| plan.core = None);
        while self.best.names > 1 && self.try_out(|plan| plan.names -= 1) {}
        while self.best.calm_ms > 0 && self.try_out(|plan| plan.calm_ms /= 2) {}
        while self.best.active_ms > 1000 && self.try_out(|plan| plan.active_ms /= 2) {}
        before != self.best
    }

    /// First half of them at once, then one by one, from the end.
    fn drop_faults(&mut self) {
        let mut size = self.best.faults.len().div_ceil(2);
        while size > 0 {
            let mut end = self.best.faults.len();
            while end > 0 {
                let start = end.saturating_sub(size);
                self.try_out(|plan| {
                    plan.faults.drain(start..end);
                });
                end = start.min(self.best.faults.len());
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }

    fn shorten_faults(&mut self) {
        for index in 0..self.best.faults.len() {
            while self.best.faults[index].for_ms > 100
                && self.try_out(|plan| plan.faults[index].for_ms /= 2)
            {}
        }
    }

    /// Whether the changed plan still breaks the property; then it is the best.
    fn try_out(&mut self, change: impl FnOnce(&mut Plan)) -> bool {
        let mut plan = self.best.clone();
        change(&mut plan);
        let strangers = plan.check(&Schedule::nodes(&plan, &*self.schedule.store));
        if plan == self.best || strangers.is_err() || self.tries >= TRIES {
            return false;
        }
        self.tries += 1;
        let schedule = self.schedule.with_plan(plan);
        let played = schedule.play();
        let capabilities = schedule.store.capabilities();
        let judgement = Judgement::of(&played, &schedule.plan, &capabilities, self.ask);
        let breaks = judgement.breaks(self.property);
        if breaks {
            self.best = schedule.plan;
        }
        breaks
    }
}
