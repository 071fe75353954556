//! When beats are sent and what came of them: whether octets pass both ways, the round trip, the loss, the path MTU.
//!
//! Home asks ([`Asking`]), the edge answers ([`Answering`]). Each beat tells the edge what home has measured, and which
//! answer came last, so that both ends know of both directions.
//!
//! A short beat goes out every [`INTERVAL`]; every [`HURRY`] while the latest one stays unanswered, and after data that
//! nothing answers, so that an outage is noticed by the traffic that it stops. After [`SUSPECT_AFTER`] without an answer
//! home dials again. Beats of other lengths probe the path ([`super::path`]).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Role;
use super::heartbeat::{Kind, Loss, Message, PathReport};
use super::path::{Clock, FLOOR, PathMtu, START};

/// How often home sends a beat.
pub const INTERVAL: Duration = Duration::from_secs(2);

/// After this long without octets both ways the peer counts as dead.
pub const DEAD_AFTER: Duration = Duration::from_secs(6);

/// How often beats are sent while an answer is missing.
const HURRY: Duration = Duration::from_millis(500);

/// After this long without the answer that is due home begins to dial again.
const SUSPECT_AFTER: Duration = Duration::from_millis(1500);

/// After this long an unanswered beat counts as lost.
const LOST_AFTER: Duration = DEAD_AFTER;

/// The least and the greatest time that the answer to a probe may take.
const PATIENCE: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(3)];

/// The side that the role gives.
#[derive(Debug)]
pub enum Beats {
    /// Home's.
    Home(Asking),
    /// The edge's.
    Edge(Answering),
}

impl Beats {
    /// Begins with a path of which nothing is known, and on which no packet longer than `ceiling` is ever tried.
    pub fn new(role: Role, ceiling: u16) -> Self {
        match role {
            Role::Home => Beats::Home(Asking::new(PathMtu::new(ceiling))),
            Role::Edge => Beats::Edge(Answering::default()),
        }
    }

    /// Begins with what is known of the same path.
    pub fn on_the_same_path(&self) -> Self {
        match self {
            Beats::Home(asking) => Beats::Home(Asking::new(asking.path.unconfirmed())),
            Beats::Edge(answering) => {
                let report = PathReport { limit: answering.report.limit, ..PathReport::default() };
                Beats::Edge(Answering { report, ..Answering::default() })
            }
        }
    }

    /// Takes a message of `octets`; gives the answer that it asks for, which must be as long.
    pub fn receive(
        &mut self,
        message: &Message,
        octets: u16,
        has_sent_long: bool,
        now: Instant,
    ) -> Option<Message> {
        match (self, message.kind) {
            (Beats::Home(asking), Kind::Answer) => {
                asking.answer(message, octets, now);
                None
            }
            (Beats::Edge(answering), Kind::Beat) => Some(answering.beat(message, has_sent_long, now)),
            // The edge's challenge where two homes contend.
            (Beats::Home(_), Kind::Beat) => Some(Message { kind: Kind::Answer, ..*message }),
            (Beats::Edge(_), Kind::Answer) | (_, Kind::Fenced) => None,
        }
    }

    /// Notes that a beat was answered late, while the edge chose between two homes: the time is no round trip.
    pub fn answered_late(&mut self, sequence: u64) {
        if let Beats::Edge(answering) = self {
            answering.late = Some(sequence);
        }
    }

    /// The longest inner packet to be sent, octets.
    pub fn limit(&self) -> u16 {
        match self {
            Beats::Home(asking) => asking.path.limit(),
            Beats::Edge(Answering { report: PathReport { limit: 0, .. }, .. }) => START,
            Beats::Edge(answering) => answering.report.limit.max(FLOOR),
        }
    }

    /// The longest inner packet that has been seen to pass, octets.
    pub fn confirmed_limit(&self) -> Option<u16> {
        match self {
            Beats::Home(asking) => asking.path.is_confirmed().then(|| asking.path.limit()),
            Beats::Edge(answering) => (answering.report.limit > 0).then(|| self.limit()),
        }
    }

    /// Whether octets went both ways lately; `None` where the peer does not know beats, as other WireGuard programs.
    pub fn is_alive(&self, now: Instant) -> Option<bool> {
        match self {
            Beats::Home(asking) => asking.is_alive(now),
            Beats::Edge(answering) => answering.is_alive(now),
        }
    }

