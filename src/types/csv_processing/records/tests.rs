//! Records are the same wherever they lie, and those that others find.

use super::*;
use crate::types::context::trial::Trial;
use encoding_rs::{Encoding, UTF_8};
use proptest::prelude::*;

/// How much a source reads at once.
const BLOCK: usize = 256 * 1024;

/// The records behind `before` bytes of filling, and how it ended.
fn behind(before: usize, text: &[u8], encoding: Option<&'static Encoding>) -> (Vec<Vec<Vec<u8>>>, Option<String>) {
    let mut input = b"fill\n".repeat(before / 5);
    input.extend(std::iter::repeat_n(b'\n', before % 5));
    let filled = input.len() / 5;
    input.extend_from_slice(text);
    let ctx = Trial::new().attempt();
    let total = input.len() as u64;
    let source = Source::open(Box::new(&input[..]), Meter::reading(total), encoding, &ctx).unwrap();
    let (mut records, mut found) = (Records::new(source, b','), Vec::new());
    let ended = loop {
        match records.next() {
            Ok(true) => {
                let stray = records.has_stray_quote().then(|| b"a stray quote".to_vec());
                found.push(records.cells().map(<[u8]>::to_vec).chain(stray).collect::<Vec<_>>());
            }
            Ok(false) => break None,
            Err(Failure::Fatal { code, .. }) => break Some(code),
            Err(other) => panic!("{other:?}"),
        }
    };
    assert!(found[..before / 5].iter().all(|record| *record == [b"fill".to_vec()]) && filled >= before / 5);
    (found.split_off(before / 5), ended)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn records_are_the_same_wherever_a_block_ends(
        text in prop_oneof!["([a-c,\"]|\r\n|\n|\r|é|€|\"\"|,\"x\"){0,60}", any::<String>()],
        broken in proptest::option::of(any::<(prop::sample::Index, u8)>()),
        at in any::<prop::sample::Index>(), guess in any::<bool>(),
    ) {
        let mut text = text.into_bytes();
        if let Some((at, byte)) = broken.filter(|_| !text.is_empty()) {
            let at = at.index(text.len());
            text[at] = byte;
        }
        let encoding = (!guess).then_some(UTF_8);
        let within = BLOCK - at.index(text.len() + 1);
        prop_assert_eq!(behind(within, &text, encoding), behind(10_000, &text, encoding));
    }
}

proptest! {
    #[test]
    fn records_are_those_that_the_reader_finds_byte_by_byte(
        text in "([a-c,]{0,3}|\"[a,\r\n]{0,4}\"|\"\"|\r\n|\n|\r|é|\u{feff}){0,40}",
    ) {
        let ctx = Trial::new().attempt();
        let source = Source::open(Box::new(text.as_bytes()), Meter::reading(text.len() as u64), Some(UTF_8), &ctx).unwrap();
        let (mut records, mut found) = (Records::new(source, b','), Vec::new());
        let ended = loop {
            match records.next() {
                Ok(true) => found.push(records.cells().map(<[u8]>::to_vec).collect::<Vec<_>>()),
                other => break other,
            }
        };
        // It takes a mark away, and so does the source.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        let mut expected: Vec<Vec<Vec<u8>>> =
            reader.byte_records().map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect()).collect();
        if ended.is_err() {
            // A quote that is never closed takes in the rest.
            expected.pop();
        }
        prop_assert_eq!(found, expected);
    }
}
