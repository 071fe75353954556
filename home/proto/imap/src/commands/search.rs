//! SEARCH (RFC 9051 §6.4.4), with RETURN (ESEARCH, RFC 4731), SAVE (SEARCHRES, RFC 5182), OLDER and YOUNGER (WITHIN,
//! RFC 5032), PARTIAL (RFC 9394 §3.1), MODSEQ (RFC 7162 §3.1.5), EMAILID and THREADID (RFC 8474 §6), SAVEDON and its like (RFC 8514 §4.3).

use super::encode_name;
use crate::parser::{ParseError, Parser, Result};
use crate::request::{Answer, Found, MailboxId, Request};
use crate::response::{Completion, encode};
use crate::session::core::{Core, Expunges, Numbering};
use crate::session::enabled::Extension;
use crate::session::task::{Input, Progress, Task, refused};
use crate::types::{Charset, Number, PartialRange, SearchKey, SequenceSet, encode_uids};

/// What to find, and what to tell of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// What the results are.
    pub numbering: Numbering,
    /// RETURN's options; `None` without RETURN: the old response.
    pub returns: Option<Vec<SearchReturn>>,
    /// CHARSET.
    pub charset: CharsetLabel,
    /// The criteria.
    pub key: SearchKey,
}

/// Whether the client says in which character set its texts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CharsetLabel {
    /// It does.
    Named,
    /// It leaves that to the rules.
    Absent,
}

/// What ESEARCH tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchReturn {
    /// MIN
    Min,
    /// MAX
    Max,
    /// ALL
    All,
    /// COUNT
    Count,
    /// SAVE: keep the result as `$`.
    Save,
    /// PARTIAL: a page of the result.
    Partial(PartialRange),
}

impl SearchReturn {
    const NAMES: [(SearchReturn, &'static str); 5] = [
        (SearchReturn::Min, "MIN"),
        (SearchReturn::Max, "MAX"),
        (SearchReturn::All, "ALL"),
        (SearchReturn::Count, "COUNT"),
        (SearchReturn::Save, "SAVE"),
    ];

    fn parse(parser: &mut Parser<'_>) -> Result<SearchReturn> {
        let word = parser.keyword()?;
        if word == "PARTIAL" {
            parser.space()?;
            return PartialRange::parse(parser).map(SearchReturn::Partial);
        }
        let found = SearchReturn::NAMES.iter().find(|(_, name)| *name == word);
        found.map(|(option, _)| *option).ok_or(ParseError::Syntax("Unknown SEARCH return option"))
    }

    fn name(self) -> &'static str {
        SearchReturn::NAMES.iter().find(|(option, _)| *option == self).map_or("PARTIAL", |(_, name)| name)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.name().as_bytes());
        if let SearchReturn::Partial(range) = self {
            out.push(b' ');
            range.encode(out);
        }
    }
}

impl Search {
    pub(super) fn parse(numbering: Numbering, parser: &mut Parser<'_>) -> Result<Search> {
        parser.space()?;
        let returns = match parser.eat_keyword("RETURN") {
            true => Some(return_options(parser)?),
            false => None,
        };
        let (label, charset) = match parser.eat_keyword("CHARSET") {
            true => {
                parser.space()?;
                (CharsetLabel::Named, charset(parser)?)
            }
            false => (CharsetLabel::Absent, Charset::UTF_8),
        };
        let key = SearchKey::parse_program(parser, charset)?;
        Ok(Search { numbering, returns, charset: label, key })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        encode_name(self.numbering, "SEARCH", out);
        encode_returns(self.returns.as_deref(), out);
        if self.charset == CharsetLabel::Named {
            out.extend_from_slice(b"CHARSET UTF-8 ");
        }
        self.key.encode(out);
    }

    fn start(&self, core: &mut Core) -> std::result::Result<Progress, Completion> {
        // RFC 6855 §3; SORT and THREAD cannot do without one.
        if self.charset == CharsetLabel::Named && core.enabled.has(Extension::Utf8Accept) {
            return Err(Completion::bad("UTF8=ACCEPT is enabled: SEARCH takes no CHARSET"));
        }
        let (mailbox, key) = self.resolved(core)?;
        Ok(Progress::Ask(Request::Search { mailbox, key }))
    }

    /// Where to look, and for what.
    pub(super) fn resolved(
        &self,
        core: &mut Core,
    ) -> std::result::Result<(MailboxId, SearchKey), Completion> {
        core.require_uids(self.numbering)?;
        if self.asks_mod_seq() {
            core.enable_cond_store();
        }
        let key = resolve(&self.key, core)?;
        let selected = core.selected.as_ref().ok_or_else(|| Completion::bad("No mailbox selected"))?;
        Ok((selected.mailbox, key))
    }

