//! Rows on their way, as many as make it worth while to count their columns on all cores.

/// A chunk is full with so many bytes in its cells...
const BYTES: usize = 512 * 1024;
/// ... or with so many cells.
const CELLS: usize = 64 * 1024;

/// Rows, of which each has as many cells as there are columns in the output.
#[derive(Default)]
pub struct Chunk {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    lines: Vec<u64>,
}

impl Chunk {
    /// One more row, which began on that line.
    pub fn push<'r>(&mut self, line: u64, cells: impl Iterator<Item = &'r [u8]>) {
        for cell in cells {
            self.bytes.extend_from_slice(cell);
            self.ends.push(self.bytes.len());
        }
        self.lines.push(line);
    }

    /// Whether it is to be passed on.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= BYTES || self.ends.len() >= CELLS
    }

    /// The cells of a row.
    pub fn row(&self, row: usize) -> impl Iterator<Item = &[u8]> {
        let width = self.width();
        (row * width..(row + 1) * width).map(|at| self.cell(at))
    }

    /// The cells of a column, each with its row's line.
    pub fn column(&self, column: usize) -> impl Iterator<Item = (&[u8], u64)> {
        let width = self.width();
        self.lines.iter().enumerate().map(move |(row, line)| (self.cell(row * width + column), *line))
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Forgets all rows, and keeps the room they had.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.lines.clear();
    }

    fn width(&self) -> usize {
        self.ends.len() / self.lines.len().max(1)
    }

    fn cell(&self, at: usize) -> &[u8] {
        let from = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[from..self.ends[at]]
    }
}
