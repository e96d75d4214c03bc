//! A client's connection from its first byte to its last: what it speaks, which process of the service it talks to,
//! and what it waits for. Everything here happens at once or not yet; who waits is the [`super::holder`].

use std::io;
use std::net::TcpStream;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::poll::PollFlags;

use super::BUFFER;
use super::answer::{self, Failure};
use super::exchange::{Exchange, Progress};
use super::http1::{self, Opening, Refusal, Request};
use super::link::{Backend, Link};
use super::recent::Recent;
use super::side::{Side, Wrote};

/// How long the line of a request may take to arrive before the connection is taken for something else, whose client
/// may be waiting for an answer to what it has sent.
const HESITATION: Duration = Duration::from_millis(500);

/// How soon a process that refused a connection is asked again.
const RETRY: Duration = Duration::from_millis(20);

/// How long a connection may have waited unused for its first request. A service may close one at any moment, but
/// none closes one that is as young.
const YOUNG: Duration = Duration::from_secs(1);

/// How long the client may go on sending to a connection that is closed: to close it at once would take back the last
/// response (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(1);

/// What connections must know of their port.
#[derive(Debug)]
pub struct Port {
    /// The process that requests and connections go to.
    pub current: Option<Backend>,
    /// What pages show instead of what the service would answer, and its stamp.
    pub page: Option<(String, u64)>,
    /// Pages get a script that reloads them.
    pub live_reload: bool,
    /// How long what has arrived waits for a process.
    pub patience: Duration,
    /// The last requests.
    pub recent: Recent,
}

/// A client's connection.
#[derive(Debug)]
pub struct Connection {
    client: Side,
    link: Option<Link>,
    stage: Stage,
    /// Set while a link is needed and there is none that is connected.
    wait: Option<Wait>,
}

#[derive(Debug, Clone, Copy)]
struct Wait {
    since: Instant,
    /// Not to be tried again before.
    retry: Option<Instant>,
}

#[derive(Debug)]
enum Stage {
    /// It is not known what the client speaks; its first bytes came when `heard` says.
    Opening { heard: Option<Instant> },
    /// HTTP/1, and the head of the next request is incomplete.
    Between,
    /// A request whose head is complete, to be sent.
    Pending { request: Request, head: Vec<u8> },
    /// A request that was sent.
    Exchange(Exchange),
    /// Bytes both ways, with the process it began with.
    Tunnel,
    /// A page, made under this stamp, that waits to be told to reload.
    Events { stamp: String },
    /// Only the rest of what is to be written is left; since when even that is not.
    Closing { since: Option<Instant> },
    /// Nothing is left.
    Gone,
}

/// Whether a step may have made another one possible.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Again,
    Stay,
}

impl Connection {
    /// Takes over the connection of a client that has just come.
    ///
    /// # Errors
    /// Those of [`Side::new`].
    pub fn new(client: TcpStream) -> io::Result<Connection> {
        let client = Side::new(client)?;
        Ok(Connection { client, link: None, stage: Stage::Opening { heard: None }, wait: None })
    }

