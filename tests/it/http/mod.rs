//! HTTP, as the contract has it: every call through the real router, on both databases.

mod access; // every route, by every role and by nobody
mod activity; // who did what
mod approvals; // what a person has to approve
mod cancel; // by one, in every state and for every type
mod cors; // pages of other origins
mod equal; // both databases answer the same
mod files; // up, through a task, and down again
mod guesses; // wrong keys, and from where
mod history; // changes, timeline, attempts, logs, explain
mod known; // answers from memory
mod life; // failures, attempts, panics, time-outs, progress
mod list; // filters, orders, pages
mod many; // batch, bulk, clone, export
mod notifications; // the ends of one's own tasks
mod once; // idempotency keys
mod openapi; // the document, and whether it says what is so
mod owners; // what one owner learns of another: nothing
mod preview; // a first look at files, hostile ones too
mod quotas; // how much an owner may have
mod random; // requests nobody would make
mod rates; // how much a key may send
mod refused; // whatever is wrong with a request, and that nothing came of it
mod refused_files; // whatever is wrong with an upload
mod rows; // the list of bad inputs, by number
mod secret; // params that nobody is shown again
mod service; // health, documents, headers, the page
mod session; // the page's cookie
mod slow; // what comes slowly, never, or in great numbers
mod socket; // what only a real connection shows
mod submit; // every type, from submit to result
mod table; // the bad requests themselves
