//! How the rows that differ become more, to foresee how many there will be.

use serde::{Deserialize, Serialize};

/// A share above this is taken for 1.
const ALL_NEW: f64 = 0.999;

/// How many there were at two places of the file, the second about twice as far as the first.
#[derive(Default, Serialize, Deserialize)]
pub struct Growth {
    first: (u64, u64),
    second: (u64, u64),
}

impl Growth {
    /// So many rows differ after so many bytes.
    pub fn note(&mut self, read: u64, rows: u64) {
        if read > 0 && read >= 2 * self.second.0 {
            (self.first, self.second) = (self.second, (read, rows));
        }
    }

    /// After how many bytes so many rows will differ; `None` if that is not to be expected.
    pub fn reaches(&self, rows: u64) -> Option<u64> {
        let Stretch { bytes, new, share } = self.stretch()?;
        let missing = rows.saturating_sub(self.second.1) as f64 / new;
        let stretches = match share {
            1.0 => missing,
            _ => (1.0 - missing * (1.0 - share) / share).ln() / share.ln(),
        };
        // No number: the sum of the series is less.
        stretches.is_finite().then(|| self.second.0 + (stretches * bytes) as u64)
    }

    /// How many rows will differ after so many bytes.
    pub fn after(&self, read: u64) -> u64 {
        let Some(Stretch { bytes, new, share }) = self.stretch() else { return self.second.1 };
        let stretches = read.saturating_sub(self.second.0) as f64 / bytes;
        let sum = match share {
            1.0 => stretches,
            _ => share * (1.0 - share.powf(stretches)) / (1.0 - share),
        };
        self.second.1 + (new * sum) as u64
    }

    /// The last stretch; `None` where nothing new came.
    ///
    /// From one stretch of the file to the next of the same length the new rows are taken to become fewer by the
    /// same share: rows drawn from a stock do, and for rows that are all new it is 1.
    fn stretch(&self) -> Option<Stretch> {
        let (bytes, new) = ((self.second.0 - self.first.0) as f64, self.second.1.saturating_sub(self.first.1) as f64);
        let share = (new / bytes) / (self.first.1 as f64 / self.first.0 as f64);
        // The first stretch has none before it.
        let share = if share < ALL_NEW { share } else { 1.0 };
        (new > 0.0).then_some(Stretch { bytes, new, share })
    }
}

/// A stretch of the file: the rows that were new in it, and their share of those in the one before.
struct Stretch {
    bytes: f64,
    new: f64,
    share: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When 1,000 will differ, and how many will after 10,000, as foreseen after 600 rows of a byte.
    fn foreseen(differ: impl Fn(f64) -> f64) -> (Option<u64>, u64) {
        let mut growth = Growth::default();
        (1..=600).for_each(|row| growth.note(row, differ(f64::from(row as u32)).round() as u64));
        (growth.reaches(1000), growth.after(10_000))
    }

    #[test]
    fn it_is_foreseen_when_rows_become_too_many() {
        let stock = |values: f64| move |rows: f64| values * (1.0 - (-rows / values).exp());
        assert_eq!(foreseen(|rows| rows), (Some(1000), 10_000));
        assert_eq!(foreseen(|rows| rows / 4.0), (Some(4000), 2500));
        assert_eq!(foreseen(|_| 50.0), (None, 50));
        let (few, in_all) = foreseen(stock(900.0));
        assert!(few.is_none() && in_all.abs_diff(900) < 30, "{few:?}, {in_all}");
        let (place, true_place) = (foreseen(stock(2000.0)).0.unwrap() as f64, 2000.0 * 2.0f64.ln());
        assert!((place / true_place - 1.0).abs() < 0.05, "{place} instead of {true_place}");
        assert_eq!((Growth::default().reaches(1000), Growth::default().after(1000)), (None, 0));
    }
}
