//! What `hotwatch why` shows of a running hotwatch: what the code that is on disk would lead to for the processes that
//! take patches. It is compiled and compared there; nothing is applied.

use serde::Serialize;

use super::remote;
use crate::cli::Global;
use crate::error::Error;
use crate::record::Rung;
use crate::service::Preview;

/// What is known of `services`, or of all if there are none, as text or as JSON lines.
pub fn weighed(services: Vec<String>, global: &Global) -> Result<String, Error> {
    let (paused, previews) = remote::weigh(services, global)?;
    Ok(if global.json { lines(paused, &previews) } else { table(paused, &previews) })
}

fn lines(paused: bool, previews: &[Preview]) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        #[serde(flatten)]
        preview: &'a Preview,
        paused: bool,
    }
    let lines = previews.iter().filter_map(|preview| serde_json::to_string(&Line { preview, paused }).ok());
    lines.map(|line| line + "\n").collect()
}

fn table(paused: bool, previews: &[Preview]) -> String {
    if previews.is_empty() {
        return "no service that runs here takes patches; `reload = \"patch\"` in its entry has it do so\n"
            .to_owned();
    }
    let width = previews.iter().map(|preview| preview.service.len()).max().unwrap_or(0);
    let mut text = "all that is on disk, beside what runs\n".to_owned();
    for Preview { service, rung, reason, .. } in previews {
        text += &format!("  {service:<width$}  {}  {reason}\n", word(*rung));
    }
    if paused {
        text += "paused: saves wait for `hotwatch resume`\n";
    }
    text
}

/// The name of a rung, as wide as the others.
pub fn word(rung: Rung) -> &'static str {
    match rung {
        Rung::Nothing => "nothing",
        Rung::Patch => "patch  ",
        Rung::Restart => "restart",
        Rung::Sync => "sync   ",
    }
}
