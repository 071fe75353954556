//! What a client writes is read as it was meant: for every command, `parse(encode(x)) == x`.

use postern_imap::commands::{
    Append, AppendMessage, Authenticate, Body, CharsetLabel, Close, Command, Compress, Copy, Create, Delete,
    Depth, Enable, Event, EventGroup, Expunge, Fetch, FetchModifiers, Filter, GetMetadata, GetQuota, Id,
    List, ListReturn, ListSelection, Login, Lsub, Noop, Notify, Piece, QResync, Rename, Replace, Search,
    SearchReturn, Select, SelectParameter, SetMetadata, Sort, Status, StatusIndicator, Store, StoreResponse,
    Subscribe, Thread, Vanished, parse,
};
use postern_imap::request::{Access, CopyMode, FlagChange, Subscription};
use postern_imap::session::Numbering;
use postern_imap::thread::Algorithm;
use postern_imap::types::{
    Date, Direction, Entry, FetchItem, Flag, MailboxName, NameEncoding, Number, PageFrom, Partial,
    PartialRange, PreviewPriority, SearchKey, Section, SectionText, SeenEffect, SequenceSet, SortCriterion,
    SortKey, SpecialUse, StatusItem,
};
use postern_sasl::Password;
use proptest::prelude::*;

fn set() -> impl Strategy<Value = SequenceSet> {
    let number = prop_oneof![(1u32..).prop_map(Number::Exactly), Just(Number::Largest)];
    let range = prop_oneof![number.clone().prop_map(|n| (n, n)), (number.clone(), number)];
    prop_oneof![
        4 => prop::collection::vec(range, 1..5).prop_map(SequenceSet::Ranges),
        1 => Just(SequenceSet::Saved),
    ]
}

fn mailbox() -> impl Strategy<Value = MailboxName> {
    "\\PC{0,12}".prop_map(|name| MailboxName::new(&name))
}

/// CREATE and others drop one final delimiter.
fn new_mailbox() -> impl Strategy<Value = MailboxName> {
    "\\PC{0,12}[a-z&ü]".prop_map(|name| MailboxName::new(&name))
}

fn flag() -> impl Strategy<Value = Flag> {
    prop_oneof![prop::sample::select(Flag::SYSTEM.to_vec()), "[$A-Za-z0-9_.-]{1,9}".prop_map(Flag::Keyword)]
}

fn octets() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1u8.., 1..12)
}

fn date() -> impl Strategy<Value = Date> {
    (1970i16..2200, 1i8..13, 1i8..29)
        .prop_filter_map("a day", |(year, month, day)| Date::new(year, month, day))
}

fn section() -> impl Strategy<Value = Section> {
    let fields = || prop::collection::vec(octets(), 1..4);
    let text = prop_oneof![
        Just(SectionText::Header),
        Just(SectionText::Text),
        fields().prop_map(SectionText::HeaderFields),
        fields().prop_map(SectionText::HeaderFieldsNot),
    ];
    let any = (prop::collection::vec(1u32.., 0..4), prop::option::of(text));
    let mime = prop::collection::vec(1u32.., 1..4).prop_map(|part| (part, Some(SectionText::Mime)));
    prop_oneof![4 => any, 1 => mime].prop_map(|(part, text)| Section { part, text })
}

fn fetch_item() -> impl Strategy<Value = FetchItem> {
    use FetchItem as Item;
    let plain = prop::sample::select(vec![
        Item::Flags,
        Item::Uid,
        Item::InternalDate,
        Item::Rfc822Size,
        Item::Envelope,
        Item::Body,
        Item::BodyStructure,
        Item::Rfc822,
        Item::Rfc822Header,
        Item::Rfc822Text,
        Item::ModSeq,
        Item::EmailId,
        Item::ThreadId,
        Item::SaveDate,
        Item::Preview(PreviewPriority::Normal),
        Item::Preview(PreviewPriority::Lazy),
    ]);
    let partial = prop::option::of(
        (0..1u64 << 62, 1..1u64 << 62).prop_map(|(offset, count)| Partial { offset, count }),
    );
    let seen = prop::sample::select(vec![SeenEffect::Keep, SeenEffect::SetSeen]);
    let content = (section(), partial, seen).prop_map(|(section, partial, seen)| Item::BodySection {
        section,
        partial,
        seen,
    });
    let part = || prop::collection::vec(1u32.., 0..4);
    let seen = prop::sample::select(vec![SeenEffect::Keep, SeenEffect::SetSeen]);
    let range = prop::option::of((0..9u64, 1..9u64).prop_map(|(offset, count)| Partial { offset, count }));
    let binary = (part(), range, seen).prop_map(|(part, partial, seen)| Item::Binary { part, partial, seen });
    prop_oneof![2 => plain, 2 => content, 1 => binary, 1 => part().prop_map(Item::BinarySize)]
}

