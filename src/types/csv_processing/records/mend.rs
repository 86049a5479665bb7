//! What is done to a record's bytes for them to be text.

use super::Records;
use encoding_rs::WINDOWS_1252;
use std::borrow::Cow;

impl Records<'_> {
    /// Makes the record's cells text that every database can keep: UTF-8 without NUL.
    pub(super) fn mend(&mut self) {
        if self.source.guessed() && !self.is_utf8() {
            count(&mut self.told.legacy, self.began);
            self.rewrite(|cell| match WINDOWS_1252.decode_without_bom_handling(cell).0 {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            });
        }
        if self.cells[..self.used].contains(&0) {
            count(&mut self.told.nuls, self.began);
            self.rewrite(|cell| {
                let parts: Vec<&[u8]> = cell.split(|byte| *byte == 0).collect();
                Cow::Owned(parts.join("\u{fffd}".as_bytes()))
            });
        }
    }

    /// Whether each cell is UTF-8, for which it is not enough that all of them together are.
    pub(super) fn is_utf8(&self) -> bool {
        let bytes = &self.cells[..self.used];
        let begins_char = |end: &usize| bytes.get(*end).is_none_or(|byte| byte & 0xc0 != 0x80);
        bytes.is_ascii() || std::str::from_utf8(bytes).is_ok() && self.ends[..self.count].iter().all(begins_char)
    }

    fn rewrite(&mut self, new: impl Fn(&[u8]) -> Cow<'_, [u8]>) {
        let mut cells = Vec::with_capacity(self.cells.len());
        let ends: Vec<usize> = (0..self.count)
            .map(|i| {
                cells.extend_from_slice(&new(self.cell(i)));
                cells.len()
            })
            .collect();
        self.ends[..ends.len()].copy_from_slice(&ends);
        self.between = 0;
        self.used = cells.len();
        cells.resize(self.cells.len().max(cells.len()), 0);
        self.cells = cells;
    }
}

fn count(told: &mut Option<(u64, u64)>, line: u64) {
    let (count, first) = told.unwrap_or((0, line));
    *told = Some((count + 1, first));
}
