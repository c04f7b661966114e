//! The generator behind `math.random` in scripts: `lrand48`, as Redis brings it along.

const MULTIPLIER: u64 = 0x5_deec_e66d;
const MASK: u64 = (1 << 48) - 1;

/// The state of a server that has just started.
pub(crate) const FIRST: u64 = 0x1234_abcd_330e;

/// The state after `math.randomseed`.
pub(super) fn seeded(seed: i32) -> u64 {
    (u64::from(seed as u32) << 16) | 0x330e
}

/// Between 0 and 1.
pub(super) fn next(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xb) & MASK;
    let number = *state >> 17;
    let most = i32::MAX as u64;
    (number % most) as f64 / most as f64
}