    /// What home has measured.
    pub fn report(&self) -> PathReport {
        match self {
            Beats::Home(asking) => asking.report(),
            Beats::Edge(answering) => answering.report,
        }
    }
}

/// Home's side: sends beats and takes the answers.
#[derive(Debug)]
pub struct Asking {
    sequence: u64,
    /// Short beats without an answer yet, oldest first; at most those of [`LOST_AFTER`].
    pending: VecDeque<Beat>,
    last_sent: Option<Instant>,
    /// The latest short beat that was answered.
    answered: Option<Beat>,
    last_answer: Option<Instant>,
    /// Whether a beat is due at once, so that the edge learns that its answers arrive, or home what the edge says.
    is_hasty: bool,
    round_trip: Option<Duration>,
    fates: Fates,
    path: PathMtu,
    is_in_use: bool,
}

#[derive(Debug, Clone, Copy)]
struct Beat {
    sequence: u64,
    sent: Instant,
}

/// What is to be sent now: lengths of beats; a probe goes beside a short beat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Due {
    /// A beat without padding.
    pub beat: Option<Message>,
    /// A beat padded to a length in octets.
    pub probe: Option<(Message, u16)>,
}

impl Asking {
    /// Begins with a path of which nothing is known.
    pub fn new(path: PathMtu) -> Self {
        Self {
            sequence: 0,
            pending: VecDeque::new(),
            last_sent: None,
            answered: None,
            last_answer: None,
            is_hasty: false,
            round_trip: None,
            fates: Fates::default(),
            path,
            is_in_use: false,
        }
    }

    /// Makes a beat due at once.
    pub fn hasten(&mut self) {
        self.is_hasty = true;
    }

    /// The search for the path's limit.
    pub fn path_mut(&mut self) -> &mut PathMtu {
        &mut self.path
    }

    /// The beats that are due. `unanswered` tells since when data has been sent and nothing heard; `has_sent_long`, that
    /// packets beyond [`super::path::BASE`] were sent since the last call.
    pub fn due(&mut self, now: Instant, unanswered: Option<Instant>, has_sent_long: bool) -> Due {
        self.is_in_use |= has_sent_long;
        self.count_lost(now);
        let probe = self.due_probe(now);
        if probe.is_none() && !self.is_beat_due(now, unanswered) {
            return Due::default();
        }
        let beat = self.next();
        self.pending.push_back(Beat { sequence: beat.sequence, sent: now });
        self.last_sent = Some(now);
        self.is_hasty = false;
        Due { beat: Some(beat), probe: probe.map(|octets| (self.next(), octets)) }
    }

    fn due_probe(&mut self, now: Instant) -> Option<u16> {
        let is_answering = self.last_answer.is_some() && !self.is_suspect(now);
        if !is_answering {
            return None;
        }
        let clock = Clock {
            now,
            patience: self.patience(),
            echoed: self.answered.map(|beat| beat.sent),
            is_in_use: self.is_in_use,
        };
        let probe = self.path.due(clock);
        if probe == Some(self.path.limit()) {
            self.is_in_use = false;
        }
        probe
    }

    fn patience(&self) -> Duration {
        let [least, greatest] = PATIENCE;
        (self.round_trip.unwrap_or_default() * 3).clamp(least, greatest)
    }

    fn is_beat_due(&self, now: Instant, unanswered: Option<Instant>) -> bool {
        let Some(last) = self.last_sent else { return true };
        let since = now.saturating_duration_since(last);
        let is_overdue = |sent: Instant| now.saturating_duration_since(sent) >= self.hurry();
        let is_urgent = self.missing().is_some_and(is_overdue) || unanswered.is_some_and(is_overdue);
        self.is_hasty || since >= INTERVAL || (since >= HURRY && is_urgent && !self.is_long_dead(now))
    }

    /// When the earliest beat was sent of those after the one that was answered last.
    fn missing(&self) -> Option<Instant> {
        let answered = self.answered.map_or(0, |beat| beat.sequence);
        self.pending.iter().find(|beat| beat.sequence > answered).map(|beat| beat.sent)
    }

    /// A slow path is not a silent one.
    fn hurry(&self) -> Duration {
        HURRY.max(self.round_trip.unwrap_or_default() * 2)
    }

    fn is_long_dead(&self, now: Instant) -> bool {
        self.last_answer.is_none_or(|at| now.saturating_duration_since(at) >= 10 * DEAD_AFTER)
    }