fn search_key() -> impl Strategy<Value = SearchKey> {
    use SearchKey as Key;
    let leaf = prop_oneof![
        Just(Key::And(Vec::new())),
        Just(Key::Recent),
        set().prop_map(Key::Sequence),
        set().prop_map(Key::Uid),
        flag().prop_map(Key::Flag),
        ("[a-zA-Z-]{1,8}", "\\PC{0,8}").prop_map(|(name, text)| Key::Header { name, text }),
        "\\PC{0,8}".prop_map(Key::Body),
        "\\PC{0,8}".prop_map(Key::Text),
        date().prop_map(Key::Before),
        date().prop_map(Key::On),
        date().prop_map(Key::Since),
        date().prop_map(Key::SentBefore),
        date().prop_map(Key::SentOn),
        date().prop_map(Key::SentSince),
        (0..1u64 << 62).prop_map(Key::Larger),
        (0..1u64 << 62).prop_map(Key::Smaller),
        (1u32..).prop_map(Key::Older),
        (1u32..).prop_map(Key::Younger),
        (0..1u64 << 62).prop_map(Key::ModSeq),
        "[A-Za-z0-9_-]{1,9}".prop_map(Key::EmailId),
        "[A-Za-z0-9_-]{1,9}".prop_map(Key::ThreadId),
        date().prop_map(Key::SavedBefore),
        date().prop_map(Key::SavedOn),
        date().prop_map(Key::SavedSince),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Key::And),
            inner.clone().prop_map(|key| Key::Not(Box::new(key))),
            (inner.clone(), inner).prop_map(|(one, other)| Key::Or(Box::new(one), Box::new(other))),
        ]
    })
}

fn status_items() -> impl Strategy<Value = Vec<StatusItem>> {
    use StatusItem::{
        AppendLimit, Deleted, DeletedStorage, HighestModSeq, MailboxId, Messages, Recent, Size, UidNext,
        UidValidity, Unseen,
    };
    let items = [
        Messages,
        Recent,
        UidNext,
        UidValidity,
        Unseen,
        Deleted,
        Size,
        HighestModSeq,
        MailboxId,
        AppendLimit,
        DeletedStorage,
    ];
    let item = prop::sample::select(items.to_vec());
    prop::collection::vec(item, 1..5)
}

fn list() -> impl Strategy<Value = List> {
    let selection = prop::sample::subsequence(
        vec![ListSelection::Subscribed, ListSelection::Remote, ListSelection::SpecialUse],
        0..=3,
    );
    let returned = prop_oneof![
        Just(ListReturn::Subscribed),
        Just(ListReturn::MyRights),
        Just(ListReturn::Children),
        Just(ListReturn::SpecialUse),
        status_items().prop_map(ListReturn::Status),
    ];
    (selection, mailbox(), prop::collection::vec("\\PC{0,9}", 1..3), prop::collection::vec(returned, 0..4))
        .prop_map(|(selection, reference, patterns, returns)| List {
            selection,
            reference: reference.as_str().to_owned(),
            patterns,
            returns,
        })
}

fn numbering() -> impl Strategy<Value = Numbering> {
    prop::sample::select(vec![Numbering::Sequence, Numbering::Uid])
}

fn store() -> impl Strategy<Value = Store> {
    let change = prop::sample::select(vec![FlagChange::Replace, FlagChange::Add, FlagChange::Remove]);
    let response = prop::sample::select(vec![StoreResponse::Told, StoreResponse::Silent]);
    let unchanged_since = prop::option::of(0..1u64 << 62);
    (numbering(), set(), unchanged_since, change, response, prop::collection::vec(flag(), 0..4)).prop_map(
        |(numbering, set, unchanged_since, change, response, flags)| Store {
            numbering,
            set,
            unchanged_since,
            change,
            response,
            flags,
        },
    )
}

