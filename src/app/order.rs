//! Who may start: in start order, and only when everything that a service depends on is ready, or will not
//! become so by itself. Pure.

use crate::service::Report;

/// How far each service has come.
#[derive(Debug)]
pub struct Order {
    services: Vec<Progress>,
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
        Order { services: depends_on.into_iter().map(progress).collect() }
    }

    /// Goes on with `service` where `other` was with the one called `before` there.
    pub fn resume(&mut self, service: usize, other: &Order, before: usize) {
        let Progress { launched, report, .. } = other.services[before];
        (self.services[service].launched, self.services[service].report) = (launched, report);
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
    fn a_failure_holds_nobody_up() {
        let mut order = Order::new([vec![], vec![0], vec![]]);
        order.report(0, Report::Failed);
        assert_eq!(order.launch(), [0, 1]);
        assert_eq!((order.failed_dependencies(0), order.failed_dependencies(1)), (vec![], vec![0]));
        order.report(1, Report::Failed);
        assert_eq!(order.launch(), [2]);
    }
}
