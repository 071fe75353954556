//! Search criteria (RFC 9051 §6.4.4).

use crate::parser::{MAX_DEPTH, ParseError, Parser, Result};
use crate::response::encode;
use crate::types::{Date, Flag, SequenceSet};

/// `search-key`; texts are UTF-8, whatever character set the client used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchKey {
    /// All of them; an empty list matches every message (ALL).
    And(Vec<SearchKey>),
    /// OR
    Or(Box<SearchKey>, Box<SearchKey>),
    /// NOT
    Not(Box<SearchKey>),
    /// Sequence numbers of this session.
    Sequence(SequenceSet),
    /// UID
    Uid(SequenceSet),
    /// ANSWERED, DELETED, DRAFT, FLAGGED, SEEN, KEYWORD
    Flag(Flag),
    /// RECENT (RFC 3501 §6.4.4)
    Recent,
    /// BCC, CC, FROM, SUBJECT, TO, HEADER: the field's value contains the text; an empty text asks for the field.
    Header {
        /// Field name.
        name: String,
        /// Text to find.
        text: String,
    },
    /// BODY: a text part contains it.
    Body(String),
    /// TEXT: a header or a text part contains it.
    Text(String),
    /// BEFORE: received earlier than that day.
    Before(Date),
    /// ON
    On(Date),
    /// SINCE
    Since(Date),
    /// SENTBEFORE: the Date field is earlier than that day.
    SentBefore(Date),
    /// SENTON
    SentOn(Date),
    /// SENTSINCE
    SentSince(Date),
    /// LARGER: more octets than that.
    Larger(u64),
    /// SMALLER
    Smaller(u64),
    /// OLDER: received longer ago than so many seconds (RFC 5032).
    Older(u32),
    /// YOUNGER
    Younger(u32),
    /// MODSEQ: added or changed at this mod-sequence or later (RFC 7162 §3.1.5).
    ModSeq(u64),
    /// EMAILID (RFC 8474 §6)
    EmailId(String),
    /// THREADID
    ThreadId(String),
    /// SAVEDBEFORE (RFC 8514 §4.3)
    SavedBefore(Date),
    /// SAVEDON
    SavedOn(Date),
    /// SAVEDSINCE
    SavedSince(Date),
}

impl SearchKey {
    /// `search-key *(SP search-key)` to the end of the command.
    pub(crate) fn parse_program(parser: &mut Parser<'_>, charset: Charset) -> Result<SearchKey> {
        let mut keys = vec![Reader { parser, charset }.key(0)?];
        while parser.eat(b' ') {
            keys.push(Reader { parser, charset }.key(0)?);
        }
        Ok(SearchKey::all_of(keys))
    }

    fn all_of(mut keys: Vec<SearchKey>) -> SearchKey {
        match keys.len() {
            1 => keys.remove(0),
            _ => SearchKey::And(keys),
        }
    }

    /// Whether `wanted` holds for this key or one inside it.
    pub fn any(&self, wanted: &impl Fn(&SearchKey) -> bool) -> bool {
        wanted(self)
            || match self {
                SearchKey::And(keys) => keys.iter().any(|key| key.any(wanted)),
                SearchKey::Or(one, other) => one.any(wanted) || other.any(wanted),
                SearchKey::Not(key) => key.any(wanted),
                _ => false,
            }
    }

