//! Rows on their way, as many as make it worth while to count their columns on all cores.

/// A chunk is full with so many bytes in its cells...
const BYTES: usize = 512 * 1024;
/// ... or with so many cells.
const CELLS: usize = 64 * 1024;

/// Rows, of which each has as many cells as there are columns in the output. A column's cells lie side by
/// side, for who counts them to find them there.
#[derive(Default)]
pub struct Chunk {
    columns: Vec<Cells>,
    lines: Vec<u64>,
    bytes: usize,
}

/// The cells of a column.
#[derive(Default)]
pub struct Cells {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Chunk {
    /// One more row, which began on that line.
    pub fn push<'r>(&mut self, line: u64, cells: impl Iterator<Item = &'r [u8]>) {
        for (at, cell) in cells.enumerate() {
            if at == self.columns.len() {
                self.columns.push(Cells::default());
            }
            let column = &mut self.columns[at];
            column.bytes.extend_from_slice(cell);
            column.ends.push(column.bytes.len());
            self.bytes += cell.len();
        }
        self.lines.push(line);
    }

    /// Whether it is to be passed on.
    pub fn is_full(&self) -> bool {
        self.bytes >= BYTES || self.lines.len() * self.columns.len() >= CELLS
    }

    /// Its columns; none without rows.
    pub fn columns(&self) -> &[Cells] {
        if self.lines.is_empty() { &[] } else { &self.columns }
    }

    /// The line each row began on.
    pub fn lines(&self) -> &[u64] {
        &self.lines
    }

    /// Forgets all rows, and keeps the room they had.
    pub fn clear(&mut self) {
        for column in &mut self.columns {
            column.bytes.clear();
            column.ends.clear();
        }
        self.lines.clear();
        self.bytes = 0;
    }
}

impl Cells {
    /// The cell of that row.
    pub fn of(&self, row: usize) -> &[u8] {
        let from = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.bytes[from..self.ends[row]]
    }

    /// All bytes in them.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
