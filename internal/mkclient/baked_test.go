package mkclient

import (
	"strings"
	"testing"
	"time"
)

// TestBakedExtension: what the image brings is in force as long as the server gives nothing, and
// again when the server has withdrawn its own.
func TestBakedExtension(t *testing.T) {
	t.Parallel()
	srv := newRazor(t, razorKind)
	m := newMachine(t, srv, shFacter)
	m.write("root/"+BakedExtension, string(fact(t, "ext_x", "baked")))
	missing, broken := respond(404, nil, "{}"), respond(500, nil, "")
	steps := []struct {
		name   string
		do     func()
		want   any
		status string
	}{
		{"the server has none", func() {}, "baked", "active"},
		{"still", func() {}, "baked", "active"},
		{"again", func() {}, "baked", "active"},
		{"and again: nothing is withdrawn", func() {}, "baked", "active"},
		{"it is down", func() { srv.setFault(broken) }, "baked", "active"},
		{"it offers one older than the image", func() { srv.setFault(nil); srv.publish(fact(t, "ext_x", "served"), t0) }, "served", "active"},
		{"it is down again", func() { srv.setFault(broken) }, "served", "active"},
		{"it is missing", func() { srv.setFault(missing) }, "served", "active"},
		{"twice", func() {}, "served", "active"},
		{"three times", func() {}, "baked", "active"},
		{"more often", func() {}, "baked", "active"},
		{"it offers no zip", func() { srv.setFault(nil); srv.publish([]byte(strings.Repeat("no zip ", 100)), t0.Add(time.Hour)) }, "baked", "fallback"},
		{"off", func() { m.set.ExtendOff = true }, nil, "off"},
	}
	for _, s := range steps {
		s.do()
		facts := m.cycle(srv)
		if facts["ext_x"] != s.want || facts["mk_extension_status"] != s.status {
			t.Errorf("%s: ext_x = %v, %v (%v)", s.name, facts["ext_x"], facts["mk_extension_status"], facts["mk_extension_error"])
		}
	}
	if n := strings.Count(m.log.String(), "extension of the image"); n != 2 {
		t.Errorf("unpacked %d times:\n%s", n, m.log)
	}
}

func TestBakedExtensionThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*machine){
		"no zip": func(m *machine) { m.write("root/"+BakedExtension, "no zip") },
		"wrapped": func(m *machine) {
			m.write("root/"+BakedExtension, string(pack(t, member{"x/facts.d/a.txt", "a=1\n", 0o644})))
		},
		"wrong pin": func(m *machine) { m.set.ExtendSHA256 = strings.Repeat("0", 64) },
	} {
		srv := newRazor(t, razorKind)
		m := newMachine(t, srv, shFacter)
		m.write("root/"+BakedExtension, string(fact(t, "ext_x", "baked")))
		change(m)
		m.cycle(srv)
		if facts := m.cycle(srv); facts["ext_x"] != nil || facts["mk_extension_status"] != "none" {
			t.Errorf("%s: %v, %v", name, facts["ext_x"], facts["mk_extension_status"])
		}
		if n := strings.Count(m.log.String(), "the image's own extension"); n != 1 {
			t.Errorf("%s: said %d times:\n%s", name, n, m.log)
		}
	}
}
