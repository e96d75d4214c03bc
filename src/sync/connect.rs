//! From a target that is there to a side that can be changed: the helper is pushed, if it is not there yet, to a place
//! where it can run; where that does not work, archives have to do.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hotwatch_helper::entry::Content;

use super::embedded;
use super::ending::Ending;
use super::far::{Archive, Far, Root};
use super::link::wire;
use super::session::{Lost, Session, Told};
use super::tool::{Tool, ask};
use super::transport::{Instance, Transport, User};
use crate::config::{self, Sync};

/// How long the helper may take on its way.
const PUSHED: Duration = Duration::from_secs(120);

/// How a target is reached.
#[derive(Debug)]
pub struct Reached {
    /// The other side.
    pub far: Far,
    /// Where the helper lies there, if it does.
    pub helper: Option<String>,
    /// In words, how and why so.
    pub words: String,
}

/// Where a helper may go, and for whom.
pub struct Place<'a> {
    /// What is synced.
    pub sync: &'a Sync,
    /// The service's name: each has a helper of its own.
    pub name: &'a str,
    /// Where it may be from before.
    pub known: Option<String>,
}

/// Reaches `instance` by `transport`. What the helper tells by itself goes to `tell`.
///
/// # Errors
/// Nobody is there, in words.
pub fn connect(
    transport: &Arc<dyn Transport>,
    instance: &Instance,
    place: &Place<'_>,
    ending: &Arc<Ending>,
    tell: impl Fn(Told) + Send + Clone + 'static,
) -> Result<Reached, String> {
    if transport.is_here() {
        let session = Session::here(ending, tell).map_err(|Lost(why)| why)?;
        session.accept();
        return Ok(Reached { far: Far::Helper(session), helper: None, words: "on this machine".to_owned() });
    }
    if instance.stands {
        let far = archives(transport, instance, place, ending);
        let words = "by archives for as long as it stands still".to_owned();
        return Ok(Reached { far, helper: None, words });
    }
    match with_helper(transport, instance, place, ending, tell) {
        Ok((session, helper)) => {
            session.accept();
            let words = format!("with the helper at `{helper}`");
            Ok(Reached { far: Far::Helper(session), helper: Some(helper), words })
        }
        Err(why) => {
            let far = archives(transport, instance, place, ending);
            let words = format!(
                "by archives, which add and overwrite only, since {why}; nothing comes back from there, and what \
                 differs there is not seen"
            );
            Ok(Reached { far, helper: None, words })
        }
    }
}

/// The other side as it can be changed without the helper.
fn archives(
    transport: &Arc<dyn Transport>,
    instance: &Instance,
    place: &Place<'_>,
    ending: &Arc<Ending>,
) -> Far {
    let root = |pair: &config::Pair| Root::of(&pair.target, pair.source.is_file());
    let roots = place.sync.pairs.iter().map(root).enumerate();
    let roots: BTreeMap<u32, Root> = roots.map(|(number, root)| (wire(number), root)).collect();
    Far::Archive(Archive::new(Arc::clone(transport), instance.clone(), roots, Arc::clone(ending)))
}

fn with_helper(
    transport: &Arc<dyn Transport>,
    instance: &Instance,
    place: &Place<'_>,
    ending: &Arc<Ending>,
    tell: impl Fn(Told) + Send + Clone + 'static,
) -> Result<(Session, String), String> {
    // Mostly it is the same machine, and to ask takes time.
    let own = std::env::consts::ARCH;
    let with = |machine: &str| with_helper_for(machine, transport, instance, place, ending, &tell);
    with(own).or_else(|why| match transport.machine(instance, ending)? {
        machine if machine == own => Err(why),
        machine => with(&machine),
    })
}

