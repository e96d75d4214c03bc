//! What one client gets, on its own thread.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, SystemTime};

use crossbeam_channel::select;

use super::Shared;
use crate::config;
use crate::control::Command;
use crate::control::awaited::Awaited;
use crate::control::hub::Following;
use crate::control::protocol::{self, Answer, LONGEST_REQUEST, Request, Verb};
use crate::log::View;
use crate::log::json::Json;
use crate::log::terminal::Terminal;
use crate::name::Name;
use crate::record::{Event, Record};
use crate::service::{Ask, Reply, SyncAsk};
use crate::snapshot::{Reload, Service};

/// A client says what it wants within this time.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);

/// A client that has connected.
pub struct Client<'a> {
    pub stream: &'a UnixStream,
    pub shared: &'a Shared,
}

impl Client<'_> {
    /// Takes in its request and answers.
    ///
    /// # Errors
    /// It has gone, or says nothing.
    pub fn run(&self) -> io::Result<()> {
        self.stream.set_read_timeout(Some(REQUEST_WITHIN))?;
        let mut line = Vec::new();
        BufReader::new(self.stream.take(LONGEST_REQUEST)).read_until(b'\n', &mut line)?;
        self.stream.set_read_timeout(None)?;
        let request = protocol::parse(&line).and_then(|request| Ok((self.services(&request)?, request)));
        match request {
            Ok((services, request)) => self.answer(services, &request),
            Err(message) => self.say(&Answer::Error(message)),
        }
    }

    /// The services that are meant, in start order.
    fn services(&self, request: &Request) -> Result<Vec<Name>, String> {
        self.shared.hub.look(|snapshot| {
            let wrong = request.services.iter().find(|name| snapshot.names().all(|known| known != *name));
            if let Some(wrong) = wrong {
                let hint = config::nearest(wrong, snapshot.names());
                return Err(format!("there is no service `{wrong}`{hint}"));
            }
            let meant =
                |name: &&str| request.services.is_empty() || request.services.iter().any(|one| one == name);
            Ok(snapshot.names().filter(meant).filter_map(|name| Name::parse(name).ok()).collect())
        })
    }

    fn answer(&self, services: Vec<Name>, request: &Request) -> io::Result<()> {
        let of = |name: &String| services.iter().any(|one| one.as_str() == name);
        match request.verb {
            Verb::Status => {
                let (paused, services) = self.shared.hub.status(|service| of(&service.service));
                self.say(&Answer::Status { paused, services })?;
                self.say(&Answer::End { ok: true })
            }
            Verb::Timeline => {
                let meant = |reload: &&Reload| of(&reload.service);
                let reloads =
                    self.shared.hub.look(|snapshot| snapshot.reloads.iter().filter(meant).cloned().collect());
                let services = services.iter().map(ToString::to_string).collect();
                let project = self.shared.project.display().to_string();
                self.say(&Answer::Timeline { project, services, reloads })?;
                self.say(&Answer::End { ok: true })
            }
            Verb::Weigh => {
                let mut previews = self.told(|reply| Command::Weigh(services.clone(), reply));
                previews
                    .sort_by_key(|preview| services.iter().position(|name| name.as_str() == preview.service));
                let paused = self.shared.hub.look(|snapshot| snapshot.paused);
                self.say(&Answer::Weighed { paused, previews })?;
                self.say(&Answer::End { ok: true })
            }
            Verb::Reach => {
                let Some(name) = services.into_iter().next() else {
                    return self.say(&Answer::End { ok: false });
                };
                let reached = self.told(|reply| Command::Reach(name, reply));
                reached.into_iter().try_for_each(|reached| self.say(&Answer::Reached(reached)))?;
                self.say(&Answer::End { ok: true })
            }
            Verb::SyncStatus => {
                let all = self.told(|reply| Command::Sync(services.clone(), SyncAsk::Status(reply)));
                self.say(&Answer::Synced(all))?;
                self.say(&Answer::End { ok: true })
            }
            Verb::SyncOnce => {
                let all = self.told(|reply| Command::Sync(services.clone(), SyncAsk::Once(reply)));
                let failed = all.into_iter().filter_map(Result::err).next();
                match failed {
                    Some(why) => self.say(&Answer::Error(why)),
                    None => self.say(&Answer::End { ok: true }),
                }
            }
            Verb::SyncResolve { ref path, winner } => {
                let ask = |reply| SyncAsk::Resolve(path.clone(), winner, reply);
                let answers = self.told(|reply| Command::Sync(services.clone(), ask(reply)));
                match answers.into_iter().flatten().next() {
                    Some(Ok(words)) => {
                        self.say(&Answer::Text(words + "\n"))?;
                        self.say(&Answer::End { ok: true })
                    }
                    Some(Err(why)) => self.say(&Answer::Error(why)),
                    None => {
                        let message = format!("`{}` is no file of a service that is synced", path.display());
                        self.say(&Answer::Error(message))
                    }
                }
            }
            Verb::Logs { follow, since } => {
                let all = request.services.is_empty();
                let meant = move |record: &Record| match &record.service {
                    Some(name) => all || services.contains(name),
                    None => all,
                };
                let ago = since.and_then(|since| SystemTime::now().checked_sub(since));
                let since = ago.unwrap_or(SystemTime::UNIX_EPOCH);
                if !follow {
                    let mut view = self.view(request);
                    self.shared.hub.recent(Some(since), meant).iter().for_each(|record| view.show(record));
                    // Who does not read any more is not told of it.
                    let _ = view.flush();
                    return self.say(&Answer::End { ok: true });
                }
                let following = self.shared.hub.follow(Some(since), meant);
                self.follow(following, request, |_| None)?;
                self.say(&Answer::End { ok: true })
            }
            Verb::Restart { wait } => self.ask(Ask::Restart, services, wait, request),
            Verb::Start { wait } => self.ask(Ask::Start, services, wait, request),
            Verb::Build { wait } => self.ask(Ask::Build, services, wait, request),
            Verb::Stop { wait } => self.ask(Ask::Stop, services, wait, request),
            Verb::Pause => self.switch(Command::Pause, true, request),
            Verb::Resume => self.switch(Command::Resume, false, request),
            Verb::End { wait: false } => {
                (self.shared.command)(Command::End);
                self.say(&Answer::End { ok: true })
            }
            Verb::End { wait: true } => {
                let no_line = |record: &Record| !matches!(record.event, Event::Log { .. });
                let following = self.shared.hub.follow(None, no_line);
                (self.shared.command)(Command::End);
                self.follow(following, request, |_| None)?;
                self.say(&Answer::End { ok: true })
            }
        }
    }

    /// All that is answered to a command, until nobody is left who could answer it.
    fn told<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Vec<T> {
        // Ends with hotwatch, which may have ended before it was asked.
        let ended = self.shared.hub.follow(None, |_| false);
        let (reply, told) = Reply::new();
        (self.shared.command)(command(reply));
        let mut all = Vec::new();
        loop {
            select! {
                recv(told) -> answer => match answer {
                    Ok(answer) => all.push(answer),
                    Err(_) => break,
                },
                recv(ended.records) -> _ => break,
            }
        }
        self.shared.hub.unfollow(ended.number);
        all
    }

    /// Asks for something, and waits until that is over if the client does.
    fn ask(&self, ask: Ask, mut services: Vec<Name>, wait: bool, request: &Request) -> io::Result<()> {
        if ask == Ask::Build {
            let down = self.down();
            services.retain(|name| !down.contains(name));
            if let Some(name) =
                request.services.iter().find(|name| down.iter().any(|one| one.as_str() == **name))
            {
                let message =
                    format!("`{name}` is stopped; `hotwatch start {name}` builds what is due and starts it");
                return self.say(&Answer::Error(message));
            }
        }
        if !wait {
            (self.shared.command)(Command::Ask(ask, services));
            return self.say(&Answer::End { ok: true });
        }
        if services.is_empty() {
            return self.say(&Answer::End { ok: true });
        }
        let mut awaited = Awaited::new(ask, services.iter().cloned());
        let meant = services.clone();
        let wanted = move |record: &Record| {
            let of = |name: &Name| meant.contains(name);
            record.service.as_ref().is_some_and(of) && !matches!(record.event, Event::Log { .. })
        };
        let following = self.shared.hub.follow(None, wanted);
        (self.shared.command)(Command::Ask(ask, services));
        let decide = |record: &Record| {
            awaited.take(record);
            awaited.outcome()
        };
        match self.follow(following, request, decide)? {
            Some(ok) => self.say(&Answer::End { ok }),
            None => self.say(&Answer::Error("hotwatch has ended meanwhile".to_owned())),
        }
    }

    /// The services that their user has stopped.
    fn down(&self) -> Vec<Name> {
        let name = |service: &Service| Name::parse(&service.service).ok().filter(|_| service.down);
        self.shared.hub.look(|known| known.services.iter().filter_map(name).collect())
    }

    /// Pauses or resumes, and waits until that is so.
    fn switch(&self, command: Command, paused: bool, request: &Request) -> io::Result<()> {
        let switched = |record: &Record| matches!(record.event, Event::Paused | Event::Resumed);
        let following = self.shared.hub.follow(None, switched);
        if self.shared.hub.look(|snapshot| snapshot.paused) == paused {
            self.shared.hub.unfollow(following.number);
            let word = if paused { "paused already\n" } else { "not paused\n" };
            if !request.json {
                self.say(&Answer::Text(word.to_owned()))?;
            }
            return self.say(&Answer::End { ok: true });
        }
        (self.shared.command)(command);
        match self.follow(following, request, |_| Some(true))? {
            Some(ok) => self.say(&Answer::End { ok }),
            None => self.say(&Answer::Error("hotwatch has ended meanwhile".to_owned())),
        }
    }

    /// Passes on what is told until `decide` says how it has ended, the client goes, or hotwatch ends; the latter two
    /// are told by `None`.
    fn follow(
        &self,
        following: Following,
        request: &Request,
        mut decide: impl FnMut(&Record) -> Option<bool>,
    ) -> io::Result<Option<bool>> {
        let Following { number, before, records } = following;
        let mut view = self.view(request);
        std::thread::scope(|scope| {
            // Nothing more is read from a client, so reading tells when it goes.
            scope.spawn(|| {
                let mut stream = self.stream;
                while stream.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
                self.shared.hub.unfollow(number);
            });
            before.iter().for_each(|record| view.show(record));
            let mut decided = None;
            let mut trouble = view.flush();
            while decided.is_none()
                && trouble.is_empty()
                && let Ok(first) = records.recv()
            {
                for record in std::iter::once(first).chain(records.try_iter()) {
                    view.show(&record);
                    decided = decided.or(decide(&record));
                    if decided.is_some() {
                        break;
                    }
                }
                trouble = view.flush();
            }
            self.shared.hub.unfollow(number);
            // Ends the thread; writing still works.
            let _ = self.stream.shutdown(Shutdown::Read);
            if trouble.is_empty() { Ok(decided) } else { Err(io::ErrorKind::BrokenPipe.into()) }
        })
    }

    /// Shows records to the client as it wants them.
    fn view(&self, request: &Request) -> Box<dyn View + '_> {
        let text = Text(self.stream);
        if request.json {
            return Box::new(Json::new(text));
        }
        let names = self.shared.hub.look(|snapshot| snapshot.names().flat_map(Name::parse).collect());
        Box::new(Terminal::new(text, request.colored, names))
    }

    fn say(&self, said: &Answer) -> io::Result<()> {
        let mut stream = self.stream;
        answer(&mut stream, said)
    }
}

/// Wraps what a view writes into lines of the answer.
struct Text<'a>(&'a UnixStream);

impl Write for Text<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_empty() {
            answer(&mut self.0, &Answer::Text(String::from_utf8_lossy(bytes).into_owned()))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a line of the answer.
pub fn answer(stream: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}
