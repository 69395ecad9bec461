package main

import "testing"

func TestTheBuildUnderTestStandsApart(t *testing.T) {
	for _, c := range []struct{ gatewayd, gateway, under string }{
		{"/usr/bin/gatewayd", "./new/gatewayd", "./new/gatewayd"},
		{"/usr/bin/gatewayd", "gatewayd", ""},
		{"/usr/bin/gatewayd", "frr", ""},
	} {
		b, err := binaries(c.gatewayd, c.gateway)
		if err != nil || b.Gatewayd != c.gatewayd || b.UnderTest != c.under {
			t.Errorf("--gatewayd %s --gateway %s: %s, under test %q, %v", c.gatewayd, c.gateway, b.Gatewayd, b.UnderTest, err)
		}
	}
	b, err := binaries("", "./new/gatewayd")
	if err != nil || b.Gatewayd == "./new/gatewayd" || b.UnderTest != "./new/gatewayd" {
		t.Errorf("a build under test replaces gatewayd everywhere: %+v, %v", b, err)
	}
}
