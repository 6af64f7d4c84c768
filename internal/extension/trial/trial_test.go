package trial

import (
	"encoding/json"
	"testing"
)

func TestCompareFacts(t *testing.T) {
	type facts = map[string]any
	d := Compare([2]Sample{
		{Without: facts{"same": "1", "ticks": "1", "once": "a", "zone": "UTC", "gone": "x", "path": "/bin", "memoryfree": "1"},
			With: facts{"same": "1", "ticks": "2", "once": "a", "zone": "CET", "new": "n", "now": 1, "path": "/x:/bin", "memoryfree": "2"}},
		{Without: facts{"same": "1", "ticks": "3", "once": "a", "zone": "UTC", "gone": "x", "path": "/bin", "memoryfree": "1"},
			With: facts{"same": "1", "ticks": "4", "once": "b", "zone": "CET", "new": "n", "now": 2, "path": "/x:/bin", "memoryfree": "2"}},
	})
	b, err := json.Marshal(d)
	const want = `{"schema":"mkbuild.extension-run/v1","extension":"","added":{"new":"n","now":2},"changed":{"zone":{"without":"UTC","with":"CET"}},"removed":{"gone":"x"},"unstable":["now"]}`
	if err != nil || string(b) != want {
		t.Errorf("got  %s, %v\nwant %s", b, err, want)
	}
}

func TestFactDiffIsPrintable(t *testing.T) {
	d := Diff{Added: map[string]any{"a ": "\x1b[31m", "uuid": "x\ny"}, Changed: map[string]ChangedFact{"z\x07": {1, "<b>"}}, Removed: map[string]any{"r": nil}, Unstable: []string{"z\x07"}}
	out := d.Text(func(n string) bool { return n == "r" })
	const want = `+ "a " = "\u001b[31m"
+ uuid = "x\ny"  (Razor identifies machines by it)
~ z\a = "<b>", without the extension 1  (it has another value at every check-in)
- r = null  (Razor drops it by its default facts.blacklist)
`
	if out != want {
		t.Errorf("got  %s\nwant %s", out, want)
	}
}
