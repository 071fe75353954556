//! The replies by which large receivers say that they distrust the sending address. A uniform table.
//!
//! In: a reply as it was on the wire. Out: whose words they are. What they say of a message, a recipient or a sending domain is
//! not in here: by the relay that would be no better.

/// Words of one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// Whose.
    pub provider: &'static str,
    /// All of these are in the reply, in lower case here and in any case there.
    pub all_of: &'static [&'static str],
    /// A reply as it was seen, its address replaced.
    pub example: &'static str,
}

/// All that are recognised; the first row that fits counts.
pub const WORDS: &[Words] = &[
    Words {
        provider: "Gmail",
        all_of: &["unusual rate of unsolicited mail originating from your ip address"],
        example: "421-4.7.28 [192.0.2.1] Our system has detected an unusual rate of unsolicited mail originating from your IP address. To protect our users from spam, mail sent from your IP address has been temporarily rate limited. Please visit\n421 4.7.28 https://support.google.com/mail/?p=UnsolicitedRateLimitError to review our Bulk Email Senders Guidelines. - gsmtp",
    },
    Words {
        provider: "Gmail",
        all_of: &["very low reputation of the sending ip address"],
        example: "550-5.7.1 [192.0.2.1] Our system has detected that this message is likely suspicious due to the very low reputation of the sending IP address. To best protect our users from spam, the message has been blocked. Please visit\n550 5.7.1 https://support.google.com/mail/answer/188131 for more information. - gsmtp",
    },
    Words {
        provider: "Outlook",
        all_of: &["part of their network is on our block list"],
        example: "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140). You can also refer your provider to http://mail.live.com/mail/troubleshooting.aspx#errors. [DM6NAM12FT056.eop-nam12.prod.protection.outlook.com]",
    },
    Words {
        provider: "Yahoo",
        all_of: &["[tss", "deferred due to unexpected volume or user complaints"],
        example: "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes",
    },
    Words {
        provider: "iCloud",
        all_of: &["[cs01]", "message rejected due to local policy"],
        example: "550 5.7.1 [CS01] Message rejected due to local policy. Please visit https://support.apple.com/en-us/HT204137",
    },
    Words {
        provider: "GMX and WEB.DE",
        all_of: &["nemesis esmtp service not available", "block listed"],
        example: "554-gmx.net (mxgmx104) Nemesis ESMTP Service not available\n554-No SMTP service\n554-IP address is block listed.\n554 For explanation visit https://postmaster.gmx.net/en/case?c=r0201&i=ip&v=192.0.2.1&r=1MNcgj-1ue23t3pyV-00S2YR",
    },
    Words {
        provider: "T-Online",
        all_of: &["ip=", "a problem occurred", "t-online.de"],
        example: "554 IP=192.0.2.1 - A problem occurred. (Ask your postmaster for help or to contact tosa@rx.t-online.de to clarify.) (BL)",
    },
    Words {
        provider: "T-Online",
        all_of: &["ip=", "bad reputation", "t-online.de"],
        example: "554 IP=192.0.2.1 - None/bad reputation. Ask your postmaster for help or to contact <postmaster@rx.t-online.de> for reset. (NOWL)",
    },
    Words {
        provider: "Proofpoint",
        all_of: &["ipcheck.proofpoint.com"],
        example: "554 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1",
    },
    Words {
        provider: "Mimecast",
        all_of: &["community.mimecast.com", "reputation"],
        example: "550 csi.mimecast.org Poor Reputation Sender. - https://community.mimecast.com/docs/DOC-1369#550",
    },
    Words {
        provider: "Spamhaus",
        all_of: &["spamhaus.org", "blocked"],
        example: "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.1",
    },
];

/// Whose words of distrust are in the text, if anybody's.
pub fn recognised(text: &str) -> Option<&'static Words> {
    let text = text.lines().map(spoken).collect::<Vec<_>>().join(" ").to_ascii_lowercase();
    WORDS.iter().find(|words| words.all_of.iter().all(|part| text.contains(part)))
}

/// A line of a reply without the codes that it begins with: sentences run over line ends.
fn spoken(line: &str) -> &str {
    let is_code = |code: &str| code.len() == 3 && code.bytes().all(|octet| octet.is_ascii_digit());
    let is_status = |word: &str| word.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.');
    let coded = line.split_once([' ', '-']).filter(|(code, _)| is_code(code));
    let said = coded.map_or(line, |(_, said)| said);
    said.split_once(' ').filter(|(word, _)| is_status(word)).map_or(said, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_knows_its_own_words() {
        for words in WORDS {
            let found = recognised(words.example).map(|found| found.provider);
            assert_eq!(found, Some(words.provider), "{}", words.example);
            assert!(words.all_of.iter().all(|part| *part == part.to_ascii_lowercase()));
        }
    }

    #[test]
    fn words_are_found_over_line_ends() {
        let reply = "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating\n421-4.7.28 from your IP address [192.0.2.1]. To protect our users\n421 4.7.28 from spam";
        assert_eq!(recognised(reply).map(|found| found.provider), Some("Gmail"));
    }

    #[test]
    fn what_is_said_of_a_recipient_or_a_message_is_no_distrust() {
        for reply in [
            "550 5.1.1 <bo@far.example>: Recipient address rejected: User unknown",
            "552 5.2.2 mailbox full",
            "451 4.7.1 Greylisting in action, please come back later",
            "421 4.7.0 [192.0.2.1] Our system has detected that this message is suspicious due to the very low reputation of the sending domain.",
            "550 5.7.1 Your email was rejected due to having a domain present in the Spamhaus DBL -- see https://www.spamhaus.org/dbl/",
            "550 5.7.1 [CS01] is what I wanted to ask about",
        ] {
            assert_eq!(recognised(reply), None, "{reply}");
        }
    }
}
