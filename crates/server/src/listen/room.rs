//! Room for connections: so many at once, and of one peer no more than its share.
//!
//! There is a room for each kind of peer, so that none uses up the room of another. Who proved who it is keeps its
//! place; among strangers the longest gives way to the newest, and while all have just come, one of the source that has
//! the most gives way to a source that has fewer. So filling the room keeps nobody out who needs only the moment of a
//! handshake.

use crate::limits::{CONNECTIONS, Limits, PEER_CONNECTIONS, STRANGER_CONNECTIONS};
use crate::meter::Meters;
use credence_model::spiffe_id::SpiffeId;
use credence_telemetry::limit::Limit;
use prometheus_client::metrics::gauge::Gauge;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How long a stranger keeps its place from others that have no more than its source, in milliseconds: many times what a
/// handshake takes, so that nodes that come back all at once do not push each other out.
const KEPT_MS: u64 = 1_000;

/// The rooms of a listener.
#[derive(Debug, Clone)]
pub(super) struct Rooms {
    pub(super) strangers: Arc<Room>,
    pub(super) nodes: Arc<Room>,
    pub(super) workloads: Arc<Room>,
    pub(super) administrators: Arc<Room>,
}

impl Rooms {
    pub(super) fn new(limits: &Limits, meters: &Meters) -> Self {
        let room = |peer| Arc::new(Room::new(limits.connections, limits, meters.connections(peer)));
        let strangers = Room::new(limits.stranger_connections, limits, meters.connections("stranger"));
        Self {
            strangers: Arc::new(Room { gives_way: true, full: &STRANGER_CONNECTIONS, ..strangers }),
            nodes: room("node"),
            workloads: room("workload"),
            administrators: room("administrator"),
        }
    }
}

/// Where a connection comes from, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// An IP address; of IPv6 the network, whose owner has all addresses in it.
    Address(IpAddr),
    /// A user of this machine.
    User(u32),
    /// Who a certificate names.
    Id(SpiffeId),
}

impl Source {
    pub(super) fn address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// Room for one kind of peer.
#[derive(Debug)]
pub(super) struct Room {
    max: usize,
    share: usize,
    gives_way: bool,
    full: &'static Limit,
    gauge: Gauge,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    last: u64,
    guests: BTreeMap<u64, Guest>,
    by_source: HashMap<Source, usize>,
}

#[derive(Debug)]
struct Guest {
    source: Source,
    since: Instant,
    leave: oneshot::Sender<()>,
}

/// A place in a room, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    number: u64,
    left: oneshot::Receiver<()>,
}

impl Room {
    fn new(max: usize, limits: &Limits, gauge: Gauge) -> Self {
        let (share, full) = (limits.peer_connections, &CONNECTIONS);
        Self { max, share, gives_way: false, full, gauge, inside: Mutex::default() }
    }

    /// A place, if there is one or somebody gives way.
    pub(super) fn enter(self: &Arc<Self>, source: Source) -> Option<Place> {
        let mut inside = self.lock();
        let is_share_used = inside.by_source.get(&source).is_some_and(|count| *count >= self.share);
        let is_full = inside.guests.len() >= self.max;
        if is_share_used || is_full {
            if is_share_used { &PEER_CONNECTIONS } else { self.full }.hit();
            let leaving = if is_share_used { inside.longest_of(&source) } else { inside.longest(&source) };
            inside.give_way(leaving.filter(|_| self.gives_way)?);
        }
        inside.last += 1;
        let (number, (leave, left)) = (inside.last, oneshot::channel());
        *inside.by_source.entry(source.clone()).or_default() += 1;
        inside.guests.insert(number, Guest { source, since: Instant::now(), leave });
        self.gauge.inc();
        Some(Place { room: Arc::clone(self), number, left })
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // A panic between the two maps could only make a count too high.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// The longest guest of this source, unless it has just come.
    fn longest_of(&self, source: &Source) -> Option<u64> {
        let mut of_source = self.guests.iter().filter(|(_, guest)| guest.source == *source);
        of_source.next().filter(|(_, guest)| guest.has_stayed()).map(|(number, _)| *number)
    }

    /// The longest guest of all, or while all have just come, that of the source which has the most, if `source` has fewer.
    fn longest(&self, source: &Source) -> Option<u64> {
        let (longest, guest) = self.guests.first_key_value()?;
        if guest.has_stayed() {
            return Some(*longest);
        }
        let count = self.by_source.get(source).copied().unwrap_or_default();
        // Whoever comes has no more afterwards than who gives way; else they would take turns for ever.
        let (most, _) =
            self.by_source.iter().max_by_key(|(_, count)| **count).filter(|(_, most)| **most > count + 1)?;
        self.guests.iter().find(|(_, guest)| guest.source == *most).map(|(number, _)| *number)
    }

    fn give_way(&mut self, number: u64) {
        if let Some(guest) = self.remove(number) {
            // Its connection may have ended just now.
            let _ = guest.leave.send(());
        }
    }

    fn remove(&mut self, number: u64) -> Option<Guest> {
        let guest = self.guests.remove(&number)?;
        if let Some(count) = self.by_source.get_mut(&guest.source) {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&guest.source);
            }
        }
        Some(guest)
    }
}

