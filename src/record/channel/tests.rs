use super::*;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn line(tell: &Tell, service: &str, length: usize) {
    tell.line(&name(service), Stream::Stdout, vec![b'x'; length], false);
}

fn notices(records: &[Arc<Record>]) -> Vec<String> {
    let message = |record: &Arc<Record>| match &record.event {
        Event::Notice { message, .. } => Some(message.clone()),
        _ => None,
    };
    records.iter().filter_map(message).collect()
}

#[test]
fn records_come_in_order_and_nothing_after_the_end() {
    let (tell, told) = channel(&["a view", "another"]);
    tell.fact(None, Event::Building);
    line(&tell, "api", 1);
    tell.fact(None, Event::Started { pid: 1 });
    tell.end();
    tell.fact(None, Event::Started { pid: 2 });
    for told in told {
        let burst = told.burst().unwrap();
        assert_eq!(burst.len(), 3);
        assert_eq!(burst[2].event, Event::Started { pid: 1 });
        assert!(told.burst().is_none());
        assert!(told.burst().is_none());
    }
}

#[test]
fn who_reads_nothing_is_waited_for_once_and_told_later_what_is_missing() {
    let (tell, told) = channel(&["the stuck view", "the other"]);
    let begin = Instant::now();
    for _ in 0..1000 {
        line(&tell, "flood", 1000);
        // The view that works gets everything.
        assert_eq!(told[1].burst().unwrap().len(), 1);
    }
    line(&tell, "quiet", 1);
    let waited = begin.elapsed();
    assert!(PATIENCE <= waited && waited < PATIENCE * 5, "{waited:?}");

    let mut seen = Vec::new();
    while seen.iter().all(|record: &Arc<Record>| !matches!(record.event, Event::Notice { .. })) {
        seen.extend(told[0].burst().unwrap());
    }
    let lines = |seen: &[Arc<Record>]| {
        let flood = |record: &&Arc<Record>| record.service == Some(name("flood"));
        seen.iter().filter(flood).filter(|record| matches!(record.event, Event::Log { .. })).count()
    };
    let left_out = 1000 - lines(&seen);
    assert!(lines(&seen) * 1000 <= SHARE);
    assert_eq!(notices(&seen), [format!("{left_out} lines left out: the stuck view is too slow")]);
    assert!(seen.iter().any(|record| record.service == Some(name("quiet"))));
    // It flows again, and would be waited for again.
    line(&tell, "flood", 1);
    assert_eq!(lines(&told[0].burst().unwrap()), 1);
}

#[test]
fn facts_never_wait_and_are_bounded_all_the_same() {
    let (tell, told) = channel(&["the stuck view"]);
    for pid in 0..100_000 {
        tell.fact(None, Event::Started { pid });
    }
    tell.end();
    let mut seen = Vec::new();
    while let Some(burst) = told[0].burst() {
        seen.extend(burst);
    }
    assert!(seen.len() * OVERHEAD <= OWN_SHARE + OVERHEAD * 2);
    let left_out = counted(100_000 + 1 - seen.len() as u64, "event");
    assert_eq!(notices(&seen), [format!("{left_out} left out: the stuck view is too slow")]);
}

#[test]
fn numbers_are_grouped() {
    let table = [(1, "1 line"), (999, "999 lines"), (1000, "1,000 lines"), (12_345_678, "12,345,678 lines")];
    for (count, expected) in table {
        assert_eq!(counted(count, "line"), expected);
    }
}
