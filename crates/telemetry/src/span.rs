//! The parts of a request's way with their times: what a trace is made of.
//!
//! A [`Trace`] goes with a request wherever it goes in the process. If nobody collects, or this request is not to be
//! recorded, it is no more than the request's id, and everything here costs a look at an `Option`.
//!
//! INVARIANT: recording never waits. What the queue has no room for is dropped and counted.

use crate::clock;
use crate::limit::Limit;
use crate::random;
use crate::trace::TraceContext;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;

/// Most parts that wait to be sent.
pub const WAITING_MAX: usize = 8_192;
/// A collector is away, slow, or does not want them.
pub(crate) static WAITING: Limit = Limit::new("otlp_spans", WAITING_MAX as u64, "spans", "further ones are dropped");

/// Records what is sampled, if anybody collects. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Tracer(Option<Arc<Collecting>>);

#[derive(Debug)]
struct Collecting {
    /// Of 2⁶³ requests that begin here so many are recorded.
    threshold: u64,
    queue: mpsc::Sender<Ended>,
}

/// A request, as it is passed on; the default is none that is known.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    context: Option<TraceContext>,
    /// There only if it is recorded.
    to: Option<Arc<Collecting>>,
}

/// Which side of what a part is (OpenTelemetry, span kinds).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Within the process.
    Internal,
    /// Answers somebody.
    Server,
    /// Tells somebody who does not answer at once.
    Producer,
    /// Does what it was told.
    Consumer,
}

/// What is said about a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// In words.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
}

/// A part that is going on; it ends when it is dropped.
#[derive(Debug, Default)]
pub struct Span {
    trace: Trace,
    open: Option<Box<Open>>,
}

#[derive(Debug)]
struct Open {
    begun: Instant,
    ended: Ended,
}

/// A part that is over.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) context: TraceContext,
    pub(crate) parent: Option<[u8; 8]>,
    pub(crate) name: Cow<'static, str>,
    pub(crate) kind: SpanKind,
    pub(crate) at: SystemTime,
    pub(crate) took: Duration,
    pub(crate) attributes: Vec<(&'static str, Value)>,
    pub(crate) failed: bool,
}

impl Tracer {
    /// Records this share of the requests that begin here, and where what was recorded comes out.
    pub(crate) fn new(ratio: f64) -> (Self, mpsc::Receiver<Ended>) {
        let (queue, ended) = mpsc::channel(WAITING_MAX);
        // A float becomes the nearest number there is: all for 1, none for 0.
        let threshold = (ratio * (1_u64 << 63) as f64) as u64;
        (Self(Some(Arc::new(Collecting { threshold, queue }))), ended)
    }

    /// Whether nobody collects.
    pub fn is_off(&self) -> bool {
        self.0.is_none()
    }

    /// Begins the part of a request that happens here. Whoever sent it has said which it is and whether to record it; else
    /// it begins here.
    pub fn begin(&self, said: Option<TraceContext>, name: impl Into<Cow<'static, str>>, kind: SpanKind) -> Span {
        let Some(collecting) = &self.0 else {
            // Nobody here decides to record it, so whoever is told next does not have to either.
            let context = said.unwrap_or_else(|| TraceContext::begin(random()).sampled(false));
            return Span { trace: context.into(), open: None };
        };
        let Some(said) = said else {
            let context = TraceContext::begin(random());
            let context = context.sampled(collecting.samples(&context));
            let to = context.is_sampled().then(|| Arc::clone(collecting));
            let open = to.as_ref().map(|_| Open::new(context, None, name.into(), kind));
            return Span { trace: Trace { context: Some(context), to }, open };
        };
        let to = said.is_sampled().then(|| Arc::clone(collecting));
        Trace { context: Some(said), to }.span(name, kind)
    }

    /// The same, but a request that begins here gets no id if nobody collects.
    pub fn follow(&self, said: Option<TraceContext>, name: &'static str, kind: SpanKind) -> Span {
        if self.is_off() && said.is_none() { Span::default() } else { self.begin(said, name, kind) }
    }
}

