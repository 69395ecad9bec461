// Package scenarios turns *.scenario.yaml into a Scenario, a Scenario and a
// Topology into a Plan, and a recorded Run into a judged Result. It owns the
// language of timelines and expectations and the shipped library; it refuses
// to run anything: no clock, no kernel, no random source but a given seed.
package scenarios
