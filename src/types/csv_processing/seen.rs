//! Which rows repeat an earlier one.
//!
//! While they fit, a fingerprint of each row that differs is held. Once there are too many, the rest of the table is
//! looked through ([`Ahead`]), and from then on a bit says of each row to come whether it repeats one.

mod ahead;
mod growth;
mod marks;

use crate::types::{Context, Failure};
pub use ahead::Ahead;
use growth::Growth;
pub use marks::Marks;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// So many rows that differ are held in memory, at about 17 bytes each.
pub const MAX_HELD: usize = if cfg!(test) { 6 } else { 1 << 20 };
/// They stand in so many parts, by how their fingerprints begin, in order: at most some 300 in each.
const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 12;
/// A part that is full grows by so many rows, and not to twice as many.
const ROWS_TO_GROW: usize = 32;

/// 128 bits of SHA-256: that two differing rows are taken for one is beyond chance and beyond malice.
type Fingerprint = [u8; 16];

/// The rows that were there so far, as far as that needs to be known of those to come.
#[derive(Serialize, Deserialize)]
pub struct Seen {
    /// Rows equal in these columns are one.
    columns: Vec<usize>,
    known: Known,
}

#[derive(Serialize, Deserialize)]
enum Known {
    Held(Held),
    Marked(Marks),
}

impl Seen {
    /// Nothing seen; rows will be compared by `columns`.
    pub fn new(columns: Vec<usize>) -> Seen {
        Seen { columns, known: Known::Held(Held::default()) }
    }

    /// How many columns rows are compared by.
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Whether a row like it has been here before. Fatal `file_changed` for more rows than were looked through.
    pub fn before<'r>(&mut self, cell: impl Fn(usize) -> &'r [u8]) -> Result<bool, Failure> {
        match &mut self.known {
            Known::Held(held) => Ok(!held.is_new(fingerprint(&self.columns, cell))),
            Known::Marked(marks) => marks.next(),
        }
    }

    /// Whether no more rows are held: the rest has to be looked through before there is another.
    pub fn is_full(&self) -> bool {
        matches!(&self.known, Known::Held(held) if held.rows >= MAX_HELD)
    }

    /// Begins to look through the rest. The rows held so far go to the disk with it.
    pub fn ahead<'a>(&mut self, ctx: &'a Context) -> Result<Ahead<'a>, Failure> {
        let before = std::mem::replace(&mut self.known, Known::Marked(Marks::default()));
        let mut ahead = Ahead::new(self.columns.clone(), ctx);
        if let Known::Held(held) = before {
            ahead.known(held.parts.into_iter().flatten())?;
        }
        Ok(ahead)
    }

    /// The rest was looked through, by what [`Seen::ahead`] began.
    pub fn looked(&mut self, marks: Marks) {
        self.known = Known::Marked(marks);
    }

    /// Takes down that so many bytes of the file are read: what is foreseen follows from how the rows become more.
    pub fn note(&mut self, read: u64) {
        if let Known::Held(held) = &mut self.known {
            held.growth.note(read, held.rows as u64);
        }
    }

    /// Where in the file, read up to `read`, the rows will be too many to be held. `None` if that is not to be
    /// expected, or if the rest was looked through.
    pub fn fills_at(&self, read: u64) -> Option<u64> {
        match &self.known {
            Known::Held(_) if self.is_full() => Some(read),
            Known::Held(held) => held.growth.reaches(MAX_HELD as u64).map(|at| at.max(read)),
            Known::Marked(_) => None,
        }
    }

    /// How many rows are held; none once the rest was looked through.
    pub fn held(&self) -> u64 {
        match &self.known {
            Known::Held(held) => held.rows as u64,
            Known::Marked(_) => 0,
        }
    }

    /// How many more will be held, as far as can be foreseen for a file of `total` bytes.
    pub fn to_hold(&self, total: u64) -> u64 {
        match &self.known {
            Known::Held(held) => self.to_come(total).min(MAX_HELD.saturating_sub(held.rows) as u64),
            Known::Marked(_) => 0,
        }
    }

    /// How many rows that repeat none will yet come in a file of `total` bytes: as far as can be foreseen, or as was
    /// found when the rest was looked through.
    pub fn to_come(&self, total: u64) -> u64 {
        match &self.known {
            Known::Held(held) => held.growth.after(total).saturating_sub(held.rows as u64),
            Known::Marked(marks) => marks.to_come(),
        }
    }
}

/// Rows by their fingerprints.
#[derive(Serialize, Deserialize)]
struct Held {
    rows: usize,
    parts: Vec<Vec<Fingerprint>>,
    growth: Growth,
}

impl Default for Held {
    fn default() -> Held {
        Held { rows: 0, parts: vec![Vec::new(); PARTS], growth: Growth::default() }
    }
}

impl Held {
    /// Whether it was not there. It is from now on.
    fn is_new(&mut self, row: Fingerprint) -> bool {
        let part = &mut self.parts[usize::from(u16::from_be_bytes([row[0], row[1]])) >> (u16::BITS - PART_BITS)];
        let Err(place) = part.binary_search(&row) else { return false };
        if part.len() == part.capacity() {
            part.reserve_exact(ROWS_TO_GROW);
        }
        part.insert(place, row);
        self.rows += 1;
        true
    }
}

fn fingerprint<'r>(columns: &[usize], cell: impl Fn(usize) -> &'r [u8]) -> Fingerprint {
    let mut hash = Sha256::new();
    for column in columns {
        let cell = cell(*column);
        // With its length, so that "a" "bc" is not "ab" "c".
        hash.update((cell.len() as u64).to_le_bytes());
        hash.update(cell);
    }
    let mut print = [0; 16];
    print.copy_from_slice(&hash.finalize()[..16]);
    print
}
