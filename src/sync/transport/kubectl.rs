//! Containers of pods, by kubectl.

use super::{Instance, Transport, User, words};
use crate::config::{self, Kubectl};
use crate::sync::ending::Ending;
use crate::sync::tool::ask;

/// What is told of a pod, a line each; one that is being deleted is none any more.
const ALIVE: &str = "{{if not .metadata.deletionTimestamp}}{{if eq .status.phase \"Running\"}}FIELDS{{\"\\n\"}}{{end}}{{end}}";

/// Its name, and what is another after every start of the container that is meant.
const FIELDS: &str = "{{$meant := MEANT}}{{.metadata.name}} {{.metadata.uid}} {{range .status.containerStatuses}}\
                      {{if eq .name $meant}}{{.restartCount}}:\
                      {{if .state.running}}{{.state.running.startedAt}}{{end}}{{end}}{{end}}";

/// The container that kubectl takes by itself.
const DEFAULT: &str = "(index .spec.containers 0).name}}{{with .metadata.annotations}}\
                       {{with index . \"kubectl.kubernetes.io/default-container\"}}{{$meant = .}}{{end}}{{end}}{{\"\"";

/// The labels by which a workload knows its pods.
const LABELS: &str = "{{if .spec.selector.matchExpressions}}?{{end}}{{range $key, $value := .spec.selector.matchLabels}}{{$key}}={{$value}},{{end}}";

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

    /// `text` with the template for a pod that is there.
    fn template(&self, text: &str) -> String {
        let named = self.0.container.as_ref().map(|name| format!("\"{name}\""));
        let fields = FIELDS.replace("MEANT", named.as_deref().unwrap_or(DEFAULT));
        text.replace("ALIVE", &ALIVE.replace("FIELDS", &fields))
    }

    /// The labels of the pods of `workload`.
    fn selector(&self, workload: &str, ending: &Ending) -> Result<String, String> {
        let told = ask(&self.words(&["get", workload, &format!("--output=go-template={LABELS}")]), ending)?;
        let selector = told.trim_end_matches(',').to_owned();
        if selector.starts_with('?') {
            return Err(format!("`{workload}` selects its pods by expressions; name a `selector`"));
        }
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

    fn find(&self, ending: &Ending) -> Result<Vec<Instance>, String> {
        let told = match &self.0.pods {
            config::Pods::Pod(pod) => {
                ask(&self.words(&["get", "pod", pod, &self.template("--output=go-template=ALIVE")]), ending)?
            }
            pods => {
                let selector = match pods {
                    config::Pods::Workload(workload) => self.selector(workload, ending)?,
                    config::Pods::Selector(selector) => selector.clone(),
                    config::Pods::Pod(_) => unreachable!("above"),
                };
                let each = self.template("--output=go-template={{range .items}}ALIVE{{end}}");
                ask(&self.words(&["get", "pods", "--selector", &selector, &each]), ending)?
            }
        };
        let instance = |line: &str| {
            let (name, identity) = line.split_once(' ')?;
            let identity = identity.to_owned();
            // The disk of a container goes with it.
            Some(Instance { name: name.to_owned(), place: identity.clone(), identity, stands: false })
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

    fn output(&self, instance: &Instance) -> Option<Vec<String>> {
        Some(self.container(&["logs", "-f", "--since-time={since}", &instance.name]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What kubectl itself makes of `object` with `template`; nothing if it is not there.
    fn rendered(object: &str, template: &str) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("object.json");
        std::fs::write(&file, object).unwrap();
        let output = format!("--output=go-template={template}");
        // Which needs no cluster.
        let local = ["label", "--local", "-f", file.to_str().unwrap(), "seen=yes", &output];
        let mut all = words(["kubectl"]);
        all.extend(local.map(str::to_owned));
        ask(&all, &Ending::default()).inspect_err(|why| println!("NOT CHECKED with kubectl: {why}")).ok()
    }

    #[test]
    fn kubectl_understands_the_templates() {
        let pods = |container: Option<&str>| {
            let (context, namespace) = Default::default();
            let (pods, container) = (config::Pods::Pod("web-1".to_owned()), container.map(str::to_owned));
            Pods(Kubectl { context, namespace, pods, container }).template("ALIVE")
        };
        let pod = |more: &str| {
            format!(
                r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"web-1","uid":"u1"{more}}},
                "spec":{{"containers":[{{"name":"a","image":"x"}},{{"name":"b","image":"x"}}]}},"status":{{"phase":"Running","containerStatuses":[
                {{"name":"a","restartCount":2,"image":"x","imageID":"","ready":true,
                "state":{{"running":{{"startedAt":"2026-01-01T00:00:00Z"}}}}}},
                {{"name":"b","restartCount":0,"image":"x","imageID":"","ready":false,"state":{{"waiting":{{}}}}}}]}}}}"#
            )
        };
        let Some(told) = rendered(&pod(""), &pods(None)) else { return };
        assert_eq!(told, "web-1 u1 2:2026-01-01T00:00:00Z");
        assert_eq!(rendered(&pod(""), &pods(Some("b"))).unwrap(), "web-1 u1 0:");
        let annotated = pod(r#","annotations":{"kubectl.kubernetes.io/default-container":"b"}"#);
        assert_eq!(rendered(&annotated, &pods(None)).unwrap(), "web-1 u1 0:");
        let gone = pod(r#","deletionTimestamp":"2026-01-01T00:00:00Z""#);
        assert_eq!(rendered(&gone, &pods(None)).unwrap(), "");
        let deployment = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{
            "selector":{"matchLabels":{"app":"web","tier":"x"}},"template":{"metadata":{"labels":{"app":"web"}},
            "spec":{"containers":[{"name":"a","image":"x"}]}}}}"#;
        assert_eq!(rendered(deployment, LABELS).unwrap(), "app=web,tier=x,");
        let by_expressions = deployment.replace(
            r#""matchLabels""#,
            r#""matchExpressions":[{"key":"a","operator":"Exists"}],"matchLabels""#,
        );
        assert_eq!(rendered(&by_expressions, LABELS).unwrap(), "?app=web,tier=x,");
    }
}
