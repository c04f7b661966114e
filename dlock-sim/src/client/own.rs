use std::any::{TypeId, type_name};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dlock_core::fence::{Stamp, Stamped};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::link::Link;
use super::storage::OWN_PORT;
use super::{Holder, SimClient};
use crate::trace::{Kind, StorageAccess};
use crate::world::Machine;

/// A protected resource of your own: what the database is to your service.
///
/// It lives on the machine `storage` of the world, one for each schedule ([`Simulation::resource`]); clients reach it
/// over the world's network ([`SimClient::resource_of`]). Requests come one at a time, each whole: a transaction.
///
/// The checker sees what it [`report`](Visit::report)s, and nothing else.
///
/// ```
/// use dlock_core::fence::{Fence, Stamp};
/// use dlock_core::{FencingToken, GrantHash};
/// use dlock_sim::{Access, ProtectedResource, Visit};
///
/// /// Counts; each request is claim and write at once, so nothing is read before the claim.
/// #[derive(Default)]
/// struct Counter { fence: Fence, count: u64 }
///
/// impl ProtectedResource for Counter {
///     /// A stamp as it travels: the token, and the hash of the grant.
///     type Request = (u64, String);
///     type Reply = Result<u64, String>;
///
///     fn serve(&mut self, (token, grant): Self::Request, visit: &Visit<'_>) -> Self::Reply {
///         let token = FencingToken::new(token).ok_or("no token")?;
///         let grant = GrantHash::parse(&grant).ok_or("no grant")?;
///         let stamp = Stamp { token, grant };
///         let said = self.fence.claim(&stamp);
///         visit.report(Access::write(&stamp).accepted(said.is_ok()));
///         said.map_err(|error| error.to_string())?;
///         self.count += 1;
///         Ok(self.count)
///     }
/// }
/// ```
///
/// [`Simulation::resource`]: crate::Simulation::resource
pub trait ProtectedResource: Send + 'static {
    /// What clients ask.
    type Request: Serialize + DeserializeOwned;
    /// What it answers.
    type Reply: Serialize + DeserializeOwned;

    /// Answers a request.
    fn serve(&mut self, request: Self::Request, visit: &Visit<'_>) -> Self::Reply;
}

/// Who asks a [`ProtectedResource`], and where it says what it did.
pub struct Visit<'a> {
    machine: &'a Machine,
    resource: &'a str,
    by: &'a str,
    /// On whose behalf a request without a stamp is.
    holder: Option<&'a Holder>,
}

impl Visit<'_> {
    /// The client that asks: `c1`.
    pub fn by(&self) -> &str {
        self.by
    }

    /// Puts an access into the trace, which the checker judges.
    pub fn report(&self, access: Access) {
        let Access {
            access,
            part,
            stamp,
            accepted,
            value,
        } = access;
        let resource = match part {
            Some(part) => format!("{}/{part}", self.resource),
            None => self.resource.to_owned(),
        };
        let shown = stamp.map(|stamp| Holder::showing(&stamp));
        let holder = shown.as_ref().or(self.holder);
        self.machine.record(Kind::Storage {
            resource,
            access,
            by: self.by.to_owned(),
            attempt: holder.map(|holder| holder.attempt.clone()),
            token: holder.map(|holder| holder.token),
            fenced: stamp.is_some(),
            accepted,
            newest: None,
            value,
        });
    }
}

/// What was asked of a [`ProtectedResource`], on whose behalf, and whether it was done.
#[derive(Clone, Debug)]
#[must_use = "the checker sees what `Visit::report` is given"]
pub struct Access {
    access: StorageAccess,
    part: Option<String>,
    stamp: Option<Stamp>,
    accepted: bool,
    value: Value,
}

impl Access {
    /// A claim with this stamp: from here on older tokens must be refused.
    pub fn claim(holder: &impl Stamped) -> Self {
        Self::new(StorageAccess::Claim, Some(holder.stamp()))
    }

    /// A read with this stamp.
    pub fn read(holder: &impl Stamped) -> Self {
        Self::new(StorageAccess::Read, Some(holder.stamp()))
    }

    /// A write with this stamp.
    pub fn write(holder: &impl Stamped) -> Self {
        Self::new(StorageAccess::Write, Some(holder.stamp()))
    }

    /// A read past the fence. It counts as one of the newest guard that the client had when it asked.
    pub fn unfenced_read() -> Self {
        Self::new(StorageAccess::Read, None)
    }

    /// A write past the fence. It counts as one of the newest guard that the client had when it asked.
    pub fn unfenced_write() -> Self {
        Self::new(StorageAccess::Write, None)
    }

    /// Which part of the resource has this fence: the invoice, in a table of invoices. Default: all of it.
    pub fn of(mut self, part: impl Into<String>) -> Self {
        self.part = Some(part.into());
        self
    }

    /// Whether it was done, or refused. Default: done.
    pub fn accepted(mut self, accepted: bool) -> Self {
        self.accepted = accepted;
        self
    }

