//! What runs in the target after a round: the user's own command, with its output as lines of the service.

use std::path::PathBuf;
use std::time::Instant;

use super::actor::Actor;
use super::far::Far;
use super::root;
use super::session::Lost;
use crate::record::{Level, Stream};

impl Actor {
    /// Runs what is to run in the target after a round; whether it has succeeded.
    pub(super) fn after_sync(&mut self, at: usize) -> Result<Result<(), String>, Lost> {
        if self.config.post_sync.is_empty() {
            return Ok(Ok(()));
        }
        self.note_post_sync(true);
        if matches!(&self.links[at].far, Far::Archive(archive) if archive.stands()) {
            // It runs when somebody is there again who runs it.
            return Ok(Ok(()));
        }
        let (tell, name) = (self.surroundings.tell.clone(), self.name.clone());
        let mut lines = Lines::default();
        let mut show = |stderr: bool, piece: &[u8]| {
            let stream = if stderr { Stream::Stderr } else { Stream::Stdout };
            lines.take(stderr, piece, |line| tell.line(&name, stream, line, false));
        };
        let longest = self.config.post_sync_timeout;
        let dir = self.directory();
        let (words, link) = (&self.config.post_sync, &mut self.links[at]);
        let begun = Instant::now();
        let failure = match &mut link.far {
            Far::Helper(session) => session.run(words, &dir, longest, &mut show)?,
            Far::Archive(archive) => archive.run(words, &dir, longest, &mut show).err(),
        };
        lines.rest(|stderr, line| {
            let stream = if stderr { Stream::Stderr } else { Stream::Stdout };
            tell.line(&name, stream, line, false);
        });
        let shown = words.join(" ");
        Ok(match failure {
            None => {
                self.note_post_sync(false);
                let ms = begun.elapsed().as_millis();
                self.notice(Level::Info, format!("`{shown}` has run in the target, {ms} ms"));
                Ok(())
            }
            Some(why) => {
                let message = format!("`post_sync` failed in the target: {why}");
                self.notice(Level::Error, message.clone());
                Err(message)
            }
        })
    }

    /// Where things run in the target: where the first pair goes to, if that is a directory.
    pub(super) fn directory(&self) -> PathBuf {
        let first = self.pairs.first().filter(|pair| !pair.config.source.is_file());
        first.map_or_else(|| PathBuf::from("/"), |pair| root(&self.config.to, &pair.config))
    }

    /// Whether it has not run yet, or not to a good end, since something has come; also in an earlier life.
    pub(super) fn is_post_sync_due(&self) -> bool {
        !self.config.post_sync.is_empty() && self.post_sync_mark().exists()
    }

    /// Remembers that it is due, or that it has run.
    fn note_post_sync(&self, due: bool) {
        let mark = self.post_sync_mark();
        let noted = if due { std::fs::write(mark, "") } else { std::fs::remove_file(mark) };
        // Who cannot remember it runs it when something comes.
        drop(noted);
    }

    fn post_sync_mark(&self) -> PathBuf {
        self.surroundings.state.join(format!("{}.post-sync", self.name))
    }
}

/// Lines of what comes in pieces, of two streams.
#[derive(Default)]
struct Lines([Vec<u8>; 2]);

impl Lines {
    fn take(&mut self, stderr: bool, piece: &[u8], mut each: impl FnMut(Vec<u8>)) {
        let open = &mut self.0[usize::from(stderr)];
        open.extend_from_slice(piece);
        while let Some(end) = open.iter().position(|&byte| byte == b'\n') {
            let rest = open.split_off(end + 1);
            let mut line = std::mem::replace(open, rest);
            line.pop();
            each(line);
        }
    }

    fn rest(self, mut each: impl FnMut(bool, Vec<u8>)) {
        let open = [false, true].into_iter().zip(self.0);
        open.filter(|(_, line)| !line.is_empty()).for_each(|(stderr, line)| each(stderr, line));
    }
}
