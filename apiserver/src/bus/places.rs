//! Room for streams: for all, and for each publisher.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tributary_proto::limits::{STREAMS, STREAMS_PER_PUBLISHER};

/// How many streams each publisher has.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by: HashMap<Arc<str>, usize>,
}

/// A place. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    name: Arc<str>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("{STREAMS} streams are open, which is the most")]
    All,
    #[error("{STREAMS_PER_PUBLISHER} streams of this publisher are open, which is the most")]
    One,
}

impl Places {
    /// A place for a stream of the publisher `name`.
    pub(super) fn take(&self, name: &Arc<str>) -> Result<Place, Full> {
        let mut taken = self.lock();
        if taken.all >= STREAMS {
            return Err(Full::All);
        }
        let own = taken.by.entry(Arc::clone(name)).or_default();
        if *own >= STREAMS_PER_PUBLISHER {
            return Err(Full::One);
        }
        *own += 1;
        taken.all += 1;
        Ok(Place {
            places: self.clone(),
            name: Arc::clone(name),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all -= 1;
        if let Some(own) = taken.by.get_mut(&self.name) {
            *own -= 1;
            if *own == 0 {
                taken.by.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_publisher_cannot_take_every_place() {
        let places = Places::default();
        let (greedy, other): (Arc<str>, Arc<str>) = ("greedy".into(), "other".into());
        let mut held: Vec<Place> = (0..STREAMS_PER_PUBLISHER)
            .map(|_| places.take(&greedy).unwrap())
            .collect();
        assert_eq!(places.take(&greedy).unwrap_err(), Full::One);
        held.push(places.take(&other).unwrap());
        held.remove(0);
        held.push(places.take(&greedy).unwrap());
        held.clear();
        assert!(places.lock().by.is_empty());
        assert_eq!(places.lock().all, 0);
    }

    #[test]
    fn there_are_so_many_places_and_no_more() {
        let places = Places::default();
        let names = (0..STREAMS).map(|number| Arc::from(format!("p{number}")));
        let _held: Vec<Place> = names.map(|name| places.take(&name).unwrap()).collect();
        assert_eq!(places.take(&"late".into()).unwrap_err(), Full::All);
    }
}
