//! The calls to FSEvents: one stream per root, all on the run loop of one thread. That thread alone creates,
//! starts and ends streams, so none of them can be torn down while it is delivering. What the events mean is
//! decided in `fsevents.rs`.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr, c_char, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::slice;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fsevent_sys::core_foundation as cf;
use fsevent_sys::{self as fs, FSEventStreamContext, FSEventStreamRef};

use super::fsevents::{Backend, Queue, Raw, System};
use super::{Scope, WatchError};

/// Seconds for which FSEvents gathers events after the first one, which it delivers at once.
const LATENCY: cf::CFTimeInterval = 0.01;

const FLAGS: fs::FSEventStreamCreateFlags = fs::kFSEventStreamCreateFlagFileEvents
    | fs::kFSEventStreamCreateFlagNoDefer
    | fs::kFSEventStreamCreateFlagWatchRoot;

/// A [`super::Watcher`] over FSEvents.
pub(super) type FsEvents = Backend<Streams>;

impl FsEvents {
    pub(super) fn new(scope: Box<dyn Scope>) -> Result<FsEvents, WatchError> {
        let queue = Arc::new(Queue::default());
        let streams = Streams::new(Arc::clone(&queue)).map_err(WatchError::NoFacility)?;
        Ok(Backend::over(streams, queue, scope))
    }
}

/// The thread with the streams.
pub(super) struct Streams {
    /// The thread lives until this is dropped; `None` from then on.
    commands: Option<Sender<Command>>,
    run_loop: RunLoop,
    thread: Option<JoinHandle<()>>,
}

struct Command {
    task: Task,
    done: Sender<bool>,
}

enum Task {
    Start { index: usize, root: CString },
    Stop { index: usize },
    StopAll,
}

/// The run loop of the thread with the streams.
struct RunLoop(cf::CFRunLoopRef);

// SAFETY: all that is done with it from another thread is to stop it, and run loops may be stopped from every
// thread.
unsafe impl Send for RunLoop {}

impl Streams {
    fn new(queue: Arc<Queue>) -> io::Result<Streams> {
        let (commands, receiver) = channel();
        let (tell, told) = channel();
        let thread = thread::Builder::new().name("fsevents".to_owned()).spawn(move || {
            // SAFETY: the call has no preconditions; a thread's run loop lives as long as the thread.
            let run_loop = RunLoop(unsafe { cf::CFRunLoopGetCurrent() });
            if tell.send(run_loop).is_ok() {
                serve(&receiver, &queue);
            }
        })?;
        let run_loop = told.recv().map_err(io::Error::other)?;
        Ok(Streams { commands: Some(commands), run_loop, thread: Some(thread) })
    }

