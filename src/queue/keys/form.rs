//! The text of a key: `errand_<id>_<secret>`.
//!
//! The id is 64 bits in hex and public. The secret is 256 random bits of the operating system and four
//! bytes of checksum, in base64 for addresses: 48 characters. By the checksum a slip of the finger is
//! told from a wrong key, without a look at any key. It says nothing of the secret to anybody who has not
//! got it.

use crate::files::hex;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const PREFIX: &str = "errand_";
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;
const CHECK_BYTES: usize = 4;
/// Characters of the id in hex, and of secret and checksum in base64.
const ID_CHARS: usize = 2 * ID_BYTES;
const SECRET_CHARS: usize = (SECRET_BYTES + CHECK_BYTES) / 3 * 4;

/// What may call: secret.
pub type Secret = [u8; SECRET_BYTES];

/// A SHA-256.
pub type Hash = [u8; 32];

/// Bits of the operating system. Its having none is no state to go on in.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).expect("the operating system has random bits");
    bytes
}

/// A new id.
pub fn new_id() -> String {
    hex(&random::<ID_BYTES>())
}

/// The key as its holder has it.
pub fn write(id: &str, secret: &Secret) -> String {
    let mut bytes = secret.to_vec();
    bytes.extend(checksum(id, secret));
    format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// Id and secret of a key; `None` for any other text, one with a slip in it included.
pub fn read(text: &str) -> Option<(&str, Secret)> {
    let (id, rest) = text.strip_prefix(PREFIX)?.split_at_checked(ID_CHARS)?;
    let encoded = rest.strip_prefix('_').filter(|encoded| encoded.len() == SECRET_CHARS)?;
    let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    let (secret, check) = bytes.split_at_checked(SECRET_BYTES)?;
    let secret: Secret = secret.try_into().ok()?;
    (checksum(id, &secret) == check).then_some((id, secret))
}

/// The public id that this text begins with, were it a key.
pub fn id(text: &str) -> Option<&str> {
    text.strip_prefix(PREFIX)?.get(..ID_CHARS)
}

fn checksum(id: &str, secret: &Secret) -> [u8; CHECK_BYTES] {
    let mut hash = Sha256::new();
    hash.update(PREFIX);
    hash.update(id);
    hash.update(secret);
    let hash: Hash = hash.finalize().into();
    std::array::from_fn(|n| hash[n])
}

/// What is kept of a secret.
pub fn hash(secret: &[u8]) -> Hash {
    Sha256::digest(secret).into()
}

/// The same, in time that does not depend on where they differ.
pub fn equal(a: &Hash, b: &Hash) -> bool {
    a.ct_eq(b).into()
}

/// A hash as the database has it, in lower-case hex; all zeros, which is nothing's hash, for what is no hash.
pub fn of_hex(text: &str) -> Hash {
    let byte = |n: usize| text.get(2 * n..2 * n + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let mut hash = Hash::default();
    for (n, into) in hash.iter_mut().enumerate() {
        let Some(byte) = byte(n) else { return Hash::default() };
        *into = byte;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_keys_are_alike_and_each_is_read_back() {
        let keys: Vec<(String, Secret)> = (0..100).map(|_| (new_id(), random())).collect();
        for (id, secret) in &keys {
            let text = write(id, secret);
            assert_eq!(read(&text), Some((id.as_str(), *secret)));
            assert_eq!(text.len(), PREFIX.len() + ID_CHARS + 1 + SECRET_CHARS);
        }
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), 100);
        assert!(keys.iter().all(|(_, secret)| secret.iter().collect::<HashSet<_>>().len() > 8));
    }

    #[test]
    fn any_one_letter_wrong_is_a_slip() {
        let text = write("0123456789abcdef", &random());
        for at in 0..text.len() {
            for wrong in ["A", "b", "0", "_", "é", ""] {
                let mut slip = text.clone();
                slip.replace_range(at..=at, wrong);
                assert!(slip == text || read(&slip).is_none(), "{slip}");
            }
        }
    }

    #[test]
    fn a_hash_comes_back_from_its_hex_and_nothing_else_is_one() {
        let hash = hash(b"x");
        assert_eq!(of_hex(&hex(&hash)), hash);
        for text in ["", "00", "zz", &"é".repeat(32)] {
            assert_eq!(of_hex(text), Hash::default(), "{text}");
        }
        assert!(equal(&hash, &hash.clone()) && !equal(&hash, &Hash::default()));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_fault(text in prop_oneof![any::<String>(), "errand_[0-9a-f]{10,20}_[A-Za-z0-9_-]{40,50}"]) {
            prop_assert!(read(&text).is_none());
        }
    }
}
