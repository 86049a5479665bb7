//! What is written or read together with others of its kind.

use super::batch::Operation;
use crate::store::Submission;
use crate::task::{Change, Scope};
use uuid::Uuid;

impl Operation for Submission {
    type Key = (String, String, String);

    fn keys(&self) -> Vec<Self::Key> {
        self.once.iter().map(|once| (once.owner.clone(), once.route.clone(), once.key.clone())).collect()
    }

    fn weight(&self) -> usize {
        self.tasks.len()
    }
}

/// A look at the stamp.
pub struct Look;

impl Operation for Look {
    type Key = ();
}

/// A question for the numbers of a scope.
impl Operation for Scope {
    type Key = ();
}

impl Operation for Change {
    type Key = Uuid;

    fn keys(&self) -> Vec<Uuid> {
        vec![self.task.id]
    }
}
