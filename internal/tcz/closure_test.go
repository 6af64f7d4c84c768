package tcz

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

// mirror returns the .dep of each extension by file name.
type mirror struct {
	deps  map[string]string
	calls map[string]int
}

func (m *mirror) dep(_ context.Context, file string) ([]string, error) {
	if m.calls == nil {
		m.calls = map[string]int{}
	}
	m.calls[file]++
	return ParseDep([]byte(m.deps[file])), nil
}

func TestClosureOrder(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		roots string
		deps  map[string]string
		want  string
	}{
		{
			name:  "as a booted 4.4 loads them",
			roots: "bash dmidecode lshw libssl-0.9.8 readline",
			deps:  map[string]string{"bash.tcz": "ncurses.tcz\n", "ncurses.tcz": "ncurses-common.tcz", "readline.tcz": "ncurses.tcz\n"},
			want:  "ncurses-common ncurses bash dmidecode lshw libssl-0.9.8 readline",
		},
		{"nothing", "", nil, ""},
		{"last dependency first", "openssh", map[string]string{"openssh.tcz": "openssl-1.0.0.tcz\ngcc_libs.tcz"}, "gcc_libs openssl-1.0.0 openssh"},
		{"diamond", "a", map[string]string{"a.tcz": "b c", "b.tcz": "d", "c.tcz": "d"}, "d c b a"},
		{"deeper dependency is shared", "a", map[string]string{"a.tcz": "b c", "c.tcz": "b"}, "b c a"},
		{"repeated names", "a a.tcz b", map[string]string{"a.tcz": "b\nb.tcz\n\nb"}, "b a"},
		{"cycle", "a", map[string]string{"a.tcz": "b", "b.tcz": "c", "c.tcz": "a"}, "c b a"},
		{"needs itself", "a", map[string]string{"a.tcz": "a"}, "a"},
		{"kernel", "scsi-KERNEL", map[string]string{"scsi-3.0.21-tinycore.tcz": "raid-dm-KERNEL.tcz"}, "raid-dm-3.0.21-tinycore scsi-3.0.21-tinycore"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := &mirror{deps: tt.deps}
			items, err := Closure(t.Context(), strings.Fields(tt.roots), "3.0.21-tinycore", m.dep)
			testkit.Must(t, err)
			var got []string
			for _, item := range items {
				got = append(got, Base(item.File))
				if m.calls[item.File] != 1 {
					t.Errorf("asked %d times for the .dep of %s", m.calls[item.File], item.File)
				}
			}
			if want := strings.Fields(tt.want); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestClosureErrors(t *testing.T) {
	t.Parallel()
	gone := func(_ context.Context, file string) ([]string, error) {
		if file == "b.tcz" {
			return nil, fs.ErrPermission
		}
		return []string{"b"}, nil
	}
	_, err := Closure(t.Context(), []string{"a"}, "", gone)
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "a.tcz -> b.tcz") {
		t.Errorf("got %v", err)
	}
	m := &mirror{deps: map[string]string{"a.tcz": "<html>"}}
	_, err = Closure(t.Context(), []string{"a"}, "", m.dep)
	if !errors.Is(err, ErrName) || !strings.Contains(err.Error(), "a.tcz: its .dep") || !strings.Contains(err.Error(), "<html>") {
		t.Errorf("got %v", err)
	}
	if _, err = Closure(t.Context(), []string{"../a"}, "", m.dep); !errors.Is(err, ErrName) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = Closure(ctx, []string{"a"}, "", m.dep); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestClosureIsBounded makes each extension depend on a new one.
func TestClosureIsBounded(t *testing.T) {
	t.Parallel()
	endless := func(_ context.Context, file string) ([]string, error) {
		var n int
		if _, err := fmt.Sscanf(file, "x%d.tcz", &n); err != nil {
			return nil, err
		}
		return []string{fmt.Sprintf("x%d", n+1)}, nil
	}
	if _, err := Closure(t.Context(), []string{"x0"}, "", endless); !errors.Is(err, ErrTooMany) {
		t.Errorf("a long chain: got %v", err)
	}
	var many []string
	for i := range maxItems + 1 {
		many = append(many, fmt.Sprintf("x%d", i))
	}
	none := func(context.Context, string) ([]string, error) { return nil, nil }
	if _, err := Closure(t.Context(), many, "", none); !errors.Is(err, ErrTooMany) {
		t.Errorf("many: got %v", err)
	}
	if got, err := Closure(t.Context(), many[1:], "", none); err != nil || len(got) != maxItems {
		t.Errorf("just not too many: got %d, %v", len(got), err)
	}
}
