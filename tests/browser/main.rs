//! Table of contents: the page in a real browser, on real nodes. `tests/browser/run` runs them.
#![allow(clippy::print_stdout)] // figures, for whoever runs a test to see them

mod support;

mod alerts; // desktop notifications and sound, off until asked for
mod budget; // what the page may cost
mod checks; // that what must not happen would be seen
mod exports; // how much it will be, all of it, stopped
mod feeds; // what is new waits
mod flows; // submit, watch, cancel, retry, filter, detail, approve
mod hostile; // texts that want to be more than text
mod insight; // charts, queues, before and after, what is related, whose
mod keyboard; // all of it without a mouse
mod list; // views, what all match, two compared
mod offline; // a server that goes away and comes back
mod outbox; // what is submitted while the server does not answer
mod owners; // two people who never see each other
mod palette; // Ctrl K
mod screens; // every screen, light and dark, wide and narrow
mod steady; // nothing jumps while a screen loads
mod tabs; // one socket for all tabs of a browser
mod vendored; // what is not ours
