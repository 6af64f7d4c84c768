package annex

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
)

type about struct{ Name string }

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "a", "0123456789\x00\x00"} {
		var file bytes.Buffer
		err := Write(&file, func(w io.Writer) (any, error) {
			_, err := io.WriteString(w, content)
			return about{"ruby"}, err
		})
		if err != nil {
			t.Fatal(err)
		}
		var got about
		n, err := Read(bytes.NewReader(file.Bytes()), int64(file.Len()), &got)
		if err != nil || got.Name != "ruby" || string(file.Bytes()[:n]) != content {
			t.Errorf("%q came back as %q, %v, %v", content, file.Bytes()[:n], got, err)
		}
	}
}

func TestWriteKeepsTheErrorOfFill(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	if err := Write(io.Discard, func(io.Writer) (any, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"nothing":         "",
		"a short file":    "1234567",
		"a long text":     "{}\x00\x00\x00\x00\x00\x00\x00\x03",
		"a huge text":     "{}\xff\xff\xff\xff\xff\xff\xff\xff",
		"another text":    "[]\x00\x00\x00\x00\x00\x00\x00\x02",
		"no text":         "{}\x00\x00\x00\x00\x00\x00\x00\x00",
		"a text cut off":  "{\x00\x00\x00\x00\x00\x00\x00\x01",
		"a negative size": "{}\x80\x00\x00\x00\x00\x00\x00\x02",
	} {
		if n, err := Read(bytes.NewReader([]byte(file)), int64(len(file)), &about{}); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	if _, err := Read(bytes.NewReader([]byte("{}\x00\x00\x00\x00\x00\x00\x00\x02")), 100, &about{}); !errors.Is(err, ErrFormat) {
		t.Errorf("a file shorter than said: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("x{}\x00\x00\x00\x00\x00\x00\x00\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var a about
		if n, err := Read(bytes.NewReader(b), int64(len(b)), &a); err == nil && (n < 0 || n > int64(len(b))-tail) {
			t.Errorf("content of %d bytes in a file of %d", n, len(b))
		}
	})
}

func Example() {
	var file bytes.Buffer
	err := Write(&file, func(w io.Writer) (any, error) {
		n, err := io.WriteString(w, "content")
		return map[string]int{"written": n}, err
	})
	if err != nil {
		fmt.Println(err)
	}
	var about map[string]int
	n, err := Read(bytes.NewReader(file.Bytes()), int64(file.Len()), &about)
	fmt.Println(n, about, err)
	// Output: 7 map[written:7] <nil>
}