    fn next(&mut self) -> Message {
        self.sequence += 1;
        Message {
            kind: Kind::Beat,
            sequence: self.sequence,
            answered: self.answered.map_or(0, |beat| beat.sequence),
            has_sent_long: false,
            path: self.report(),
        }
    }

    fn count_lost(&mut self, now: Instant) {
        let is_lost = |beat: &Beat| now.saturating_duration_since(beat.sent) >= LOST_AFTER;
        while self.pending.pop_front_if(|beat| is_lost(beat)).is_some() {
            self.fates.note(false);
        }
    }

    fn answer(&mut self, message: &Message, octets: u16, now: Instant) {
        let was_silent =
            self.last_answer.is_none_or(|last| now.saturating_duration_since(last) >= DEAD_AFTER / 2);
        self.is_in_use |= message.has_sent_long;
        self.last_answer = Some(now);
        let at = self.pending.iter().position(|beat| beat.sequence == message.sequence);
        match at.and_then(|at| self.pending.remove(at)) {
            Some(beat) => self.beat_answered(beat, now),
            None => self.path.passed(octets, now),
        }
        if was_silent {
            // The line may be another one now, and the edge must learn that its answers arrive.
            self.is_hasty = true;
            self.path.restart();
        }
    }

    fn beat_answered(&mut self, beat: Beat, now: Instant) {
        self.fates.note(true);
        if self.answered.is_none_or(|answered| answered.sequence < beat.sequence) {
            self.answered = Some(beat);
            self.round_trip = Some(now.saturating_duration_since(beat.sent));
        }
    }

    /// Whether an answer is missing for so long that home should dial.
    pub fn is_suspect(&self, now: Instant) -> bool {
        let limit = SUSPECT_AFTER.max(self.round_trip.unwrap_or_default() * 4);
        self.missing().is_some_and(|sent| now.saturating_duration_since(sent) >= limit)
    }

    fn is_alive(&self, now: Instant) -> Option<bool> {
        self.last_answer.map(|at| now.saturating_duration_since(at) < DEAD_AFTER)
    }

    fn report(&self) -> PathReport {
        PathReport { limit: self.path.limit(), round_trip: self.round_trip, loss: self.fates.loss() }
    }
}

/// The edge's side: answers beats and learns from them.
#[derive(Debug, Default)]
pub struct Answering {
    /// The earliest answer of which home has not said that it came.
    awaited: Option<Beat>,
    /// When octets were last known to pass both ways.
    both_ways: Option<Instant>,
    /// The beat that was answered late.
    late: Option<u64>,
    report: PathReport,
}

impl Answering {
    fn beat(&mut self, beat: &Message, has_sent_long: bool, now: Instant) -> Message {
        self.report = beat.path;
        self.report.round_trip = beat.path.round_trip.filter(|_| self.late != Some(beat.answered));
        match self.awaited {
            Some(awaited) if beat.answered >= awaited.sequence && beat.sequence > awaited.sequence => {
                (self.awaited, self.both_ways) = (None, Some(now));
            }
            // Home counts from the beginning after a restart.
            Some(awaited) if beat.sequence < awaited.sequence => self.awaited = None,
            Some(_) => {}
            // The first beat has the benefit of the doubt.
            None => self.both_ways = self.both_ways.or(Some(now)),
        }
        self.awaited = self.awaited.or(Some(Beat { sequence: beat.sequence, sent: now }));
        Message { kind: Kind::Answer, sequence: beat.sequence, has_sent_long, ..Message::default() }
    }

    fn is_alive(&self, now: Instant) -> Option<bool> {
        self.both_ways.map(|at| now.saturating_duration_since(at) < DEAD_AFTER)
    }
}

/// The fates of the latest beats, at most 64, newest in the lowest bit: 1 is lost.
#[derive(Debug, Clone, Copy, Default)]
struct Fates {
    lost: u64,
    of: u8,
}

impl Fates {
    fn note(&mut self, was_answered: bool) {
        self.lost = self.lost << 1 | u64::from(!was_answered);
        self.of = (self.of + 1).min(64);
    }

    fn loss(self) -> Loss {
        Loss { lost: self.lost.count_ones() as u8, of: self.of }
    }
}

#[cfg(test)]
mod tests {
    use super::super::path::START;
    use super::*;