fn fetch() -> impl Strategy<Value = Fetch> {
    let modifiers = prop_oneof![
        prop::option::of(0..1u64 << 62).prop_map(|since| (since, Vanished::Untold)),
        (0..1u64 << 62).prop_map(|since| (Some(since), Vanished::Told)),
    ];
    let partial = prop::option::of(partial_range());
    (numbering(), set(), prop::collection::vec(fetch_item(), 1..5), modifiers, partial).prop_map(
        |(numbering, set, items, (changed_since, vanished), partial)| {
            // VANISHED and PARTIAL are for UID FETCH only.
            let numbering =
                if vanished == Vanished::Told || partial.is_some() { Numbering::Uid } else { numbering };
            Fetch { numbering, set, items, modifiers: FetchModifiers { changed_since, vanished, partial } }
        },
    )
}

fn known_set() -> impl Strategy<Value = SequenceSet> {
    prop::collection::vec(1u32.., 1..4).prop_map(|numbers| {
        let exactly = |number| (Number::Exactly(number), Number::Exactly(number));
        SequenceSet::Ranges(numbers.into_iter().map(exactly).collect())
    })
}

fn select() -> impl Strategy<Value = Select> {
    let samples = prop::option::of((known_set(), known_set()));
    let resync = (1u32.., 0..1u64 << 62, prop::option::of(known_set()), samples).prop_map(
        |(uid_validity, mod_seq, known_uids, samples)| {
            SelectParameter::QResync(QResync { uid_validity, mod_seq, known_uids, samples })
        },
    );
    let parameter = prop_oneof![Just(SelectParameter::CondStore), resync];
    let access = prop::sample::select(vec![Access::ReadWrite, Access::ReadOnly]);
    (mailbox(), access, prop::collection::vec(parameter, 0..3))
        .prop_map(|(mailbox, access, parameters)| Select { mailbox, access, parameters })
}

fn partial_range() -> impl Strategy<Value = PartialRange> {
    let from = prop::sample::select(vec![PageFrom::Oldest, PageFrom::Newest]);
    (from, (1u32.., 1u32..)).prop_map(|(from, ends)| PartialRange { from, ends })
}

fn search() -> impl Strategy<Value = Search> {
    use SearchReturn::{All, Count, Max, Min, Save};
    let whole = prop::sample::subsequence(vec![Min, Max, All, Count, Save], 1..=5);
    let paged = (prop::sample::subsequence(vec![Min, Max, Count, Save], 0..=4), partial_range());
    let paged = paged.prop_map(|(others, range)| [others, vec![SearchReturn::Partial(range)]].concat());
    let options = prop_oneof![whole, paged];
    let charset = prop_oneof![Just(CharsetLabel::Named), Just(CharsetLabel::Absent)];
    (numbering(), prop::option::of(options), charset, search_key())
        .prop_map(|(numbering, returns, charset, key)| Search { numbering, returns, charset, key })
}

fn sort() -> impl Strategy<Value = Sort> {
    use SearchReturn::{All, Count, Max, Min};
    let options = prop::option::of(prop::sample::subsequence(vec![Min, Max, All, Count], 1..=4));
    let keys = vec![
        SortKey::Arrival,
        SortKey::Cc,
        SortKey::Date,
        SortKey::DisplayFrom,
        SortKey::DisplayTo,
        SortKey::From,
        SortKey::Size,
        SortKey::Subject,
        SortKey::To,
    ];
    let direction = prop::sample::select(vec![Direction::Ascending, Direction::Descending]);
    let criterion =
        (prop::sample::select(keys), direction).prop_map(|(key, direction)| SortCriterion { key, direction });
    (numbering(), options, prop::collection::vec(criterion, 1..4), search_key()).prop_map(
        |(numbering, returns, criteria, key)| Sort {
            criteria,
            search: Search { numbering, returns, charset: CharsetLabel::Absent, key },
        },
    )
}

/// APPEND and REPLACE of nothing but URLs: others are not read whole.
fn append() -> impl Strategy<Value = Append> {
    let number = prop_oneof![(1u32..).prop_map(Number::Exactly), Just(Number::Largest)];
    let replaces = (numbering(), number).prop_map(|(numbering, message)| Replace { numbering, message });
    let flags = prop::collection::vec(prop::sample::select(vec![Flag::Seen, Flag::keyword("Work")]), 0..2);
    let list = (flags, prop::collection::vec(octets(), 1..3)).prop_map(|(flags, urls)| {
        let begin = Piece::List(AppendMessage { flags, internal_date: None });
        std::iter::once(begin)
            .chain(urls.into_iter().map(Piece::Url))
            .chain([Piece::ListEnd])
            .collect::<Vec<_>>()
    });
    (prop::option::of(replaces), mailbox(), prop::collection::vec(list, 1..3))
        .prop_map(|(replaces, mailbox, lists)| Append { replaces, mailbox, pieces: lists.concat() })
}

