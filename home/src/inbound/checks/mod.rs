//! What strangers' mail is checked for, one check a file, in the order of the session.
//!
//! | file | when | what is checked |
//! |---|---|---|
//! | `header` | the message is here | whether the header is one that every reader understands alike |

pub mod header;
