//! How far an attempt is.

use super::Metrics;
use serde::{Deserialize, Serialize};

/// Where an attempt stands, as its handler last said it. Kept on the task's row; not in the
/// change log beyond the last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// 0 to 100.
    pub percent: f64,
    /// What is being done, for a person; at most 200 characters.
    pub step: Option<String>,
    /// Items done.
    pub processed: Option<i64>,
    /// Items in all, where known.
    pub total: Option<i64>,
    /// Seconds to go at the pace so far; `None` while nothing can be said.
    pub eta_seconds: Option<f64>,
    /// What it measured, as it said last.
    #[serde(skip_serializing_if = "Metrics::is_empty")]
    pub metrics: Metrics,
}

impl Progress {
    /// `processed` of `total` items, after `elapsed_seconds` of work: percent and ETA follow.
    pub fn of(processed: i64, total: i64, step: Option<String>, elapsed_seconds: f64) -> Progress {
        Pace::default().progress(processed, total, step, elapsed_seconds)
    }

    /// The last word of an attempt that succeeded: 100 %, nothing to wait for.
    pub fn finished(&self) -> Progress {
        Progress { percent: 100.0, processed: self.total.or(self.processed), eta_seconds: None, ..self.clone() }
    }

    /// As JSON, for the row.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("progress is plain data")
    }

    /// From the row; what cannot be read is no progress.
    pub fn from_json(text: Option<&str>) -> Progress {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

/// How fast an attempt goes, from all that it said: what was done late counts more than what was done early, each
/// item as much as the seconds that had passed. So the time it took to begin hardly weighs, and a pace that changes
/// is soon told.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    processed: i64,
    at_seconds: f64,
    /// Items since the beginning, each times the second it was done in.
    weighed: f64,
}

impl Pace {
    /// The pace of an attempt that goes on where `processed` items are done.
    pub fn from(processed: i64) -> Pace {
        Pace { processed, ..Pace::default() }
    }

    /// `processed` of `total` items are done after `elapsed_seconds` of this attempt: percent and ETA follow. There is
    /// no ETA while this attempt has done nothing.
    pub fn progress(&mut self, processed: i64, total: i64, step: Option<String>, elapsed_seconds: f64) -> Progress {
        let fresh = processed.saturating_sub(self.processed) as f64;
        self.weighed += fresh * (self.at_seconds + elapsed_seconds) / 2.0;
        (self.processed, self.at_seconds) = (processed, elapsed_seconds);
        let a_second = self.weighed / (elapsed_seconds * elapsed_seconds / 2.0);
        let left = total.saturating_sub(processed).max(0) as f64;
        let share = if total > 0 { (processed as f64 / total as f64).clamp(0.0, 1.0) } else { 0.0 };
        Progress {
            percent: round(share * 100.0),
            step,
            processed: Some(processed),
            total: Some(total),
            eta_seconds: (a_second > 0.0 && total > 0).then(|| round(left / a_second)).filter(|eta| eta.is_finite()),
            metrics: Metrics::default(),
        }
    }
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_quarter_done_in_ten_seconds_leaves_thirty() {
        let progress = Progress::of(25, 100, None, 10.0);
        assert_eq!((progress.percent, progress.eta_seconds), (25.0, Some(30.0)));
    }

    #[test]
    fn what_was_done_before_is_no_pace() {
        let mut pace = Pace::from(50);
        assert_eq!(pace.progress(50, 100, None, 5.0).eta_seconds, None);
        let progress = pace.progress(75, 100, None, 10.0);
        assert_eq!((progress.percent, progress.eta_seconds), (75.0, Some(6.7)), "all was done in the second half");
        assert_eq!(Pace::from(50).progress(75, 100, None, 10.0).eta_seconds, Some(10.0));
    }

    #[test]
    fn nothing_done_says_nothing_of_the_end() {
        assert_eq!(Progress::of(0, 100, None, 10.0).eta_seconds, None);
        assert_eq!(Progress::of(0, 0, None, 10.0).percent, 0.0);
    }

    #[test]
    fn a_slow_start_hardly_weighs_and_another_pace_is_soon_told() {
        let mut pace = Pace::default();
        // A second to begin, then ten items a second.
        let eta = (1..=5).map(|second| pace.progress((second - 1) * 10, 100, None, second as f64).eta_seconds).last();
        assert_eq!(eta, Some(Some(6.3)), "6 are left; by the plain mean it would be 7.5");
        // From the sixth on, twenty.
        let eta = (6..=7).map(|second| pace.progress(40 + (second - 5) * 20, 100, None, second as f64).eta_seconds);
        assert_eq!(eta.last(), Some(Some(1.4)), "1 is left; by the plain mean it would be 1.8");
    }

    proptest! {
        #[test]
        fn progress_is_read_back_and_any_other_text_is_none(
            done in any::<i64>(), total in any::<i64>(), seconds in any::<f64>(),
            step in proptest::option::of(any::<String>()), text in any::<String>(),
        ) {
            let mut progress = Progress::of(done, total, step, seconds.abs());
            progress.metrics.set("done", (done % 1000) as f64).unwrap();
            prop_assert!((0.0..=100.0).contains(&progress.percent));
            let kept = Progress::from_json(Some(&progress.to_json()));
            // JSON knows no infinity: what cannot be said is not said.
            let eta_seconds = progress.eta_seconds.filter(|eta| eta.is_finite());
            prop_assert_eq!(kept, Progress { eta_seconds, ..progress });
            Progress::from_json(Some(&text));
        }
    }
}
