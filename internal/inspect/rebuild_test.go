package inspect

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
)

func TestFirstDifference(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789abcdef"), 10_000)
	changed := bytes.Clone(long)
	changed[150_001] ^= 1
	for _, c := range []struct {
		a, b []byte
		want int64
	}{
		{[]byte("abc"), []byte("abd"), 2}, {[]byte("abc"), []byte("abcd"), 3}, {nil, []byte("x"), 0}, {long, changed, 150_001},
		{long, long[:65536], 65536}, {long[:65536], long[:131072], 65536},
	} {
		for _, pair := range [][2][]byte{{c.a, c.b}, {c.b, c.a}} {
			got, err := firstDifference(bytes.NewReader(pair[0]), bytes.NewReader(pair[1]))
			if err != nil || got != c.want {
				t.Errorf("%.8q, %.8q: %d, %v; want %d", c.a, c.b, got, err, c.want)
			}
		}
	}
	broken := errors.New("broken disk")
	if _, err := firstDifference(strings.NewReader("a"), iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestCompareRebuilt(t *testing.T) {
	a, b := read(t, isoOf(t, oldRazor(t), nil)), read(t, isoOf(t, oldRazor(t), map[string]string{"README": "x"}))
	for _, c := range []struct {
		a, b *Image
		want string
	}{
		{a, a, "the same bytes"}, {a, b, "- added medium `README`"},
	} {
		r, err := CompareRebuilt(c.a, c.b)
		must(t, err)
		var page bytes.Buffer
		must(t, r.Print(&page))
		if !strings.Contains(page.String(), c.want) || (r.Err() == nil) != r.Same || (c.a == c.b) != r.Same {
			t.Errorf("%+v\n%s", r, page.String())
		}
	}
}