    /// Writes the key as a client would, texts in UTF-8.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            SearchKey::And(keys) if keys.is_empty() => out.extend_from_slice(b"ALL"),
            SearchKey::And(keys) => encode::parenthesised(keys, SearchKey::encode, out),
            SearchKey::Or(one, other) => {
                out.extend_from_slice(b"OR ");
                one.encode(out);
                out.push(b' ');
                other.encode(out);
            }
            SearchKey::Not(key) => {
                out.extend_from_slice(b"NOT ");
                key.encode(out);
            }
            SearchKey::Sequence(set) => set.encode(out),
            SearchKey::Uid(set) => {
                out.extend_from_slice(b"UID ");
                set.encode(out);
            }
            SearchKey::Flag(Flag::Keyword(name)) => {
                out.extend_from_slice(format!("KEYWORD {name}").as_bytes())
            }
            SearchKey::Flag(flag) => out.extend_from_slice(flag.name()[1..].to_uppercase().as_bytes()),
            SearchKey::Recent => out.extend_from_slice(b"RECENT"),
            SearchKey::Header { name, text } => {
                out.extend_from_slice(b"HEADER ");
                encode::astring(name.as_bytes(), out);
                out.push(b' ');
                encode::astring(text.as_bytes(), out);
            }
            SearchKey::Body(text) => word_and_text(b"BODY ", text, out),
            SearchKey::Text(text) => word_and_text(b"TEXT ", text, out),
            SearchKey::Before(date) => word_and_date(b"BEFORE ", *date, out),
            SearchKey::On(date) => word_and_date(b"ON ", *date, out),
            SearchKey::Since(date) => word_and_date(b"SINCE ", *date, out),
            SearchKey::SentBefore(date) => word_and_date(b"SENTBEFORE ", *date, out),
            SearchKey::SentOn(date) => word_and_date(b"SENTON ", *date, out),
            SearchKey::SentSince(date) => word_and_date(b"SENTSINCE ", *date, out),
            SearchKey::Larger(octets) => out.extend_from_slice(format!("LARGER {octets}").as_bytes()),
            SearchKey::Smaller(octets) => out.extend_from_slice(format!("SMALLER {octets}").as_bytes()),
            SearchKey::Older(seconds) => out.extend_from_slice(format!("OLDER {seconds}").as_bytes()),
            SearchKey::ModSeq(mod_seq) => out.extend_from_slice(format!("MODSEQ {mod_seq}").as_bytes()),
            SearchKey::EmailId(id) => out.extend_from_slice(format!("EMAILID {id}").as_bytes()),
            SearchKey::ThreadId(id) => out.extend_from_slice(format!("THREADID {id}").as_bytes()),
            SearchKey::SavedBefore(date) => word_and_date(b"SAVEDBEFORE ", *date, out),
            SearchKey::SavedOn(date) => word_and_date(b"SAVEDON ", *date, out),
            SearchKey::SavedSince(date) => word_and_date(b"SAVEDSINCE ", *date, out),
            SearchKey::Younger(seconds) => out.extend_from_slice(format!("YOUNGER {seconds}").as_bytes()),
        }
    }
}

fn word_and_text(word: &[u8], text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(word);
    encode::astring(text.as_bytes(), out);
}

fn word_and_date(word: &[u8], date: Date, out: &mut Vec<u8>) {
    out.extend_from_slice(word);
    date.encode(out);
}

