//! Instants: milliseconds since 1970 in UTC, RFC 3339 on the wire.

use chrono::{DateTime, Datelike, Months, NaiveTime, SecondsFormat, Utc};

/// An instant by the shared clock, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub i64);

impl Time {
    /// 1970-01-01, the earliest instant a caller may name.
    pub const MIN: Time = Time(0);
    /// The end of 2999, the latest instant a caller may name.
    pub const MAX: Time = Time(32_503_679_999_999);

    /// This instant and `millis` more (or less, if negative), never beyond the calendar.
    pub fn plus(self, millis: i64) -> Time {
        Time(self.0.saturating_add(millis).clamp(0, Time::MAX.0))
    }

    /// Milliseconds from `earlier` to this instant; 0 if it is not earlier.
    pub fn since(self, earlier: Time) -> i64 {
        (self.0 - earlier.0).max(0)
    }

    /// When this month began and when it ends, in UTC.
    pub fn month(self) -> (Time, Time) {
        let day = DateTime::<Utc>::from_timestamp_millis(self.0).unwrap_or_default().date_naive();
        let first = day.with_day(1).unwrap_or(day);
        let time = |day: chrono::NaiveDate| Time(day.and_time(NaiveTime::MIN).and_utc().timestamp_millis());
        (time(first), time(first + Months::new(1)))
    }

    /// Reads RFC 3339 with any offset, between 1970 and 2999. Fractions beyond milliseconds are cut.
    /// `None` for anything else, a leap second or a missing zone included.
    pub fn parse(text: &str) -> Option<Time> {
        if text.len() > 40 || text.get(17..19).is_some_and(|seconds| seconds == "60") {
            return None;
        }
        let millis = DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis();
        (Time::MIN.0..=Time::MAX.0).contains(&millis).then_some(Time(millis))
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let time = DateTime::<Utc>::from_timestamp_millis(self.0).unwrap_or_default();
        f.write_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl serde::Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_instant_is_written_in_utc_with_milliseconds() {
        let time = Time::parse("2026-01-31T13:00:00.1239+01:00").unwrap();
        assert_eq!(time.to_string(), "2026-01-31T12:00:00.123Z");
    }

    #[test]
    fn a_month_is_as_long_as_the_calendar_says() {
        for (at, since, until) in [
            ("2026-12-31T23:59:59.999Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            ("2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"),
        ] {
            let [at, since, until] = [at, since, until].map(|text| Time::parse(text).unwrap());
            assert_eq!(at.month(), (since, until));
        }
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in [
            "",
            "infinity",
            "2026-02-30T00:00:00Z",
            "2026-01-01T24:00:60Z",
            "2026-01-01T23:59:60Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "294277-01-01T00:00:00Z",
            "2026-01-01T00:00:00",
            "1767225600",
        ] {
            assert_eq!(Time::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_instant_is_read_back_with_any_offset(millis in 0..=Time::MAX.0, offset in -23 * 60..=23 * 60i64) {
            let time = Time(millis);
            prop_assert_eq!(Time::parse(&time.to_string()), Some(time));
            let zone = chrono::FixedOffset::east_opt(offset as i32 * 60).unwrap();
            let elsewhere = DateTime::<Utc>::from_timestamp_millis(millis).unwrap().with_timezone(&zone);
            prop_assert_eq!(Time::parse(&elsewhere.to_rfc3339_opts(SecondsFormat::Nanos, false)), Some(time));
        }

        #[test]
        fn any_text_is_an_instant_within_the_calendar_or_none(text in prop_oneof![
            any::<String>(),
            "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:]{5,8}(\\.[0-9]{0,12})?(Z|[+-][0-9:]{4,5})?",
        ]) {
            if let Some(time) = Time::parse(&text) {
                prop_assert!((Time::MIN..=Time::MAX).contains(&time));
                prop_assert_eq!(Time::parse(&time.to_string()), Some(time));
            }
        }

        #[test]
        fn sums_stay_within_the_calendar(millis in 0..=Time::MAX.0, more in any::<i64>()) {
            prop_assert!((Time::MIN..=Time::MAX).contains(&Time(millis).plus(more)));
        }
    }
}