    const TICK: Duration = Duration::from_millis(200);
    const ROUND_TRIP: Duration = Duration::from_millis(30);

    /// Both sides and a line between them that can be cut in either direction.
    struct Line {
        home: Asking,
        edge: Answering,
        now: Instant,
        passes_out: bool,
        passes_back: bool,
        beats: u32,
    }

    impl Line {
        fn new() -> Self {
            let home = Asking::new(PathMtu::new(START));
            let now = Instant::now();
            Self { home, edge: Answering::default(), now, passes_out: true, passes_back: true, beats: 0 }
        }

        fn run(&mut self, time: Duration, unanswered: Option<Instant>) {
            let end = self.now + time;
            while self.now < end {
                self.now += TICK;
                let due = self.home.due(self.now, unanswered, false);
                self.beats += u32::from(due.beat.is_some());
                let sent = due.beat.map(|beat| (beat, 52)).into_iter().chain(due.probe);
                for (beat, octets) in sent.filter(|_| self.passes_out) {
                    let answer = self.edge.beat(&beat, false, self.now + ROUND_TRIP / 2);
                    if self.passes_back {
                        self.home.answer(&answer, octets, self.now + ROUND_TRIP);
                    }
                }
            }
        }

        fn lives(&self) -> (Option<bool>, Option<bool>) {
            (self.home.is_alive(self.now), self.edge.is_alive(self.now))
        }
    }

    #[test]
    fn both_ends_know_the_round_trip_and_that_octets_pass_both_ways() {
        let mut line = Line::new();
        assert_eq!(line.lives(), (None, None));
        line.run(TICK * 3, None);
        assert_eq!(line.lives(), (Some(true), Some(true)));
        assert_eq!(line.edge.report.round_trip, Some(ROUND_TRIP));
        line.beats = 0;
        line.run(Duration::from_secs(60), None);
        assert_eq!(line.lives(), (Some(true), Some(true)));
        assert!((29..=31).contains(&line.beats), "{}", line.beats);
        assert_eq!(line.home.report().loss.share(), Some(0.0));
    }

    #[test]
    fn a_direction_that_fails_shows_at_both_ends() {
        for (passes_out, passes_back) in [(false, true), (true, false)] {
            let mut line = Line::new();
            line.run(Duration::from_secs(10), None);
            (line.passes_out, line.passes_back) = (passes_out, passes_back);
            line.run(Duration::from_secs(9), None);
            assert_eq!(line.lives(), (Some(false), Some(false)));
            (line.passes_out, line.passes_back) = (true, true);
            line.run(Duration::from_secs(1), None);
            assert_eq!(line.lives(), (Some(true), Some(true)));
        }
    }

    #[test]
    fn an_outage_is_suspected_within_a_beat_and_sooner_where_data_goes_unanswered() {
        for (is_in_use, limit) in [(false, 3800), (true, 2400)] {
            let mut line = Line::new();
            line.run(Duration::from_secs(10), None);
            (line.passes_out, line.passes_back) = (false, false);
            let cut = line.now;
            while !line.home.is_suspect(line.now) {
                line.run(TICK, is_in_use.then_some(cut));
                assert!(line.now - cut <= Duration::from_millis(limit), "used: {is_in_use}");
            }
        }
    }

    #[test]
    fn lost_beats_are_counted_at_both_ends_and_forgotten_in_time() {
        let mut line = Line::new();
        line.run(Duration::from_secs(20), None);
        line.passes_back = false;
        line.run(Duration::from_secs(10), None);
        line.passes_back = true;
        line.run(Duration::from_secs(8), None);
        let loss = line.home.report().loss;
        assert!(loss.lost >= 8 && loss.lost < loss.of, "{loss:?}");
        let told = line.edge.report.loss;
        assert!(told.lost.abs_diff(loss.lost) <= 1 && told.of.abs_diff(loss.of) <= 1, "{told:?}, {loss:?}");
        line.run(Duration::from_secs(200), None);
        assert_eq!(line.edge.report.loss.share(), Some(0.0));
    }

    #[test]
    fn a_restarted_home_is_believed_at_its_second_beat() {
        let mut line = Line::new();
        line.run(Duration::from_secs(100), None);
        line.now += Duration::from_secs(60);
        line.home = Asking::new(PathMtu::new(START));
        line.run(TICK * 3, None);
        assert_eq!(line.lives(), (Some(true), Some(true)));
    }
}