    /// Has the thread do `task`. True if it succeeded.
    fn ask(&self, task: Task) -> bool {
        let (done, answer) = channel();
        let Some(commands) = &self.commands else { return false };
        if commands.send(Command { task, done }).is_err() {
            return false;
        }
        loop {
            // SAFETY: the thread, and with it its run loop, lives as long as `commands`.
            unsafe { cf::CFRunLoopStop(self.run_loop.0) };
            // A run loop that is not running yet does not notice, hence again and again.
            match answer.recv_timeout(Duration::from_millis(5)) {
                Ok(success) => return success,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }
}

impl System for Streams {
    fn start(&mut self, index: usize, root: &Path) -> bool {
        let root = CString::new(root.as_os_str().as_bytes());
        root.is_ok_and(|root| self.ask(Task::Start { index, root }))
    }

    fn stop(&mut self, index: usize) {
        self.ask(Task::Stop { index });
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        // Without streams the thread waits for commands, not in its run loop.
        self.ask(Task::StopAll);
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // The thread does not panic; if it did, its streams are gone as well.
            drop(thread.join());
        }
    }
}

/// What the thread does: commands when there are any, else its run loop, which delivers events.
fn serve(commands: &Receiver<Command>, queue: &Arc<Queue>) {
    let mut streams = HashMap::new();
    loop {
        let next = if streams.is_empty() {
            commands.recv().map_err(|_| TryRecvError::Disconnected)
        } else {
            commands.try_recv()
        };
        match next {
            Ok(Command { task, done }) => {
                let success = match task {
                    Task::Start { index, root } => {
                        streams.remove(&index);
                        let stream = Stream::start(index, &root, queue);
                        stream.map(|stream| streams.insert(index, stream)).is_some()
                    }
                    Task::Stop { index } => streams.remove(&index).is_some(),
                    Task::StopAll => {
                        streams.clear();
                        true
                    }
                };
                // Whoever asked is waiting for it.
                let _ = done.send(success);
            }
            // SAFETY: the call has no preconditions. It returns when the run loop is stopped.
            Err(TryRecvError::Empty) => unsafe { cf::CFRunLoopRun() },
            Err(TryRecvError::Disconnected) => break,
        }
    }
}

/// A running stream. It stays on the thread that made it.
struct Stream {
    stream: FSEventStreamRef,
    /// What the callback is given; freed after the stream.
    _context: Arc<Context>,
}

struct Context {
    index: usize,
    queue: Arc<Queue>,
}

impl Stream {
    /// Starts a stream on this thread's run loop. There is none if `root` is not in UTF-8, which no path of a
    /// macOS file system is, or if the system has no more streams (a few hundred per process).
    fn start(index: usize, root: &CStr, queue: &Arc<Queue>) -> Option<Stream> {
        let context = Arc::new(Context { index, queue: Arc::clone(queue) });
        let info = FSEventStreamContext {
            version: 0,
            info: Arc::as_ptr(&context).cast_mut().cast(),
            retain: None,
            release: None,
            copy_description: None,
        };
        // SAFETY: `root` ends in NUL; the string is ours until it is released, and the array retains it.
        let paths = unsafe {
            let path = cf::CFStringCreateWithCString(
                cf::kCFAllocatorDefault,
                root.as_ptr(),
                cf::kCFStringEncodingUTF8,
            );
            if path.is_null() {
                return None;
            }
            let paths =
                cf::CFArrayCreateMutable(cf::kCFAllocatorDefault, 1, &raw const cf::kCFTypeArrayCallBacks);
            cf::CFArrayAppendValue(paths, path);
            cf::CFRelease(path);
            paths
        };
        // SAFETY: `paths` is an array of strings, which the stream retains or copies, as it copies `info`. What
        // `info` points to outlives the stream: see `drop`. The callback does not unwind.
        let stream = unsafe {
            let stream = fs::FSEventStreamCreate(
                cf::kCFAllocatorDefault,
                deliver,
                &raw const info,
                paths,
                fs::kFSEventStreamEventIdSinceNow,
                LATENCY,
                FLAGS,
            );
            cf::CFRelease(paths);
            stream
        };
        if stream.is_null() {
            return None;
        }
        // SAFETY: the stream is new, and ours until it is released. One that was scheduled has to be invalidated
        // first.
        unsafe {
            fs::FSEventStreamScheduleWithRunLoop(
                stream,
                cf::CFRunLoopGetCurrent(),
                cf::kCFRunLoopDefaultMode,
            );
            if fs::FSEventStreamStart(stream) == 0 {
                fs::FSEventStreamInvalidate(stream);
                fs::FSEventStreamRelease(stream);
                return None;
            }
        }
        Some(Stream { stream, _context: context })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: the stream was started and is ours. This is the thread of its run loop, which is not running,
        // so no callback is either, and after this there is none. The context is dropped after this.
        unsafe {
            fs::FSEventStreamStop(self.stream);
            fs::FSEventStreamInvalidate(self.stream);
            fs::FSEventStreamRelease(self.stream);
        }
    }
}

/// Called by FSEvents on the thread with the streams. Nothing in it panics; if something did, the process would
/// be ended at this function's border.
extern "C" fn deliver(
    _: FSEventStreamRef,
    context: *mut c_void,
    count: usize,
    paths: *mut c_void,
    flags: *const fs::FSEventStreamEventFlags,
    _: *const fs::FSEventStreamEventId,
) {
    if count == 0 {
        return;
    }
    // SAFETY: `context` is the one that the stream was made with, which outlives it. Without `UseCFTypes`,
    // `paths` is an array of `count` C strings, and `flags` has as many elements.
    let (context, paths, flags) = unsafe {
        (
            &*context.cast_const().cast::<Context>(),
            slice::from_raw_parts(paths.cast_const().cast::<*const c_char>(), count),
            slice::from_raw_parts(flags, count),
        )
    };
    context.queue.push(paths.iter().zip(flags).map(|(&path, &flags)| {
        // SAFETY: it ends in NUL and is there until the callback returns.
        let path = unsafe { CStr::from_ptr(path) };
        Raw { root: context.index, path: OsStr::from_bytes(path.to_bytes()).into(), flags }
    }));
}
