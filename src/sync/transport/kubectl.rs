//! Containers of pods, by kubectl.

use super::{Instance, Transport, User, ask, words};
use crate::config::{self, Kubectl};

/// The pods that are meant.
#[derive(Debug)]
pub struct Pods(pub Kubectl);

impl Pods {
    fn words(&self, rest: &[&str]) -> Vec<String> {
        let mut all = words(["kubectl"]);
        for (flag, value) in [("--context", &self.0.context), ("--namespace", &self.0.namespace)] {
            value.iter().for_each(|value| all.extend(words([flag, value])));
        }
        all.extend(rest.iter().map(|&word| word.to_owned()));
        all
    }

    /// The labels of the pods of `workload`.
    fn selector(&self, workload: &str) -> Result<String, String> {
        let labels = "{range $k, $v := .spec.selector.matchLabels}{{$k}}={{$v}},{end}";
        let template = format!(
            "--output=go-template={}",
            labels
                .replace("{range", "{{range")
                .replace(".matchLabels}", ".matchLabels}}")
                .replace("{end}", "{{end}}")
        );
        let told = ask(&self.words(&["get", workload, &template]))?;
        let selector = told.trim_end_matches(',').to_owned();
        if selector.is_empty() {
            Err(format!("`{workload}` selects no pods by labels; name a `selector`"))
        } else {
            Ok(selector)
        }
    }

    fn container<'a>(&'a self, rest: &[&'a str]) -> Vec<String> {
        let mut all: Vec<&str> = rest.to_vec();
        if let Some(container) = &self.0.container {
            all.extend(["--container", container]);
        }
        self.words(&all)
    }
}

impl Transport for Pods {
    fn describe(&self) -> String {
        let of =
            self.0.container.as_ref().map_or_else(String::new, |name| format!("the container `{name}` of "));
        match &self.0.pods {
            config::Pods::Workload(workload) => format!("{of}`{workload}`"),
            config::Pods::Selector(selector) => format!("{of}the pods with `{selector}`"),
            config::Pods::Pod(pod) => format!("{of}the pod `{pod}`"),
        }
    }

    fn find(&self) -> Result<Vec<Instance>, String> {
        // A pod that is being deleted is none any more.
        let fields = "{{.metadata.name}} {{.metadata.uid}} {{range .status.containerStatuses}}{{.name}}:{{.restartCount}}:{{if .state.running}}{{.state.running.startedAt}}{{end}},{{end}}";
        let alive = format!(
            "{{{{if not .metadata.deletionTimestamp}}}}{{{{if eq .status.phase \"Running\"}}}}{fields}{{{{\"\\n\"}}}}{{{{end}}}}{{{{end}}}}"
        );
        let told = match &self.0.pods {
            config::Pods::Pod(pod) => {
                ask(&self.words(&["get", "pod", pod, &format!("--output=go-template={alive}")]))?
            }
            pods => {
                let selector = match pods {
                    config::Pods::Workload(workload) => self.selector(workload)?,
                    config::Pods::Selector(selector) => selector.clone(),
                    config::Pods::Pod(_) => unreachable!("above"),
                };
                let each = format!("--output=go-template={{{{range .items}}}}{alive}{{{{end}}}}");
                ask(&self.words(&["get", "pods", "--selector", &selector, &each]))?
            }
        };
        let instance = |line: &str| {
            let (name, identity) = line.split_once(' ')?;
            let identity = identity.to_owned();
            // The disk of a container goes with it.
            Some(Instance { name: name.to_owned(), place: identity.clone(), identity })
        };
        let found: Vec<Instance> = told.lines().filter_map(instance).collect();
        if found.is_empty() {
            Err("no pod of it runs; look at `kubectl get pods`".to_owned())
        } else {
            Ok(found)
        }
    }

    fn exec(&self, instance: &Instance, words: &[String], _: User) -> Vec<String> {
        let mut all = self.container(&["exec", "-i", &instance.name]);
        all.push("--".to_owned());
        all.extend_from_slice(words);
        all
    }

    fn follow(&self, instance: &Instance) -> Option<Vec<String>> {
        Some(self.container(&["logs", "-f", "--tail=0", &instance.name]))
    }
}
