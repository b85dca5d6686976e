package harness

import (
	"fmt"
	"strings"
)

// State is what the tests read of a master's /state.
type State struct {
	ID                 string      `json:"id"`
	ActivatedSlaves    float64     `json:"activated_slaves"`
	Slaves             []Slave     `json:"slaves"`
	Frameworks         []Framework `json:"frameworks"`
	CompletedFramework []Framework `json:"completed_frameworks"`
}

// Slave is an agent in /state.
type Slave struct {
	ID        string         `json:"id"`
	Hostname  string         `json:"hostname"`
	PID       string         `json:"pid"`
	Active    bool           `json:"active"`
	Resources map[string]any `json:"resources"`
	Used      map[string]any `json:"used_resources"`
}

// Framework is a framework in /state.
type Framework struct {
	ID             string         `json:"id"`
	Name           string         `json:"name"`
	Connected      bool           `json:"connected"`
	Used           map[string]any `json:"used_resources"`
	Tasks          []Task         `json:"tasks"`
	CompletedTasks []Task         `json:"completed_tasks"`
}

// Task is a task in /state.
type Task struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	SlaveID string `json:"slave_id"`
	State   string `json:"state"`
}

// StateOf reads the /state of the master at "host:port".
func StateOf(master string) (State, error) {
	var s State
	return s, GetJSON("http://"+master+"/state", &s)
}

// Framework finds a framework whose name starts with prefix.
func (s State) Framework(prefix string) (Framework, error) {
	for _, f := range s.Frameworks {
		if strings.HasPrefix(f.Name, prefix) {
			return f, nil
		}
	}
	return Framework{}, fmt.Errorf("no framework called %s*: there are %v", prefix, s.names())
}

func (s State) names() []string {
	var names []string
	for _, f := range s.Frameworks {
		names = append(names, f.Name)
	}
	return names
}

// Running returns the ids of the framework's running tasks.
func (f Framework) Running() []string {
	var ids []string
	for _, t := range f.Tasks {
		if t.State == "TASK_RUNNING" {
			ids = append(ids, t.ID)
		}
	}
	return ids
}
