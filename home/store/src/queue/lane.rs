//! Lanes: what waits in one does not wait for what is in another.
//!
//! In: whose mail a message is, and of which kind. Out: the lane, which the row of each recipient holds.

use crate::account::AccountId;

/// Whose mail it is, and of which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// The account that sends it, or for which it is sent on; `None` for reports and what else home writes.
    pub account: Option<AccountId>,
    /// The kind.
    pub kind: Kind,
}

/// Kinds of mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// From one person to a few.
    Personal,
    /// From one to many.
    Bulk,
    /// What comes in for an account and goes on elsewhere, as much as others please to send.
    Forwarded,
}

/// To how many a message goes, as its sender says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precedence {
    /// To a few.
    #[default]
    Personal,
    /// To many.
    Bulk,
}

impl Lane {
    /// The lane of a message.
    pub fn of(sender: Option<AccountId>, forwarder: Option<AccountId>, precedence: Precedence) -> Self {
        let kind = match (forwarder, precedence) {
            (Some(_), _) => Kind::Forwarded,
            (None, Precedence::Bulk) => Kind::Bulk,
            (None, Precedence::Personal) => Kind::Personal,
        };
        Lane { account: forwarder.or(sender), kind }
    }

    /// Four numbers for nobody, then four for each account.
    pub(super) fn to_column(self) -> i64 {
        let account = self.account.map_or(0, |account| i64::from(account.0) + 1);
        let kind = match self.kind {
            Kind::Personal => 0,
            Kind::Bulk => 1,
            Kind::Forwarded => 2,
        };
        account * 4 + kind
    }

    pub(super) fn from_column(value: i64) -> Self {
        let account = u32::try_from(value / 4 - 1).ok().map(AccountId);
        let kind = match value % 4 {
            1 => Kind::Bulk,
            2 => Kind::Forwarded,
            _ => Kind::Personal,
        };
        Lane { account, kind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lane_has_a_column_of_its_own() {
        let accounts = [None, Some(AccountId(0)), Some(AccountId(1)), Some(AccountId(u32::MAX))];
        let kinds = [Kind::Personal, Kind::Bulk, Kind::Forwarded];
        let lanes = accounts.iter().flat_map(|account| kinds.map(|kind| Lane { account: *account, kind }));
        let mut columns = std::collections::HashSet::new();
        for lane in lanes {
            assert_eq!(Lane::from_column(lane.to_column()), lane);
            assert!(columns.insert(lane.to_column()));
        }
    }
}
