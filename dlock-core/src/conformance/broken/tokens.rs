//! Flaws of tokens: others are shown than those of the memory store, and translated back.

use super::notes::{NameNotes, Shown};
use super::{BrokenStore, Flaw};
use crate::store::Release;
use crate::{FencingToken, Grant, LockName};

impl BrokenStore {
    /// The grant as this store shows it.
    pub(super) fn show(&self, name: &LockName, grant: Grant) -> Grant {
        let mut notes = self.core.notes();
        let known = notes.name(name);
        let before = known
            .shown
            .iter()
            .rev()
            .find(|shown| shown.grant == grant)
            .map(|shown| shown.as_token);
        let token = before.unwrap_or_else(|| self.invent(known, grant.token));
        if before.is_none() {
            known.shown.push(Shown {
                grant,
                as_token: token,
            });
        }
        Grant { token, ..grant }
    }

    fn invent(&self, known: &mut NameNotes, token: FencingToken) -> FencingToken {
        let counter = match self.core.flaw {
            Flaw::TokensOfTheClient => known.counters.entry(self.client).or_default(),
            Flaw::TokensStartAnew => known.counters.entry(0).or_default(),
            Flaw::TokensFall => return number(FencingToken::MAX.value() - token.value()),
            Flaw::TokensRepeat => return number(7),
            _ => return token,
        };
        *counter += 1;
        number(*counter)
    }

    /// [`Flaw::TokenChangesWithRenewal`]; the grant's old token is still understood.
    pub(super) fn token_after_renewal(&self, name: &LockName, grant: Grant) {
        if self.is(Flaw::TokenChangesWithRenewal) {
            let mut notes = self.core.notes();
            let known = notes.name(name);
            let as_token = number(1_000_000 + known.shown.len() as u64);
            known.shown.push(Shown { grant, as_token });
        }
    }

    pub(super) fn shown_as(&self, name: &LockName, token: FencingToken) -> FencingToken {
        let mut notes = self.core.notes();
        let shown = notes
            .name(name)
            .shown
            .iter()
            .rev()
            .find(|shown| shown.grant.token == token);
        shown.map_or(token, |shown| shown.as_token)
    }

    /// A grant as the memory store knows it; the newest, if it was shown for several.
    pub(super) fn inward_grant(&self, name: &LockName, grant: Grant) -> Grant {
        let mut notes = self.core.notes();
        let shown = &notes.name(name).shown;
        let same = |shown: &&Shown| shown.as_token == grant.token;
        let exactly = shown
            .iter()
            .rev()
            .filter(same)
            .find(|shown| shown.grant.id == grant.id);
        // For a stranger with a token that somebody else was shown.
        let token = exactly
            .or_else(|| shown.iter().rev().find(same))
            .map_or(grant.token, |shown| shown.grant.token);
        Grant { token, ..grant }
    }

    pub(super) fn inward(&self, name: &LockName, release: &Release) -> Release {
        match release {
            Release::Grant(grant, trail) => {
                Release::Grant(self.inward_grant(name, *grant), trail.clone())
            }
            attempt @ Release::Attempt(..) => attempt.clone(),
        }
    }
}

fn number(value: u64) -> FencingToken {
    FencingToken::new(value).unwrap_or(FencingToken::MAX)
}