/// The character set of the texts of one SEARCH.
#[derive(Debug, Clone, Copy)]
pub struct Charset(&'static encoding_rs::Encoding);

impl Charset {
    /// What holds without CHARSET.
    pub const UTF_8: Charset = Charset(encoding_rs::UTF_8);

    /// The character set of that registered name.
    pub fn named(name: &[u8]) -> Result<Charset> {
        let known = encoding_rs::Encoding::for_label_no_replacement(name);
        // ASCII-incompatible sets cannot be searched for in octets that the grammar has cut.
        known.filter(|set| set.is_ascii_compatible()).map(Charset).ok_or(ParseError::BadCharset)
    }

    fn decode(self, octets: &[u8]) -> Result<String> {
        let (text, malformed) = self.0.decode_without_bom_handling(octets);
        if malformed { Err(ParseError::BadCharset) } else { Ok(text.into_owned()) }
    }
}

struct Reader<'p, 'a> {
    parser: &'p mut Parser<'a>,
    charset: Charset,
}

impl Reader<'_, '_> {
    fn key(&mut self, depth: usize) -> Result<SearchKey> {
        if depth > MAX_DEPTH {
            return Err(ParseError::Syntax("Search keys nested too deep"));
        }
        match self.parser.peek() {
            Some(b'(') => self.group(depth),
            Some(b'0'..=b'9' | b'*' | b'$') => Ok(SearchKey::Sequence(self.parser.sequence_set()?)),
            _ => {
                let word = self.parser.keyword()?;
                self.word(&word, depth)
            }
        }
    }

    fn group(&mut self, depth: usize) -> Result<SearchKey> {
        let charset = self.charset;
        let keys =
            self.parser.list("Expected search keys", |parser| Reader { parser, charset }.key(depth + 1))?;
        if keys.is_empty() {
            return Err(ParseError::Syntax("Empty search group"));
        }
        Ok(SearchKey::all_of(keys))
    }

    /// A table: one arm for each word of the grammar.
    fn word(&mut self, word: &str, depth: usize) -> Result<SearchKey> {
        let flag = |flag| Ok(SearchKey::Flag(flag));
        let unflag = |flag| Ok(SearchKey::Not(Box::new(SearchKey::Flag(flag))));
        match word {
            "ALL" => Ok(SearchKey::And(Vec::new())),
            "ANSWERED" => flag(Flag::Answered),
            "DELETED" => flag(Flag::Deleted),
            "DRAFT" => flag(Flag::Draft),
            "FLAGGED" => flag(Flag::Flagged),
            "SEEN" => flag(Flag::Seen),
            "UNANSWERED" => unflag(Flag::Answered),
            "UNDELETED" => unflag(Flag::Deleted),
            "UNDRAFT" => unflag(Flag::Draft),
            "UNFLAGGED" => unflag(Flag::Flagged),
            "UNSEEN" => unflag(Flag::Seen),
            "KEYWORD" => flag(self.keyword_flag()?),
            "UNKEYWORD" => unflag(self.keyword_flag()?),
            "RECENT" => Ok(SearchKey::Recent),
            "OLD" => Ok(SearchKey::Not(Box::new(SearchKey::Recent))),
            // RFC 3501 §6.4.4: NEW is RECENT UNSEEN.
            "NEW" => Ok(SearchKey::And(vec![SearchKey::Recent, unflag(Flag::Seen)?])),
            "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" => self.header(word.to_ascii_lowercase()),
            "HEADER" => {
                self.parser.space()?;
                let name = self.parser.text_astring()?;
                self.header(name)
            }
            "BODY" => Ok(SearchKey::Body(self.text()?)),
            "TEXT" => Ok(SearchKey::Text(self.text()?)),
            "BEFORE" => Ok(SearchKey::Before(self.date()?)),
            "ON" => Ok(SearchKey::On(self.date()?)),
            "SINCE" => Ok(SearchKey::Since(self.date()?)),
            "SENTBEFORE" => Ok(SearchKey::SentBefore(self.date()?)),
            "SENTON" => Ok(SearchKey::SentOn(self.date()?)),
            "SENTSINCE" => Ok(SearchKey::SentSince(self.date()?)),
            "LARGER" => Ok(SearchKey::Larger(self.number64()?)),
            "SMALLER" => Ok(SearchKey::Smaller(self.number64()?)),
            "OLDER" => Ok(SearchKey::Older(self.interval()?)),
            "YOUNGER" => Ok(SearchKey::Younger(self.interval()?)),
            "MODSEQ" => Ok(SearchKey::ModSeq(self.mod_seq()?)),
            "EMAILID" => Ok(SearchKey::EmailId(self.object_id()?)),
            "THREADID" => Ok(SearchKey::ThreadId(self.object_id()?)),
            "SAVEDBEFORE" => Ok(SearchKey::SavedBefore(self.date()?)),
            "SAVEDON" => Ok(SearchKey::SavedOn(self.date()?)),
            "SAVEDSINCE" => Ok(SearchKey::SavedSince(self.date()?)),
            // RFC 8514 §4.3: true of every message of a mailbox that keeps the date, as all of ours do.
            "SAVEDATESUPPORTED" => Ok(SearchKey::And(Vec::new())),
            "UID" => {
                self.parser.space()?;
                Ok(SearchKey::Uid(self.parser.sequence_set()?))
            }
            "NOT" => {
                self.parser.space()?;
                Ok(SearchKey::Not(Box::new(self.key(depth + 1)?)))
            }
            "OR" => self.or(depth),
            _ => Err(ParseError::Syntax("Unknown search key")),
        }
    }

    fn or(&mut self, depth: usize) -> Result<SearchKey> {
        self.parser.space()?;
        let one = self.key(depth + 1)?;
        self.parser.space()?;
        let other = self.key(depth + 1)?;
        Ok(SearchKey::Or(Box::new(one), Box::new(other)))
    }

    fn header(&mut self, name: String) -> Result<SearchKey> {
        Ok(SearchKey::Header { name, text: self.text()? })
    }

    fn text(&mut self) -> Result<String> {
        self.parser.space()?;
        let octets = self.parser.astring()?;
        self.charset.decode(&octets)
    }

    fn date(&mut self) -> Result<Date> {
        self.parser.space()?;
        Date::parse(self.parser)
    }

    fn number64(&mut self) -> Result<u64> {
        self.parser.space()?;
        self.parser.number64()
    }

    fn interval(&mut self) -> Result<u32> {
        self.parser.space()?;
        self.parser.nz_number()
    }

    /// RFC 7162 §3.1.5: there is one mod-sequence for all of a message's flags, so the entry is passed over.
    fn mod_seq(&mut self) -> Result<u64> {
        self.parser.space()?;
        if self.parser.peek() == Some(b'"') {
            self.parser.string()?;
            self.parser.space()?;
            if !matches!(self.parser.keyword()?.as_str(), "PRIV" | "SHARED" | "ALL") {
                return Err(ParseError::Syntax("Unknown entry type"));
            }
            self.parser.space()?;
        }
        self.parser.number64()
    }

    /// RFC 8474 §7 `objectid`
    fn object_id(&mut self) -> Result<String> {
        self.parser.space()?;
        let octets = self.parser.take_while(
            |octet| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-'),
            "Expected an object identifier",
        )?;
        Ok(String::from_utf8_lossy(octets).into_owned())
    }

    fn keyword_flag(&mut self) -> Result<Flag> {
        self.parser.space()?;
        Ok(Flag::keyword(self.parser.atom()?))
    }
}