impl Collecting {
    /// The same answer for a request wherever it is asked (OpenTelemetry, `TraceIdRatioBased`).
    fn samples(&self, context: &TraceContext) -> bool {
        let [_, _, _, _, _, _, _, _, random @ ..] = context.ids().0;
        u64::from_be_bytes(random) >> 1 < self.threshold
    }

    fn take(&self, ended: Ended) {
        if self.queue.try_send(ended).is_err() {
            WAITING.hit();
        }
    }
}

impl Trace {
    /// The id of the request, in hex; empty if none is known.
    pub fn id(&self) -> String {
        self.context.map(|context| context.id()).unwrap_or_default()
    }

    /// Which request it is, for whoever is told next; empty if none is known.
    pub fn traceparent(&self) -> String {
        self.context.map(|context| context.to_string()).unwrap_or_default()
    }

    /// Which request it is.
    pub fn context(&self) -> Option<TraceContext> {
        self.context
    }

    /// Whether it is recorded.
    pub fn is_recorded(&self) -> bool {
        self.to.is_some()
    }

    /// Begins a part of it.
    pub fn span(&self, name: impl Into<Cow<'static, str>>, kind: SpanKind) -> Span {
        let (Some(to), Some(context)) = (&self.to, self.context) else {
            return Span { trace: self.clone(), open: None };
        };
        let own = context.next(random());
        let trace = Trace { context: Some(own), to: Some(Arc::clone(to)) };
        Span { trace, open: Some(Open::new(own, Some(context.ids().1), name.into(), kind)) }
    }

    /// Begins a part of it that began a while ago.
    pub fn span_from(&self, name: impl Into<Cow<'static, str>>, kind: SpanKind, begun: Instant) -> Span {
        let mut span = self.span(name, kind);
        if let Some(open) = &mut span.open {
            open.ended.at = clock::wall().checked_sub(begun.elapsed()).unwrap_or(open.ended.at);
            open.begun = begun;
        }
        span
    }

    /// A part of it that is over already.
    pub fn record(&self, name: &'static str, begun: Instant, ended: Instant) {
        if self.is_recorded() {
            self.span_from(name, SpanKind::Internal, begun).end_at(ended);
        }
    }

    /// Does a part of it.
    ///
    /// # Errors
    /// What the part answers.
    pub fn doing<T, E>(&self, name: &'static str, part: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut span = self.span(name, SpanKind::Internal);
        let done = part();
        span.fail_if(done.is_err());
        done
    }

    /// Waits for a part of it.
    ///
    /// # Errors
    /// What the part answers.
    pub async fn during<T, E>(&self, name: &'static str, part: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let mut span = self.span(name, SpanKind::Internal);
        let done = part.await;
        span.fail_if(done.is_err());
        done
    }
}

impl Span {
    /// The request, for whatever is a part of this part.
    pub fn trace(&self) -> Trace {
        self.trace.clone()
    }

    /// Says something about it; what it is worth is not worked out unless it is recorded.
    pub fn set<V: Into<Value>>(&mut self, key: &'static str, value: impl FnOnce() -> V) {
        if let Some(open) = &mut self.open {
            open.ended.attributes.push((key, value().into()));
        }
    }

    /// Names it by something that has to be put together. Names are few; what tells one from another is said by [`Self::set`].
    pub fn rename(&mut self, name: impl FnOnce() -> String) {
        if let Some(open) = &mut self.open {
            open.ended.name = Cow::Owned(name());
        }
    }

    /// Whether it has failed.
    pub fn fail_if(&mut self, failed: bool) {
        if let Some(open) = &mut self.open {
            open.ended.failed = failed;
        }
    }

    /// It ended then.
    pub fn end_at(mut self, ended: Instant) {
        self.finish(ended);
    }