fn thread() -> impl Strategy<Value = Thread> {
    let algorithm = prop::sample::select(vec![Algorithm::OrderedSubject, Algorithm::References]);
    (algorithm, numbering(), search_key()).prop_map(|(algorithm, numbering, key)| Thread {
        algorithm,
        numbering,
        key,
    })
}

fn on_messages() -> impl Strategy<Value = Body> {
    let mode = prop::sample::select(vec![CopyMode::Copy, CopyMode::Move]);
    prop_oneof![
        (numbering(), set(), mode, mailbox()).prop_map(|(numbering, set, mode, to)| Body::Copy(Copy {
            mode,
            numbering,
            set,
            to
        })),
        prop::option::of(set()).prop_map(|uids| Body::Expunge(Expunge { uids })),
        append().prop_map(Body::Append),
        fetch().prop_map(Body::Fetch),
        store().prop_map(Body::Store),
        search().prop_map(Body::Search),
        sort().prop_map(Body::Sort),
        thread().prop_map(Body::Thread),
    ]
}

fn on_mailboxes() -> impl Strategy<Value = Body> {
    let special_use = prop::option::of(prop::sample::select(vec![SpecialUse::Sent, SpecialUse::All]));
    let subscription = prop::sample::select(vec![Subscription::Subscribed, Subscription::Unsubscribed]);
    prop_oneof![
        (new_mailbox(), special_use)
            .prop_map(|(mailbox, special_use)| Body::Create(Create { mailbox, special_use })),
        mailbox().prop_map(|mailbox| Body::Delete(Delete { mailbox })),
        (mailbox(), new_mailbox()).prop_map(|(from, to)| Body::Rename(Rename { from, to })),
        (new_mailbox(), subscription)
            .prop_map(|(mailbox, subscription)| Body::Subscribe(Subscribe { mailbox, subscription })),
        select().prop_map(Body::Select),
        (mailbox(), status_items()).prop_map(|(mailbox, items)| Body::Status(Status { mailbox, items })),
        metadata(),
        notify(),
        list().prop_map(Body::List),
        mailbox().prop_map(|name| Body::GetQuota(GetQuota::Mailbox(name))),
        octets().prop_map(|name| Body::GetQuota(GetQuota::Root(name))),
        (mailbox(), "\\PC{0,9}").prop_map(|(reference, pattern)| Body::Lsub(Lsub {
            reference: reference.as_str().to_owned(),
            pattern
        })),
    ]
}

fn notify() -> impl Strategy<Value = Body> {
    let names = || prop::collection::vec(mailbox(), 1..3);
    let others = prop_oneof![
        prop::sample::select(vec![Filter::Inboxes, Filter::Personal, Filter::Subscribed]),
        names().prop_map(Filter::Subtree),
        names().prop_map(Filter::Mailboxes),
    ];
    let messages = |items| vec![Event::MessageNew(items), Event::MessageExpunge, Event::FlagChange];
    let of_names = prop::sample::subsequence(
        vec![
            Event::MailboxName,
            Event::SubscriptionChange,
            Event::MailboxMetadataChange,
            Event::ServerMetadataChange,
            Event::Unknown("X".into()),
        ],
        0..5,
    );
    let group = (others, of_names, prop::bool::ANY).prop_map(move |(filter, mut events, all)| {
        events.extend(if all { messages(Vec::new()) } else { Vec::new() });
        EventGroup { filter, events }
    });
    let items = prop::collection::vec(fetch_item(), 0..3);
    let selected = prop::sample::select(vec![Filter::Selected, Filter::SelectedDelayed]);
    let selected =
        (selected, items).prop_map(move |(filter, items)| EventGroup { filter, events: messages(items) });
    let status = prop::sample::select(vec![StatusIndicator::Told, StatusIndicator::Untold]);
    let set =
        (status, prop::collection::vec(group, 1..3), selected).prop_map(|(status, mut groups, selected)| {
            groups.push(selected);
            Body::Notify(Notify::Set(status, groups))
        });
    prop_oneof![Just(Body::Notify(Notify::None)), set]
}

