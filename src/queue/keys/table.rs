//! The keys of the database by their ids, found in a time that does not say which there are.

use super::Identity;
use std::sync::Arc;

/// Revoked and expired ones too. In the order of their ids, which are random: a look takes as many steps for any id.
#[derive(Default, Clone)]
pub struct Table(Vec<(String, Arc<Identity>)>);

impl Table {
    /// Of these, each with its id.
    pub fn of(keys: impl Iterator<Item = (String, Arc<Identity>)>) -> Table {
        let mut keys: Vec<_> = keys.collect();
        keys.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Table(keys)
    }

    /// The key with this id.
    pub fn get(&self, id: &str) -> Option<&Arc<Identity>> {
        let (found, identity) = self.nearest(id)?;
        (found == id).then_some(identity)
    }

    /// The key with this id, else another one in its place, and its own id; `None` where there is none at all. It takes as long
    /// either way.
    pub fn nearest(&self, id: &str) -> Option<(&str, &Arc<Identity>)> {
        let at = self.0.partition_point(|(known, _)| known.as_str() < id);
        let (found, identity) = self.0.get(at.min(self.0.len().wrapping_sub(1)))?;
        Some((found, identity))
    }

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Identity>> {
        self.0.iter().map(|(_, identity)| identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_its_id_and_for_any_other_another_one() {
        let key = |id: &str| (id.to_owned(), Arc::new(Identity { name: Some(id.to_owned()), ..Identity::anybody() }));
        let name = |identity: &Arc<Identity>| identity.name.clone().unwrap_or_default();
        let table = Table::of(["c", "a", "e"].map(key).into_iter());
        for id in ["a", "c", "e"] {
            assert_eq!(table.get(id).map(name).as_deref(), Some(id));
        }
        for (id, nearest) in [("", "a"), ("b", "c"), ("d", "e"), ("f", "e")] {
            assert!(table.get(id).is_none());
            assert_eq!(table.nearest(id).map(|(found, _)| found), Some(nearest));
        }
        assert_eq!(table.all().map(name).collect::<Vec<_>>(), ["a", "c", "e"]);
        assert!(Table::default().is_empty() && Table::default().nearest("a").is_none());
    }
}