    /// What was read or written, for people who read the trace.
    pub fn value(mut self, value: impl Into<Value>) -> Self {
        self.value = value.into();
        self
    }

    fn new(access: StorageAccess, stamp: Option<Stamp>) -> Self {
        Self {
            access,
            part: None,
            stamp,
            accepted: true,
            value: Value::Null,
        }
    }
}

/// A client's way to a [`ProtectedResource`].
pub struct Remote<R> {
    client: SimClient,
    name: String,
    link: Link,
    of: PhantomData<fn() -> R>,
}

/// The protected resource did not answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the resource did not answer: it may or may not have been done")]
pub struct NoAnswer;

/// What travels to a resource.
#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    resource: String,
    /// The newest guard of the client.
    holder: Option<Holder>,
    request: T,
}

impl<R: ProtectedResource> Remote<R> {
    /// Asks, and waits at most 2 s for the answer.
    pub async fn ask(&self, request: R::Request) -> Result<R::Reply, NoAnswer> {
        let envelope = Envelope {
            resource: self.name.clone(),
            holder: self.client.newest_grant(),
            request,
        };
        let reply = self.link.ask(&self.client, &envelope).await;
        reply.ok_or(NoAnswer)
    }

    /// The same resource, with another time to wait for answers.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.link.patience = patience;
        self
    }
}

impl SimClient {
    /// A protected resource of your own, of which [`Simulation::resource`](crate::Simulation::resource) made one for
    /// this world.
    ///
    /// # Panics
    ///
    /// When there is no resource of this name and type; the run fails and says so.
    pub fn resource_of<R: ProtectedResource>(&self, name: &str) -> Remote<R> {
        if let Err(problem) = self.own_resources().has::<R>(name) {
            panic!("{problem}");
        }
        Remote {
            client: self.clone(),
            name: name.to_owned(),
            link: Link::to(OWN_PORT),
            of: PhantomData,
        }
    }
}

/// How the resources of the code under test are made, by name.
#[derive(Clone, Default)]
pub(crate) struct OwnResources(BTreeMap<String, Maker>);

#[derive(Clone)]
struct Maker {
    of: TypeId,
    type_name: &'static str,
    make: Arc<dyn Fn() -> Box<dyn Served> + Send + Sync>,
}

impl OwnResources {
    pub fn add<R: ProtectedResource>(
        &mut self,
        name: String,
        make: impl Fn() -> R + Send + Sync + 'static,
    ) {
        let maker = Maker {
            of: TypeId::of::<R>(),
            type_name: type_name::<R>(),
            make: Arc::new(move || Box::new(make())),
        };
        self.0.insert(name, maker);
    }

    fn has<R: ProtectedResource>(&self, name: &str) -> Result<(), String> {
        let wanted = type_name::<R>();
        match self.0.get(name) {
            Some(maker) if maker.of == TypeId::of::<R>() => Ok(()),
            Some(maker) => Err(format!(
                "the resource `{name}` is a `{}`, not a `{wanted}`: ask for what `Simulation::resource` makes",
                maker.type_name
            )),
            None => Err(format!(
                "there is no resource `{name}`: say `.resource(\"{name}\", …)` on the `Simulation`, with a function that makes a `{wanted}`"
            )),
        }
    }

    /// One of each, for a world; none if there are none.
    pub fn found(&self) -> Option<Arc<Founded>> {
        if self.0.is_empty() {
            return None;
        }
        let made = self.0.iter();
        let made = made.map(|(name, maker)| (name.clone(), (maker.make)()));
        Some(Arc::new(Founded(Mutex::new(made.collect()))))
    }
}

/// The resources of a world.
pub(crate) struct Founded(Mutex<BTreeMap<String, Box<dyn Served>>>);

impl Founded {
    /// Answers a line.
    pub fn serve(&self, machine: &Machine, peer: &str, line: &str) -> Option<Vec<u8>> {
        let Envelope {
            resource,
            holder,
            request,
        } = serde_json::from_str::<Envelope<Value>>(line).ok()?;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let visit = Visit {
            machine,
            resource: &resource,
            by: peer,
            holder: holder.as_ref(),
        };
        let reply = all.get_mut(&resource)?.serve(request, &visit)?;
        serde_json::to_vec(&reply).ok()
    }
}

/// A [`ProtectedResource`] of any type.
trait Served: Send {
    fn serve(&mut self, request: Value, visit: &Visit<'_>) -> Option<Value>;
}

impl<R: ProtectedResource> Served for R {
    fn serve(&mut self, request: Value, visit: &Visit<'_>) -> Option<Value> {
        let request = serde_json::from_value(request).ok()?;
        let reply = ProtectedResource::serve(self, request, visit);
        serde_json::to_value(reply).ok()
    }
}

impl<R> Clone for Remote<R> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            name: self.name.clone(),
            link: self.link.clone(),
            of: PhantomData,
        }
    }
}

impl<R> fmt::Debug for Remote<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("client", &self.client.name())
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Visit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit")
            .field("resource", &self.resource)
            .field("by", &self.by)
            .finish_non_exhaustive()
    }
}
