use std::collections::BTreeMap;

use super::{Material, sentence, states};
use crate::words::with_clients;

/// Something that happened, and how everybody stood then: one stop of the scrubber.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    pub seq: u64,
    pub t_ns: u64,
    /// The lane where it happened; none: in the world.
    pub lane: Option<usize>,
    pub text: String,
    pub tone: Tone,
    /// Part of the story as one would tell it.
    pub told: bool,
    /// The properties that it violates, with a sentence each.
    pub violates: Vec<(String, String)>,
    /// How each lane stands after it.
    pub states: Vec<String>,
}

/// What a reader should feel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    /// The world is unkind.
    Fault,
    /// A defence held.
    Good,
    /// Something is broken.
    Bad,
}

/// So many stops are enough for anybody.
const MOST: usize = 240;

/// So many violations are among them in any case.
const MOST_VIOLATIONS: usize = 40;

/// The moments by time, and how many were left out.
pub(super) fn moments(material: &Material<'_>) -> (Vec<Moment>, usize) {
    let mut violations: BTreeMap<u64, Vec<(String, String)>> = BTreeMap::new();
    for violation in material.report.violations() {
        let told = violations.entry(violation.at).or_default();
        let message = with_clients(&material.tokens.shorten(&violation.message));
        told.push((violation.property.to_string(), message));
    }
    let mut states = states::States::new(material);
    let mut teller = sentence::Teller::new(material);
    let mut moments = Vec::new();
    for event in &material.events {
        states.after(event);
        let broken = violations.remove(&event.seq).unwrap_or_default();
        let said = teller.tell(event).or_else(|| {
            // What nobody would tell of may be the moment from which on something is broken.
            let (property, _) = broken.first()?;
            Some(sentence::Said {
                text: format!("From here on {property} is broken."),
                tone: Tone::Bad,
                told: true,
            })
        });
        let Some(said) = said else {
            continue;
        };
        if event.t_ns > material.end_ns && broken.is_empty() {
            continue;
        }
        moments.push(Moment {
            seq: event.seq,
            t_ns: event.t_ns.min(material.end_ns),
            lane: material.lane(&event.node),
            tone: match broken.is_empty() {
                true => said.tone,
                false => Tone::Bad,
            },
            told: said.told || !broken.is_empty(),
            text: said.text,
            violates: broken,
            states: states.all(event.t_ns),
        });
    }
    gather(&mut moments);
    thin_out(moments)
}

/// What is told again and again is told once, with how often.
fn gather(moments: &mut [Moment]) {
    let mut first: Option<usize> = None;
    let mut times = 1;
    for index in 0..moments.len() {
        if !moments[index].told {
            continue;
        }
        let same = first.filter(|first| {
            let known = &moments[*first];
            known.text == moments[index].text && moments[index].violates.is_empty()
        });
        match same {
            Some(_) => {
                moments[index].told = false;
                times += 1;
            }
            None => {
                count(moments, first, times);
                (first, times) = (Some(index), 1);
            }
        }
    }
    count(moments, first, times);
}

fn count(moments: &mut [Moment], first: Option<usize>, times: usize) {
    if let Some(moment) = first.and_then(|first| moments.get_mut(first))
        && times > 1
    {
        moment.text = format!("{} ({times} times)", moment.text);
    }
}

/// Renewals and the like go first; what is told and what is violated stays.
fn thin_out(moments: Vec<Moment>) -> (Vec<Moment>, usize) {
    let before = moments.len();
    if before <= MOST {
        return (moments, 0);
    }
    let kept = moments
        .iter()
        .filter(|moment| moment.told)
        .count()
        .min(MOST);
    let mut room = MOST - kept;
    let mut told = kept;
    let mut violations = MOST_VIOLATIONS;
    let moments: Vec<Moment> = moments
        .into_iter()
        .filter(|moment| {
            let left = if moment.told { &mut told } else { &mut room };
            let violates = !moment.violates.is_empty() && violations > 0;
            violations = violations.saturating_sub(usize::from(violates));
            let fits = *left > 0 || violates;
            *left = left.saturating_sub(1);
            fits
        })
        .collect();
    let left_out = before - moments.len();
    (moments, left_out)
}