    /// Tells what was found, under this name where there is no RETURN.
    pub(super) fn found(&self, core: &mut Core, found: &[Found], name: &str) {
        let Some(selected) = &mut core.selected else {
            return;
        };
        // A message that this session has not been told of, or not any more, is not found.
        let numbered = |found: &Found| Some((*found, selected.view.sequence_of(found.uid)?));
        let (found, sequences): (Vec<Found>, Vec<u32>) = found.iter().filter_map(numbered).unzip();
        if self.wants(SearchReturn::Save) {
            selected.saved = self.returned(&found).map(|found| found.uid).collect();
        }
        let highest = self.returned(&found).map(|found| found.mod_seq).max().filter(|_| self.asks_mod_seq());
        let numbers = match self.numbering {
            Numbering::Uid => found.iter().map(|found| found.uid).collect(),
            Numbering::Sequence => sequences,
        };
        match (self.returns.as_deref(), core.enabled.has(Extension::Imap4Rev2)) {
            (Some(returns), _) => self.tell_extended(returns, &core.tag, &numbers, highest, &mut core.output),
            // RFC 9051 §6.4.4: IMAP4rev2 knows ESEARCH only. Its SORT is RFC 5256's.
            (None, true) if name == "SEARCH" => {
                self.tell_extended(&[SearchReturn::All], &core.tag, &numbers, highest, &mut core.output);
            }
            _ => tell_plain(name, &numbers, highest, &mut core.output),
        }
    }

    fn asks_mod_seq(&self) -> bool {
        self.key.any(&|key| matches!(key, SearchKey::ModSeq(_)))
    }

