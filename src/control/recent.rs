//! The last records of each service, within a bound of bytes, so that one that writes much does not push out what
//! the others have said.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use crate::name::Name;
use crate::record::{Event, Record};

/// So much is kept of each service.
const BYTES: usize = 1024 * 1024;

/// What a record takes beside its line, about.
const OVERHEAD: usize = 200;

/// What was told last.
#[derive(Debug, Default)]
pub struct Recent {
    told: u64,
    services: BTreeMap<Option<Name>, Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    records: VecDeque<(u64, Arc<Record>)>,
}

impl Recent {
    /// Takes in what is told now.
    pub fn push(&mut self, record: Arc<Record>) {
        self.told += 1;
        let kept = self.services.entry(record.service.clone()).or_default();
        kept.bytes += size(&record);
        kept.records.push_back((self.told, record));
        while kept.bytes > BYTES
            && let Some((_, oldest)) = kept.records.pop_front()
        {
            kept.bytes -= size(&oldest);
        }
    }

    /// What `wanted` wants of what was told at `since` or after, in order.
    pub fn since(&self, since: Option<SystemTime>, wanted: impl Fn(&Record) -> bool) -> Vec<Arc<Record>> {
        let all = self.services.values().flat_map(|kept| &kept.records);
        let late = |record: &Record| since.is_none_or(|since| record.at >= since);
        let mut chosen: Vec<_> = all.filter(|(_, record)| late(record) && wanted(record)).collect();
        chosen.sort_unstable_by_key(|(number, _)| *number);
        chosen.into_iter().map(|(_, record)| Arc::clone(record)).collect()
    }
}

fn size(record: &Record) -> usize {
    let text = match &record.event {
        Event::Log { line, .. } => line.len(),
        Event::Build { failure, .. } => failure.output.len() * 2,
        _ => 0,
    };
    OVERHEAD + text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Stream;
    use std::time::{Duration, UNIX_EPOCH};

    fn line(service: &str, number: u64) -> Arc<Record> {
        let event = Event::Log { stream: Stream::Stdout, line: vec![b'x'; 1000], partial: false };
        let at = UNIX_EPOCH + Duration::from_secs(number);
        Arc::new(Record { at, event, service: Name::parse(service).ok() })
    }

    #[test]
    fn a_flood_of_one_service_keeps_what_others_have_said() {
        let mut recent = Recent::default();
        recent.push(line("quiet", 0));
        (1..5000).for_each(|number| recent.push(line("loud", number)));
        recent.push(line("quiet", 5000));
        let all = recent.since(None, |_| true);
        assert!((500..1500).contains(&all.len()), "{}", all.len());
        let order: Vec<_> = all.iter().map(|record| record.at).collect();
        assert!(order.is_sorted() && order[0] == UNIX_EPOCH);
        let late = recent.since(Some(UNIX_EPOCH + Duration::from_secs(4998)), |_| true);
        assert_eq!(late.len(), 3);
        let quiet = |record: &Record| record.service == Name::parse("quiet").ok();
        assert_eq!(recent.since(None, quiet).len(), 2);
    }
}
