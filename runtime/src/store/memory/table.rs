//! Rows in order of creation, found by id.

use std::collections::HashMap;
use std::hash::Hash;

use crate::store::rules::page_limit;
use crate::store::{Listing, Page};

pub(super) struct Table<K, T> {
    rows: Vec<T>,
    positions: HashMap<K, usize>,
}

impl<K, T> Default for Table<K, T> {
    fn default() -> Self {
        Self { rows: Vec::new(), positions: HashMap::new() }
    }
}

impl<K: Copy + Eq + Hash, T> Table<K, T> {
    /// Adds a row behind the others, unless the id is taken; says whether it did.
    pub(super) fn add(&mut self, id: K, row: T) -> bool {
        if self.positions.contains_key(&id) {
            return false;
        }
        self.positions.insert(id, self.rows.len());
        self.rows.push(row);
        true
    }

    /// Takes a row out; those behind it move up.
    pub(super) fn remove(&mut self, id: K) -> Option<T> {
        let at = self.positions.remove(&id)?;
        for position in self.positions.values_mut().filter(|position| **position > at) {
            *position -= 1;
        }
        Some(self.rows.remove(at))
    }

    pub(super) fn contains(&self, id: K) -> bool {
        self.positions.contains_key(&id)
    }

    pub(super) fn get(&self, id: K) -> Option<&T> {
        self.positions.get(&id).map(|&at| &self.rows[at])
    }

    pub(super) fn get_mut(&mut self, id: K) -> Option<&mut T> {
        self.positions.get(&id).map(|&at| &mut self.rows[at])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.rows.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.rows.iter_mut()
    }

    pub(super) fn list<U>(&self, page: Page, view: impl Fn(&T) -> U) -> Listing<U> {
        let items = self.rows.iter().skip(page.offset as usize).take(page_limit(page) as usize).map(view).collect();
        Listing { items, total: self.rows.len() as u64 }
    }
}
