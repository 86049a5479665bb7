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
        Progress::since(0, processed, total, step, elapsed_seconds)
    }

    /// The same where `before` items were done before this work began.
    pub fn since(before: i64, processed: i64, total: i64, step: Option<String>, elapsed_seconds: f64) -> Progress {
        let share = |items: i64| if total > 0 { (items as f64 / total as f64).clamp(0.0, 1.0) } else { 0.0 };
        let (done, by_this) = (share(processed), share(processed - before));
        Progress {
            percent: round(done * 100.0),
            step,
            processed: Some(processed),
            total: Some(total),
            eta_seconds: (by_this > 0.0).then(|| round(elapsed_seconds * (1.0 - done) / by_this)),
            metrics: Metrics::default(),
        }
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
        let progress = Progress::since(50, 75, 100, None, 10.0);
        assert_eq!((progress.percent, progress.eta_seconds), (75.0, Some(10.0)));
        assert_eq!(Progress::since(50, 50, 100, None, 10.0).eta_seconds, None);
    }

    #[test]
    fn nothing_done_says_nothing_of_the_end() {
        assert_eq!(Progress::of(0, 100, None, 10.0).eta_seconds, None);
        assert_eq!(Progress::of(0, 0, None, 10.0).percent, 0.0);
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
