//! Watches, all over one stream: whoever waits watches those before it, whoever holds its own key.

mod events;
mod hub;

pub(crate) use events::Events;
pub(crate) use hub::{Change, Hub, Listener, Subscription};
