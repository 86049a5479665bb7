//! What is not ours: from where, which version, unchanged.

use sha2::{Digest, Sha256};

/// axe-core 4.14.1, `axe.min.js` of the package of that name on npm, under the MPL 2.0 (`axe/LICENSE`; what it has in
/// it of others: `axe/LICENSE-3RD-PARTY.txt`).
const AXE: &str = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c";

#[test]
fn axe_core_is_the_one_that_was_published() {
    let text = include_str!("axe/axe.min.js");
    assert!(text.starts_with("/*! axe v4.14.1\n"));
    let hash: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, AXE);
}