impl Guest {
    fn has_stayed(&self) -> bool {
        self.since.elapsed() >= Duration::from_millis(KEPT_MS)
    }
}

impl Place {
    /// Resolves when it has to be given to another.
    pub(super) async fn given_away(&mut self) {
        // The sender is in the room until then.
        let _ = (&mut self.left).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.gauge.dec();
        // It is gone already if it was given away.
        drop(self.room.lock().remove(self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT_MS, Place, Room, Rooms, Source};
    use crate::limits::Limits;
    use crate::meter::Meters;
    use std::sync::Arc;
    use std::time::Duration;

    fn rooms() -> Rooms {
        let limits = Limits { connections: 3, stranger_connections: 3, peer_connections: 2, ..Limits::default() };
        Rooms::new(&limits, &Meters::default())
    }

    fn enter(room: &Arc<Room>, address: &str) -> Option<Place> {
        room.enter(Source::address(address.parse().expect("an address")))
    }

    async fn is_given_away(place: &mut Place) -> bool {
        tokio::time::timeout(Duration::ZERO, place.given_away()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_gives_way_once_it_had_time_to_say_who_it_is() {
        let room = rooms().strangers;
        let mut first = enter(&room, "10.0.0.1").expect("a place");
        let mut second = enter(&room, "10.0.0.2").expect("a place");
        let _third = enter(&room, "10.0.0.3").expect("a place");
        assert!(enter(&room, "10.0.0.4").is_none(), "all have just come");
        tokio::time::advance(Duration::from_millis(KEPT_MS)).await;
        let _fourth = enter(&room, "10.0.0.4").expect("the place of the first");
        assert!(is_given_away(&mut first).await && !is_given_away(&mut second).await);
        drop((first, second));
        let _fifth = enter(&room, "10.0.0.4").expect("the place of the second");
        assert_eq!(room.gauge.get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_newcomers_from_one_source_keeps_no_other_out() {
        let room = rooms().strangers;
        let mut flood = [enter(&room, "10.0.0.1"), enter(&room, "10.0.0.1")].map(|place| place.expect("a place"));
        let _other = enter(&room, "10.0.0.2").expect("a place");
        let _node = enter(&room, "10.0.0.3").expect("a place of those that flood");
        assert!(is_given_away(&mut flood[0]).await && !is_given_away(&mut flood[1]).await);
        assert!(enter(&room, "10.0.0.1").is_none(), "who has no fewer does not push others out");
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_or_network_takes_the_place_of_nobody_else() {
        let room = rooms().strangers;
        let mut other = enter(&room, "2001:db8::1").expect("a place");
        tokio::time::advance(Duration::from_millis(KEPT_MS)).await;
        let mut first = enter(&room, "2001:db8:0:1::1").expect("a place");
        let _second = enter(&room, "2001:db8:0:1::2").expect("a place");
        assert!(enter(&room, "2001:db8:0:1::3").is_none(), "its share is used");
        tokio::time::advance(Duration::from_millis(KEPT_MS)).await;
        let _third = enter(&room, "2001:db8:0:1::3").expect("the place of its own first");
        assert!(is_given_away(&mut first).await && !is_given_away(&mut other).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_proved_who_it_is_keeps_its_place_and_strangers_do_not_matter() {
        let rooms = rooms();
        let _strangers = [enter(&rooms.strangers, "10.0.0.1"), enter(&rooms.strangers, "10.0.0.2")];
        let places = ["10.0.0.1", "10.0.0.1", "10.0.0.2"].map(|address| enter(&rooms.nodes, address).expect("a place"));
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(enter(&rooms.nodes, "10.0.0.3").is_none());
        drop(places);
        let _two = [enter(&rooms.nodes, "10.0.0.1"), enter(&rooms.nodes, "10.0.0.1")];
        assert!(enter(&rooms.nodes, "10.0.0.1").is_none(), "the share of one peer");
        assert!(enter(&rooms.nodes, "10.0.0.2").is_some());
    }
}
