//! Many swaps while many clients ask.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::support::{Rig, Service, answer};

/// How many answers each process gives at least before the next one follows.
const ANSWERS: usize = 12;

#[test]
fn no_request_fails_over_a_hundred_swaps() {
    let rig = Arc::new(Rig::new());
    let (stop, answers) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let mut current = Service::echo(0);
    rig.switch(&current);
    let clients = [(true, true), (true, false), (false, true), (false, false)].map(|(keeps, posts)| {
        let (rig, stop, answers) = (Arc::clone(&rig), Arc::clone(&stop), Arc::clone(&answers));
        std::thread::spawn(move || {
            let mut kept: Option<TcpStream> = None;
            for number in 0.. {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let mut client = kept.take().unwrap_or_else(|| rig.connect());
                let body = if posts { "x".repeat(number % 3000) } else { String::new() };
                let method = if posts { "POST" } else { "GET" };
                let length = body.len();
                let head = format!("{method} /{number} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
                client.write_all(format!("{head}{body}").as_bytes()).unwrap();
                let answer = answer(&mut client);
                let (_, rest) = answer.body.split_once(' ').unwrap();
                assert_eq!((answer.status, rest), (200, format!("/{number} {body}").as_str()));
                answers.fetch_add(1, Ordering::SeqCst);
                kept = Some(client).filter(|_| keeps);
            }
        })
    });
    for id in 1..=100 {
        let next = Service::slow(id, Duration::from_millis(u64::from(id.unsigned_abs() % 4)));
        rig.switch(&next);
        rig.held.retire(current.id);
        rig.idle(&current);
        // It dies at once, with whatever it had open.
        current = next;
        let wanted = answers.load(Ordering::SeqCst) + ANSWERS;
        while answers.load(Ordering::SeqCst) < wanted && !clients.iter().any(JoinHandle::is_finished) {
            std::thread::yield_now();
        }
    }
    stop.store(true, Ordering::SeqCst);
    clients.into_iter().for_each(|client| client.join().unwrap());
}
