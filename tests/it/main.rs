//! The integration tests, in one binary. This file is their table of contents.

mod tidy;