    fn finish(&mut self, now: Instant) {
        if let (Some(open), Some(to)) = (self.open.take(), &self.trace.to) {
            let took = now.saturating_duration_since(open.begun);
            to.take(Ended { took, ..open.ended });
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if self.open.is_some() {
            self.finish(Instant::now());
        }
    }
}

impl Open {
    fn new(context: TraceContext, parent: Option<[u8; 8]>, name: Cow<'static, str>, kind: SpanKind) -> Box<Self> {
        let at = clock::wall();
        let attributes = Vec::new();
        let ended = Ended { context, parent, name, kind, at, took: Duration::ZERO, attributes, failed: false };
        Box::new(Self { begun: Instant::now(), ended })
    }
}

/// One that nobody records.
impl From<TraceContext> for Trace {
    fn from(context: TraceContext) -> Self {
        Self { context: Some(context), to: None }
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

fn random<const N: usize>() -> [u8; N] {
    // Without randomness the request has a name that others have, too.
    random::bytes().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::{SpanKind, Trace, Tracer, WAITING, WAITING_MAX};
    use crate::trace::TraceContext;
    use std::time::Instant;

    fn said(sampled: bool) -> TraceContext {
        TraceContext::begin([7; 24]).sampled(sampled)
    }

    #[test]
    fn a_part_is_a_child_of_the_part_that_it_was_begun_in() {
        let (tracer, mut ended) = Tracer::new(0.0);
        let mut request = tracer.begin(Some(said(true)), "GET /", SpanKind::Server);
        request.set("answer", || 42_u64);
        let now = Instant::now();
        let turn = request.trace().span_from("turn", SpanKind::Internal, now);
        turn.trace().doing("append", || Err::<(), _>("full")).expect_err("it failed");
        turn.end_at(now + std::time::Duration::from_secs(1));
        drop(request);
        let [append, turn, request] = [(); 3].map(|()| ended.try_recv().expect("three parts are over"));
        assert_eq!(request.parent, Some(said(true).ids().1), "the caller's part");
        assert_eq!(turn.parent, Some(request.context.ids().1));
        assert_eq!(append.parent, Some(turn.context.ids().1));
        assert_eq!(turn.took.as_secs(), 1);
        assert_eq!((append.failed, request.failed, request.attributes.len()), (true, false, 1));
        for part in [turn, append, request] {
            assert_eq!(part.context.id(), said(true).id());
        }
    }

    #[test]
    fn whoever_sends_a_request_says_whether_it_is_recorded() {
        let (tracer, mut ended) = Tracer::new(1.0);
        let unsampled = tracer.begin(Some(said(false)), "GET /", SpanKind::Server);
        assert_eq!(unsampled.trace().context(), Some(said(false)));
        drop(unsampled);
        assert!(ended.try_recv().is_err(), "the caller said no");
        let root = tracer.begin(None, "GET /", SpanKind::Server);
        let context = root.trace().context().expect("an id");
        drop(root);
        let root = ended.try_recv().expect("all that begin here");
        assert_eq!((root.context, root.parent), (context, None));
    }

    #[test]
    fn the_ratio_is_of_the_requests_that_begin_here() {
        for (ratio, few, many) in [(0.0, 0, 0), (0.5, 300, 700), (1.0, 1_000, 1_000)] {
            let (tracer, _ended) = Tracer::new(ratio);
            let recorded = |_: &u32| {
                let span = tracer.begin(None, "GET /", SpanKind::Server);
                let trace = span.trace();
                assert_eq!(trace.context().map(|context| context.is_sampled()), Some(trace.is_recorded()));
                trace.is_recorded()
            };
            let recorded = (0..1_000).filter(recorded).count();
            assert!((few..=many).contains(&recorded), "{ratio}: {recorded}");
        }
    }

    #[test]
    fn without_a_collector_there_is_only_an_id() {
        let tracer = Tracer::default();
        assert!(tracer.begin(None, "GET /", SpanKind::Server).trace().context().is_some());
        assert_eq!(tracer.follow(None, "mint", SpanKind::Server).trace().traceparent(), "");
        let span = tracer.begin(Some(said(true)), "GET /", SpanKind::Server);
        assert_eq!(span.trace().span("turn", SpanKind::Internal).trace().context(), Some(said(true)));
        assert!(span.open.is_none());
    }

    #[test]
    fn what_has_no_room_is_dropped_and_counted() {
        let (tracer, _ended) = Tracer::new(1.0);
        let before = WAITING.hits();
        for _ in 0..WAITING_MAX + 3 {
            drop(tracer.begin(None, "GET /", SpanKind::Server));
        }
        assert!(WAITING.hits() >= before + 3);
        assert!(!Trace::default().is_recorded());
    }
}
