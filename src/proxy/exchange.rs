//! One request and its response on their way between two connections, over buffers alone: whatever has come is moved
//! as far as it belongs to the two, and what has become of them is told. Heads and bodies travel as they came, but for
//! pages that get the reload script.

use super::BUFFER;
use super::chunked::{Malformed, Part};
use super::http1::{self, Body, Meaning, Request, Response, Script};
use super::recent::Passed;

/// A request that was sent to a service.
#[derive(Debug)]
pub struct Exchange {
    /// Its head; the body is what is left of it.
    request: Request,
    /// What to append to the response if that is a page that allows it: `<script` and what follows.
    script: Option<String>,
    reply: Reply,
    /// Whether the connections outlive this.
    persistent: bool,
    /// The request as far as it has come, if it is to be kept.
    kept: Option<Passed>,
}

/// How far the response is.
#[derive(Debug)]
enum Reply {
    /// Its head is to come.
    Head,
    /// In its body, behind which the text is appended.
    Body(Body, Option<String>),
    Complete,
}

/// What has become of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There is more to come.
    Going,
    /// Both messages are complete, and the client's connection may be used again.
    Done,
    /// The response is complete, and the client's connection is to be closed behind it.
    Last,
    /// The service has closed the connection too early.
    Broken,
    /// From here on the connection is no HTTP/1.
    Tunnel,
}

impl Exchange {
    /// Begins one with `request`, of which `head` is moved to `to`. A script is what pages get appended; it needs
    /// them uncompressed, so the service is not told what the browser could decompress.
    pub fn begin(request: Request, head: &[u8], script: Option<String>, to: &mut Vec<u8>) -> Exchange {
        let script = script.filter(|_| request.page && !request.head_only);
        match script {
            Some(_) => to.extend(http1::without(head, "accept-encoding")),
            None => to.extend_from_slice(head),
        }
        let persistent = request.persistent;
        let kept = match request.body {
            Body::Length(length) if !request.connect => Passed::begin(head, length),
            _ => None,
        };
        Exchange { request, script, reply: Reply::Head, persistent, kept }
    }

    /// The request, once it was sent entirely, if it is to be kept.
    pub fn passed(&mut self) -> Option<Passed> {
        if self.is_sent() { self.kept.take() } else { None }
    }

    /// Whether the client has got nothing yet that would be at odds with an answer of ours.
    pub fn is_unanswered(&self) -> bool {
        matches!(self.reply, Reply::Head)
    }

    /// Whether the request was sent entirely.
    pub fn is_sent(&self) -> bool {
        self.request.body.is_complete()
    }

    /// Whether the response has no body whatever its head says.
    pub fn is_head_only(&self) -> bool {
        self.request.head_only
    }

    /// Moves the request's body.
    ///
    /// # Errors
    /// It does not follow its coding; what came before that has been moved.
    pub fn send(&mut self, from: &mut Vec<u8>, to: &mut Vec<u8>) -> Result<(), Malformed> {
        let before = to.len();
        let result = pass(&mut self.request.body, &mut None, from, to);
        self.kept.iter_mut().for_each(|kept| kept.body.extend_from_slice(&to[before..]));
        result
    }

    /// Moves the response; `ended` says that the service will send nothing more than what is in `from`.
    pub fn receive(&mut self, from: &mut Vec<u8>, ended: bool, to: &mut Vec<u8>) -> Progress {
        loop {
            let (room, sent) = (to.len() < BUFFER, self.is_sent());
            match &mut self.reply {
                Reply::Head if room => match http1::response(from, &self.request) {
                    Ok(None) if ended => return Progress::Broken,
                    Ok(None) => return Progress::Going,
                    Ok(Some(response)) => {
                        let head = from.drain(..response.length).collect::<Vec<_>>();
                        match response.meaning {
                            Meaning::Interim => to.extend(head),
                            Meaning::Tunnel => {
                                to.extend(head);
                                return Progress::Tunnel;
                            }
                            Meaning::Final => self.begin_body(&response, head, to),
                        }
                    }
                    // What is not understood is passed on until the connection ends, so nothing can be mistaken.
                    Err(Malformed) => {
                        self.persistent = false;
                        self.reply = Reply::Body(Body::UntilClose, None);
                    }
                },
                Reply::Body(body, script) if body.is_complete() => {
                    to.extend(script.take().unwrap_or_default().into_bytes());
                    self.reply = Reply::Complete;
                }
                Reply::Body(body, script) if !from.is_empty() && room => {
                    if pass(body, script, from, to).is_err() {
                        self.persistent = false;
                        *body = Body::UntilClose;
                    }
                }
                Reply::Body(Body::UntilClose, script) if from.is_empty() && ended => {
                    to.extend(script.take().unwrap_or_default().into_bytes());
                    self.reply = Reply::Complete;
                }
                Reply::Body(..) if from.is_empty() && ended => return Progress::Broken,
                Reply::Complete if !self.persistent => return Progress::Last,
                Reply::Complete if sent => return Progress::Done,
                // An answer before the request was read to its end; the service may still read on.
                Reply::Complete if ended => return Progress::Last,
                _ => return Progress::Going,
            }
        }
    }

    /// Moves the head of the response, which tells the length of what will be behind it.
    fn begin_body(&mut self, response: &Response, head: Vec<u8>, to: &mut Vec<u8>) {
        self.persistent &= response.persistent;
        let script = self.script.take().and_then(|script| tag(&script, &response.script));
        match (response.body, &script) {
            (Body::Length(length), Some(script)) => {
                to.extend(http1::with_length(&head, length.saturating_add(script.len() as u64)));
            }
            _ => to.extend(head),
        }
        self.reply = Reply::Body(response.body, script);
    }
}

/// Moves what has come of a body. Of a chunked one that gets a script the lines that tell sizes are written anew: that
/// of the last chunk is known only when all of it has come, and the script goes before it.
fn pass(
    body: &mut Body,
    script: &mut Option<String>,
    from: &mut Vec<u8>,
    to: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let (mut taken, mut result) = (0, Ok(()));
    while taken < from.len() && to.len() < BUFFER && !body.is_complete() {
        let (count, part) = match body.next(&from[taken..]) {
            Ok(next) => next,
            Err(malformed) => {
                result = Err(malformed);
                break;
            }
        };
        match (part, &script) {
            (Part::Size(None), Some(_)) => {}
            (Part::Size(Some(size)), Some(text)) => {
                if size == 0 {
                    to.extend(format!("{:x}\r\n{text}\r\n", text.len()).into_bytes());
                    *script = None;
                }
                to.extend(format!("{size:x}\r\n").into_bytes());
            }
            _ => to.extend_from_slice(&from[taken..taken + count]),
        }
        taken += count;
    }
    from.drain(..taken);
    result
}

/// `script` as the response allows it.
fn tag(script: &str, allowed: &Script) -> Option<String> {
    match allowed {
        Script::Forbidden => None,
        Script::Allowed => Some(script.to_owned()),
        Script::Nonce(nonce) => Some(script.replacen("<script", &format!("<script nonce=\"{nonce}\""), 1)),
    }
}

#[cfg(test)]
mod tests;