fn metadata() -> impl Strategy<Value = Body> {
    let entry = || {
        "/(private|shared)(/[a-z \"]{1,5}){1,3}"
            .prop_map(|name| Entry::new(&name).expect("a name that the RFC allows"))
    };
    let place = || prop::option::of(mailbox().prop_filter("the account", |name| !name.as_str().is_empty()));
    let depth = prop::sample::select(vec![Depth::Zero, Depth::One, Depth::Infinity]);
    let get = (place(), depth, prop::option::of(0u32..), prop::collection::vec(entry(), 1..4));
    let set = (place(), prop::collection::vec((entry(), prop::option::of(octets())), 1..4));
    prop_oneof![
        get.prop_map(|(mailbox, depth, max_size, entries)| {
            Body::GetMetadata(GetMetadata { max_size, depth, mailbox, entries })
        }),
        set.prop_map(|(mailbox, entries)| Body::SetMetadata(SetMetadata { mailbox, entries })),
    ]
}

fn others() -> impl Strategy<Value = Body> {
    prop_oneof![
        Just(Body::Capability),
        Just(Body::Compress(Compress)),
        Just(Body::Idle),
        Just(Body::Logout),
        Just(Body::Namespace),
        Just(Body::Unauthenticate),
        Just(Body::Noop(Noop::Noop)),
        Just(Body::Noop(Noop::Check)),
        Just(Body::Close(Close::Expunging)),
        Just(Body::Close(Close::Keeping)),
        ("\\PC{0,9}", "\\PC{0,9}")
            .prop_map(|(login, password)| Body::Login(Login { login, password: Password::new(password) })),
        prop::collection::vec(("[A-Z0-9-]{1,9}").prop_map(String::from), 1..4)
            .prop_map(|capabilities| Body::Enable(Enable { capabilities })),
        prop::collection::vec((octets(), prop::option::of(octets())), 0..4)
            .prop_map(|parameters| Body::Id(Id { parameters })),
        ("[A-Z0-9-]{1,9}", prop::option::of("[A-Za-z0-9+/]{1,9}=")).prop_map(|(mechanism, response)| {
            Body::Authenticate(Authenticate { mechanism, initial_response: response.map(String::into_bytes) })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn commands(tag in "[A-Za-z0-9.]{1,6}", body in prop_oneof![on_messages(), on_mailboxes(), others()]) {
        let command = Command { tag, body };
        for names in [NameEncoding::ModifiedUtf7, NameEncoding::Utf8] {
            let mut written = Vec::new();
            command.encode(names, &mut written);
            let text = written.escape_ascii().to_string();
            prop_assert_eq!(parse(&written, names), Ok(command.clone()), "{}", text);
            postern_imap::fuzz_command(&written);
        }
    }

    #[test]
    fn random_octets(input in prop::collection::vec(any::<u8>(), 0..80)) {
        postern_imap::fuzz_command(&input);
        postern_imap::fuzz_framer(&input);
    }

    #[test]
    fn nearly_commands(
        words in prop::collection::vec(prop::sample::select(vec![
            "a", " ", "FETCH", "1:*", "(", ")", "BODY", "[", "]", "HEADER.FIELDS", "<", ">", "UID", "SEARCH", "NOT",
            "OR", "\"", "\\", "{3}\r\nabc", "{2}", "STORE", "+FLAGS", "\\Seen", "LIST", "*", "%", "RETURN", "STATUS",
            "CHANGEDSINCE", "VANISHED", "UNCHANGEDSINCE", "SORT", "THREAD", "REVERSE", "REFERENCES", "BINARY", "~", "GETQUOTA", "QRESYNC", "CONDSTORE", "MODSEQ", "PREVIEW", "LAZY", "PRIV",
            "MESSAGES", "APPEND", "CATENATE", "GETMETADATA", "SETMETADATA", "/private/a", "DEPTH", "MAXSIZE", "REPLACE", "URL", "TEXT", "INBOX", "&", "-", "$", ",", "1", "0", "CHARSET", "utf-16", "ü", "SELECT", "NIL",
        ]), 0..14),
    ) {
        postern_imap::fuzz_command(words.concat().as_bytes());
        postern_imap::fuzz_command(format!("a {}", words.join(" ")).as_bytes());
    }
}
