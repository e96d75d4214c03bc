// The requests of the admin socket and their answers.

package hotplug

import (
	"encoding/json"
	"fmt"
)

type adminRequest struct {
	Do      string   `json:"do"`
	Plugins []string `json:"plugins"`
}

type adminAnswer struct {
	OK       bool       `json:"ok"`
	Error    string     `json:"error,omitempty"`
	Plugin   string     `json:"plugin,omitempty"`
	Step     string     `json:"step,omitempty"`
	Manifest *Manifest  `json:"manifest,omitempty"`
	Plugins  []adminRow `json:"plugins,omitempty"`
	Details  *Details   `json:"details,omitempty"`
}

// adminRow is an active plugin in a list.
type adminRow struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Form    Form   `json:"form"`
}

func answerAdmin(m *Manager, line []byte) adminAnswer {
	var request adminRequest
	if err := json.Unmarshal(line, &request); err != nil {
		return adminAnswer{Error: fmt.Sprintf("a request is a line like `{\"do\":\"list\"}`: %v", err)}
	}
	switch request.Do {
	case "manifest":
		manifest := m.Manifest()
		return adminAnswer{OK: true, Manifest: &manifest}
	case "list":
		answer := adminAnswer{OK: true, Plugins: []adminRow{}}
		active := m.active.Load()
		for _, name := range active.order {
			version := active.versions[name]
			answer.Plugins = append(answer.Plugins, adminRow{version.Name, version.Version(), version.form})
		}
		return answer
	case "reload":
		return changed(m.Reload())
	case "unload":
		return changed(m.Unload(request.Plugins...))
	}
	return adminAnswer{Error: fmt.Sprintf("there is no `%s`: ask for `manifest`, `list`, `reload` or `unload`", request.Do)}
}

func changed(details Details, err error) adminAnswer {
	if err == nil {
		return adminAnswer{OK: true, Details: &details}
	}
	answer := adminAnswer{Error: err.Error()}
	if of, is := err.(*Error); is {
		answer.Plugin, answer.Step = of.Plugin, of.Step
	}
	return answer
}
