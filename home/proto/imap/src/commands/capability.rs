//! CAPABILITY (RFC 9051 §6.1.1).

use postern_sasl::Mechanism;

use crate::response::Completion;
use crate::session::core::{Config, Core, State};
use crate::session::task::{Input, Progress, Task};

/// What every session can do. Only what works is named here.
const ALWAYS: &str = "IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE";

/// What a session can do after login: the extensions with their RFCs are in the crate's documentation.
const AFTER_LOGIN: &str = "IDLE NOTIFY NAMESPACE CHILDREN LIST-EXTENDED LIST-STATUS SPECIAL-USE CREATE-SPECIAL-USE UIDPLUS \
                           UNSELECT MOVE REPLACE CATENATE ESEARCH SEARCHRES WITHIN PARTIAL STATUS=SIZE CONDSTORE QRESYNC OBJECTID SAVEDATE PREVIEW SORT \
                           SORT=DISPLAY ESORT THREAD=ORDEREDSUBJECT THREAD=REFERENCES BINARY MULTIAPPEND \
                           UNAUTHENTICATE UIDONLY INPROGRESS COMPRESS=DEFLATE UTF8=ACCEPT METADATA QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE ACL RIGHTS=texk LIST-MYRIGHTS";

#[derive(Debug)]
pub(crate) struct Capability;

impl Task for Capability {
    fn resume(&mut self, core: &mut Core, _: Input) -> Progress {
        let line = format!("CAPABILITY {}", words(&core.state, &core.config));
        core.untagged(&line);
        Completion::ok("CAPABILITY completed").into()
    }
}

/// The capabilities in this state, separated by spaces.
pub(crate) fn words(state: &State, config: &Config) -> String {
    match state {
        State::NotAuthenticated => {
            let mechanisms: Vec<String> =
                Mechanism::offered(&config.bindings).map(|mechanism| format!("AUTH={mechanism}")).collect();
            format!("{ALWAYS} {}", mechanisms.join(" "))
        }
        // RFC 7889 §2: the limit is the same for every mailbox.
        State::Authenticated { .. } => format!("{ALWAYS} {AFTER_LOGIN} APPENDLIMIT={}", config.max_message),
    }
}
