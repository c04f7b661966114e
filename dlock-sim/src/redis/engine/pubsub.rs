use super::command::Call;
use super::keys::matches;
use super::{Engine, Reply, Session};

/// A message for a client of this server.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Which client, by its session's number.
    pub client: u64,
    /// As it is to be written.
    pub message: Reply,
}

pub(super) fn subscribe(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let words = call.words;
    let client = call.session.id;
    let patterned = call.name == "psubscribe";
    let mut replies = Vec::new();
    for channel in &words[1..] {
        if patterned {
            if call.session.patterns.insert(channel.clone()) {
                engine.patterns.push((channel.clone(), client));
            }
        } else if call.session.channels.insert(channel.clone()) {
            let listeners = engine.channels.entry(channel.clone()).or_default();
            listeners.push(client);
        }
        replies.push(notice(call.name, Reply::bulk(channel), call.session));
    }
    Ok(Reply::Several(replies))
}

pub(super) fn unsubscribe(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let patterned = call.name == "punsubscribe";
    let channels: Vec<Vec<u8>> = match call.words.len() {
        1 if patterned => call.session.patterns.iter().cloned().collect(),
        1 => call.session.channels.iter().cloned().collect(),
        _ => call.words[1..].to_vec(),
    };
    let mut replies = Vec::new();
    for channel in &channels {
        leave(engine, call.session, channel, patterned);
        replies.push(notice(call.name, Reply::bulk(channel), call.session));
    }
    if channels.is_empty() {
        replies.push(notice(call.name, Reply::Null, call.session));
    }
    Ok(Reply::Several(replies))
}

fn leave(engine: &mut Engine, session: &mut Session, channel: &[u8], patterned: bool) {
    let client = session.id;
    if patterned {
        session.patterns.remove(channel);
        engine
            .patterns
            .retain(|(pattern, listener)| pattern != channel || *listener != client);
        return;
    }
    session.channels.remove(channel);
    if let Some(listeners) = engine.channels.get_mut(channel) {
        listeners.retain(|&listener| listener != client);
        if listeners.is_empty() {
            engine.channels.remove(channel);
        }
    }
}

fn notice(what: &'static str, channel: Reply, session: &Session) -> Reply {
    Reply::Push(vec![
        Reply::bulk(what),
        channel,
        Reply::Integer(session.subscriptions()),
    ])
}

pub(super) fn publish(engine: &mut Engine, call: &mut Call<'_>) -> Result<Reply, Reply> {
    let (channel, payload) = (&call.words[1], &call.words[2]);
    engine.published.push((channel.clone(), payload.clone()));
    let heard = engine.deliver(channel, payload);
    Ok(Reply::Integer(heard))
}

impl Engine {
    /// Hands a message to all who listen here. How many do.
    pub(crate) fn deliver(&mut self, channel: &[u8], payload: &[u8]) -> i64 {
        let mut messages = Vec::new();
        for &client in self.channels.get(channel).into_iter().flatten() {
            let parts = [&b"message"[..], channel, payload];
            messages.push((client, parts.map(Reply::bulk).to_vec()));
        }
        for (pattern, client) in &self.patterns {
            if matches(pattern, channel) {
                let parts = [&b"pmessage"[..], pattern, channel, payload];
                messages.push((*client, parts.map(Reply::bulk).to_vec()));
            }
        }
        let heard = messages.len() as i64;
        if self.drops_messages {
            // They were sent, and are lost on their way.
            return heard;
        }
        let deliveries = messages.into_iter().map(|(client, parts)| Delivery {
            client,
            message: Reply::Push(parts),
        });
        self.deliveries.extend(deliveries);
        heard
    }

    /// Forgets what a connection listens to, when it closes.
    pub fn forget(&mut self, session: &mut Session) {
        for channel in session.channels.clone() {
            leave(self, session, &channel, false);
        }
        for pattern in session.patterns.clone() {
            leave(self, session, &pattern, true);
        }
    }
}
