//! Settings by their names, and the name that was meant by one that is none.

#[cfg(debug_assertions)]
use super::settings::FAULTS;
use super::settings::{BIND, SETTINGS, Setting};

/// The setting of this name, if it is one of ours.
pub(super) fn named(name: &str) -> Option<&'static Setting> {
    #[cfg(debug_assertions)]
    if name == FAULTS.name {
        return Some(&FAULTS);
    }
    SETTINGS.into_iter().find(|setting| setting.name == name)
}

/// The known name that `unknown` begins, else the one that is the fewest edits away.
pub(super) fn nearest(unknown: &str) -> &'static str {
    let distance = |setting: &&&Setting| (!setting.name.starts_with(unknown), edits(unknown, setting.name));
    SETTINGS.iter().min_by_key(distance).map_or(BIND.name, |setting| setting.name)
}

/// How many characters must be added, removed or replaced to make `a` into `b`.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replace = corner + usize::from(from != *to);
            corner = row[j + 1];
            row[j + 1] = replace.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_setting() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(nearest("ERRAND_WORKER"), "ERRAND_WORKERS");
        assert_eq!(nearest("ERRAND_LOGFORMAT"), "ERRAND_LOG_FORMAT");
        assert_eq!(nearest("ERRAND_LEASE"), "ERRAND_LEASE_SECONDS");
    }
}