    /// RFC 5182 §2.4: with MIN or MAX and neither ALL nor COUNT, only those are saved; RFC 4731 §3.2 likewise counts
    /// only their mod-sequences. A page is saved beside them (RFC 9394 §3.2).
    fn returned<'f>(&self, found: &'f [Found]) -> impl Iterator<Item = &'f Found> + use<'f> {
        let (min, max) = (self.wants(SearchReturn::Min), self.wants(SearchReturn::Max));
        let page = self.page().map(|range| range.of(found.len()));
        let everything = self.wants(SearchReturn::All)
            || self.wants(SearchReturn::Count)
            || !(min || max || page.is_some());
        let last = found.len().saturating_sub(1);
        let on_page = move |index: usize| page.as_ref().is_some_and(|page| page.contains(&index));
        let kept =
            move |index: usize| everything || (min && index == 0) || (max && index == last) || on_page(index);
        found.iter().enumerate().filter(move |(index, _)| kept(*index)).map(|(_, found)| found)
    }

    fn page(&self) -> Option<PartialRange> {
        self.returns.iter().flatten().find_map(|option| match option {
            SearchReturn::Partial(range) => Some(*range),
            _ => None,
        })
    }

    fn wants(&self, option: SearchReturn) -> bool {
        self.returns.as_ref().is_some_and(|returns| returns.contains(&option))
    }

    fn tell_extended(
        &self,
        returns: &[SearchReturn],
        tag: &str,
        numbers: &[u32],
        highest: Option<u64>,
        out: &mut Vec<u8>,
    ) {
        // RFC 5182 §2.1: SAVE alone has no response.
        if returns == [SearchReturn::Save] {
            return;
        }
        out.extend_from_slice(b"* ESEARCH (TAG ");
        encode::string(tag.as_bytes(), out);
        out.push(b')');
        if self.numbering == Numbering::Uid {
            out.extend_from_slice(b" UID");
        }
        let mut item = |option, value: Option<u32>| {
            if let (true, Some(value)) = (returns.contains(&option), value) {
                out.extend_from_slice(format!(" {} {value}", SearchReturn::name(option)).as_bytes());
            }
        };
        item(SearchReturn::Min, numbers.first().copied());
        item(SearchReturn::Max, numbers.last().copied());
        item(SearchReturn::Count, u32::try_from(numbers.len()).ok());
        if returns.contains(&SearchReturn::All) && !numbers.is_empty() {
            out.extend_from_slice(b" ALL ");
            encode_uids(numbers.iter().copied(), out);
        }
        if let Some(range) = self.page() {
            tell_page(range, numbers, out);
        }
        if let Some(mod_seq) = highest {
            out.extend_from_slice(format!(" MODSEQ {mod_seq}").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// The page with its range as it was asked for; a page beyond the results is NIL (RFC 9394 §3.1).
fn tell_page(range: PartialRange, numbers: &[u32], out: &mut Vec<u8>) {
    out.extend_from_slice(b" PARTIAL (");
    range.encode(out);
    out.push(b' ');
    match numbers.get(range.of(numbers.len())) {
        Some(page) if !page.is_empty() => encode_uids(page.iter().copied(), out),
        _ => out.extend_from_slice(b"NIL"),
    }
    out.push(b')');
}

impl Task for Search {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => self.start(core).unwrap_or_else(Progress::Done),
            Input::Answer(Answer::Found(found)) => {
                self.found(core, &found, "SEARCH");
                Completion::ok("SEARCH completed").into()
            }
            other => {
                // RFC 5182 §2.1: a SEARCH (SAVE) that fails empties the variable.
                if let (true, Some(selected)) = (self.wants(SearchReturn::Save), &mut core.selected) {
                    selected.saved.clear();
                }
                refused(other)
            }
        }
    }

    fn expunges(&self) -> Expunges {
        Search::expunges(self)
    }
}

impl Search {
    /// RFC 9051 §7.5.1, and RFC 5256 §3 for SORT and THREAD.
    pub(super) fn expunges(&self) -> Expunges {
        match self.numbering {
            Numbering::Sequence => Expunges::Held,
            // RFC 7162 §3.2.10.2: nor while a UID SEARCH uses them.
            Numbering::Uid if self.key.any(&|key| matches!(key, SearchKey::Sequence(_))) => Expunges::Held,
            Numbering::Uid => Expunges::Told,
        }
    }
}

/// A character set and the space behind it.
pub(super) fn charset(parser: &mut Parser<'_>) -> Result<Charset> {
    let charset = Charset::named(&parser.astring()?)?;
    parser.space()?;
    Ok(charset)
}

/// Writes `RETURN (...) ` where there are options.
pub(super) fn encode_returns(returns: Option<&[SearchReturn]>, out: &mut Vec<u8>) {
    if let Some(returns) = returns {
        out.extend_from_slice(b"RETURN ");
        encode::parenthesised(returns, SearchReturn::encode, out);
        out.push(b' ');
    }
}

/// Writes `* SEARCH 1 2 (MODSEQ 3)`.
fn tell_plain(name: &str, numbers: &[u32], highest: Option<u64>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"* ");
    out.extend_from_slice(name.as_bytes());
    for number in numbers {
        out.push(b' ');
        encode::number((*number).into(), out);
    }
    if let Some(mod_seq) = highest {
        out.extend_from_slice(format!(" (MODSEQ {mod_seq})").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// `RETURN ()` means `RETURN (ALL)` (RFC 4731 §3.1).
pub(super) fn return_options(parser: &mut Parser<'_>) -> Result<Vec<SearchReturn>> {
    parser.space()?;
    let mut options = parser.list("Expected return options", SearchReturn::parse)?;
    parser.space()?;
    if options.is_empty() {
        options.push(SearchReturn::All);
    }
    // RFC 9394 §3.1
    let is_list = |option: &&SearchReturn| matches!(option, SearchReturn::All | SearchReturn::Partial(_));
    let has_page = options.iter().any(|option| matches!(option, SearchReturn::Partial(_)));
    if has_page && options.iter().filter(is_list).count() > 1 {
        return Err(ParseError::Syntax("Expected one PARTIAL or one ALL"));
    }
    Ok(options)
}

/// Turns what only the session can know into UIDs: sequence numbers, `*`, `$` and RECENT.
fn resolve(key: &SearchKey, core: &Core) -> std::result::Result<SearchKey, Completion> {
    let uids = |set, numbering| {
        Ok(SearchKey::Uid(as_uids(core.resolve(set, numbering)?.iter().map(|message| message.uid))))
    };
    match key {
        SearchKey::Sequence(set) => uids(set, Numbering::Sequence),
        SearchKey::Uid(set) => uids(set, Numbering::Uid),
        SearchKey::Recent => {
            let first = core.selected.as_ref().map_or(u32::MAX, |selected| selected.recent_from);
            Ok(SearchKey::Uid(SequenceSet::Ranges(vec![(Number::Exactly(first), Number::Exactly(u32::MAX))])))
        }
        SearchKey::And(keys) => {
            let keys = keys.iter().map(|key| resolve(key, core)).collect::<std::result::Result<_, _>>()?;
            Ok(SearchKey::And(keys))
        }
        SearchKey::Or(one, other) => {
            Ok(SearchKey::Or(Box::new(resolve(one, core)?), Box::new(resolve(other, core)?)))
        }
        SearchKey::Not(key) => Ok(SearchKey::Not(Box::new(resolve(key, core)?))),
        other => Ok(other.clone()),
    }
}

/// Ascending UIDs as a set of runs.
fn as_uids(uids: impl Iterator<Item = u32>) -> SequenceSet {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for uid in uids {
        match ranges.last_mut() {
            Some(run) if run.1.checked_add(1) == Some(uid) => run.1 = uid,
            _ => ranges.push((uid, uid)),
        }
    }
    let exactly = |(first, last)| (Number::Exactly(first), Number::Exactly(last));
    SequenceSet::Ranges(ranges.into_iter().map(exactly).collect())
}
