//! Stored messages, by content.
