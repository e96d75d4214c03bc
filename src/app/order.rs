//! Who may start: in start order, and only when everything that a service depends on is ready, or will not
//! become so by itself. The same goes for reloads: who depends on a service that is being reloaded comes after it.
//! Pure.

use std::collections::BTreeSet;

use crate::service::Report;

/// How far each service has come.
#[derive(Debug)]
pub struct Order {
    services: Vec<Progress>,
    /// Services that are being reloaded.
    reloading: BTreeSet<usize>,
    /// Those of them that wait for others.
    held: BTreeSet<usize>,
}

#[derive(Debug)]
struct Progress {
    depends_on: Vec<usize>,
    launched: bool,
    /// What was last reported of it.
    report: Option<Report>,
}

impl Order {
    /// Nobody has started; each entry names the services that must be ready before.
    pub fn new(depends_on: impl IntoIterator<Item = Vec<usize>>) -> Order {
        let progress = |depends_on| Progress { depends_on, launched: false, report: None };
        let services = depends_on.into_iter().map(progress).collect();
        Order { services, reloading: BTreeSet::new(), held: BTreeSet::new() }
    }

    /// Goes on with `service` where `other` was with the one called `before` there.
    pub fn resume(&mut self, service: usize, other: &Order, before: usize) {
        let Progress { launched, report, .. } = other.services[before];
        (self.services[service].launched, self.services[service].report) = (launched, report);
    }

    /// Takes note that `services` are being reloaded; returns those that have to wait for others before they may
    /// start.
    pub fn reload(&mut self, services: &BTreeSet<usize>) -> BTreeSet<usize> {
        self.reloading.extend(services);
        let waits = |service: &&usize| self.depends_on_a_reload(**service);
        let held: BTreeSet<usize> = services.iter().filter(waits).copied().collect();
        self.held.extend(&held);
        held
    }

    /// Takes note that nothing is under way any more with `service`; returns those that need not wait any longer.
    pub fn settled(&mut self, service: usize) -> BTreeSet<usize> {
        self.reloading.remove(&service);
        let free = |service: &&usize| !self.depends_on_a_reload(**service);
        let free: BTreeSet<usize> = self.held.iter().filter(free).copied().collect();
        self.held.retain(|service| !free.contains(service));
        free
    }

    /// Whether `service` is being reloaded.
    pub fn is_reloading(&self, service: usize) -> bool {
        self.reloading.contains(&service)
    }

    fn depends_on_a_reload(&self, service: usize) -> bool {
        let on = &self.services[service].depends_on;
        on.iter().any(|&on| self.reloading.contains(&on) || self.depends_on_a_reload(on))
    }

    /// Takes in what a service reports.
    pub fn report(&mut self, service: usize, report: Report) {
        self.services[service].report = Some(report);
    }

    /// The services whose turn has come now, each told once.
    pub fn launch(&mut self) -> Vec<usize> {
        let mut turn = Vec::new();
        for index in 0..self.services.len() {
            if !self.services[index].launched && self.waits_for(index).is_empty() {
                self.services[index].launched = true;
                turn.push(index);
            }
            // Whoever comes later waits until this one runs, or has failed to.
            if self.services[index].report.is_none() {
                break;
            }
        }
        turn
    }

    /// The services that `service` depends on and that may still become ready.
    pub fn waits_for(&self, service: usize) -> Vec<usize> {
        let undecided = |&on: &usize| {
            !matches!(self.services[on].report, Some(Report::Ready | Report::Failed | Report::Stopped))
        };
        self.services[service].depends_on.iter().copied().filter(undecided).collect()
    }

    /// The services that `service` depends on and that will not become ready by themselves.
    pub fn failed_dependencies(&self, service: usize) -> Vec<usize> {
        let failed = |&on: &usize| matches!(self.services[on].report, Some(Report::Failed));
        self.services[service].depends_on.iter().copied().filter(failed).collect()
    }

    /// The services that have not been told to start.
    pub fn not_launched(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.services.len()).filter(|&index| !self.services[index].launched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_after_the_other_and_not_before_what_it_depends_on() {
        let mut order = Order::new([vec![], vec![], vec![0, 1]]);
        assert_eq!(order.launch(), [0]);
        assert_eq!(order.launch(), [0; 0]);
        order.report(0, Report::Started);
        assert_eq!(order.launch(), [1]);
        order.report(1, Report::Started);
        assert_eq!(order.launch(), [0; 0]);
        assert_eq!(order.waits_for(2), [0, 1]);
        order.report(0, Report::Ready);
        assert_eq!(order.waits_for(2), [1]);
        order.report(1, Report::Ready);
        assert_eq!(order.launch(), [2]);
        assert_eq!(order.not_launched().count(), 0);
    }

    #[test]
    fn who_depends_on_a_service_is_reloaded_after_it() {
        let set = |services: &[usize]| services.iter().copied().collect::<BTreeSet<_>>();
        let mut order = Order::new([vec![], vec![0], vec![1], vec![]]);
        assert_eq!(order.reload(&set(&[0, 2, 3])), set(&[2]));
        assert_eq!(order.settled(3), set(&[]));
        assert_eq!(order.reload(&set(&[1])), set(&[1]));
        assert_eq!(order.settled(0), set(&[1]));
        assert_eq!(order.settled(1), set(&[2]));
        assert_eq!(order.reload(&set(&[2])), set(&[]));
    }

    #[test]
    fn a_failure_holds_nobody_up() {
        let mut order = Order::new([vec![], vec![0], vec![]]);
        order.report(0, Report::Failed);
        assert_eq!(order.launch(), [0, 1]);
        assert_eq!((order.failed_dependencies(0), order.failed_dependencies(1)), (vec![], vec![0]));
        order.report(1, Report::Failed);
        assert_eq!(order.launch(), [2]);
    }
}
