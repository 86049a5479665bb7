//! What a caller may do.

/// What the holder of a key may do. Which calls that are is said by the table in `src/api/access.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything, with every owner's tasks.
    Admin,
    /// Submit, read, cancel, retry; its own owner's.
    Submit,
    /// Read; its own owner's.
    Read,
    /// Claim and report; its own owner's, or everyone's where the owner is `*`.
    Worker,
}

impl Role {
    /// Every role, with its word on the wire and in the database.
    pub const ALL: [(&'static str, Role); 4] =
        [("admin", Role::Admin), ("submit", Role::Submit), ("read", Role::Read), ("worker", Role::Worker)];

    /// Its word.
    pub fn word(self) -> &'static str {
        Role::ALL[self as usize].0
    }

    /// The role of this word.
    pub fn of(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|(known, _)| *known == word).map(|(_, role)| role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_is_found_by_its_word() {
        for (word, role) in Role::ALL {
            assert_eq!((role.word(), Role::of(word)), (word, Some(role)));
        }
        assert_eq!(Role::of("Admin"), None);
    }
}