fn with_helper_for(
    machine: &str,
    transport: &Arc<dyn Transport>,
    instance: &Instance,
    place: &Place<'_>,
    ending: &Arc<Ending>,
    tell: &(impl Fn(Told) + Send + Clone + 'static),
) -> Result<(Session, String), String> {
    let program = embedded::helper(machine)?;
    let places = match (&place.sync.helper_dir, transport.private(instance, ending)) {
        (None, Some(private)) => vec![private?],
        _ => places(place.sync),
    };
    let starts = |words: &[String], input: &[u8]| {
        let words = transport.exec(instance, words, user(place.sync));
        let session = Session::start(&words, input, ending, tell.clone()).map_err(|Lost(why)| why)?;
        match session.program.clone() {
            Some((path, content)) if content == Content::of(program) => Ok((session, path)),
            Some(_) => Err("what is there is another program than was pushed".to_owned()),
            None => Err("it cannot tell what program it is; is `/proc` there?".to_owned()),
        }
    };
    let serves = |helper: &str| starts(&[helper, "serve"].map(str::to_owned), &[]);
    if let Some(known) = &place.known
        && let Ok(found) = serves(known)
    {
        return Ok(found);
    }
    let name = format!(".hotwatch-helper-{}", place.name);
    let by_shell = match starts(&by_shell(&name, &places, program.len()), program) {
        Ok(found) => return Ok(found),
        Err(why) => why,
    };
    let mut reasons = Vec::new();
    for dir in places {
        if ending.is_wanted() {
            return Err("hotwatch ends".to_owned());
        }
        let helper = format!("{}/{name}", dir.trim_end_matches('/'));
        let brings = transport.unpack(instance, &dir).is_some();
        let pushed =
            push(transport.as_ref(), instance, (&dir, &helper), program, ending).map_err(
                |why| match brings {
                    true => why,
                    false => format!("neither a shell ({by_shell}) nor `tar` ({why}) is there to take it"),
                },
            );
        match pushed.and_then(|()| serves(&helper)) {
            Ok(found) => return Ok(found),
            Err(why) => {
                discard(transport.as_ref(), instance, &helper, ending);
                reasons.push(format!("not in `{dir}`: {why}"));
            }
        }
    }
    Err(format!("its helper does not run there ({})", reasons.join("; ")))
}

/// The command that takes a helper of `size` bytes to the first of `places` that can be written, and becomes it: what
/// takes one step instead of two, where a shell is there.
fn by_shell(name: &str, places: &[String], size: usize) -> Vec<String> {
    let script = format!(
        "for dir; do helper=\"${{dir%/}}/$0\"; (: > \"$helper.new\") 2> /dev/null || continue; \
         head -c {size} > \"$helper.new\" && chmod 755 \"$helper.new\" && mv -f \"$helper.new\" \"$helper\" && \
         exec \"$helper\" serve; exit 1; done; exit 1"
    );
    let mut words = ["sh", "-c", &script, name].map(str::to_owned).to_vec();
    words.extend_from_slice(places);
    words
}

/// As whom the helper runs: only root may give files to others.
fn user(sync: &Sync) -> User {
    let owned = sync.pairs.iter().any(|pair| pair.options.owner.is_some());
    if owned { User::Root } else { User::Own }
}

/// Where the helper may lie, best first. What is meant for files of the moment may forbid programs, or not be there.
fn places(sync: &Sync) -> Vec<String> {
    if let Some(dir) = &sync.helper_dir {
        return vec![dir.clone()];
    }
    let parent = |path: &str| Path::new(path).parent().map(|dir| dir.display().to_string());
    let mut places = vec!["/tmp".to_owned()];
    places.extend(sync.pairs.iter().map(|pair| pair.target.clone()));
    places.extend(sync.binary.as_deref().and_then(parent));
    places.push("/".to_owned());
    places.dedup();
    places
}

/// Has `program` lie at `helper` in the directory `dir`, for everybody to run.
fn push(
    transport: &dyn Transport,
    instance: &Instance,
    (dir, helper): (&str, &str),
    program: &[u8],
    ending: &Ending,
) -> Result<(), String> {
    let name = helper.rsplit('/').next().unwrap_or(helper);
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(program.len() as u64);
    let archived = archive.append_data(&mut header, name, program).and_then(|()| archive.into_inner());
    let archived = archived.map_err(|error| error.to_string())?;
    let tar = ["tar", "-xf", "-", "-C", dir].map(str::to_owned);
    let unpack = transport.unpack(instance, dir);
    feed(&unpack.unwrap_or_else(|| transport.exec(instance, &tar, User::Own)), &archived, ending)
}

/// Runs `words` with `input`; they must succeed, in time, and not outlive the sync.
///
/// # Errors
/// They fail, in words.
pub fn feed(words: &[String], input: &[u8], ending: &Ending) -> Result<(), String> {
    let cannot_run = |error| format!("cannot run `{}`: {error}", words.first().map_or("", String::as_str));
    let (stdin, mut to) = std::io::pipe().map_err(cannot_run)?;
    let tool = Tool::interruptible(words, stdin.into(), ending).map_err(cannot_run)?;
    std::thread::scope(|scope| {
        let written = scope.spawn(move || to.write_all(input));
        // One that does not read says why, or is ended; then nobody is left to write to.
        tool.end(PUSHED)?;
        let written = written.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        written.map_err(|error| format!("it was not taken: {error}"))
    })
}

/// Removes what was pushed to `helper` and does not run there, if something in `instance` can do that.
fn discard(transport: &dyn Transport, instance: &Instance, helper: &str, ending: &Ending) {
    let words = ["rm", "-f", "--", helper].map(str::to_owned);
    let discard = |user| ask(&transport.exec(instance, &words, user), ending);
    drop(discard(User::Root).or_else(|_| discard(User::Own)));
}

/// Removes the helper at `helper` from `instance`, for which no conversation with it is needed; whether it is gone.
pub fn leave(transport: &dyn Transport, instance: &Instance, helper: &str, ending: &Ending) -> bool {
    let words = [helper, "leave"].map(str::to_owned);
    let leave = |user| ask(&transport.exec(instance, &words, user), ending);
    leave(User::Root).or_else(|_| leave(User::Own)).is_ok()
}