    /// The sockets, client first, and what is waited for on them.
    pub fn interests(&self) -> [Option<(BorrowedFd<'_>, PollFlags)>; 2] {
        [self.client.interest(), self.link.as_ref().and_then(Link::interest)]
    }

    /// When to call [`Connection::advance`] though nothing has happened.
    pub fn deadline(&self, port: &Port) -> Option<Instant> {
        let connected = self.link.as_ref().is_some_and(|link| link.connected);
        let own = match &self.stage {
            Stage::Opening { heard: Some(heard) } if connected => Some(*heard + HESITATION),
            Stage::Closing { since: Some(since) } => Some(*since + LINGER),
            _ => None,
        };
        let wait = self.wait.filter(|_| matches!(self.stage, Stage::Opening { .. } | Stage::Pending { .. }));
        let patience = wait.and_then(|wait| wait.since.checked_add(port.patience));
        let retry = wait.filter(|_| self.link.is_none() && port.current.is_some());
        [own, patience, retry.and_then(|wait| wait.retry)].into_iter().flatten().min()
    }

    /// The process that would miss what is open here: one that works on a request, or has a tunnel.
    pub fn busy_with(&self) -> Option<i32> {
        let busy = matches!(self.stage, Stage::Exchange(_) | Stage::Tunnel);
        self.link.as_ref().filter(|_| busy).map(|link| link.id)
    }

    /// Whether nothing is left of it.
    pub fn is_gone(&self) -> bool {
        matches!(self.stage, Stage::Gone)
    }

    /// Takes what poll(2) has told of the client's socket.
    pub fn client_ready(&mut self, flags: PollFlags, scratch: &mut [u8]) {
        if self.client.fill(flags, scratch).is_err() {
            self.stage = Stage::Gone;
        }
    }

    /// Takes what poll(2) has told of the service's socket.
    pub fn link_ready(&mut self, flags: PollFlags, scratch: &mut [u8], now: Instant) {
        let Some(link) = &mut self.link else { return };
        if link.connected {
            link.failed |= link.side.fill(flags, scratch).is_err();
            return;
        }
        match link.side.is_connected() {
            Ok(connected) => {
                link.connected = connected;
                self.wait = self.wait.filter(|_| !connected);
            }
            Err(_) => self.lose(now),
        }
    }

    /// Gives up what is open to the process `id`; what it has sent until now is passed on as far as there is room.
    pub fn close(&mut self, id: i32, port: &Port, scratch: &mut [u8], now: Instant) {
        while self.busy_with() == Some(id) {
            let Some(link) = &mut self.link else { return };
            let before = link.side.input.len();
            link.failed |= link.side.fill(PollFlags::POLLIN, scratch).is_err();
            let more = link.side.input.len() > before;
            self.advance(port, now);
            if !more && self.busy_with() == Some(id) {
                self.abandon();
                self.advance(port, now);
            }
        }
    }

    /// Does whatever can be done now.
    pub fn advance(&mut self, port: &Port, now: Instant) {
        loop {
            self.follow(port, now);
            let step = match self.stage {
                Stage::Opening { .. } => self.open(port, now),
                Stage::Between => self.take_request(now),
                Stage::Pending { .. } => self.send_request(port, now),
                Stage::Exchange(_) => self.exchange(port),
                Stage::Tunnel => self.tunnel(),
                Stage::Events { .. } => self.events(port),
                Stage::Closing { .. } => self.end(now),
                Stage::Gone => return,
            };
            if step == Step::Stay && !self.flush() {
                return;
            }
        }
    }

    /// Has a link that carries nothing follow the current process, and makes one where one is needed.
    fn follow(&mut self, port: &Port, now: Instant) {
        let needed = matches!(self.stage, Stage::Opening { .. } | Stage::Pending { .. });
        if !needed && !matches!(self.stage, Stage::Between) {
            return;
        }
        if self.link.as_ref().is_some_and(|link| port.current.is_none_or(|current| current.id != link.id)) {
            self.unlink();
        }
        if !needed || self.link.as_ref().is_some_and(|link| link.connected) {
            return;
        }
        let wait = *self.wait.get_or_insert(Wait { since: now, retry: None });
        let may_try = self.link.is_none() && wait.retry.is_none_or(|retry| retry <= now);
        if let Some(current) = port.current.filter(|_| may_try) {
            match Link::connect(current, now) {
                Ok(link) => self.link = Some(link),
                Err(_) => self.lose(now),
            }
        }
    }

    fn open(&mut self, port: &Port, now: Instant) -> Step {
        let Stage::Opening { heard } = &mut self.stage else { return Step::Stay };
        let silent = self.client.input.is_empty();
        if !silent {
            heard.get_or_insert(now);
        }
        let hesitated = heard.is_some_and(|heard| heard + HESITATION <= now) || self.client.has_ended();
        let link = self.link.as_ref().filter(|link| link.connected);
        let spoke = link.is_some_and(|link| !link.side.input.is_empty());
        let opening = if spoke { Opening::Other } else { http1::opening(&self.client.input) };
        let left = link.is_some_and(|link| link.side.has_ended());
        self.stage = match opening {
            Opening::Request => Stage::Between,
            Opening::Other if link.is_some() => Stage::Tunnel,
            Opening::Unsure if link.is_some() && (hesitated || left) => Stage::Tunnel,
            // Who only wanted to know whether somebody listens.
            Opening::Unsure if silent && self.client.has_ended() => Stage::Gone,
            _ if self.is_out_of_patience(port, now) => Stage::Closing { since: None },
            _ => return Step::Stay,
        };
        Step::Again
    }

    fn take_request(&mut self, now: Instant) -> Step {
        // The service is free to close a connection without a request.
        if self.link.as_ref().is_some_and(|link| link.side.has_ended() || !link.side.input.is_empty()) {
            self.unlink();
        }
        let request = match http1::request(&self.client.input) {
            Ok(Some(request)) => request,
            Ok(None) if self.client.has_ended() => {
                self.stage = Stage::Closing { since: None };
                return Step::Again;
            }
            Ok(None) => return Step::Stay,
            Err(refusal) => return self.fail(Failure::Refused(refusal), false),
        };
        let head = self.client.input.drain(..request.length).collect();
        if self.link.as_ref().is_some_and(|link| !link.fresh || link.since + YOUNG <= now) {
            self.unlink();
        }
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        self.stage = if path == answer::RELOAD {
            self.client.output.extend_from_slice(answer::STREAM.as_bytes());
            Stage::Events { stamp: query.to_owned() }
        } else {
            self.wait = None;
            Stage::Pending { request, head }
        };
        Step::Again
    }

    fn send_request(&mut self, port: &Port, now: Instant) -> Step {
        if self.link.as_ref().is_some_and(|link| link.side.has_ended() && link.side.input.is_empty()) {
            self.lose(now);
        }
        let Stage::Pending { request, head } = &mut self.stage else { return Step::Stay };
        if let Some((text, stamp)) = port.page.as_ref().filter(|_| request.page) {
            let persistent = request.persistent && request.body.is_complete();
            let page = answer::page(text, *stamp, persistent, request.head_only);
            self.client.output.extend(page.into_bytes());
            self.stage = if persistent { Stage::Between } else { Stage::Closing { since: None } };
            return Step::Again;
        }
        if let Some(link) = self.link.as_mut().filter(|link| link.connected) {
            let stamp = port.current.filter(|_| port.live_reload).map(|current| current.stamp);
            let script = stamp.map(|stamp| answer::script(&answer::service_stamp(stamp)));
            link.fresh = false;
            self.stage =
                Stage::Exchange(Exchange::begin(request.clone(), head, script, &mut link.side.output));
            return Step::Again;
        }
        let head_only = request.head_only;
        if self.is_out_of_patience(port, now) { self.fail(Failure::Absent, head_only) } else { Step::Stay }
    }

    fn exchange(&mut self, port: &Port) -> Step {
        let (Stage::Exchange(exchange), Some(link)) = (&mut self.stage, &mut self.link) else {
            return Step::Stay;
        };
        if !link.side.is_shut() && exchange.send(&mut self.client.input, &mut link.side.output).is_err() {
            if exchange.is_unanswered() {
                let head_only = exchange.is_head_only();
                return self.fail(Failure::Refused(Refusal::Malformed), head_only);
            }
            self.stage = Stage::Closing { since: None };
            return Step::Again;
        }
        exchange.passed().into_iter().for_each(|passed| port.recent.push(passed));
        if self.client.has_ended() && self.client.input.is_empty() {
            link.side.finish();
        }
        let ended = link.side.has_ended();
        match exchange.receive(&mut link.side.input, ended, &mut self.client.output) {
            Progress::Going => return Step::Stay,
            Progress::Done => self.stage = Stage::Between,
            Progress::Last => self.stage = Stage::Closing { since: None },
            Progress::Tunnel => self.stage = Stage::Tunnel,
            Progress::Broken => self.abandon(),
        }
        Step::Again
    }

    fn tunnel(&mut self) -> Step {
        let Some(link) = &mut self.link else { return Step::Stay };
        let (client, service) = (&mut self.client, &mut link.side);
        if pass(client, service) | pass(service, client) {
            return Step::Again;
        }
        if link.failed && service.input.is_empty() {
            self.stage = Stage::Closing { since: None };
            return Step::Again;
        }
        if client.is_shut() && service.is_shut() {
            self.stage = Stage::Gone;
        }
        Step::Stay
    }

    fn events(&mut self, port: &Port) -> Step {
        let Stage::Events { stamp } = &self.stage else { return Step::Stay };
        let outdated = match stamp.as_bytes().first() {
            Some(b's') => port.current.is_some_and(|current| answer::service_stamp(current.stamp) != *stamp),
            _ => port.page.as_ref().is_none_or(|(_, page)| answer::page_stamp(*page) != *stamp),
        };
        self.client.input.clear();
        if self.client.has_ended() {
            self.stage = Stage::Gone;
        } else if outdated {
            self.client.output.extend_from_slice(answer::EVENT.as_bytes());
            self.stage = Stage::Closing { since: None };
            return Step::Again;
        }
        Step::Stay
    }

    fn end(&mut self, now: Instant) -> Step {
        self.unlink();
        self.client.input.clear();
        self.client.finish();
        let Stage::Closing { since } = &mut self.stage else { return Step::Stay };
        if self.client.is_shut() {
            let since = *since.get_or_insert(now);
            if self.client.has_ended() || since + LINGER <= now {
                self.stage = Stage::Gone;
            }
        }
        Step::Stay
    }

    /// Writes what there is; whether that has made room for more.
    fn flush(&mut self) -> bool {
        let before = self.client.is_shut();
        let Ok(Wrote(mut wrote)) = self.client.flush() else {
            self.stage = Stage::Gone;
            return false;
        };
        wrote |= self.client.is_shut() != before;
        if let Some(link) = self.link.as_mut().filter(|link| link.connected) {
            let before = link.side.is_shut();
            match link.side.flush() {
                Ok(Wrote(more)) => wrote |= more || link.side.is_shut() != before,
                Err(_) => link.failed = true,
            }
        }
        wrote
    }

    fn is_out_of_patience(&self, port: &Port, now: Instant) -> bool {
        self.wait.is_some_and(|wait| now.duration_since(wait.since) >= port.patience)
    }

    /// Ends what is open to a process that will not end it.
    fn abandon(&mut self) {
        let unanswered = match &self.stage {
            Stage::Exchange(exchange) if exchange.is_unanswered() => Some(exchange.is_head_only()),
            _ => None,
        };
        match unanswered {
            Some(head_only) => _ = self.fail(Failure::Broken, head_only),
            None => self.stage = Stage::Closing { since: None },
        }
    }

    /// Answers that it did not work, and closes the connection: what else was sent on it is not looked at.
    fn fail(&mut self, failure: Failure, head_only: bool) -> Step {
        self.client.output.extend(answer::failure(failure, head_only).into_bytes());
        self.stage = Stage::Closing { since: None };
        Step::Again
    }

    /// Closes a link on which nothing is lost.
    fn unlink(&mut self) {
        if let Some(link) = self.link.take() {
            link.side.reset();
        }
    }

    /// Closes a link that did not come about; the next one is tried a little later.
    fn lose(&mut self, now: Instant) {
        self.unlink();
        self.wait.get_or_insert(Wait { since: now, retry: None }).retry = Some(now + RETRY);
    }
}

/// Moves what has come from one end to the other, and the end of it. Whether anything was moved.
fn pass(from: &mut Side, to: &mut Side) -> bool {
    let moves = !from.input.is_empty() && to.output.len() < BUFFER && !to.is_shut();
    if moves {
        to.output.append(&mut from.input);
    }
    if from.has_ended() && from.input.is_empty() {
        to.finish();
    }
    moves
}
